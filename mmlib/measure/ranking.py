"""AUROC and average precision of many score vectors under many weightings: sort once, then add up totals.

Shapes as in `mmlib.measure.metrics`: ``weights (1 + B, n)``, ``groups (G, n)``, results ``(1 + B, K, G)``; 0/0 is
nan.
"""

import numpy as np
from scipy.sparse import csr_matrix

from mmlib.core.compute import map_parallel

TOGETHER = 32  # runs whose totals are accumulated one after another, all such groups of runs at once


def auroc(y, scores, patient_weights, groups) -> np.ndarray:
    """Area under the ROC curve, ties counting half.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels, 0 or 1.
    scores : array-like of shape (K, n) or (n,)
    patient_weights, groups : array-like of shape (1 + B, n) and (G, n)

    Returns
    -------
    ndarray of shape (1 + B, K, G)
        nan where a group, or a resample of it, lacks one of the classes.
    """
    return _each_vector(y, scores, patient_weights, groups, "auroc")


def average_precision(y, scores, patient_weights, groups) -> np.ndarray:
    """Average precision (AUPRC, not interpolated); shapes as in `auroc`, nan without positives."""
    return _each_vector(y, scores, patient_weights, groups, "average_precision")


def pooled_ranking(y, scores, mass, patient_weights, groups, metric: str = "auroc") -> np.ndarray:
    """AUROC or average precision of pooled pairs: each sample has P alternative scores with masses.

    Parameters
    ----------
    y : array-like of shape (n,)
    scores : array-like of shape (P, n)
        The alternatives, for example a sample's score under every pattern of missing modalities.
    mass : array-like of shape (R, n, P)
        Weight of each alternative in each of R scenarios; not negative.
    patient_weights, groups : array-like of shape (1 + B, n) and (G, n)
    metric : {"auroc", "average_precision"}

    Returns
    -------
    ndarray of shape (1 + B, R, G)

    Notes
    -----
    Between two corners of the ROC curve only totals matter: runs of neighbouring pairs are added up by a
    sparse product with the weights, and only the runs are accumulated, a few resamples at a time. Linear in
    n, P and B.
    """
    y, scores, patient_weights, groups = check_shapes(y, scores, patient_weights, groups)
    patterns, n = scores.shape
    mass = np.asarray(mass, dtype=float)
    if mass.ndim != 3 or mass.shape[1:] != (n, patterns) or (mass.size and not mass.min() >= 0):
        raise ValueError(f"mass has shape {mass.shape}; expected (R, {n}, {patterns}), none negative.")
    if metric not in ("auroc", "average_precision"):
        raise ValueError(f"metric is {metric!r}; expected 'auroc' or 'average_precision'.")
    return _under_weights(_plans(y, scores, mass, groups, metric), patient_weights, len(groups), metric)


def _each_vector(y, scores, patient_weights, groups, metric):
    y, scores, patient_weights, groups = check_shapes(y, scores, patient_weights, groups)
    one = np.ones((1, len(y), 1))
    plans = [plan for s in scores for plan in _plans(y, s[None], one, groups, metric)]
    return _under_weights(plans, patient_weights, len(groups), metric)


def _plans(y, scores, mass, groups, metric):
    """For each scenario and group: which runs are ties, and the matrices that add up negatives and positives."""
    find_runs = _roc_runs if metric == "auroc" else _precision_runs
    mass = mass.reshape(len(mass), -1)
    pair = np.flatnonzero(mass.any(axis=0))
    flat = scores.T.ravel()[pair]
    order = np.argsort(flat if metric == "auroc" else -flat, kind="stable")
    flat, pair = flat[order], pair[order]
    sample = pair // len(scores)
    positive = y[sample] == 1
    plans = []
    for m in mass[:, pair]:
        for group in groups:
            inside = (m > 0) & group[sample]
            run, tied = find_runs(flat[inside], positive[inside])
            of_class = (positive[inside] == c for c in (False, True))
            plans.append((tied, *(_totals(m[inside], sample[inside], c, run, len(y)) for c in of_class)))
    return plans


def _under_weights(plans, patient_weights, n_groups, metric):
    finish = _area if metric == "auroc" else _precision
    # Blocks of resamples: small enough for the cache of one core, large enough to pay for a thread.
    size = max((negatives.nnz + positives.nnz for _, negatives, positives in plans), default=1) or 1
    step = max(1, min(16, 12_000_000 // size), min(128, 600_000 // size))

    def block(b):
        w = np.ascontiguousarray(patient_weights[b : b + step].T, dtype=float)  # float32 sums would lose digits
        return np.stack([finish(negatives @ w, positives @ w, tied) for tied, negatives, positives in plans], axis=1)

    parts = map_parallel(block, range(0, len(patient_weights), step))
    return np.concatenate(parts).reshape(len(patient_weights), -1, n_groups)


def _roc_runs(scores, positive):
    """Run of each pair, sorted upwards, and which runs are ties.

    A run is some negatives and the positives right above them; a score that both classes share is a run of
    its own, in which a positive beats half of the negatives.
    """
    if not len(scores):
        return np.zeros(0, int), np.zeros(0, int)
    value = np.cumsum(np.r_[False, scores[1:] != scores[:-1]])
    shared = ((np.bincount(value, positive) > 0) & (np.bincount(value, ~positive) > 0))[value]
    new_value = np.diff(value) > 0
    start = new_value & (shared[1:] | shared[:-1]) | ~shared[1:] & positive[:-1] & ~positive[1:]
    run = np.cumsum(np.r_[False, start])
    return run, np.unique(run[shared])


def _precision_runs(scores, positive):
    """Run of each pair, sorted downwards: a run ends with a score that some positive has."""
    if not len(scores):
        return np.zeros(0, int), np.zeros(0, int)
    value = np.cumsum(np.r_[False, scores[1:] != scores[:-1]])
    reached = (np.bincount(value, positive) > 0)[value]
    run = np.cumsum(np.r_[False, (np.diff(value) > 0) & reached[:-1]])
    return run, np.zeros(0, int)


def _totals(mass, sample, of_class, run, n):
    """Sparse matrix (runs, n) that, times the weights, adds up each run's pairs of one class.

    Rows are in the order of `_place`; empty runs fill them up.
    """
    runs = -(-(run[-1] + 1 if len(run) else 1) // TOGETHER) * TOGETHER
    start = np.r_[0, np.cumsum(np.bincount(run[of_class], minlength=runs))]
    totals = csr_matrix((mass[of_class], sample[of_class], start), shape=(runs, n))
    return totals[np.arange(runs).reshape(-1, TOGETHER).T.ravel()]


def _place(run, runs):
    """Row of a run: the first runs of all groups, then the second ones, so that all groups are added to at once."""
    return run % TOGETHER * (runs // TOGETHER) + run // TOGETHER


def _area(negatives, positives, tied):
    tied = _place(tied, len(negatives))
    halves = (negatives[tied] * positives[tied]).sum(axis=0) / 2
    product = _sum(negatives) * _sum(positives)
    positives *= _running(negatives)
    return divide(_sum(positives) - halves, product)


def _precision(negatives, positives, _):
    hit = _running(positives.copy())
    flagged = _running(negatives) + hit
    # A run that no resampled patient is in adds nothing.
    positives *= np.nan_to_num(divide(hit, flagged))
    return divide(_sum(positives), hit[-1])


def _running(totals):
    """Sums of totals (runs, b) up to each run, in place: several times faster than `numpy.cumsum` along that axis."""
    groups = totals.reshape(TOGETHER, -1, totals.shape[1])
    for i in range(1, TOGETHER):
        groups[i] += groups[i - 1]
    groups[:, 1:] += groups[-1, :-1].cumsum(axis=0)
    return totals


def _sum(totals):
    """Sums of totals (runs, b) over runs, along contiguous memory first."""
    return totals.reshape(TOGETHER, -1).sum(axis=0).reshape(-1, totals.shape[1]).sum(axis=0)


def divide(over, under) -> np.ndarray:
    """Quotient, nan wherever the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(over), np.shape(under))
    return np.divide(over, under, out=np.full(shape, np.nan), where=np.broadcast_to(under, shape) != 0)


def check_shapes(y, scores, patient_weights, groups):
    """The four arrays, scores as float ``(K, n)``; a `ValueError` in one sentence if one does not fit.

    Raises
    ------
    ValueError
        If a shape does not fit, a label is not 0 or 1, or a score is not finite.
    """
    y, scores = np.asarray(y), np.atleast_2d(np.asarray(scores, dtype=float))
    patient_weights, groups = np.atleast_2d(patient_weights), np.atleast_2d(np.asarray(groups, dtype=bool))
    n = len(y)
    for name, array in (("scores (or q)", scores), ("weights", patient_weights), ("groups", groups)):
        if array.ndim != 2 or array.shape[1] != n:
            raise ValueError(f"{name} has shape {array.shape}; expected (rows, {n}), one column per label.")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"y holds {sorted(set(np.unique(y).tolist()) - {0, 1})[:3]}; expected only 0 and 1.")
    if not np.isfinite(scores).all():
        raise ValueError(f"scores (or q) hold {(~np.isfinite(scores)).sum()} values that are not finite.")
    return y, scores, patient_weights, groups
