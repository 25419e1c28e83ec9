"""Whether probabilities are right in every group, and whether acting on them is worth it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmlib.measure.exact import exact_interval
from mmlib.measure.ranking import check_shapes, divide

#: Events below which the bins of a group are too uncertain to be shown.
EVENTS = 100


def observed_expected(y, scores, patient_weights, groups) -> np.ndarray:
    """Observed positives over the sum of predicted probabilities; shapes as in `mmlib.measure.metrics.rates`."""
    y, scores, patient_weights, groups = check_shapes(y, scores, patient_weights, groups)
    ratio = np.empty((len(patient_weights), len(scores), len(groups)))
    for g, group in enumerate(groups):
        w = patient_weights[:, group].astype(float)
        ratio[:, :, g] = divide((w @ y[group])[:, None], w @ scores[:, group].T)
    return ratio


def calibration_by_group(y, scores, groups, names: Sequence[str]) -> pd.DataFrame:
    """Calibration of every group: observed over expected with an exact interval, intercept and slope.

    Parameters
    ----------
    y, scores : array-like of shape (n,)
        Labels and probabilities of one model.
    groups : array-like of shape (G, n)
    names : sequence of str

    Returns
    -------
    pandas.DataFrame
        A row per group: ``group, n, n_positive, observed_expected, low, high``, and ``intercept`` and ``slope``
        with ``_low`` and ``_high``. The interval of observed/expected is Clopper and Pearson's [Clopper1934]_ for
        the observed share, over the mean prediction taken as known. ``intercept`` has the slope fixed at 1 (0 is
        right: calibration in the large); ``slope`` is fitted with a free intercept (1 is right, below 1 is
        overconfident) [Cox1958]_; their intervals are Wald's. All three take rows as independent. Fits that do
        not exist (one class, a constant or separating score) are nan.
    """
    y, scores, groups = np.asarray(y), np.asarray(scores, dtype=float), np.asarray(groups, dtype=bool)
    table = []
    for name, group in zip(names, groups, strict=True):
        n, events, expected = int(group.sum()), int(y[group].sum()), scores[group].sum()
        low, high = np.array(exact_interval(events, n)) * n
        ratios = [v / expected if expected > 0 else np.nan for v in (events, low, high)]
        table.append((name, n, events, *ratios, *_recalibrate(y[group], scores[group])))
    columns = ["group", "n", "n_positive", "observed_expected", "low", "high"]
    columns += [f"{name}{end}" for name in ("intercept", "slope") for end in ("", "_low", "_high")]
    return pd.DataFrame(table, columns=columns)


def reliability(y, scores, groups, names: Sequence[str], *, bins: int = 5) -> pd.DataFrame:
    """Observed share of events in bins of the prediction, for groups with enough events.

    Parameters
    ----------
    y, scores : array-like of shape (n,)
    groups : array-like of shape (G, n)
    names : sequence of str
    bins : int
        Of equal size within the group.

    Returns
    -------
    pandas.DataFrame
        A row per bin of every group with `EVENTS` events or more: ``group, predicted`` (mean), ``observed``
        (share), ``low, high`` (95 %, Clopper and Pearson, rows taken as independent), ``n, n_positive``.
    """
    y, scores, groups = np.asarray(y), np.asarray(scores, dtype=float), np.asarray(groups, dtype=bool)
    rows = []
    for name, group in zip(names, groups, strict=True):
        if y[group].sum() < EVENTS:
            continue
        cell = pd.qcut(scores[group], bins, labels=False, duplicates="drop")
        for b in np.unique(cell):
            p, events = scores[group][cell == b], y[group][cell == b]
            low, high = exact_interval(events.sum(), len(p))
            rows.append((name, p.mean(), events.mean(), float(low), float(high), len(p), int(events.sum())))
    return pd.DataFrame(rows, columns=["group", "predicted", "observed", "low", "high", "n", "n_positive"])


def net_benefit(y, scores, thresholds, patient_weights, groups) -> np.ndarray:
    """Standardised net benefit of acting on a score, the points of a decision curve [Vickers2006]_.

    Parameters
    ----------
    y, scores : array-like of shape (n,)
        Labels, and calibrated probabilities.
    thresholds : array-like of shape (T,)
        Probabilities inside (0, 1) from which one would act; each says what a false alarm costs: odds ``t / (1 -
        t)`` of a hit.
    patient_weights, groups : array-like of shape (1 + B, n) and (G, n)

    Returns
    -------
    ndarray of shape (1 + B, T, G)
        ``TPR - FPR t / (1 - t) (1 - prevalence) / prevalence``: 1 for a perfect model, 0 for acting on nobody, at
        each group's own prevalence.
    """
    thresholds = np.asarray(thresholds, dtype=float)
    if not ((thresholds > 0) & (thresholds < 1)).all():
        raise ValueError(f"thresholds lie in [{thresholds.min()}, {thresholds.max()}]; expected inside (0, 1).")
    y, scores, patient_weights, groups = check_shapes(y, scores, patient_weights, groups)
    acted = (scores >= thresholds[:, None]).astype(float)
    benefit = np.empty((len(patient_weights), len(thresholds), len(groups)))
    for g, group in enumerate(groups):
        w = patient_weights[:, group].astype(float)
        hits, alarms = (w * (y[group] == label) @ acted[:, group].T for label in (1, 0))
        benefit[..., g] = divide(hits - alarms * thresholds / (1 - thresholds), (w @ y[group])[:, None])
    return benefit


def _recalibrate(y, scores) -> list[float]:
    """Return the intercept with its interval, then the slope with its own."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    if not 0 < y.sum() < len(y):
        return [np.nan] * 6
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)  # a score of exactly 0 or 1 has no finite logit
    logit = np.log(clipped / (1 - clipped))
    binomial = Binomial()
    intercept = GLM(y, np.ones_like(logit), family=binomial, offset=logit).fit()
    found = [intercept.params[0], *intercept.conf_int()[0]]
    below, above = logit[y == 0], logit[y == 1]
    if below.max() <= above.min() or above.max() <= below.min():
        return [*found, *[np.nan] * 3]
    slope = GLM(y, np.column_stack([np.ones_like(logit), logit]), family=binomial).fit()
    return [*found, slope.params[1], *slope.conf_int()[1]]
