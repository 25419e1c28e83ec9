"""Metrics of each group under every pattern of missing modalities, from which those at any drop rate follow.

If all members of a group lose modality m with the same probability, each pattern has one probability for the
whole group. A sample that never had m keeps the score of the modalities that are left. Expected rates are
then sums over patterns, and the expected AUROC is a sum over pairs of patterns.
"""

import numpy as np


def pattern_tables(y, scores, threshold, groups) -> dict[str, np.ndarray]:
    """Rates of each group under every pattern, and AUROC under every pair of patterns.

    Parameters
    ----------
    y : array-like of shape (n,)
    scores : array-like of shape (P, n)
        Score of every sample under every pattern.
    threshold : float or array-like of shape (n,)
    groups : array-like of shape (G, n)

    Returns
    -------
    dict of str to ndarray
        ``selection_rate`` and ``tpr`` of shape (G, P), and ``auroc`` of shape (G, P, P): positives under the
        first pattern against negatives under the second. With probabilities w (P,) of the patterns the
        expectations are ``tpr @ w`` and ``w @ auroc @ w``, exactly if samples are dropped independently.

    Raises
    ------
    ValueError
        If a group lacks positives or negatives.
    """
    y, scores, groups = np.asarray(y), np.asarray(scores, dtype=float), np.asarray(groups, dtype=bool)
    selected = scores >= np.asarray(threshold, dtype=float)
    tables = {"selection_rate": [], "tpr": [], "auroc": []}
    for g, group in enumerate(groups):
        positive, negative = group & (y == 1), group & (y == 0)
        if not positive.any() or not negative.any():
            raise ValueError(
                f"Group {g} has {positive.sum()} positives and {negative.sum()} negatives; expected some of both."
            )
        tables["selection_rate"].append(selected[:, group].mean(axis=1))
        tables["tpr"].append(selected[:, positive].mean(axis=1))
        tables["auroc"].append(_wins(scores[:, positive], scores[:, negative]))
    return {name: np.array(values) for name, values in tables.items()}


def _wins(above, below) -> np.ndarray:
    """Share of pairs (P, P) in which a score (P, n1) of the first beats one (P, n0) of the second, ties half."""
    share, above = np.empty((len(above), len(below))), np.sort(above, axis=1)  # sorted, for binary search
    for k, column in enumerate(np.sort(below, axis=1)):
        ranks = np.searchsorted(column, above, "left") + np.searchsorted(column, above, "right")
        share[:, k] = ranks.mean(axis=1) / (2 * len(column))
    return share
