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
#: What a mechanism may follow that tells of the outcome, and its name and that of its mirror.
MIRRORED = {
    "risk": ("more at higher predicted risk", "more at lower predicted risk"),
    "label": ("more from positives", "more from negatives"),
}
SETTINGS = {"depends_on": "", "odds": 4.0, "together": False, "only": []}


def default_mechanisms(contrasts: Mapping[str, str]) -> dict[str, dict]:
    """Settings of one mechanism of each kind, whatever the cohort, those that follow risk or label with their mirrors.

    Parameters
    ----------
    contrasts : mapping
        Protected attribute -> group shown; the first is the one that loses more, if there is one.

    Returns
    -------
    dict
        Name -> settings for `distribution`.
    """
    barrier = [{"depends_on": f"{attribute}={group}"} for attribute, group in contrasts.items()]
    every = [{}, {"together": True}, *barrier[:1], {"depends_on": "risk"}, {"depends_on": "label"}]
    every = {mechanism_name(settings): settings for settings in every}
    return with_mirrors(every | {"as absences are recorded": {"depends_on": "recorded"}})


def mirror(settings: Mapping) -> dict | None:
    """Settings of the same mechanism the other way round: those who lost more now lose less.

    Whoever reads absence as a sign of the outcome gains under one of the two and loses under the other.

    Parameters
    ----------
    settings : mapping
        Of `distribution`.

    Returns
    -------
    dict or None
        With the odds of a drop inverted; None for a mechanism that follows neither predicted risk nor label, or that
        has odds of 1.

    Examples
    --------
    >>> mirror({"depends_on": "risk", "odds": 4.0})
    {'depends_on': 'risk', 'odds': 0.25}
    """
    chosen = SETTINGS | dict(settings)
    if chosen["depends_on"] not in MIRRORED or not chosen["odds"] > 0 or chosen["odds"] == 1:
        return None
    return {**settings, "odds": 1 / chosen["odds"]}


def with_mirrors(mechanisms: Mapping[str, Mapping]) -> dict[str, dict]:
    """Mechanisms, each that follows predicted risk or label followed by its mirror.

    Parameters
    ----------
    mechanisms : mapping of str to mapping
        Name -> settings of `distribution`.

    Returns
    -------
    dict

    Examples
    --------
    >>> list(with_mirrors({"sick": {"depends_on": "risk"}}))
    ['sick', 'more at lower predicted risk']
    """
    found, declared = {}, [SETTINGS | dict(settings) for settings in mechanisms.values()]
    for name, settings in mechanisms.items():
        found[name] = dict(settings)
        other = mirror(settings)
        if other is not None and SETTINGS | other not in declared:
            own = mechanism_name(other)
            found[f"{name}, mirrored" if own in (*found, *mechanisms) else own] = other
    return found


def mechanism_name(settings: Mapping) -> str:
    """A mechanism in words: who loses more.

    Parameters
    ----------
    settings : mapping
        Of `distribution`.

    Returns
    -------
    str

    Examples
    --------
    >>> mechanism_name({"depends_on": "risk", "odds": 0.25})
    'more at lower predicted risk'
    """
    chosen = SETTINGS | dict(settings)
    depends_on, more = chosen["depends_on"], chosen["odds"] >= 1
    _, _, group = depends_on.partition("=")
    if not depends_on:
        return "all at once" if chosen["together"] else AT_RANDOM
    if depends_on in MIRRORED:
        name = MIRRORED[depends_on][0 if more else 1]
    elif depends_on == "recorded":
        name = "as absences are recorded"
    elif group:
        name = f"{'more' if more else 'less'} from {group}"
    else:
        name = f"more at {'higher' if more else 'lower'} {depends_on}"
    return f"{name}, all at once" if chosen["together"] else name


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
