"""Mechanisms of missingness: how likely each sample is to lose each modality, and what that depends on.

Most return an array ``(n, M)`` of drop probabilities for `mmlib.measure.expectation.pattern_probabilities`; where drops
hang together (`together`, `recorded_patterns`) it is the distribution ``(n, P)`` over patterns itself.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from mmlib.core.schema import MINIMUM


def mcar(cohort: pd.DataFrame, modalities: Sequence[str], rate: float | Mapping[str, float]) -> np.ndarray:
    """Drop completely at random: one rate, or one for each modality named (0 for the others).

    Returns
    -------
    ndarray of shape (n, M)
        Drop probabilities, a row for each row of ``cohort``.
    """
    if isinstance(rate, Mapping):
        if unknown := set(rate) - set(modalities):
            raise ValueError(
                f"rate names {sorted(unknown)[0]!r}, which is no modality of {list(modalities)}."
            )
        rate = [rate.get(m, 0) for m in modalities]
    return np.broadcast_to(probabilities_in(rate, "rate"), (len(cohort), len(modalities))).copy()


def by_group(
    cohort: pd.DataFrame,
    modalities: Sequence[str],
    rates: Mapping[str, float],
    *,
    attribute: str,
    only: Sequence[str] | None = None,
) -> np.ndarray:
    """Drop at a rate that depends on a protected attribute (missing at random, given the attribute).

    Parameters
    ----------
    cohort : pandas.DataFrame
    modalities : sequence of str
    rates : mapping
        Group -> drop probability; every group that occurs needs one.
    attribute : str
        Column of ``cohort``.
    only : sequence of str, optional
        Modalities that can be dropped; all if not given.

    Returns
    -------
    ndarray of shape (n, M)
    """
    if attribute not in cohort:
        raise ValueError(
            f"attribute {attribute!r} is no column of the cohort; expected one of {list(cohort)}."
        )
    values = cohort[attribute]
    if without := [v for v in values.unique().tolist() if v not in rates]:
        raise ValueError(f"rates has no entry for {attribute} = {without[0]!r}; it lists {list(rates)}.")
    return _spread(values.map(dict(rates)).to_numpy(dtype=float), modalities, only, "rates")


def by_label(
    cohort: pd.DataFrame,
    modalities: Sequence[str],
    rates: Mapping[int, float],
    *,
    only: Sequence[str] | None = None,
) -> np.ndarray:
    """Drop at a rate that depends on the label (missing not at random): ``rates`` is ``{0: ..., 1: ...}``."""
    return by_group(cohort, modalities, rates, attribute="label", only=only)


def by_value(
    values, modalities: Sequence[str], rate: float, *, slope: float, only: Sequence[str] | None = None
) -> np.ndarray:
    """Drop with a probability that is logistic in a value, at a given rate over the cohort.

    Parameters
    ----------
    values : array-like of shape (n,)
        For example age, or a laboratory value (missing not at random if it is then dropped itself). A missing
        value counts as the mean.
    modalities : sequence of str
    rate : float
        Mean drop probability over the cohort, so that mechanisms of equal rate can be compared.
    slope : float
        Log odds of dropping per standard deviation; 0 is `mcar`.
    only : sequence of str, optional
        As in `by_group`.

    Returns
    -------
    ndarray of shape (n, M)
    """
    values = np.asarray(values, dtype=float)
    rate = float(probabilities_in(rate, "rate"))
    spread = np.nanstd(values)
    if not spread > 0 or not np.isfinite(slope):
        raise ValueError(
            f"values have standard deviation {spread:.3g} and slope is {slope}; expected > 0 and finite."
        )
    tilt = slope * np.nan_to_num((values - np.nanmean(values)) / spread)
    return _spread(tilted(tilt[:, None], rate)[:, 0], modalities, only, "rate")


def tilted(tilt, rate: float, present=None) -> np.ndarray:
    """Drop with odds that differ between samples by the factor ``exp(tilt)``, at a given mean rate.

    Parameters
    ----------
    tilt : array-like of shape (n, M)
        Log odds of a drop, up to a constant for each modality that is found here.
    rate : float
        Mean drop probability of each modality.
    present : array-like of shape (n, M), optional
        Samples over which the mean is taken: those that have the modality, so that mechanisms of one rate
        take away equally much; all if not given.

    Returns
    -------
    ndarray of shape (n, M)
    """
    tilt, rate = np.asarray(tilt, dtype=float), float(probabilities_in(rate, "rate"))
    if not np.isfinite(tilt).all():
        raise ValueError(f"tilt holds {(~np.isfinite(tilt)).sum()} values that are not finite.")
    drop = np.full(tilt.shape, rate)
    if not 0 < rate < 1:
        return drop
    for m, column in enumerate(tilt.T):
        over = column if present is None else column[np.asarray(present, dtype=bool)[:, m]]
        if len(over):
            reach = np.abs(over).max() + 1
            ends = logit(rate) + np.array([-reach, reach])
            shift = brentq(lambda a, over=over: expit(a + over).mean() - rate, *ends, xtol=1e-13)
            drop[:, m] = expit(shift + column)
    return drop


def together(drop, modalities: Sequence[str], only: Sequence[str] | None = None, present=None) -> np.ndarray:
    """Drop modalities as one block: all of them or none (a missed visit, a system that is down).

    Parameters
    ----------
    drop : array-like of shape (n,)
        Probability that a sample loses the block.
    modalities : sequence of str
    only : sequence of str, optional
        The block; all modalities if not given. The others stay.
    present : array-like of shape (n, M), optional
        What each sample has, and so can lose; all if not given.

    Returns
    -------
    ndarray of shape (n, P)
        Distribution over patterns.
    """
    drop = probabilities_in(drop, "drop")
    lost = _spread(np.ones(len(drop)), modalities, only, "only") > 0
    kept = ~lost if present is None else ~(lost & np.asarray(present, dtype=bool))
    patterns = np.zeros((len(drop), 2 ** len(modalities)))
    patterns[:, -1] = 1 - drop
    patterns[np.arange(len(drop)), kept @ (1 << np.arange(len(modalities)))] += drop
    return patterns


def recorded(present, covariates: pd.DataFrame) -> np.ndarray:
    """Estimate from a cohort how likely each modality is absent given covariates, by logistic regression.

    Parameters
    ----------
    present : array-like of shape (n, M)
        Which modalities each sample has.
    covariates : pandas.DataFrame
        A row per sample; numbers are standardised, anything else becomes one indicator a category.

    Returns
    -------
    ndarray of shape (n, M)
        Probability of absence; the plain share where a modality is absent, or there, in fewer than 30 samples.
    """
    present = np.asarray(present, dtype=bool)
    if len(covariates) != len(present):
        raise ValueError(f"covariates have {len(covariates)} rows; expected {len(present)}, as present has.")
    numbers = covariates.select_dtypes("number")
    scaled = (numbers - numbers.mean()) / numbers.std().replace(0, 1)
    kinds = pd.get_dummies(covariates.drop(columns=numbers.columns).astype(object), dtype=float)
    X = np.column_stack([scaled.fillna(0), kinds])
    absence = np.tile((~present).mean(axis=0), (len(present), 1))
    for m, there in enumerate(present.T):
        if min(there.sum(), (~there).sum()) >= MINIMUM:
            absence[:, m] = LogisticRegression(max_iter=1000).fit(X, ~there).predict_proba(X)[:, 1]
    return absence


def recorded_patterns(present, groups) -> np.ndarray:
    """Estimate the patterns of presence in each group of a cohort, as joint frequencies.

    Parameters
    ----------
    present : array-like of shape (n, M)
    groups : array-like of shape (n,)
        The group of each sample; a missing value is a group of its own.

    Returns
    -------
    ndarray of shape (n, P)
        Shares of the patterns in the sample's group: another member's absences, drawn whole.
    """
    present = np.asarray(present, dtype=bool)
    pattern = present @ (1 << np.arange(present.shape[1]))
    code, names = pd.factorize(np.asarray(groups, dtype=object), use_na_sentinel=False)
    counts = np.zeros((len(names), 2 ** present.shape[1]))
    np.add.at(counts, (code, pattern), 1)
    return (counts / counts.sum(axis=1, keepdims=True))[code]


def _spread(drop, modalities, only, name):
    """Give each sample's drop probability to the modalities in ``only``, 0 to the others."""
    if unknown := set(only or ()) - set(modalities):
        raise ValueError(f"only names {sorted(unknown)[0]!r}, which is no modality of {list(modalities)}.")
    hit = np.array([only is None or m in only for m in modalities])
    return probabilities_in(drop, name)[:, None] * hit


def probabilities_in(value, name: str) -> np.ndarray:
    """Return ``value`` as floats, or say in one sentence that parameter ``name`` holds no probabilities."""
    value = np.asarray(value, dtype=float)
    if not (value.size and value.min() >= 0 and value.max() <= 1):
        raise ValueError(
            f"{name} lies in [{value.min():.3g}, {value.max():.3g}]; expected probabilities in [0, 1]."
        )
    return value
