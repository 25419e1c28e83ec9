"""Uncertainty of estimates: one patient-clustered bootstrap for a run, intervals, retraining variance.

Arrays carry a leading axis of ``1 + B``: the estimate, then the resamples. Because all models, subsets,
patterns and groups share the same weights, a difference of two such arrays is a paired bootstrap of the
difference.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import t as student

#: Share of undefined (0/0) resamples above which no interval is given.
UNDEFINED = 0.05


def resample_patients(patient_id, resamples: int, seed: int = 0) -> np.ndarray:
    """Bootstrap weights of a run: patients, not rows, are resampled with replacement.

    Parameters
    ----------
    patient_id : array-like of shape (n,)
        The cluster of each sample.
    resamples : int
        B, 0 or more.
    seed : int

    Returns
    -------
    ndarray of shape (1 + B, n), float32
        Row 0 is all ones; in the others every sample carries how often its patient was drawn.

    Examples
    --------
    >>> resample_patients(["a", "a", "b"], 2).shape
    (3, 3)
    """
    code, patients = pd.factorize(np.asarray(patient_id))
    if resamples < 0 or (code < 0).any():
        raise ValueError(
            f"resamples is {resamples} and {(code < 0).sum()} patient_id are missing; expected >= 0 and none."
        )
    rng, n = np.random.default_rng(seed), len(patients)
    patient_weights = np.ones((1 + resamples, len(code)), dtype=np.float32)
    for row in patient_weights[1:]:
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)[code]
    return patient_weights


def contrast(values, names: Sequence[str], reference: str) -> np.ndarray:
    """Signed differences of every group to the reference group, resample by resample.

    Parameters
    ----------
    values : array-like of shape (..., G)
    names : sequence of str
        The G groups.
    reference : str
        One of ``names``; its own column becomes 0.

    Returns
    -------
    ndarray of shape (..., G)
        Signed differences, group minus reference.
    """
    if reference not in names:
        raise ValueError(
            f"Reference group {reference!r} is not in the cohort; expected one of {list(names)}."
        )
    values, at = np.asarray(values), list(names).index(reference)
    return values - values[..., at : at + 1]


def standard_error(values) -> np.ndarray:
    """Standard deviation over resamples: ``(1 + B, ...)`` in, ``(...)`` out.

    Resamples that are nan (a group lost a class) are left out; if they are more than 5 %, or the estimate
    itself is nan, the result is nan. The same rule holds for both intervals below.
    """
    draws, refused = _defined(values)
    return np.where(refused, np.nan, np.nanstd(draws, axis=0, ddof=1))


def percentile_interval(values, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over resamples: ``(1 + B, ...)`` in, low and high of shape ``(...)`` out.

    Undefined resamples are treated as in `standard_error`. For signed differences and rates, never for a
    max-min gap (its resamples are biased upwards; see `mmlib.measure.permutation`).
    """
    draws, refused = _defined(values)
    # nanquantile is slow.
    cut = np.nanquantile if np.isnan(draws).any() else np.quantile
    ends = cut(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return tuple(np.where(refused, np.nan, end) for end in ends)


def simultaneous_interval(values, level: float = 0.95, se_retrain=0.0) -> tuple[np.ndarray, np.ndarray]:
    """Interval that holds for all groups of the last axis at once with probability ``level`` (max-T).

    Parameters
    ----------
    values : array-like of shape (1 + B, ..., G)
        For example the contrasts of one attribute; each index of the middle axes is a family of its own.
    level : float
    se_retrain : float or array-like of shape (..., G)
        Standard error from retraining, ``s_retrain / sqrt(seeds)``, added to that over patients; nan adds nothing.

    Returns
    -------
    low, high : ndarray of shape (..., G)
        ``estimate -+ c SE`` with c the quantile of the largest ``|resample - estimate| / SE`` over groups.
        Groups without a standard error are nan; groups that never vary have an interval of no width; neither
        widens the others.
    """
    values = np.asarray(values, dtype=float)
    se = standard_error(values)
    usable = se > 0
    distance = np.abs(values[1:] - values[0]) / np.where(usable, se, 1)
    largest = np.where(usable & ~np.isnan(distance), distance, 0).max(axis=-1, initial=0)  # there may be no group
    reach = np.quantile(largest, level, axis=0)[..., None] * np.hypot(se, np.nan_to_num(se_retrain))
    return values[0] - reach, values[0] + reach


def _defined(values):
    """Resamples, and a mask of where too few of them are defined (they are 0 there)."""
    values = np.asarray(values, dtype=float)
    if len(values) < 3:
        raise ValueError(
            f"{len(values) - 1} resamples give no interval; expected at least 2 (parameter resamples)."
        )
    refused = np.isnan(values[0]) | (np.isnan(values[1:]).mean(axis=0) > UNDEFINED)
    return np.where(refused, 0, values[1:]), refused


def average_seeds(values) -> tuple[np.ndarray, np.ndarray]:
    """Mean of a metric over retraining seeds (never the metric of averaged scores: that is an ensemble).

    Parameters
    ----------
    values : array-like of shape (S, 1 + B, ...)

    Returns
    -------
    mean : ndarray of shape (1 + B, ...)
    s_retrain : ndarray of shape (...)
        Standard deviation of the estimate over seeds; nan when there is one seed and it was not estimated.
    """
    values = np.asarray(values, dtype=float)
    estimates = values[:, 0]
    return values.mean(axis=0), estimates.std(axis=0, ddof=1) if len(values) > 1 else np.full(
        estimates.shape[1:], np.nan
    )


def widen(
    estimate, low, high, s_retrain, seeds: int, level: float = 0.95, freedom: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Interval over patients, widened by retraining variance around the estimate.

    Each arm's length is combined in quadrature with ``t s_retrain / sqrt(seeds)``, so that the interval keeps
    its asymmetry. Where ``s_retrain`` is nan (not estimated) the interval is returned as it is.

    Parameters
    ----------
    estimate, low, high, s_retrain : array-like of one shape
    seeds : int
        Retrainings that were averaged.
    level : float
    freedom : float
        Degrees of freedom of ``s_retrain``, for the quantile of Student's t.

    Returns
    -------
    low, high : ndarray
    """
    estimate, low, high = (np.asarray(a, dtype=float) for a in (estimate, low, high))
    extra = student.ppf((1 + level) / 2, freedom) * np.asarray(s_retrain, dtype=float) / np.sqrt(seeds)
    below, above = np.maximum(estimate - low, 0), np.maximum(high - estimate, 0)
    known = ~np.isnan(extra)
    return (
        np.where(known, estimate - np.hypot(below, extra), low),
        np.where(known, estimate + np.hypot(above, extra), high),
    )
