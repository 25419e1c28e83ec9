"""Tests: gaps at one model by permutation, changes by paired bootstrap, equivalence, detectable differences.

A gap at one model is tested by permuting groups *within the label* that its metric conditions on (permuting
over everything tests base rates too and rejects far too often). A *change* of a gap between models is never
permuted but bootstrapped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from mmlib.core.schema import MINIMUM
from mmlib.measure.bootstrap import UNDEFINED
from mmlib.measure.permutation import WITHIN, permuted_groups, studentised_difference
from mmlib.measure.ranking import divide

#: Width of an equivalence margin, in SE, that gives 80 % power when the true difference is 0:
#: z(.95) + z(.90), as both one-sided tests must pass.
ATTAINABLE = 2.9

#: Drop rate at which a loss of AUROC as large as the margin does not matter; at other rates in proportion.
MARGIN_RATE = 0.1


def loss_margin(margin: float, rate: float) -> float:
    """Loss of AUROC that does not matter at a drop rate: the margin at a rate of 0.1, in proportion at others.

    Examples
    --------
    >>> loss_margin(0.005, 0.2)
    0.01
    """
    return margin * rate / MARGIN_RATE


def gap_test(
    y,
    q,
    names: Sequence[str],
    groups,
    patient_id,
    metric: str,
    *,
    reference: str,
    minimum: int = MINIMUM,
    permutations: int = 1999,
    seed: int = 0,
) -> pd.DataFrame:
    """P-values of every group against the reference at one model, by a conditional studentised permutation test.

    Parameters
    ----------
    y, patient_id : array-like of shape (n,)
        Labels, and who the rows belong to.
    q : array-like of shape (n,) or (S, n)
        Probability of selection; scores for ``metric="auroc"``; a row per training seed, over which the metric
        is averaged.
    names : sequence of str
    groups : array-like of shape (G, n)
        As `mmlib.measure.metrics.group_masks` returns them; ``"all"`` is skipped.
    metric : {"tpr", "fpr", "auroc", "equalized_odds", "selection_rate"}
        Groups are permuted within Y = 1, within Y = 0, within both, within both, and over all.
    reference : str
    minimum : int
        Patients with a label that the metric conditions on (each of the two for AUROC and equalized odds; with
        a positive one for the selection rate) below which a group is refused, not tested.
    permutations, seed : int

    Returns
    -------
    pandas.DataFrame
        A row per group: ``metric, group, reference, estimate`` (group minus reference; for equalized odds the
        larger of the two absolute differences), ``statistic, p`` (two-sided, unadjusted) and ``refused``, a
        reason or ``""``.

    Notes
    -----
    Only the two groups compared are permuted. Patients are the units: all rows that a patient has in a group
    move together (`mmlib.measure.permutation.permuted_groups`), and the variances that studentise the difference are
    between patients (for rates the linearised ratio, for AUROC that of DeLong's components added up by
    patient). A patient with rows in both groups counts as one unit in each.
    """
    y, q, groups = np.asarray(y), np.atleast_2d(np.asarray(q, float)), np.asarray(groups, dtype=bool)
    if metric not in WITHIN:
        raise ValueError(f"metric is {metric!r}; expected one of {', '.join(WITHIN)}.")
    if reference not in names:
        raise ValueError(
            f"Reference group {reference!r} is not in the cohort; expected one of {list(names)}."
        )
    masks, rows = dict(zip(names, groups, strict=True)), []
    for name in names:
        if name in ("all", reference):
            continue
        row = {"metric": metric, "group": name, "reference": reference, "estimate": np.nan}
        row |= {"statistic": np.nan, "p": np.nan, "refused": ""}
        pair = np.array([masks[name], masks[reference]])
        for which, mask in ((reference, pair[1]), (name, pair[0])):
            row["refused"] = too_small(y, mask, patient_id, metric, which, minimum) or row["refused"]
        if not row["refused"]:
            permuted = permuted_groups(y, pair, patient_id, metric, permutations, seed)
            difference, t = studentised_difference(y, q, pair, permuted, patient_id, metric)
            row |= {"estimate": difference, "statistic": t[0]}
            # Equal splits give equal statistics up to rounding; they must count as reached.
            row["p"] = (1 + np.sum(np.abs(t[1:]) >= np.abs(t[0]) * (1 - 1e-9))) / len(t)
        rows.append(row)
    return pd.DataFrame(rows)


def too_small(y, mask, patient_id, metric: str, name: str, minimum: int = MINIMUM) -> str:
    """Why a group is too small to be tested, or nothing.

    Parameters
    ----------
    y, mask, patient_id : array-like of shape (n,)
        Labels, members of the group, and who the rows belong to.
    metric : {"tpr", "fpr", "auroc", "equalized_odds", "selection_rate"}
    name : str
        What the group is called.
    minimum : int
        Patients that it needs, as in `gap_test`.

    Returns
    -------
    str
        A sentence, or ``""``.
    """
    for label in WITHIN[metric] or (1,):
        patients = len(np.unique(np.asarray(patient_id)[mask & (y == label)]))
        if patients < minimum:
            kind = ("a negative", "a positive")[label]
            return f"{name} has {patients} of the {minimum} patients with {kind} label that a test of {metric} needs."
    return ""


def change_p(values, s_retrain=0.0, seeds: int = 1, freedom: float = np.inf) -> np.ndarray:
    """Two-sided paired bootstrap p-value of no change: where the percentile interval reaches 0.

    Parameters
    ----------
    values : array-like of shape (1 + B, ...)
        A difference between models, subsets, rates or regimes, or a change of a signed gap, from shared
        weights.
    s_retrain : float or array-like of shape (...)
        Standard deviation over retraining seeds; the resamples are smoothed by Student's t times ``s_retrain /
        sqrt(seeds)``. nan (one seed) smooths nothing.
    seeds : int
    freedom : float
        Degrees of freedom of ``s_retrain``; infinite is the normal distribution.

    Returns
    -------
    ndarray of shape (...)
        Not below 2 / (1 + B); nan under the rule of `mmlib.measure.bootstrap.standard_error`.
    """
    values = np.asarray(values, dtype=float)
    undefined = np.isnan(values[1:])
    refused = np.isnan(values[0]) | (undefined.mean(axis=0) > UNDEFINED)
    noise = np.broadcast_to(np.nan_to_num(s_retrain) / np.sqrt(seeds), values.shape[1:])
    z = divide(values[1:], noise)
    below = np.where(noise > 0, student.cdf(-z, freedom), values[1:] <= 0)
    above = np.where(noise > 0, student.cdf(z, freedom), values[1:] >= 0)
    tails = [1 + np.where(undefined, 0, side).sum(axis=0) for side in (below, above)]
    p = np.minimum(1, 2 * np.minimum(*tails) / (1 + (~undefined).sum(axis=0)))
    return np.where(refused, np.nan, p)


def holm(p) -> np.ndarray:
    """P-values of one declared family, adjusted by Holm's method; refused tests stay nan, uncounted."""
    from statsmodels.stats.multitest import multipletests

    p = np.asarray(p, dtype=float)
    adjusted, tested = np.full(p.shape, np.nan), ~np.isnan(p)
    if tested.any():
        adjusted[tested] = multipletests(p[tested], method="holm")[1]
    return adjusted


@dataclass(frozen=True)
class Equivalence:
    """Result of two one-sided tests.

    Parameters
    ----------
    estimate, se, margin : float
    p : float
        The larger of the two one-sided p-values.
    low, high : float
        The 90 % interval (1 - 2 alpha) that must lie within -+ margin.
    attainable : bool
        Whether the margin is at least 2.9 SE; if not, failing to show equivalence says nothing.
    equivalent : bool
    """

    estimate: float
    se: float
    margin: float
    p: float
    low: float
    high: float
    attainable: bool
    equivalent: bool


def equivalence(estimate: float, se: float, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Result of testing whether a difference is smaller than a margin declared beforehand (TOST, normal).

    Parameters
    ----------
    estimate, se : float
        The difference and its standard error, retraining included where it was estimated.
    margin : float
        Largest difference that does not matter.
    alpha : float

    Returns
    -------
    Equivalence
    """
    if not (margin > 0 and se > 0 and np.isfinite(estimate)):
        raise ValueError(
            f"margin is {margin}, se {se} and estimate {estimate}; expected > 0, > 0 and finite."
        )
    p = float(max(norm.sf((estimate + margin) / se), norm.cdf((estimate - margin) / se)))
    reach = norm.ppf(1 - alpha) * se
    return Equivalence(
        float(estimate),
        float(se),
        float(margin),
        p,
        float(estimate - reach),
        float(estimate + reach),
        bool(margin >= ATTAINABLE * se),
        p <= alpha,
    )


def minimal_detectable_change(se, *, comparisons: int, alpha: float = 0.05, power: float = 0.8) -> np.ndarray:
    """Smallest paired change that a test would detect, from its own standard error.

    Parameters
    ----------
    se : float or array-like
        Standard error of the change itself (paired), retraining included where it was estimated.
    comparisons : int
        Holm's divisor: 1 for an uncorrected test, else the size of the family (then this is the change that Holm's
        first and strictest step detects). To be stated beside the number.
    alpha, power : float

    Returns
    -------
    ndarray
        ``(z(1 - alpha / (2 comparisons)) + z(power)) SE``: 2.8 SE for one comparison.
    """
    return (norm.ppf(1 - alpha / (2 * comparisons)) + norm.ppf(power)) * np.asarray(se, dtype=float)


def samples_to_decide(
    margin, se_patients, se_retrain, *, comparisons: int, alpha: float = 0.05, power: float = 0.8
) -> np.ndarray:
    """Factor on patients with which a comparison would be decided, whether there is no difference or one of the margin.

    With so many times as many patients, of the same kind, a difference as large as the margin is detected with the
    power given, and no difference is shown to be within the margin. The standard error over patients shrinks with
    the square root of their number; that of retraining does not.

    Parameters
    ----------
    margin : float or array-like
        Largest difference that does not matter; nan where none was declared.
    se_patients, se_retrain : float or array-like
        Standard errors over patients and over retrainings.
    comparisons : int
        Holm's divisor, as in `minimal_detectable_change`.
    alpha, power : float

    Returns
    -------
    ndarray
        At least 1; infinite where retraining alone is too variable; nan without a margin.

    Examples
    --------
    >>> float(samples_to_decide(0.05, 0.05, 0.0, comparisons=1).round(1))
    10.5
    """
    detect = norm.ppf(1 - alpha / (2 * comparisons)) + norm.ppf(power)
    equal = norm.ppf(1 - alpha / 2) + norm.ppf((1 + power) / 2)
    allowed = (np.asarray(margin, float) / max(detect, equal)) ** 2 - np.square(np.asarray(se_retrain, float))
    times = divide(np.square(np.asarray(se_patients, float)), allowed)
    return np.where(np.isnan(allowed), np.nan, np.where(allowed > 0, np.maximum(times, 1), np.inf))
