"""Mechanisms of missingness: how likely each sample is to lose each modality, and what that depends on.

Most return an array ``(n, M)`` of drop probabilities for `mmlib.measure.expectation.pattern_probabilities`; where drops
hang together (`together`) it is the distribution ``(n, P)`` over patterns itself.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from mmlib.core.schema import MINIMUM


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


def together(drop, modalities: Sequence[str], only: Sequence[str], present) -> np.ndarray:
    """Drop modalities as one block: all of them or none (a missed visit, a system that is down).

    Parameters
    ----------
    drop : array-like of shape (n,)
        Probability that a sample loses the block.
    modalities : sequence of str
    only : sequence of str
        The block; the other modalities stay.
    present : array-like of shape (n, M)
        What each sample has, and so can lose.

    Returns
    -------
    ndarray of shape (n, P)
        Distribution over patterns.
    """
    drop = probabilities_in(drop, "drop")
    kept = ~(np.isin(list(modalities), list(only)) & np.asarray(present, dtype=bool))
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
    from sklearn.linear_model import LogisticRegression

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


def probabilities_in(value, name: str) -> np.ndarray:
    """Return ``value`` as floats, or say in one sentence that parameter ``name`` holds no probabilities."""
    value = np.asarray(value, dtype=float)
    if not (value.size and value.min() >= 0 and value.max() <= 1):
        raise ValueError(
            f"{name} lies in [{value.min():.3g}, {value.max():.3g}]; expected probabilities in [0, 1]."
        )
    return value
