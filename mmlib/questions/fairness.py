"""How differently the model of all modalities treats groups, and how large a difference this cohort could show.

Signed differences (group minus reference) carry intervals and are what is tested. Point estimates, max-min gaps and
calibration describe the first training seed, as one fitted model would be described.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import full_subset
from mmlib.measure.calibration import calibration_by_group, net_benefit, reliability
from mmlib.measure.estimates import Estimate, estimate
from mmlib.measure.evaluation import Evaluation, evaluate, select
from mmlib.measure.exact import effective_number
from mmlib.measure.groups import Groups
from mmlib.measure.metrics import RATES, metrics_by_group, paper_gaps
from mmlib.measure.permutation import max_min_gap
from mmlib.measure.significance import minimal_detectable_change
from mmlib.questions.declared import DESCRIBED, quote_declared

#: Metrics whose signed differences are shown.
SIGNED = ("tpr", "fpr", "selection_rate", "ppv", "auroc", "observed_expected")
#: Metrics of which the worst group is shown, and those of them that are worst where they are highest.
WORST, LOWER_IS_BETTER = ("tpr", "fpr", "ppv", "balanced_accuracy", "auroc"), ("fpr",)
#: Metrics of max-min gaps.
GAPS = ("tpr", "fpr", "selection_rate", "equalized_odds")
#: Shares of all samples that a moving threshold selects.
SHARES = tuple(np.linspace(0.02, 0.98, 25).tolist())
#: Probabilities from which one might act.
PRICES = tuple(np.linspace(0.05, 0.75, 15).tolist())


def evaluate_full_model(
    powerset: xr.Dataset, cohort: pd.DataFrame, patient_weights: np.ndarray, groups: Groups, *, rule: str = "prevalence"
) -> Evaluation:
    """Rates, AUROC and observed over expected of the model of all modalities, for all groups and resamples.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact.
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    groups : Groups
    rule : str
        Operating point.

    Returns
    -------
    Evaluation
        With one label, the subset of all modalities.
    """
    complete = full_subset(powerset["subset"].values)
    full = powerset[["score", "threshold"]].sel(subset=[complete], rule=rule)
    ranking = dict.fromkeys(("auroc", "observed_expected"), groups.attributes)
    alike = powerset["score"], powerset["threshold"].sel(rule=rule)
    return evaluate(
        full.score, full.threshold, cohort, patient_weights, groups=groups, metrics=RATES, ranking=ranking, alike=alike
    )


def group_levels(
    result: Evaluation,
    metrics: Sequence[str] = (*RATES, "auroc"),
    attributes: Sequence[str] | None = None,
    *,
    simultaneous: bool = False,
) -> pd.DataFrame:
    """Metrics over all samples and of every group, a row each, attribute by attribute.

    Parameters
    ----------
    result : Evaluation
    metrics : sequence of str
    attributes : sequence of str, optional
        All of them by default.
    simultaneous : bool
        Whether intervals hold for all groups of an attribute at once.

    Returns
    -------
    pandas.DataFrame
        Rows of the results contract, described, not tested; all samples have a row for each attribute.
    """
    frames = []
    for metric in metrics:
        overall = result.metric(metric).frame()
        for attribute in attributes or result.groups.attributes:
            by_group = result.metric(metric, attribute)
            frames += [
                overall.assign(attribute=attribute),
                by_group.frame(simultaneous="group" if simultaneous else False),
            ]
    return pd.concat(frames, ignore_index=True).assign(verdict=DESCRIBED)


def signed_differences(
    result: Evaluation, judged: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Signed differences of every group to its reference, with intervals that hold for all groups of an attribute.

    Parameters
    ----------
    result : Evaluation
    judged : pandas.DataFrame, optional
        From `mmlib.questions.declared.compare_declared`: a declared difference has its verdict, and the interval that
        this was read off; all others are described.

    Returns
    -------
    pandas.DataFrame
        Rows of the results contract, metric by metric, with ``verdict`` if anything was judged.
    """
    frames = [result.difference(m, a).frame(simultaneous="group") for m in SIGNED for a in result.groups.attributes]
    rows = pd.concat(frames, ignore_index=True)
    return rows if judged is None else quote_declared(rows, judged)


def detectable_differences(differences: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Differences in true positive rate of the groups with enough events, with the smallest detectable ones.

    Parameters
    ----------
    differences : pandas.DataFrame
        From `signed_differences`, with verdicts.
    judged : pandas.DataFrame
        From `mmlib.questions.declared.compare_declared`, whose detectable differences hold for declared comparisons.

    Returns
    -------
    pandas.DataFrame
        Rows of single attributes, without groups that have few events or whose reference has. ``detectable`` holds the
        smallest difference detected with 80 % power: that of the declared family, else at the 5 % level, Bonferroni
        over the groups of the attribute.
    """
    rows = differences[(differences.metric == "tpr") & ~differences.attribute.str.contains("+", regex=False)]
    rows = rows[~rows.small.astype(bool) & rows.low.notna()].reset_index(drop=True)
    error = np.hypot(rows.se_patients, rows.se_retrain.fillna(0))
    groups = rows.groupby("attribute").group.transform("size").astype(int)
    found = [float(minimal_detectable_change(e, comparisons=g)) for e, g in zip(error, groups, strict=True)]
    own = judged[(judged.question == "gap") & (judged.metric == "tpr") & judged.detectable.notna()]
    own = {(r.attribute, r.group): r.detectable for r in own.itertuples()}
    keys = zip(rows.attribute, rows.group, found, strict=True)
    return rows.assign(detectable=np.array([own.get((a, g), other) for a, g, other in keys], float))


def small_groups(result: Evaluation) -> pd.DataFrame:
    """Groups whose true positive rate needs its count: few events or non-events, or clearly below the overall rate.

    Returns
    -------
    pandas.DataFrame
        A row per group of a protected attribute: ``attribute, group, n, n_positive, events`` (positives found, a mean
        over trainings), ``estimate``, ``low`` and ``high`` of the exact 95 % interval, ``overall``, ``few``
        (under 10 positives found or under 10 missed) and ``below`` (the exact interval lies below the overall rate),
        the lowest upper end first. Nothing is tested.
    """
    levels = exact_levels(result)
    levels = levels[levels.few | levels.below]
    return levels.sort_values(["high", "low"], kind="stable", ignore_index=True)


def lowest_group(result: Evaluation) -> pd.DataFrame:
    """The group with the lowest true positive rate among those with 30 positives or more.

    Returns
    -------
    pandas.DataFrame
        One row of `exact_levels`, or none if no attribute has two such groups.
    """
    levels = exact_levels(result)
    large = levels[levels.n_positive >= MINIMUM]
    large = large[large.groupby("attribute").group.transform("size") > 1]
    return large.nsmallest(1, "estimate").reset_index(drop=True)


def exact_levels(result: Evaluation) -> pd.DataFrame:
    """True positive rate of every group of a protected attribute, with its count and exact 95 % interval.

    Returns
    -------
    pandas.DataFrame
        As `small_groups`, of all groups, in their order.
    """
    frames, overall = [], float(result.metric("tpr").sel(**{result.key: result.labels[-1]}))
    for attribute in result.groups.protected:
        level = result.metric("tpr", attribute).sel(**{result.key: result.labels[-1]})
        low, high = (end.values for end in level.exact)
        rows = level.frame()[["attribute", "group", "n", "n_positive", "events", "estimate"]]
        rows = rows.assign(low=low, high=high, overall=overall, few=level.small.values)
        frames.append(rows.assign(below=rows.high < overall))
    return pd.concat(frames, ignore_index=True)


def worst_groups(result: Evaluation) -> pd.DataFrame:
    """The group that fares worst by each metric, among those with 30 positives or more; `lowest_group` has its count.

    Returns
    -------
    pandas.DataFrame
        A row of the results contract per protected attribute and metric, with the value over all samples as
        ``overall``; none for attributes with fewer than two such groups. Intervals hold for all groups of the
        attribute, whichever turned out to be the worst.
    """
    rows = []
    for attribute in result.groups.protected:
        for metric in WORST:
            levels = group_levels(result, [metric], [attribute], simultaneous=True)
            large = levels[(levels.group != "all") & (levels.n_positive >= MINIMUM) & levels.estimate.notna()]
            if len(large) > 1:
                order = large.estimate if metric in LOWER_IS_BETTER else -large.estimate
                overall = levels.set_index("group").estimate["all"]
                rows.append(large.loc[order.idxmax()].to_dict() | {"overall": overall})
    return pd.DataFrame(rows)


def describe_groups(
    powerset: xr.Dataset, cohort: pd.DataFrame, groups: Groups, *, rule: str = "prevalence"
) -> pd.DataFrame:
    """Point estimates of the first training seed by group, from fairlearn.

    Returns
    -------
    pandas.DataFrame
        All samples first, then a row per group of the protected attributes: ``attribute, group``, ``n_effective``
        (the number of samples that clustering leaves, below n if patients have several) and the columns of
        `mmlib.measure.metrics.metrics_by_group`.
    """
    score, selected = _first_seed(powerset, cohort, rule)
    frames, patients = [], pd.factorize(cohort["patient_id"])[0]
    for attribute, (names, masks) in groups.single().masks(cohort).items():
        table = metrics_by_group(cohort["label"], score, selected, cohort, attribute)
        table = table.rename_axis("group").reset_index()
        effective = dict(zip(names, effective_number(patients, masks), strict=True))
        table["n_effective"] = table["group"].map(effective)
        frames.append(table.assign(attribute=attribute)[["attribute", *table.columns]])
    first = frames[0].query("group == 'all'").assign(attribute="")
    return pd.concat([first, *(table.query("group != 'all'") for table in frames)], ignore_index=True)


def max_min_gaps(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    rule: str = "prevalence",
    permutations: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Max-min gaps of the first training seed, as in the paper, beside those that chance alone produces.

    Returns
    -------
    pandas.DataFrame
        A row per attribute (crossed ones included) and metric: ``attribute, metric, gap``, ``null`` (mean gap with
        group labels shuffled within the outcome) and ``fairlearn`` (its own number over all groups, where it has
        one). Gaps are over groups with 30 samples or more of each label that the metric needs.
    """
    _, selected = _first_seed(powerset, cohort, rule)
    theirs = {"selection_rate": "demographic_parity_difference", "equalized_odds": "equalized_odds_difference"}
    y, patients, rows = cohort["label"], cohort["patient_id"], []
    for attribute, (_, masks) in groups.masks(cohort).items():
        known = paper_gaps(y, selected, cohort, attribute)
        for metric in GAPS:
            gap, null = max_min_gap(y, selected, masks[1:], patients, metric, permutations=permutations, seed=seed)
            rows.append((attribute, metric, gap.item(), null.item(), known.get(theirs.get(metric), np.nan)))
    return pd.DataFrame(rows, columns=["attribute", "metric", "gap", "null", "fairlearn"])


def calibrate_groups(powerset: xr.Dataset, cohort: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Calibration of the first training seed over all samples and in every group of the protected attributes.

    Returns
    -------
    pandas.DataFrame
        ``attribute`` (empty for all samples, which come first) and the columns of
        `mmlib.measure.calibration.calibration_by_group`.
    """
    return _by_attribute(calibration_by_group, powerset, cohort, groups, overall=True)


def reliability_bins(powerset: xr.Dataset, cohort: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Observed share of events in fifths of the first seed's prediction, for groups with 100 events or more.

    Returns
    -------
    pandas.DataFrame
        ``attribute`` and the columns of `mmlib.measure.calibration.reliability`.
    """
    return _by_attribute(reliability, powerset, cohort, groups, overall=False)


def sweep_thresholds(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    groups: Groups,
    *,
    shares: Sequence[float] = SHARES,
) -> Evaluation:
    """Rates of the full model as one threshold for all samples moves, for all groups and resamples.

    Parameters
    ----------
    powerset : xarray.Dataset
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    groups : Groups
        Crossed attributes are left out.
    shares : sequence of float
        Shares of all samples that are selected, by the scores of each seed.

    Returns
    -------
    Evaluation
        With the key ``selected``; its intervals are over patients.

    Examples
    --------
    The same in public names, to be changed in a cell::

        import numpy as np

        from mmlib import evaluate
        from mmlib.core import full_subset

        score = powerset["score"].sel(subset=full_subset(powerset["subset"].values), drop=True)
        cuts = score.quantile(1 - np.array(shares), "sample").rename(quantile="selected")
        found = evaluate(
            score.expand_dims(selected=shares),
            cuts.assign_coords(selected=shares).expand_dims(fold=np.unique(cohort["fold"])),
            cohort,
            patient_weights,
            groups=groups.single(),
            metrics=("tpr", "selection_rate"),
        )
    """
    score = _full_score(powerset)
    cut = np.quantile(score.values, 1 - np.asarray(shares), axis=1)
    folds = {"fold": np.unique(cohort["fold"])}
    threshold = xr.DataArray(cut, {"selected": list(shares)}, ("selected", "seed")).expand_dims(folds)
    swept = score.expand_dims(selected=list(shares))
    wanted = {"groups": groups.single(), "metrics": ("tpr", "selection_rate")}
    found = evaluate(swept, threshold, cohort, patient_weights, **wanted)
    # the seeds of one model say too little about retraining: intervals are over patients
    return replace(found, spread={key: part.mean(axis=0, keepdims=True) for key, part in found.spread.items()})


def decision_curves(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    groups: Groups,
    *,
    prices: Sequence[float] = PRICES,
) -> dict[str, dict[str, Estimate]]:
    """Standardised net benefit of acting on the full model from a probability on [Vickers2006]_.

    Parameters
    ----------
    powerset : xarray.Dataset
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    groups : Groups
        Groups named in its contrasts are compared with their reference.
    prices : sequence of float
        Probabilities from which one acts.

    Returns
    -------
    dict of str to dict of str to Estimate
        ``"all"`` holds ``"model"`` and ``"act on all"``; each attribute with a contrast holds the group and its
        reference, by name, each at its own prevalence. Estimates have the dimension ``threshold``; their intervals are
        over patients.
    """
    y, scores = cohort["label"].to_numpy(), _full_score(powerset).values

    def benefit(acted_on, names, masks, attribute):
        by_seed = [net_benefit(y, s, prices, patient_weights, masks) for s in acted_on]
        about = {"n": masks.sum(axis=1), "n_positive": masks[:, y == 1].sum(axis=1), "attribute": attribute}
        return estimate(np.mean(by_seed, axis=0), {"threshold": prices, "group": names}, name="net_benefit", **about)

    everyone = np.ones((1, len(cohort)), bool)
    overall = {"model": scores, "act on all": np.ones_like(scores)}
    curves = {"all": {name: benefit(s, ["all"], everyone, "").sel(group="all") for name, s in overall.items()}}
    masks = groups.masks(cohort)
    for attribute, group in groups.contrasts.items():
        by_group = benefit(scores, *masks[attribute], attribute)
        curves[attribute] = {name: by_group.sel(group=name) for name in (group, groups.reference(attribute))}
    return curves


def _full_score(powerset) -> xr.DataArray:
    """Scores (seed, sample) of the model of all modalities."""
    complete = full_subset(powerset["subset"].values)
    return powerset["score"].sel(subset=complete, drop=True).transpose("seed", "sample")


def _first_seed(powerset, cohort, rule) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the full model's first seed, and its decisions."""
    score = _full_score(powerset).isel(seed=0)
    threshold = powerset["threshold"].sel(subset=full_subset(powerset["subset"].values), rule=rule).isel(seed=0)
    return score.values, select(score, threshold, cohort["fold"]).values


def _by_attribute(count, powerset, cohort, groups, *, overall: bool) -> pd.DataFrame:
    """Describe the groups of each protected attribute, and all samples once or never."""
    score = _full_score(powerset).isel(seed=0).values
    frames = []
    for attribute, (names, masks) in groups.single().masks(cohort).items():
        skipped = 0 if overall and not frames else 1
        table = count(cohort["label"], score, masks[skipped:], names[skipped:])
        frames.append(table.assign(attribute=np.where(table["group"] == "all", "", attribute)))
    return pd.concat(frames, ignore_index=True)
