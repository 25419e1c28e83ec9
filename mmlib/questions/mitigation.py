"""How to stay robust and fair when modalities go missing: regimes compared, one chosen, and ways to decide.

Losses are distributions over patterns of what remains, so that every expectation is exact: at random at several rates,
and by one mechanism and its mirror at one mean rate. Scores are those of `mmlib.models.regimes`.
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
from mmlib.measure.scenarios import distribution, mechanism_name, mirror
from mmlib.models.names import BASE, LOST_IN_TRAINING, SPECIALISTS
from mmlib.models.study import Study

#: Label along ``rate`` where nothing is lost.
COMPLETE = "0.0"


def rate_label(rate: float) -> str:
    """Label of a drop rate at random along the dimension ``rate``, where mechanisms stand by their names.

    Examples
    --------
    >>> rate_label(0)
    '0.0'
    """
    return str(float(rate))


def mechanisms_among(labels: Sequence[str]) -> list[str]:
    """Those labels along ``rate`` that name a mechanism: the expected one, then its mirror if it has one.

    Examples
    --------
    >>> mechanisms_among(["0.0", "0.5", "more at higher predicted risk"])
    ['more at higher predicted risk']
    """
    return [str(label) for label in labels if not str(label).replace(".", "", 1).isdigit()]


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
        Settings of `mmlib.measure.scenarios.distribution`; where it follows predicted risk or label, its mirror is
        added.
    rate : float
        One of the rates: the mean rate of the mechanism.

    Returns
    -------
    xarray.DataArray with dimensions (rate, sample, pattern)
        ``rate`` is each rate as text, then the name of the mechanism and of its mirror.
    """
    every = sorted({0.0, *rates})
    if rate not in every:
        raise ValueError(f"missing_rate is {rate}; expected one of missing_rates, {every}.")
    names, masks = subset_masks(study.modalities)
    at_random = pattern_probabilities(np.multiply.outer(every, study.present.numpy()), masks)
    risk = specialists[study.fold, -1, np.arange(len(study.y))]
    about = {"risk": risk, "attributes": list(groups.protected)}
    pair = [settings for settings in (mechanism, mirror(mechanism)) if settings is not None]
    structured = [distribution(settings, study.cohort, study.modalities, rate, **about) for settings in pair]
    return xr.DataArray(
        np.concatenate([at_random, structured]),
        {"rate": [*map(rate_label, every), *map(mechanism_name, pair)], "pattern": names},
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

    Examples
    --------
    The same in public names, to be changed in a cell::

        from mmlib import resample_patients
        from mmlib.measure import evaluate_masked

        one = collected.sel(regime=regime)
        found = evaluate_masked(
            one["score"],
            one["threshold"].sel(rule=rule),
            losses.values,
            losses["rate"].values,
            study.cohort,
            resample_patients(study.cohort["patient_id"], resamples, seed),
            groups=groups,
        )
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


def regime_differences(compared: Mapping[str, Evaluation], groups: Groups) -> Estimate | None:
    """Signed TPR difference of the first group shown, with the dimensions ``regime`` and ``rate``; specialists aside.

    Returns
    -------
    Estimate or None
        None if no group is shown.
    """
    for attribute, group in groups.contrasts.items():
        found = {n: e.difference("tpr", attribute).sel(group=group) for n, e in compared.items()}
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


def auroc_lost(auroc: Estimate) -> Estimate:
    """AUROC lost when modalities go missing, ``A(0) - A(p)``, by regime and way to lose them.

    Parameters
    ----------
    auroc : Estimate
        From `regime_auroc`.

    Returns
    -------
    Estimate
        With the dimensions ``regime`` and ``rate``, complete inputs aside.
    """
    missing = [label for label in auroc.labels("rate") if label != COMPLETE]
    return -(auroc.sel(rate=missing) - auroc.sel(rate=COMPLETE))


def absence_as_sign(auroc: Estimate) -> list[str]:
    """Regimes that gain on the plain model under a mechanism and lose under its mirror, by their 95 % intervals.

    They have read absence as a sign of the outcome, which misleads them where the mechanism is the other way round.

    Parameters
    ----------
    auroc : Estimate
        From `regime_auroc`.

    Returns
    -------
    list of str
        Empty if the mechanism has no mirror.
    """
    pair = mechanisms_among(auroc.labels("rate"))
    if len(pair) < 2:
        return []
    gain = gain_over_base(auroc).sel(rate=pair)
    clear = gain.clear()
    return [n for n in gain.labels("regime") if set(clear.sel(regime=n).values.tolist()) == {1, -1}]


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
        Largest loss of AUROC against the plain model, on validation patients, that is accepted: on complete inputs,
        and under the mechanism and its mirror, so that nothing is chosen that gains under one by reading absence as a
        sign and loses under the other.

    Returns
    -------
    pandas.Series
        Index ``rate``.
    """
    from mmlib.models.regimes import validation_auroc

    names = [name for name in scores if name not in (SPECIALISTS, LOST_IN_TRAINING)]
    seen = np.array([validation_auroc(scores[name], study, losses.values) for name in names])
    table = pd.DataFrame(seen, pd.Index(names, name="regime"), pd.Index(losses["rate"].values, name="rate"))
    pair = mechanisms_among(table.columns)
    kept = [COMPLETE, *(pair if len(pair) > 1 else [])]
    allowed = (table[kept] >= table.loc[BASE, kept] - margin).all(axis=1)
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

    Examples
    --------
    The same in public names, to be changed in a cell::

        import numpy as np
        import xarray as xr

        from mmlib import evaluate, resample_patients
        from mmlib.measure import expected_selection
        from mmlib.models import compare_thresholds

        ways = compare_thresholds(scores, study, "sex", rule=rule)
        chance = np.array([[expected_selection(way, 0.5, losses.sel(rate=rate).values) for way in ways.values()]])
        found = evaluate(
            xr.DataArray(chance, {"way": list(ways)}, ("seed", "way", "sample")),
            xr.DataArray([[np.nan] * len(scores)], dims=("seed", "fold")),  # chances of selection have no threshold
            study.cohort,
            resample_patients(study.cohort["patient_id"], resamples, seed),
            groups=groups,
            metrics=("selection_rate", "tpr"),
        )
    """
    from mmlib.models.thresholds import compare_thresholds

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


def mitigation_table(compared: Mapping[str, Evaluation], chosen: str = "") -> pd.DataFrame:
    """Tidy rows of chapter 7, the artefact ``mitigation``, with ``rate`` and ``regime``; changes have ``versus``.

    Parameters
    ----------
    compared : mapping of str to Evaluation
        From `compare_regimes`.
    chosen : str
        Regime whose rows are primary, and for which each group's true positive rate is compared with the plain model.

    Returns
    -------
    pandas.DataFrame
        ``versus`` is `COMPLETE` for losses of a regime, and `BASE` for paired differences from the plain model.
    """
    parts = []
    for name, result in compared.items():
        missing = [label for label in result.labels if label != COMPLETE]
        lost = result.changes([(COMPLETE, label) for label in missing], ["auroc"])
        estimates = [result.metric("auroc"), lost.metric("auroc")]
        estimates += [result.difference(m, a) for m in ("tpr", "selection_rate") for a in result.groups.protected]
        frames = [e.frame() for e in estimates]
        if name != BASE and BASE in compared:
            base = compared[BASE]
            gains = [result.metric("auroc") - base.metric("auroc")]
            groups = result.groups.protected if name == chosen else ()
            gains += [result.metric("tpr", a) - base.metric("tpr", a) for a in groups]
            frames += [e.frame().assign(versus=BASE) for e in gains]
        parts += [frame.assign(regime=name, primary=name == chosen) for frame in frames]
    return pd.concat(parts, ignore_index=True)
