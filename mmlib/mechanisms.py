"""Mechanisms of missingness: how likely each sample is to lose each modality, and what that depends on.

Every mechanism returns an array ``(n, M)`` of drop probabilities for `mmlib.missing.pattern_probabilities`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit


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
    drop = np.full(len(values), rate)
    if 0 < rate < 1:
        centre, reach = np.log(rate / (1 - rate)), np.abs(tilt).max() + 1
        drop = expit(
            tilt + brentq(lambda a: expit(a + tilt).mean() - rate, centre - reach, centre + reach, xtol=1e-13)
        )
    return _spread(drop, modalities, only, "rate")


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
