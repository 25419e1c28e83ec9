"""Missing modalities at inference: exact expectations over mask patterns, and the paper's simulation.

A sample meets one of ``P = 2^M`` patterns of kept modalities. Given its score under every pattern (``scores``
of shape ``(P, n)``) and the probability of every pattern (``(n, P)``), expected selection, rates, signed
differences and AUROC are weighted sums: exact at any drop rate, however small. Drops act only on what a
sample has: a pattern that keeps an absent modality has the same score as the pattern without it.
"""

import numpy as np
import pandas as pd

from mmlib.measure.mechanisms import probabilities_in
from mmlib.measure.metrics import auroc, rates
from mmlib.measure.ranking import divide, pooled_ranking

#: Metrics of `mmlib.measure.metrics.rates` that are linear in the decisions, so that their expectations are exact.
LINEAR = ("selection_rate", "tpr", "fpr", "fnr", "accuracy", "balanced_accuracy")


def pattern_probabilities(drop, masks, present=None) -> np.ndarray:
    """Distribution over kept patterns, from independent drop probabilities.

    Parameters
    ----------
    drop : float or array-like of shape (M,), (n, M) or (R, n, M)
        Probability that a modality is dropped; R scenarios at once if there are three axes.
    masks : array-like of shape (P, M)
        From `mmlib.core.subsets.subset_masks`.
    present : array-like of shape (n, M), optional
        Which modalities each sample has; probability then falls only on patterns of those. It changes no
        expectation, but fewer pairs need sorting.

    Returns
    -------
    ndarray of shape (n, P) or (R, n, P)
        With n = 1 if neither ``drop`` nor ``present`` says how many samples there are.
    """
    masks = np.asarray(masks, dtype=bool)
    drop = probabilities_in(drop, "drop")
    if present is not None:
        drop = np.where(np.asarray(present, dtype=bool), drop, 1.0)
    drop = np.broadcast_to(drop, np.broadcast_shapes(drop.shape, (1, masks.shape[1])))
    keep = np.ones((*drop.shape[:-1], len(masks)))
    for m in range(masks.shape[1]):
        keep *= np.where(masks[:, m], 1 - drop[..., m, None], drop[..., m, None])
    return keep


def expected_selection(scores, threshold, probabilities) -> np.ndarray:
    """Probability that each sample is selected, to be passed to `mmlib.measure.metrics.rates`.

    Parameters
    ----------
    scores : array-like of shape (P, n)
        Score of every sample under every pattern.
    threshold : float or array-like of shape (n,)
        Operating point, the same under masking as without it.
    probabilities : array-like of shape (n, P) or (R, n, P)
        Distribution over kept patterns, from `pattern_probabilities` or any other.

    Returns
    -------
    ndarray of shape (n,) or (R, n)
    """
    scores, threshold = np.asarray(scores), np.asarray(threshold, dtype=float)
    one = np.ndim(probabilities) == 2
    probabilities = _distribution(probabilities, scores.shape)
    if np.isnan(threshold).any():
        raise ValueError(
            f"threshold is missing for {np.isnan(threshold).sum()} samples; expected one for each."
        )
    selected = (scores >= threshold).astype(float)
    # Sums of shares may end at 1 + 1e-16.
    q = np.clip(np.einsum("rnp,pn->rn", probabilities, selected), 0, 1)
    return q[0] if one else q


def expected_auroc(y, scores, probabilities, patient_weights, groups) -> np.ndarray:
    """Expected AUROC: that of the pooled (sample, pattern) pairs weighted by probability.

    Exact if samples are dropped independently of one another, since a positive and a negative are never the
    same sample; drops shared by a unit's samples need `simulate_units`.

    Parameters
    ----------
    y : array-like of shape (n,)
    scores : array-like of shape (P, n)
    probabilities : array-like of shape (n, P) or (R, n, P)
    patient_weights, groups : array-like of shape (1 + B, n) and (G, n)

    Returns
    -------
    ndarray of shape (1 + B, R, G)
        R = 1 for a single distribution.
    """
    return pooled_ranking(y, scores, _distribution(probabilities, np.shape(scores)), patient_weights, groups)


def slopes(
    y, scores, threshold, masks, patient_weights, groups, direction=None, *, ranked=None
) -> dict[str, np.ndarray]:
    """Derivative of expected metrics by the drop rate at zero: what the first few missing modalities cost.

    Parameters
    ----------
    y : array-like of shape (n,)
    scores : array-like of shape (P, n)
    threshold : float or array-like of shape (n,)
    masks : array-like of shape (P, M)
    patient_weights, groups : array-like of shape (1 + B, n) and (G, n)
    direction : array-like of shape (n, M), optional
        Relative drop rates in [0, 1], so that sample i loses modality m with probability ``p direction[i,
        m]``: ones if not given, the presence of modalities if absent ones cannot be lost, a mechanism's shape
        otherwise.
    ranked : array-like of shape (H, n), optional
        Groups whose AUROC is wanted, which takes longer than all else; ``groups`` if not given.

    Returns
    -------
    dict of str to ndarray of shape (1 + B, M, G)
        The linear metrics and ``auroc``. The slope in p is the sum over the M modalities; the loss at small p
        is p times it.

    Notes
    -----
    For AUROC each modality adds A(positives without m, negatives full) + A(positives full, negatives without
    m) - 2 A(full). Removing m from all samples gives another number: then both sides of a pair lose it.
    """
    y, scores, masks = np.asarray(y), np.asarray(scores, dtype=float), np.asarray(masks, dtype=bool)
    full, modalities = len(masks) - 1, masks.shape[1]
    shape = (len(y), modalities)
    direction = (
        np.ones(shape)
        if direction is None
        else np.broadcast_to(probabilities_in(direction, "direction"), shape)
    )
    ranked = groups if ranked is None else ranked
    selected = (scores >= np.asarray(threshold)).astype(float)
    q, area = [selected[full]], []
    for m in range(modalities):
        without, d = full - (1 << m), direction[:, m]
        q.append((1 - d) * selected[full] + d * selected[without])
        lost = np.stack([np.where(y == label, d, 0) for label in (1, 0)])  # positives lose m, then negatives
        mass = np.stack([1 - lost, lost], axis=-1)
        area.append(pooled_ranking(y, scores[[full, without]], mass, patient_weights, ranked).sum(axis=1))
    at_zero = auroc(y, scores[full], patient_weights, ranked)
    values = rates(y, np.array(q), patient_weights, groups)
    slope = {metric: values[metric][:, 1:] - values[metric][:, :1] for metric in LINEAR}
    return slope | {"auroc": np.stack(area, axis=1) - 2 * at_zero}


def one_run_sd(
    y, scores, threshold, probabilities, groups, *, realisations: int = 200, seed: int = 0
) -> dict[str, np.ndarray]:
    """Standard deviation of a metric over realised masks, patients and model fixed.

    It says how far a single masked test run, such as the paper's, falls from the expectation. Groups that
    share no sample are independent: the variance of a difference is the sum of theirs.

    Parameters
    ----------
    y : array-like of shape (n,)
    scores : array-like of shape (P, n)
    threshold : float or array-like of shape (n,)
    probabilities : array-like of shape (n, P) or (R, n, P)
    groups : array-like of shape (G, n)
    realisations : int
        Simulated runs for AUROC, which has no closed form here (200 give its SD to 5 %); 0 leaves it out.
    seed : int

    Returns
    -------
    dict of str to ndarray of shape (R, G)
        The linear metrics in closed form (a sum of ``q (1 - q)``), and ``auroc``.
    """
    y, groups = np.asarray(y), np.asarray(groups, dtype=bool)
    probabilities = _distribution(probabilities, np.shape(scores))
    q = expected_selection(scores, threshold, probabilities)
    variance = q * (1 - q)
    counts, sums = [], []
    for label in (0, 1):
        members = (groups & (y == label)).astype(float)
        counts.append(members.sum(axis=1)[None])
        sums.append(variance @ members.T)
    everybody = counts[0] + counts[1]
    fpr, tpr = (divide(s, c**2) for s, c in zip(sums, counts, strict=True))
    overall = divide(sums[0] + sums[1], everybody**2)
    found = {"selection_rate": overall, "tpr": tpr, "fpr": fpr, "fnr": tpr, "accuracy": overall}
    sd = {metric: np.sqrt(v) for metric, v in (found | {"balanced_accuracy": (tpr + fpr) / 4}).items()}
    if realisations:
        one = np.ones((1, len(y)))
        runs = (simulate(scores, p, realisations, seed) for p in probabilities)
        sd["auroc"] = np.array([auroc(y, run, one, groups)[0].std(axis=0, ddof=1) for run in runs])
    return sd


def simulate(scores, probabilities, realisations: int, seed: int = 0) -> np.ndarray:
    """Realised score vectors, as the paper draws them: each sample meets one pattern at random.

    Parameters
    ----------
    scores : array-like of shape (P, n)
    probabilities : array-like of shape (n, P)
    realisations : int
    seed : int

    Returns
    -------
    ndarray of shape (draws, n)
    """
    scores, probabilities = np.asarray(scores), _distribution(probabilities, np.shape(scores))
    if len(probabilities) != 1:
        raise ValueError(f"probabilities hold {len(probabilities)} scenarios; simulate one at a time.")
    reached = np.cumsum(probabilities[0], axis=1)
    reached /= reached[:, -1:]
    chance = np.random.default_rng(seed).random((realisations, scores.shape[1]))
    pattern = [np.searchsorted(r[:-1], c, side="right") for r, c in zip(reached, chance.T, strict=True)]
    return scores[np.transpose(pattern), np.arange(scores.shape[1])]


def simulate_units(scores, drop, unit, realisations: int, seed: int = 0) -> np.ndarray:
    """Realised score vectors when all samples of a unit lose a modality together, as a patient without an examination.

    Parameters
    ----------
    scores : array-like of shape (P, n)
        A pattern that keeps an absent modality has the score of the pattern without it.
    drop : float or array-like of shape (M,)
        Probability that a unit loses each modality.
    unit : array-like of shape (n,)
    realisations, seed : int

    Returns
    -------
    ndarray of shape (realisations, n)

    Examples
    --------
    >>> scores = [[0.5, 0.5, 0.5], [0.9, 0.8, 0.1]]
    >>> simulate_units(scores, 0.5, ["a", "a", "b"], 3).tolist()
    [[0.9, 0.8, 0.5], [0.5, 0.5, 0.5], [0.9, 0.8, 0.1]]
    """
    scores, code = np.asarray(scores), pd.factorize(np.asarray(unit))[0]
    modalities = len(scores).bit_length() - 1
    drop = np.broadcast_to(probabilities_in(drop, "drop"), (modalities,))
    kept = np.random.default_rng(seed).random((realisations, code.max() + 1, modalities)) >= drop
    pattern = (kept @ (1 << np.arange(modalities)))[:, code]
    return scores[pattern, np.arange(len(code))]


def _distribution(probabilities, shape=None) -> np.ndarray:
    """Probabilities of patterns, checked to add up to 1; as (R, n, P) if the shape of the scores is given."""
    probabilities = probabilities_in(probabilities, "probabilities")
    if np.abs(probabilities.sum(axis=-1) - 1).max() > 1e-9:
        worst = np.abs(probabilities.sum(axis=-1) - 1).max()
        raise ValueError(
            f"probabilities miss 1 by {worst:.3g} over a sample's patterns; expected a distribution."
        )
    if shape is None:
        return probabilities
    patterns, n = shape
    if probabilities.shape[-2:] not in ((n, patterns), (1, patterns)):
        raise ValueError(
            f"probabilities have shape {probabilities.shape}; scores {shape} need (n, P) or (R, n, P)."
        )
    return np.broadcast_to(probabilities, (*probabilities.shape[:-2], n, patterns)).reshape(-1, n, patterns)
