"""How to stay robust and fair when modalities go missing: regimes compared, one chosen, and ways to decide.

Losses are distributions over patterns of what remains, so that every expectation is exact: at random at several rates,
and by one mechanism at one mean rate. Scores are those of `mmlib.models.regimes`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate, stack
from mmlib.measure.evaluation import Evaluation, evaluate, evaluate_masked
from mmlib.measure.expectation import expected_selection, pattern_probabilities
from mmlib.measure.groups import Groups
from mmlib.measure.scenarios import distribution
from mmlib.models.regimes import BASE, LOST_IN_TRAINING, SPECIALISTS, validation_auroc
from mmlib.models.study import Study
from mmlib.models.thresholds import compare_thresholds

#: Labels along ``rate``, beside the drop rates at random: nothing is lost, or modalities are lost by the mechanism.
COMPLETE, BY_MECHANISM = "0.0", "mechanism"
#: Least distance between specialists and plain model, in AUROC, of which a share is computed.
LEAST = 1e-6


def rate_label(rate: float) -> str:
    """Label of a drop rate at random along the dimension ``rate``, beside which `BY_MECHANISM` stands.

    Examples
    --------
    >>> rate_label(0)
    '0.0'
    """
    return str(float(rate))


def loss_patterns(
    study: Study,
    groups: Groups,
    specialists: np.ndarray,
    *,
    rates: Sequence[float],
    mechanism: Mapping,
    rate: float,
) -> xr.DataArray:
    """Distribution of every sample over patterns, for each expected way to lose modalities.

    Parameters
    ----------
    study : Study
    groups : Groups
        Protected attributes are covariates of a mechanism that follows recorded absences.
    specialists : array of shape (n_folds, P, n_samples)
        Their scores; on complete inputs they are the plain model, whose score is the risk that a mechanism may follow.
    rates : sequence of float
        Drop rates at random; 0 is added.
    mechanism : mapping
        Settings of `mmlib.measure.scenarios.distribution`.
    rate : float
        One of the rates: the mean rate of the mechanism.

    Returns
    -------
    xarray.DataArray with dimensions (rate, sample, pattern)
        ``rate`` is each rate as text, then `BY_MECHANISM`.
    """
    every = sorted({0.0, *rates})
    if rate not in every:
        raise ValueError(f"missing_rate is {rate}; expected one of missing_rates, {every}.")
    names, masks = subset_masks(study.modalities)
    at_random = pattern_probabilities(np.multiply.outer(every, study.present.numpy()), masks)
    risk = specialists[study.fold, -1, np.arange(len(study.y))]
    about = {"risk": risk, "attributes": list(groups.protected)}
    structured = distribution(mechanism, study.cohort, study.modalities, rate, **about)
    return xr.DataArray(
        np.concatenate([at_random, structured[None]]),
        {"rate": [*map(rate_label, every), BY_MECHANISM], "pattern": names},
        ("rate", "sample", "pattern"),
    )


def compare_regimes(
    collected: xr.Dataset,
    study: Study,
    groups: Groups,
    losses: xr.DataArray,
    *,
    rule: str = "prevalence",
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, Evaluation]:
    """Exact expectation of every metric under each way to lose modalities, by regime.

    Parameters
    ----------
    collected : xarray.Dataset
        The artefact ``mitigation_scores``.
    study : Study
    groups : Groups
    losses : xarray.DataArray
        From `loss_patterns`.
    rule : str
        Operating point, chosen on complete validation inputs.
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    dict of str to Evaluation
        With the key ``rate``.
    """
    weights = resample_patients(study.cohort["patient_id"], resamples, seed)
    found = {}
    for name in map(str, collected["regime"].values):
        one = collected.sel(regime=name)
        found[name] = evaluate_masked(
            one.score,
            one.threshold.sel(rule=rule),
            losses.values,
            losses["rate"].values.tolist(),
            study.cohort,
            weights,
            groups=groups,
        )
    return found


def regime_auroc(compared: Mapping[str, Evaluation]) -> Estimate:
    """Expected AUROC of all regimes of `compare_regimes`, with the dimensions ``regime`` and ``rate``."""
    return stack({name: e.metric("auroc") for name, e in compared.items()}, "regime")


def regime_differences(compared: Mapping[str, Evaluation], groups: Groups, metric: str = "tpr") -> Estimate | None:
    """Signed difference of the first group shown, with the dimensions ``regime`` and ``rate``; specialists aside.

    Returns
    -------
    Estimate or None
        None if no group is shown.
    """
    for attribute, group in groups.contrasts.items():
        found = {n: e.difference(metric, attribute).sel(group=group) for n, e in compared.items()}
        return stack({n: e for n, e in found.items() if n != SPECIALISTS}, "regime")
    return None


def gain_over_base(quantity: Estimate) -> Estimate:
    """Paired difference of every other regime from the plain model.

    Parameters
    ----------
    quantity : Estimate with the dimension ``regime``

    Returns
    -------
    Estimate
    """
    others = [name for name in quantity.labels("regime") if name != BASE]
    return quantity.sel(regime=others) - quantity.sel(regime=BASE)


def share_closed(auroc: Estimate) -> Estimate:
    """Share of the way from the plain model to the specialists, in expected AUROC.

    Parameters
    ----------
    auroc : Estimate
        From `regime_auroc`.

    Returns
    -------
    Estimate
        0 for the plain model, 1 for the specialists; undefined in resamples in which the specialists are not ahead.
    """
    base = auroc.sel(regime=BASE)
    gain, room = auroc - base, auroc.sel(regime=SPECIALISTS) - base
    share = (gain.values / room.values.where(room.values > LEAST)).transpose(*gain.values.dims)
    return Estimate(share, n=auroc.n, n_positive=auroc.n_positive, name="share_closed", attribute=auroc.attribute)


def choose_regime(
    scores: Mapping[str, np.ndarray], study: Study, losses: xr.DataArray, *, margin: float
) -> pd.Series:
    """Regime with the highest expected AUROC on validation patients, for each way to lose modalities.

    Parameters
    ----------
    scores : mapping of str to array of shape (n_folds, P, n_samples)
        From `mmlib.models.regimes.score_regimes`. Specialists, which are many models, and training patients who have
        lost modalities for good are no candidates.
    study : Study
    losses : xarray.DataArray
        From `loss_patterns`.
    margin : float
        Largest loss of AUROC on complete inputs, against the plain model and on validation patients.

    Returns
    -------
    pandas.Series
        Index ``rate``.
    """
    names = [name for name in scores if name not in (SPECIALISTS, LOST_IN_TRAINING)]
    seen = np.array([validation_auroc(scores[name], study, losses.values) for name in names])
    table = pd.DataFrame(seen, pd.Index(names, name="regime"), pd.Index(losses["rate"].values, name="rate"))
    allowed = table[COMPLETE] >= table.loc[BASE, COMPLETE] - margin
    return table[allowed].idxmax().rename("regime")


def decide(
    scores: np.ndarray,
    study: Study,
    groups: Groups,
    losses: xr.DataArray,
    *,
    rule: str = "prevalence",
    resamples: int = 500,
    seed: int = 0,
) -> dict[str, Evaluation]:
    """Ways to decide with the scores of one regime, evaluated under each way to lose modalities.

    Parameters
    ----------
    scores : array of shape (n_folds, P, n_samples)
        Of one regime.
    study : Study
    groups : Groups
        Thresholds know the first attribute that has a contrast, or else the first.
    losses : xarray.DataArray
        From `loss_patterns`.
    rule, resamples, seed
        As in `compare_regimes`.

    Returns
    -------
    dict of str to Evaluation
        By way to lose modalities, with the key ``way``: those of `mmlib.models.thresholds.compare_thresholds`.
    """
    attribute = next(iter(groups.contrasts), groups.first)
    ways = compare_thresholds(scores, study, attribute, rule=rule)
    weights = resample_patients(study.cohort["patient_id"], resamples, seed)
    by_chance = xr.DataArray(np.full((1, len(scores)), np.nan), dims=("seed", "fold"))
    found = {}
    for rate, patterns in zip(losses["rate"].values, losses.values, strict=True):
        chosen = np.array([expected_selection(decisions, 0.5, patterns) for decisions in ways.values()])
        chosen = xr.DataArray(chosen[None], {"way": list(ways)}, ("seed", "way", "sample"))
        # a decision under random losses is a probability of being selected, which no threshold changes
        found[str(rate)] = evaluate(
            chosen, by_chance, study.cohort, weights, groups=groups, metrics=("selection_rate", "tpr")
        )
    return found


def mitigation_table(compared: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Tidy rows of chapter 7, the artefact ``mitigation``, with ``rate`` and ``regime``."""
    parts = []
    for name, result in compared.items():
        estimates = [result.metric("auroc")]
        estimates += [result.difference(m, a) for m in ("tpr", "selection_rate") for a in result.groups.protected]
        parts += [e.frame().assign(regime=name) for e in estimates]
    return pd.concat(parts, ignore_index=True)
