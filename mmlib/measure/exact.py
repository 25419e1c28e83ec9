"""Intervals of rates near 0 or 1, where resampling misleads: exact for a rate, Newcombe's for a difference."""

import numpy as np

from mmlib.measure.ranking import divide


def exact_interval(events, total, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of a rate [Clopper1934]_.

    Parameters
    ----------
    events, total : array-like of one shape
        Counts; those of clustered samples are scaled to their effective number.
    level : float

    Returns
    -------
    low, high : ndarray
        nan where ``total`` is 0.

    Examples
    --------
    >>> low, high = exact_interval(2, 55)
    >>> round(float(low), 3), round(float(high), 3)
    (0.004, 0.125)
    """
    return _interval(events, total, level, "beta")


def newcombe_interval(
    events, total, other_events, other_total, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Score interval of the difference of two independent rates, the first minus the other [Newcombe1998]_.

    Parameters
    ----------
    events, total, other_events, other_total : array-like that broadcast
    level : float
        For F differences at once, ``1 - 0.05 / F`` (Bonferroni).

    Returns
    -------
    low, high : ndarray
        nan where a total is 0.

    Examples
    --------
    >>> low, high = newcombe_interval(56, 70, 48, 80)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0524, 0.3339)
    """
    (low_p, high_p), (low_q, high_q) = (
        _interval(*counts, level, "wilson") for counts in ((events, total), (other_events, other_total))
    )
    p, q = divide(np.asarray(events, float), total), divide(np.asarray(other_events, float), other_total)
    return p - q - np.hypot(p - low_p, high_q - q), p - q + np.hypot(high_p - p, q - low_q)


def effective_number(patient_id, members) -> np.ndarray:
    """Effective number of samples of each group, its patients having several: (sum m)^2 / sum m^2 over patients.

    Parameters
    ----------
    patient_id : array-like of shape (n,), integers from 0
    members : array-like of bool, shape (G, n)

    Returns
    -------
    ndarray of shape (G,)
        The number of samples where every patient has one; 0 for an empty group.
    """
    counts = np.array([np.bincount(patient_id[m], minlength=1) for m in np.asarray(members, bool)], dtype=object)
    return np.array([c.sum() ** 2 / max((c.astype(float) ** 2).sum(), 1) for c in counts], float)


def _interval(events, total, level, method) -> tuple[np.ndarray, np.ndarray]:
    """Interval of rates by a method of statsmodels; nan where ``total`` is 0."""
    from statsmodels.stats.proportion import proportion_confint

    events, total = np.broadcast_arrays(np.asarray(events, float), np.asarray(total, float))
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = proportion_confint(events, total, alpha=1 - level, method=method)
    return tuple(np.where(total > 0, end, np.nan) for end in ends)
