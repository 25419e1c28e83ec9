"""Intervals of rates near 0 or 1, where resampling misleads: exact for a rate, Newcombe's for a difference."""

import numpy as np
from scipy.stats import beta, norm


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
    events, total = np.asarray(events, float), np.asarray(total, float)
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(events > 0, beta.ppf(tail, events, total - events + 1), 0.0)
        high = np.where(events < total, beta.ppf(1 - tail, events + 1, total - events), 1.0)
    return np.where(total > 0, low, np.nan), np.where(total > 0, high, np.nan)


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
    first, other = (np.asarray(part, float) for part in (events, other_events))
    n, m = np.asarray(total, float), np.asarray(other_total, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = first / n, other / m
        (low_p, high_p), (low_q, high_q) = _score(p, n, level), _score(q, m, level)
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


def _score(rate, total, level):
    """Wilson's interval of a rate."""
    z = norm.ppf((1 + level) / 2)
    middle = (rate + z**2 / (2 * total)) / (1 + z**2 / total)
    reach = z / (1 + z**2 / total) * np.sqrt(rate * (1 - rate) / total + z**2 / (4 * total**2))
    return middle - reach, middle + reach
