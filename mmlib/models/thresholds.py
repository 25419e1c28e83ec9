"""Decisions that know the group, the pattern of what is missing, or both; thresholds come from validation patients.

They need the protected attribute when deciding, which law or policy may forbid.
"""

import numpy as np
import pandas as pd

from mmlib.measure.metrics import operating_point
from mmlib.models.regimes import merged_groups
from mmlib.models.study import Study


def compare_thresholds(
    scores: np.ndarray,
    study: Study,
    attribute: str,
    *,
    rule: str = "prevalence",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Decisions for every tested sample under every pattern, by several ways to set thresholds.

    Parameters
    ----------
    scores : array of shape (n_folds, P, n)
        Of one regime, as in `mmlib.models.regimes`.
    study : Study
    attribute : str
        Groups with fewer than 30 positives, or no recorded group, are one group together.
    rule : str
        Operating point, as in `mmlib.measure.metrics.operating_point`.
    seed : int
        Of fairlearn's optimizer, which randomises by design: people with the same score can be decided
        differently.

    Returns
    -------
    dict of str to array of shape (P, n)
        0 or 1. ``one threshold``: chosen on complete inputs. ``per pattern``: by the same rule within each
        pattern. ``per group`` and ``per group and pattern``: such that every group has, on validation, the
        true positive rate that one threshold gives overall. ``ThresholdOptimizer``: fairlearn's, for parity
        of true positive rates [Hardt2016]_, on complete inputs.
    """
    y, group = study.y.numpy().astype(int), merged_groups(study.cohort, attribute).to_numpy()
    out = {}
    for f, held in enumerate(study.validation.numpy()):
        s, test = scores[f], study.tested[f]
        cut = operating_point(y[held], s[-1, held], rule)
        by_pattern = np.array([operating_point(y[held], column[held], rule) for column in s])
        aim = (s[-1, held & (y == 1)] >= cut).mean()
        by_group, by_both = np.full(len(y), cut), np.repeat(by_pattern[:, None], len(y), axis=1)
        for g in np.unique(group):
            cases = held & (y == 1) & (group == g)
            if cases.any():
                found = np.quantile(s[:, cases], 1 - aim, axis=1, method="higher")
                found = np.where(np.ptp(s[:, held], axis=1) > 0, found, by_pattern)  # a constant ranks nobody
                by_group[group == g], by_both[:, group == g] = found[-1], found[:, None]
        ways = {
            "one threshold": s >= cut,
            "per pattern": s >= by_pattern[:, None],
            "per group": s >= by_group,
            "per group and pattern": s >= by_both,
            "ThresholdOptimizer": _optimised(s, y, group, held, test, seed),
        }
        for name, chosen in ways.items():
            out.setdefault(name, np.zeros(s.shape, dtype=np.int8))[:, test] = chosen[:, test]
    return out


def _optimised(s, y, group, held, test, seed):
    """Fit fairlearn's optimizer on complete validation inputs and let it decide under every pattern."""
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.linear_model import LinearRegression

    # it cannot learn from a group of one class: such a group goes with the largest of two
    labels = pd.Series(y[held]).groupby(group[held]).agg(["nunique", "size"])
    able = labels[labels["nunique"] == 2].index
    largest = labels["size"].reindex(able if len(able) else labels.index).idxmax()
    group = np.where(np.isin(group, able), group, largest)
    given = LinearRegression(fit_intercept=False).fit([[1.0]], [1.0])  # passes scores through
    optimizer = ThresholdOptimizer(
        estimator=given,
        constraints="true_positive_rate_parity",
        objective="balanced_accuracy_score",
        prefit=True,
        predict_method="predict",
    )
    optimizer.fit(s[-1, held, None].astype(float), y[held], sensitive_features=group[held])
    chosen = np.zeros(s.shape)
    for k, column in enumerate(s):
        chosen[k, test] = optimizer.predict(
            column[test, None].astype(float), sensitive_features=group[test], random_state=seed + k
        )
    return chosen
