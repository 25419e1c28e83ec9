"""What missing modalities do: exact expectations over drop rates and mechanisms, beside the paper's simulation.

Scores are those of `mmlib.models.masking.score_patterns`, thresholds those of complete inputs: a hospital does not
choose new ones when a device fails. One seed of the bootstrap gives all functions the same resamples of patients, so
that their estimates may be subtracted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import MINIMUM, PLAIN
from mmlib.core.subsets import subset_masks, subset_name
from mmlib.measure import expectation, metrics
from mmlib.measure.bootstrap import average_seeds, resample_patients
from mmlib.measure.estimates import Estimate, stack
from mmlib.measure.evaluation import Evaluation, evaluate, evaluate_masked
from mmlib.measure.groups import Groups
from mmlib.measure.scenarios import AT_RANDOM, decompose, default_mechanisms, distribution, with_mirrors
from mmlib.measure.significance import loss_margin
from mmlib.models.names import DROPOUT
from mmlib.questions.absence import Absence

if TYPE_CHECKING:  # a study brings torch along, which scores that were made elsewhere do not need
    from mmlib.models.study import Study

#: The paper's "0.1-0.2 %" is read as rates below this, and as rates above it.
SMALL = 0.01
#: Drop rates at which the paper's simulation is repeated, and of the line on which its mean should lie.
SIMULATED, EXPECTED = (0.0, 0.1, 0.2, 0.5), tuple(np.linspace(0, 0.5, 11))
#: Metrics at one threshold whose signed differences are followed.
FOLLOWED = ("tpr", "selection_rate")
#: The mechanism of rows that compare real absence with masking.
OBSERVED = "as it happened"


def evaluate_drops(
    scores: xr.Dataset,
    study: "Study",
    groups: Groups,
    *,
    rates: Sequence[float],
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
    metrics: Sequence[str] = ("selection_rate", "tpr", "fpr"),
    resampled: Sequence[str] = (PLAIN, DROPOUT),
) -> dict[str, Evaluation]:
    """Exact expectation of every metric when each modality is lost at random, by regime and drop rate.

    Parameters
    ----------
    scores : xarray.Dataset
        The artefact ``masking``.
    study : Study
    groups : Groups
    rates : sequence of float
        Drop rates; 0 is added.
    rule : str
        Operating point, kept under masking.
    resamples, seed : int
        Of the bootstrap of patients.
    metrics : sequence of str
        Threshold metrics, linear in the decisions.
    resampled : sequence of str
        Regimes with resamples; the others have estimates only, and no interval.

    Returns
    -------
    dict of str to Evaluation
        With the key ``rate``, in ascending order.

    Examples
    --------
    The same in public names, to be changed in a cell::

        import numpy as np

        from mmlib import resample_patients, subset_masks
        from mmlib.measure import evaluate_masked, pattern_probabilities

        names, masks = subset_masks(study.modalities)
        each = np.multiply.outer(rates, np.ones((1, len(study.modalities))))  # of one sample, by modality
        one = scores.sel(regime=regime)
        found = evaluate_masked(
            one["score"],
            one["threshold"].sel(rule=rule),
            pattern_probabilities(each, masks, np.asarray(study.present)),
            rates,
            study.cohort,
            resample_patients(study.cohort["patient_id"], resamples, seed),
            groups=groups,
        )
    """
    every = sorted({0.0, *rates})
    weights = resample_patients(study.cohort["patient_id"], resamples, seed)
    patterns, found = _at_random(study, every), {}
    for regime in map(str, scores["regime"].values):
        one = scores.sel(regime=regime)
        drawn = weights if regime in resampled else weights[:1]
        found[regime] = evaluate_masked(
            one.score,
            one.threshold.sel(rule=rule),
            patterns,
            every,
            study.cohort,
            drawn,
            groups=groups,
            metrics=metrics,
        )
    return found


def one_run(
    scores: xr.Dataset,
    study: "Study",
    *,
    rates: Sequence[float],
    rule: str = "prevalence",
    realisations: int = 200,
) -> pd.DataFrame:
    """Standard deviation of AUROC over masked runs, patients and models fixed, by drop rate.

    Parameters
    ----------
    scores : xarray.Dataset
        The artefact ``masking`` of one regime; the first seed is taken.
    study : Study
    rates : sequence of float
        0 is added.
    rule : str
    realisations : int
        Simulated runs.

    Returns
    -------
    pandas.DataFrame
        Index ``rate``. ``one_run``: each sample loses its modalities alone. ``one_run_unit``, only where patients
        (or whatever the unit is) have several samples: all samples of a unit lose a modality together.
    """
    every = sorted({0.0, *rates})
    score, own = _first_seed(scores, study, rule)
    y, overall = study.cohort["label"].to_numpy(), np.ones((1, len(study.y)), bool)
    patterns = _at_random(study, every)
    found = expectation.one_run_sd(y, score, own, patterns, overall, realisations=realisations)["auroc"]
    table = pd.DataFrame({"one_run": found[:, 0]}, pd.Index(every, name="rate"))
    unit = study.cohort["patient_id"]
    if unit.is_unique:
        return table
    runs = (expectation.simulate_units(score, rate, unit, realisations) for rate in every)
    one = np.ones((1, len(y)))
    return table.assign(one_run_unit=[metrics.auroc(y, run, one, overall)[0].std(ddof=1) for run in runs])


def visibility(
    plain: Evaluation, run_sd: pd.DataFrame, study: "Study", *, rates: Sequence[float], margin: float
) -> pd.DataFrame:
    """Expected change in AUROC at some drop rates, beside the noise that it would have to stand out from.

    Parameters
    ----------
    plain : Evaluation
        From `evaluate_drops`.
    run_sd : pandas.DataFrame
        From `one_run`; its columns are added.
    study : Study
    rates : sequence of float
    margin : float
        Smallest change that would matter at a drop rate of 0.1; at other rates in proportion.

    Returns
    -------
    pandas.DataFrame
        Rows of the results contract, paired with no drops (``versus``), and ``touched`` (share of samples that lose a
        modality), ``one_run`` and ``retrain`` (standard deviations of one masked run, and over seeds; ``one_run_unit``
        if all samples of a unit lose a modality together), ``sampling``
        (standard error of AUROC over patients), ``margin`` and ``beyond``: whether the loss exceeds it (``yes``,
        ``no``, or ``open`` where the interval holds the margin).
    """
    change = plain.changes([(0.0, rate) for rate in rates], ["auroc"]).metric("auroc")
    spread = {name: run_sd[name].loc[list(rates)].to_numpy() for name in run_sd}
    limit = np.array([loss_margin(margin, rate) for rate in rates])
    table = change.frame().assign(**spread, margin=limit)
    kept = [np.prod(1 - rate * np.asarray(study.present), axis=1).mean() for rate in rates]
    return table.assign(
        touched=1 - np.array(kept),
        retrain=change.s_retrain.values,
        sampling=float(plain.metric("auroc").sel(rate=0.0).se_patients),
        beyond=np.select([table.high < -limit, table.low > -limit], ["yes", "no"], "open"),
    )


def both_readings(visible: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Rows of `visibility` for the paper's "0.1-0.2 %" read as rates, 0.001 to 0.002, and as 0.1 to 0.2.

    Returns
    -------
    small, large : pandas.Series
        The largest rate below 1 %, the smallest of all if there is none, and the largest of all.
    """
    table = visible.sort_values("rate")
    below = table[table.rate < SMALL]
    return (table.iloc[0] if below.empty else below.iloc[-1]), table.iloc[-1]


def slope_at_zero(
    scores: xr.Dataset,
    study: "Study",
    groups: Groups,
    *,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Slope of expected metrics at a drop rate of zero, by the modality that is lost.

    Parameters
    ----------
    scores : xarray.Dataset
        The artefact ``masking`` of one regime.
    study, groups, rule, resamples, seed
        As in `evaluate_drops`.

    Returns
    -------
    Evaluation
        With the key ``modality``. At a small rate the loss is the rate times the sum over modalities.
    """
    cohort, masks = study.cohort, groups.masks(study.cohort)
    y, weights = cohort["label"].to_numpy(), resample_patients(cohort["patient_id"], resamples, seed)
    overall = np.ones((1, len(cohort)), bool)
    every = np.concatenate([overall, *[members[1:] for _, members in masks.values()]])
    cuts = scores.threshold.sel(rule=rule).transpose("seed", "fold").values[:, study.fold]
    patterns, present = subset_masks(study.modalities)[1], np.asarray(study.present)
    full = subset_name(study.modalities)
    by_seed = [
        expectation.slopes(y, score, own, patterns, weights, every, present, ranked=overall)
        for score, own in zip(scores.score.transpose("seed", "pattern", "sample").values, cuts, strict=True)
    ]
    parts, start = {("auroc", groups.first): [s["auroc"] for s in by_seed]}, 1
    for attribute, (names, _) in masks.items():
        columns = [0, *range(start, start := start + len(names) - 1)]
        parts |= {(metric, attribute): [s[metric][..., columns] for s in by_seed] for metric in FOLLOWED}
    return Evaluation(
        {key: average_seeds(part)[0] for key, part in parts.items()},
        {key: np.array([one[0] for one in part]) for key, part in parts.items()},
        "modality",
        list(study.modalities),
        groups,
        {a: (names, *metrics.sizes(y, members)) for a, (names, members) in masks.items()},
        versus=[full] * len(study.modalities),  # a change, which may be below 0
    )


def drop_each(
    scores: xr.Dataset,
    study: "Study",
    groups: Groups,
    *,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Change of every metric when one modality is taken from all samples, thresholds kept.

    Parameters
    ----------
    scores, study, groups, rule, resamples, seed
        As in `slope_at_zero`.

    Returns
    -------
    Evaluation
        With the key ``modality``: the one that is gone.

    Examples
    --------
    The same in public names, to be changed in a cell::

        from mmlib import evaluate, resample_patients
        from mmlib.core import subset_name

        full = subset_name(study.modalities)
        without = [subset_name(m for m in study.modalities if m != gone) for gone in study.modalities]
        found = evaluate(
            scores["score"],
            scores["threshold"].sel(rule=rule),
            study.cohort,
            resample_patients(study.cohort["patient_id"], resamples, seed),
            groups=groups,
            ranking={"auroc": []},
        ).changes([(full, rest) for rest in without])
    """
    full = subset_name(study.modalities)
    without = [subset_name(m for m in study.modalities if m != gone) for gone in study.modalities]
    result = evaluate(
        scores.score.sel(pattern=[full, *without]),
        scores.threshold.sel(rule=rule),
        study.cohort,
        resample_patients(study.cohort["patient_id"], resamples, seed),
        groups=groups,
        ranking={"auroc": []},
    )
    changes = result.changes([(full, rest) for rest in without])
    return replace(changes, key="modality", labels=list(study.modalities))


def simulate_runs(
    scores: xr.Dataset,
    study: "Study",
    groups: Groups,
    *,
    rates: Sequence[float] = SIMULATED,
    rule: str = "prevalence",
    realisations: int = 200,
) -> pd.DataFrame:
    """The paper's simulation: AUROC and max-min gap in TPR of runs in which each sample meets one pattern by chance.

    Parameters
    ----------
    scores : xarray.Dataset
        The artefact ``masking`` of one regime; the first seed is taken.
    study : Study
    groups : Groups
        The gap is over the groups of the first attribute that have 30 positives.
    rates : sequence of float
    rule : str
    realisations : int
        Runs for each rate.

    Returns
    -------
    pandas.DataFrame
        A row per run: ``rate, auroc, gap``; ``gap`` is nan if fewer than two groups are large enough.
    """
    (score, own), (y, one, overall, large) = _first_seed(scores, study, rule), _large_groups(study, groups)
    parts = []
    for rate, chance in zip(rates, _at_random(study, rates), strict=True):
        runs = expectation.simulate(score, chance, realisations)
        area = metrics.auroc(y, runs, one, overall)[0, :, 0]
        parts.append(pd.DataFrame({"rate": rate, "auroc": area, "gap": _gap(y, runs >= own, one, large)}))
    return pd.concat(parts, ignore_index=True)


def expected_runs(
    scores: xr.Dataset,
    study: "Study",
    groups: Groups,
    *,
    rates: Sequence[float] = EXPECTED,
    rule: str = "prevalence",
) -> pd.DataFrame:
    """Exact counterpart of `simulate_runs`: expected AUROC, and the max-min gap between *expected* TPRs.

    Parameters
    ----------
    scores, study, groups, rates, rule
        As in `simulate_runs`.

    Returns
    -------
    pandas.DataFrame
        A row per rate: ``rate, auroc, gap``.
    """
    (score, own), (y, one, overall, large) = _first_seed(scores, study, rule), _large_groups(study, groups)
    chances = _at_random(study, rates)
    area = expectation.expected_auroc(y, score, chances, one, overall)[0, :, 0]
    gap = _gap(y, expectation.expected_selection(score, own, chances), one, large)
    return pd.DataFrame({"rate": list(rates), "auroc": area, "gap": gap})


def compare_mechanisms(
    scores: xr.Dataset,
    study: "Study",
    groups: Groups,
    *,
    rates: Sequence[float],
    mechanisms: Mapping[str, Mapping] | None = None,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Evaluation]:
    """Exact expectation of every metric when drops of one mean rate follow different mechanisms.

    Parameters
    ----------
    scores : xarray.Dataset
        The artefact ``masking`` of one regime.
    study, groups, rule, resamples, seed
        As in `evaluate_drops`.
    rates : sequence of float
        Mean drop rates, at least a low and a high one; put in ascending order.
    mechanisms : mapping of str to mapping, optional
        Name -> settings of `mmlib.measure.scenarios.distribution`; one of each kind if there are none. Drops at random
        come first in any case, and what follows predicted risk or label has its mirror beside it.

    Returns
    -------
    dict of str to Evaluation
        By mechanism, with the key ``rate``.
    """
    if len(rates) < 2:
        raise ValueError(f"structured_rates is {list(rates)}; expected a low and a high mean drop rate.")
    named = {AT_RANDOM: {}} | with_mirrors(mechanisms or default_mechanisms(groups.contrasts))
    (risk, _), rates = _first_seed(scores, study, rule), sorted(rates)
    about = {"risk": risk[-1], "attributes": list(groups.protected)}
    chances = [
        distribution(settings, study.cohort, study.modalities, rate, **about)
        for settings in named.values()
        for rate in rates
    ]
    # all at once, since pairs of scores are sorted but once
    weights = resample_patients(study.cohort["patient_id"], resamples, seed)
    cut, cases = scores.threshold.sel(rule=rule), range(len(chances))
    whole = evaluate_masked(scores.score, cut, np.array(chances), cases, study.cohort, weights, groups=groups)
    found = {}
    for i, name in enumerate(named):
        found[name] = whole.part(range(i * len(rates), (i + 1) * len(rates)), rates)
    return found


def mechanism_changes(
    compared: Mapping[str, Evaluation], plain: Evaluation, groups: Groups, *, rate: float
) -> dict[str, dict[str, Estimate]]:
    """Change against complete inputs by mechanism, at one mean rate: overall AUROC, and rates of two groups.

    Parameters
    ----------
    compared : mapping of str to Evaluation
        From `compare_mechanisms`.
    plain : Evaluation
        From `evaluate_drops`, of the same regime.
    groups : Groups
        The group shown and the reference of the first attribute that has a contrast.
    rate : float

    Returns
    -------
    dict of metric to dict of str to Estimate
        Metric -> who -> estimate with the dimension ``mechanism``; AUROC only, if no contrast is shown.
    """

    def change(metric, attribute=None, **who):
        at_rate = {name: e.metric(metric, attribute).sel(rate=rate, **who) for name, e in compared.items()}
        return stack(at_rate, "mechanism") - plain.metric(metric, attribute).sel(rate=0.0, **who)

    found = {"auroc": {"overall": change("auroc")}}
    for attribute, group in list(groups.contrasts.items())[:1]:
        both = (group, groups.reference(attribute))
        found |= {metric: {name: change(metric, attribute, group=name) for name in both} for metric in FOLLOWED}
    return found


def mechanism_steps(compared: Mapping[str, Evaluation], groups: Groups) -> dict[str, dict[str, Estimate]]:
    """Step from a low rate at random to a high rate by mechanism, split into rate, structure and interaction.

    Parameters
    ----------
    compared : mapping of str to Evaluation
        From `compare_mechanisms`.
    groups : Groups
        Signed differences are those of the first attribute that has a contrast.

    Returns
    -------
    dict of metric to dict of str to Estimate
        ``auroc``, and the signed differences in ``tpr`` and ``selection_rate`` -> part -> estimate with the dimension
        ``mechanism``; see `mmlib.measure.scenarios.decompose`.
    """
    quantities = {"auroc": stack({name: e.metric("auroc") for name, e in compared.items()}, "mechanism")}
    for attribute, group in list(groups.contrasts.items())[:1]:
        for metric in FOLLOWED:
            by_mechanism = {n: e.difference(metric, attribute).sel(group=group) for n, e in compared.items()}
            quantities[metric] = stack(by_mechanism, "mechanism")
    return {metric: decompose(quantity) for metric, quantity in quantities.items()}


def drop_table(
    loss: Mapping[str, Evaluation],
    compared: Mapping[str, Evaluation],
    visible: pd.DataFrame,
    absence: Absence | None = None,
) -> pd.DataFrame:
    """Tidy rows of chapter 4: drops at random by regime, other mechanisms, changes at the paper's rates, real absence.

    Parameters
    ----------
    loss : mapping of str to Evaluation
        From `evaluate_drops`; regimes without resamples are left out.
    compared : mapping of str to Evaluation
        From `compare_mechanisms`.
    visible : pandas.DataFrame
        From `visibility`: its rates are those at which changes are given, simultaneously over groups.
    absence : Absence, optional
        From `mmlib.questions.absence.observed_absence`.

    Returns
    -------
    pandas.DataFrame
        The artefact ``rq2``, with ``rate, regime, mechanism``, and for changes ``versus, one_run, margin``. Rows of
        real absence have the mechanism `OBSERVED`, no rate, and ``modality, side``.
    """
    plain, parts = loss[PLAIN], []
    differences = [(metric, a) for metric in FOLLOWED for a in plain.groups.protected]
    for regime in (name for name in (PLAIN, DROPOUT) if name in loss):
        result, about = loss[regime], {"regime": regime, "mechanism": AT_RANDOM}
        estimates = [result.metric("auroc"), *(result.difference(m, a) for m, a in differences)]
        parts += [e.frame().assign(**about) for e in estimates]
    others = {name: e for name, e in compared.items() if name != AT_RANDOM}  # which stands above
    if others:
        estimates = [{name: e.metric("auroc") for name, e in others.items()}]
        estimates += [{name: e.difference(m, a) for name, e in others.items()} for m, a in differences]
        parts += [stack(e, "mechanism").frame().assign(regime=PLAIN) for e in estimates]
    lost = plain.changes([(0.0, rate) for rate in visible.rate], ["tpr"])
    about = {"regime": PLAIN, "mechanism": AT_RANDOM}
    parts += [lost.difference("tpr", a).frame(simultaneous="group").assign(**about) for a in plain.groups.protected]
    kept = visible.drop(columns=["touched", "retrain", "sampling", "beyond", "one_run_unit"], errors="ignore")
    if absence is not None and absence.metrics:
        parts.append(absence.frame().assign(mechanism=OBSERVED))
    return pd.concat([*parts, kept.assign(**about)], ignore_index=True)


def _at_random(study, rates):
    """Distributions over patterns (R, n, P) when all modalities are lost independently, at some rates."""
    drop = np.multiply.outer(np.asarray(rates), np.ones((1, len(study.modalities))))
    return expectation.pattern_probabilities(drop, subset_masks(study.modalities)[1], np.asarray(study.present))


def _first_seed(scores, study, rule):
    """Scores (P, n) of the first seed, and the threshold of each sample."""
    one = scores.sel(seed=0)
    return one.score.transpose("pattern", "sample").values, one.threshold.sel(rule=rule).values[study.fold]


def _large_groups(study, groups):
    """Labels, weights of one, the mask of all samples, and those of the first attribute's groups with 30 positives."""
    y, one = study.cohort["label"].to_numpy(), np.ones((1, len(study.y)))
    members = metrics.group_masks(study.cohort, [groups.first])[groups.first][1][1:]
    return y, one, one > 0, members[metrics.sizes(y, members)[1] >= MINIMUM]


def _gap(y, chosen, one, members):
    """Max-min gap in TPR (K,) between groups; nan if there are fewer than two."""
    if len(members) < 2:
        return np.full(len(chosen), np.nan)
    return np.ptp(metrics.rates(y, chosen, one, members)["tpr"][0], axis=1)
