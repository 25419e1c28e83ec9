"""The mechanisms of missingness that a run declares, all at one mean rate, as distributions over patterns."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import logit

from mmlib.core.subsets import subset_masks
from mmlib.measure.estimates import Estimate
from mmlib.measure.expectation import pattern_probabilities
from mmlib.measure.mechanisms import recorded, tilted, together

#: The mechanism that every other one is compared with.
AT_RANDOM = "at random"
SETTINGS = {"depends_on": "", "odds": 4.0, "together": False, "only": []}


def default_mechanisms(contrasts: Mapping[str, str]) -> dict[str, dict]:
    """Settings of one mechanism of each kind, whatever the cohort.

    Parameters
    ----------
    contrasts : mapping
        Protected attribute -> group shown; the first is the one that loses more, if there is one.

    Returns
    -------
    dict
        Name -> settings for `distribution`.
    """
    barrier = {f"more from {group}": {"depends_on": f"{a}={group}"} for a, group in contrasts.items()}
    return {
        AT_RANDOM: {},
        "all at once": {"together": True},
        **dict(list(barrier.items())[:1]),
        "more at high risk": {"depends_on": "risk"},
        "more from positives": {"depends_on": "label"},
        "as absences are recorded": {"depends_on": "recorded"},
    }


def distribution(
    settings: Mapping, cohort: pd.DataFrame, modalities: Sequence[str], rate: float, *, risk, attributes
) -> np.ndarray:
    """Turn the settings of one mechanism into each sample's distribution over patterns.

    Parameters
    ----------
    settings : mapping
        ``depends_on``: nothing (empty), ``label``, ``risk``, ``column=value`` (members of a group), a numeric
        column, or ``recorded`` (as the cohort's own absences depend on ``attributes`` and risk). ``odds``: of
        a drop, for members against others, or per standard deviation of a number. ``together``: one draw for
        all modalities. ``only``: modalities that can be lost, all if empty.
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    modalities : sequence of str
    rate : float
        Mean drop probability of each modality that can be lost, over the samples that have it.
    risk : array-like of shape (n,)
        Predicted probability of the label on complete inputs.
    attributes : sequence of str
        Covariates of ``recorded``.

    Returns
    -------
    ndarray of shape (n, P)
        Natural absences count as kept: drops act only on what a sample has.
    """
    if unknown := set(settings) - set(SETTINGS):
        raise ValueError(
            f"A mechanism has the setting {sorted(unknown)[0]!r}; expected some of {', '.join(SETTINGS)}."
        )
    chosen = SETTINGS | dict(settings)
    present = cohort[[f"present_{m}" for m in modalities]].to_numpy(dtype=bool)
    tilt = _tilt(chosen, cohort, present, np.asarray(risk, dtype=float), attributes)
    only = chosen["only"] or list(modalities)
    if unknown := set(only) - set(modalities):
        raise ValueError(f"only names {sorted(unknown)[0]!r}, which is no modality of {list(modalities)}.")
    if chosen["together"]:
        drop = tilted(tilt.mean(axis=1, keepdims=True), rate)[:, 0]
        return together(drop, modalities, only, present)
    can_go = present & np.isin(list(modalities), only)
    drop = np.where(can_go, tilted(tilt, rate, present), 0)
    return pattern_probabilities(drop, subset_masks(modalities)[1])


def _tilt(chosen, cohort, present, risk, attributes) -> np.ndarray:
    """Log odds of a drop (n, M), up to a constant for each modality."""
    depends_on = chosen["depends_on"]
    if not chosen["odds"] > 0:
        raise ValueError(f"odds is {chosen['odds']}; expected a factor above 0.")
    score = logit(np.clip(risk, 1e-6, 1 - 1e-6))
    if depends_on == "recorded":
        covariates = cohort[list(attributes)].assign(risk=score)
        return logit(np.clip(recorded(present, covariates), 1e-6, 1 - 1e-6))
    column, _, value = depends_on.partition("=")
    known = cohort.columns if value else cohort.select_dtypes("number").columns
    if depends_on and depends_on != "risk" and column not in known:
        raise ValueError(
            f"A mechanism depends on {depends_on!r}; expected label, risk, recorded, a numeric column of the "
            f"cohort, or column=value."
        )
    if not depends_on:
        z = np.zeros(len(cohort))
    elif value:
        z = (cohort[column].astype(object) == value).to_numpy(dtype=float)
    elif depends_on == "label":
        z = cohort["label"].to_numpy(dtype=float)
    else:
        z = score if depends_on == "risk" else cohort[column].to_numpy(dtype=float)
        z = np.nan_to_num((z - np.nanmean(z)) / (np.nanstd(z) or 1))
    return np.tile(np.log(chosen["odds"]) * z[:, None], (1, present.shape[1]))


def decompose(quantity: Estimate) -> dict[str, Estimate]:
    """Rate, structure and interaction: the step from a low rate at random to a high rate by mechanism, in parts.

    Parameters
    ----------
    quantity : Estimate with dimensions ``mechanism`` and ``rate``
        `AT_RANDOM` is among the mechanisms; the first rate is low, the last high.

    Returns
    -------
    dict of str to Estimate with dimension ``mechanism``
        ``rate``: low to high at random; ``structure``: random to mechanism at the low rate; ``interaction``:
        how much more the mechanism does at the high rate. The three add up to the whole step.
    """
    others = [m for m in quantity.labels("mechanism") if m != AT_RANDOM]
    low, *_, high = quantity.labels("rate")
    by_mechanism, at_random = quantity.sel(mechanism=others), quantity.sel(mechanism=AT_RANDOM)
    structure, extra = ((by_mechanism - at_random).sel(rate=rate) for rate in (low, high))
    whole = by_mechanism.sel(rate=high) - at_random.sel(rate=low)
    return {"rate": whole - extra, "structure": structure, "interaction": extra - structure}
