"""Subsets of modalities chosen on validation patients and reported on others: fronts, searches, limits, costs.

A choice for the patients that a fold tests is made on validation patients whom that fold does not test. What
is reported was never used to choose. A way to choose is a procedure: it may choose another subset in each fold, and its
result is that of the procedure, not of one subset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import NONE, full_subset, members
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate, stack
from mmlib.measure.evaluation import Evaluation, evaluate
from mmlib.measure.groups import Groups
from mmlib.measure.significance import ATTAINABLE
from mmlib.questions.additions import interactions, shapley

#: The ways to choose, in the order in which they are shown; the last may have no answer.
RULES = ("all", "one modality", "best AUROC", "greedy", "cheapest", "bounded")
#: Random halves of the resamples in which the bounded choice is made again, and the share of them that must agree
#: before the answer is named.
HALVES, SETTLED = 100, 0.95


@dataclass(frozen=True)
class Choices:
    """What was chosen, from which validation numbers.

    Parameters
    ----------
    auroc : Estimate with the dimension ``subset``
        On all validation rows.
    differences : dict of str to Estimate
        Protected attribute -> signed difference that was bounded, with the dimension ``subset``.
    limit : pandas.Series
        Subset -> from :func:`upper_limit`.
    margin : float
        Largest admissible ``limit``.
    costs : mapping of str to float
        Modality -> cost.
    overall : dict of str to (str or None)
        Way to choose -> subset, from all validation rows; None if no subset keeps the margin.
    by_fold : dict of str to list of (str or None)
        Way to choose -> the subset chosen for the patients that each fold tests.
    half_limits : pandas.DataFrame
        Upper limits from random halves of the resamples, a row each. How they scatter around ``limit`` is its Monte
        Carlo error: half as many resamples double the variance, and half of that is shared with the whole.
    """

    auroc: Estimate
    differences: dict[str, Estimate]
    limit: pd.Series
    margin: float
    costs: Mapping[str, float]
    overall: dict[str, str | None]
    by_fold: dict[str, list[str | None]]
    half_limits: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def subsets(self) -> list[str]:
        """Names of the subsets to choose from: all but the empty one."""
        return [name for name in self.limit.index if name != NONE]

    @property
    def kept(self) -> list[str]:
        """Names of the subsets whose differences keep the margin, by their upper limit."""
        return [name for name in self.subsets if self.limit[name] <= self.margin]

    @property
    def limit_error(self) -> pd.Series:
        """Monte Carlo standard error of every upper limit, which more resamples make smaller."""
        return self.half_limits.replace(np.inf, np.nan).std() if len(self.half_limits) else 0 * self.limit

    @property
    def half_answers(self) -> list[str | None]:
        """Bounded choice from each half of the resamples."""
        auroc = self.auroc.value.to_series()
        return [_best_within(auroc, limit, self.margin) for _, limit in self.half_limits.iterrows()]

    @property
    def agreement(self) -> float:
        """Share of the halves of the resamples that give the same bounded choice as all resamples."""
        answers = self.half_answers
        return answers.count(self.overall["bounded"]) / len(answers) if answers else 1.0

    @property
    def settled(self) -> bool:
        """Whether the bounded choice does not hang on the draw of the resamples."""
        return self.agreement >= SETTLED

    @property
    def named(self) -> dict[str, str]:
        """Way to choose -> the subset that all validation patients name, all modalities aside.

        A bounded choice that hangs on the draw of the resamples names none.
        """
        ways = {way: subset for way, subset in self.overall.items() if way != RULES[0] and subset is not None}
        return ways if self.settled else {way: subset for way, subset in ways.items() if way != "bounded"}

    @property
    def smallest_margins(self) -> pd.Series:
        """Smallest margin that these patients could have shown for each difference, at the subset with most AUROC.

        A margin below 2.9 standard errors of the difference is kept too seldom even where there is no difference. The
        error is that over patients, as in the limits; where there are few events, that of the exact interval.
        """
        margins = {}
        for difference in self.differences.values():
            at = difference.sel(subset=self.overall["best AUROC"])
            low, high = at.interval()
            exact = at.small is not None and bool(at.small)
            error = float(high - low) / 3.92 if exact else float(at.se_patients)
            name = at.value.coords["group"].item() if "group" in at.value.coords else at.name
            margins[f"{name} minus {at.reference}" if at.reference else str(name)] = ATTAINABLE * error
        return pd.Series(margins, dtype=float)


def validation_rows(powerset: xr.Dataset, cohort: pd.DataFrame, groups: Groups) -> tuple[xr.DataArray, pd.DataFrame]:
    """Validation scores in rows: a sample appears once for every fold that sets it aside.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact ``powerset``.
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    groups : Groups

    Returns
    -------
    score : xarray.DataArray with dimensions (subset, seed, sample)
    rows : pandas.DataFrame
        The samples' rows of the cohort: ``fold`` is the fold whose models gave the score, ``tested`` the one
        that tests the sample, ``position`` its row in the cohort. Protected attributes are categories, so that a
        group of which no sample is set aside has no rate, rather than no name.
    """
    scores = powerset.validation_score.transpose("subset", "seed", "fold", "sample")
    fold, position = np.nonzero(~np.isnan(scores.values[0, 0]))
    rows = cohort.astype(dict.fromkeys(groups.protected, "category")).iloc[position].reset_index(drop=True)
    rows = rows.assign(tested=rows["fold"], fold=fold, position=position)
    return (
        xr.DataArray(
            scores.values[:, :, fold, position],
            {"subset": scores.subset.values, "seed": scores.seed.values},
            ("subset", "seed", "sample"),
        ),
        rows,
    )


def upper_limit(differences: Mapping[str, Estimate]) -> pd.Series:
    """Largest size that signed differences may have: the end farthest from zero of their simultaneous 95 % interval.

    Parameters
    ----------
    differences : mapping of str to Estimate
        What is bounded -> signed difference with the dimension ``subset``; the interval holds for all differences
        of one subset at once, over patients: the spread of retraining is left out.

    Returns
    -------
    pandas.Series
        Subset -> limit; ``inf`` where a difference has no interval, since nothing bounds it then.

    Examples
    --------
    >>> from mmlib.measure.estimates import estimate
    >>> difference = estimate([[.1], [.0], [.2], [.1]], {"subset": ["labs"]})
    >>> upper_limit({"sex": difference}).round(2).to_dict()
    {'labs': 0.2}
    """
    farthest = _farthest(_over_patients(differences))
    return pd.Series(farthest.values, farthest["subset"].values)


def pareto(quality, harm) -> np.ndarray:
    """Pareto front: True where nothing has as much quality and as little harm, and more quality or less harm.

    Parameters
    ----------
    quality, harm : array-like of shape (..., K)

    Returns
    -------
    numpy.ndarray of shape (..., K), bool
        A missing value is on no front and dominates nothing.
    """
    quality, harm = np.asarray(quality, float), np.asarray(harm, float)
    q, h = quality[..., None, :], harm[..., None, :]
    dominated = (q >= quality[..., None]) & (h <= harm[..., None])
    dominated &= (q > quality[..., None]) | (h < harm[..., None])
    return ~dominated.any(axis=-1) & ~np.isnan(quality) & ~np.isnan(harm)


def cost_of(subset: str, costs: Mapping[str, float]) -> float:
    """Cost of a subset, the sum over its modalities; one that is not listed costs 1."""
    return float(sum(costs.get(m, 1) for m in members(subset)))


def greedy(auroc, subsets: Sequence[str], costs: Mapping[str, float]) -> str:
    """Subset reached by adding the modality that gains most AUROC per unit of cost, until none gains any."""
    names = {frozenset(members(s)): s for s in subsets}
    value = dict(zip(names, auroc, strict=True))
    chosen = frozenset()
    while True:
        gains = {
            m: (value[chosen | {m}] - value[chosen]) / cost_of(m, costs)
            for m in sorted(max(names, key=len) - chosen)
        }
        best = max(gains, key=gains.get, default=None)
        if best is None or (gains[best] <= 0 and chosen):
            return names[chosen]
        chosen |= {best}


def choose_by_rule(
    auroc, limit, subsets: Sequence[str], *, margin: float, tolerance: float, costs: Mapping[str, float]
) -> dict[str, str | None]:
    """Subset that each way of :data:`RULES` chooses from one table of validation numbers.

    Parameters
    ----------
    auroc, limit : array-like of shape (K,)
        Of every subset; ``none`` is never chosen.
    subsets : sequence of str
    margin : float
        Largest admissible ``limit``. If no subset keeps it, ``bounded`` is None.
    tolerance : float
        ``cheapest`` may have this much less AUROC than the best subset.
    costs : mapping of str to float
        Modality -> cost, above zero; 1 where not listed.

    Returns
    -------
    dict of str to (str or None)
    """
    everything = full_subset(subsets)
    if unknown := sorted(set(costs) - set(members(everything))):
        raise ValueError(f"costs names {unknown[0]!r}; expected some of {', '.join(members(everything))}.")
    if wrong := [m for m, c in costs.items() if not c > 0]:
        raise ValueError(f"costs gives {wrong[0]!r} {costs[wrong[0]]!r}; expected a number above 0.")
    if margin <= 0 or tolerance < 0:
        raise ValueError(f"margin is {margin} and tolerance {tolerance}; expected above 0, and 0 or more.")
    table = pd.DataFrame({"subset": list(subsets), "auroc": auroc, "limit": limit})
    table["cost"] = [cost_of(s, costs) for s in subsets]
    table = table[table["subset"] != NONE].sort_values("auroc", ascending=False, kind="stable")
    near = table[table["auroc"] >= table["auroc"].iloc[0] - tolerance].sort_values("cost", kind="stable")
    single = table[table["subset"].map(members).map(len) == 1]
    ways = [everything, *(t["subset"].iloc[0] for t in (single, table)), greedy(auroc, subsets, costs)]
    indexed = table.set_index("subset")
    bounded = _best_within(indexed["auroc"], indexed["limit"], margin)
    return dict(zip(RULES, [*ways, near["subset"].iloc[0], bounded], strict=True))


def choose_subsets(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    rule: str = "prevalence",
    metric: str = "tpr",
    margin: float = 0.1,
    tolerance: float = 0.005,
    costs: Mapping[str, float] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Choices:
    """Subsets chosen from the validation scores of the power set, overall and for each fold without its own patients.

    Parameters
    ----------
    powerset : xarray.Dataset
    cohort : pandas.DataFrame
    groups : Groups
        Its contrasts are the signed differences that are bounded; without any, all subsets keep the margin.
    rule, metric : str
        Operating point, and the rate that is compared.
    margin, tolerance, costs
        As in :func:`choose_by_rule`.
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    Choices
    """
    score, rows = validation_rows(powerset, cohort, groups)
    threshold, subsets = powerset["threshold"].sel(rule=rule), [str(s) for s in powerset["subset"].values]
    weights = resample_patients(cohort["patient_id"], resamples, seed)[:, rows["position"]]
    settings = {"groups": groups.single(), "metrics": (metric,)}

    def differences(kept):
        rated = evaluate(score, threshold, rows, weights * kept, **settings)
        return {a: rated.difference(metric, a).sel(group=g) for a, g in groups.contrasts.items()}

    def limits(bounded):
        return upper_limit(bounded) if bounded else pd.Series(0.0, subsets)

    def decide(auroc, limit):
        return choose_by_rule(auroc, limit, subsets, margin=margin, tolerance=tolerance, costs=costs or {})

    auroc = evaluate(score, threshold, rows, weights, ranking={"auroc": []}, **settings).metric("auroc")
    bounded = differences(np.ones(len(rows)))
    folds = np.sort(cohort["fold"].unique())
    others = (rows["tested"].to_numpy() != folds[:, None]).astype(np.float32)
    # here a row of weights is no resample, but the patients that one fold does not test
    without = evaluate(score, threshold, rows, others, ranking={"auroc": []}, **settings).metric("auroc")
    by_fold = [
        decide(a, limits(differences(kept)).to_numpy()) for a, kept in zip(without.values.values, others, strict=True)
    ]
    limit = limits(bounded)
    return Choices(
        auroc,
        bounded,
        limit,
        margin,
        dict(costs or {}),
        decide(auroc.value.values, limit.to_numpy()),
        {way: [choice[way] for choice in by_fold] for way in RULES},
        _half_limits(_over_patients(bounded), resamples, seed) if bounded else pd.DataFrame(),
    )


def chosen_scores(
    powerset: xr.Dataset, by_fold: Mapping[str, Sequence[str]], cohort: pd.DataFrame
) -> xr.Dataset:
    """Scores of every sample by the subset chosen for its fold.

    Parameters
    ----------
    powerset : xarray.Dataset
    by_fold : mapping of str to sequence of str
        Name of a choice -> subset for each fold.
    cohort : pandas.DataFrame

    Returns
    -------
    xarray.Dataset
        ``score`` (way, seed, sample) and ``threshold`` (way, seed, fold, rule).
    """
    fold = xr.DataArray(cohort["fold"].to_numpy(int), dims="sample")
    parts = []
    for subsets in by_fold.values():
        each = xr.DataArray(list(subsets), dims="fold")
        threshold = powerset.threshold.sel(subset=each, fold=xr.DataArray(range(len(each)), dims="fold"))
        score = powerset.score.sel(subset=each).isel(
            fold=fold, sample=xr.DataArray(range(len(fold)), dims="sample")
        )
        parts.append(
            xr.Dataset({"score": score.drop_vars("subset"), "threshold": threshold.drop_vars("subset")})
        )
    joined = xr.concat(parts, pd.Index(list(by_fold), name="way"), coords="minimal", compat="override")
    return joined.transpose("way", "seed", "fold", "rule", "sample")


def evaluate_choices(
    powerset: xr.Dataset,
    choices: Choices,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Metrics of each procedure: the subset that it chose for every fold, on tested patients who had no part in it.

    Parameters
    ----------
    powerset : xarray.Dataset
    choices : Choices
    cohort : pandas.DataFrame
    groups : Groups
    rule : str
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    Evaluation
        With the key ``way``: those of :data:`RULES` that have an answer in every fold. Where the answer is none in
        some fold, a procedure has no result.
    """
    answered = {way: subsets for way, subsets in choices.by_fold.items() if None not in subsets}
    chosen = chosen_scores(powerset, answered, cohort)
    weights = resample_patients(cohort["patient_id"], resamples, seed)
    alike = powerset["score"], powerset["threshold"].sel(rule=rule)
    settings = {"groups": groups, "ranking": {"auroc": []}, "alike": alike}
    return evaluate(chosen["score"], chosen["threshold"].sel(rule=rule), cohort, weights, **settings)


def changes_from_all(outcome: Evaluation) -> Estimate:
    """AUROC of each procedure minus that of all modalities, with the dimension ``way``.

    Parameters
    ----------
    outcome : Evaluation
        From :func:`evaluate_choices`.
    """
    return _minus_first(outcome.metric("auroc"), "way", outcome.labels[1:], RULES[0])


def own_changes(choices: Choices, result: Evaluation) -> Estimate:
    """AUROC of each subset that is named, minus that of all modalities: its own result, the same in every fold.

    A subset is named by all validation patients. Some of them are tested here too, so its own result may flatter it a
    little; the procedure's does not.

    Parameters
    ----------
    choices : Choices
    result : Evaluation
        Of the power set, on tested patients.

    Returns
    -------
    Estimate
        With the dimension ``way``: the ways to choose that name a subset, all modalities aside.
    """
    named, level = choices.named, result.metric("auroc")
    return _minus_first(level, "subset", list(named.values()), choices.overall["all"]).rename(
        "subset", "way", list(named)
    )


def group_changes(outcome: Evaluation) -> dict[str, Estimate]:
    """True positive rate of every group by the bounded choice minus that with all modalities: who gains and who loses.

    Parameters
    ----------
    outcome : Evaluation
        From :func:`evaluate_choices`.

    Returns
    -------
    dict of str to Estimate
        Attribute -> changes with the dimension ``group``; empty if the procedure has no result.
    """
    if "bounded" not in outcome.labels:
        return {}
    levels = {attribute: outcome.metric("tpr", attribute) for attribute in outcome.groups.attributes}
    return {a: _minus_first(level, "way", ["bounded"], RULES[0]).sel(way="bounded") for a, level in levels.items()}


def lowest_groups(outcome: Evaluation) -> pd.DataFrame:
    """Group with the lowest true positive rate among those with 30 positives or more, by way to choose.

    Parameters
    ----------
    outcome : Evaluation
        From :func:`evaluate_choices`.

    Returns
    -------
    pandas.DataFrame
        Columns attribute, group and estimate, with the way as index; none if no group has enough positives.
    """
    rows = []
    for attribute in outcome.groups.attributes:
        level = outcome.metric("tpr", attribute)
        large = [g for g, n in zip(level.labels("group"), level.n_positive.values, strict=True) if n >= MINIMUM]
        rows += [(*key, attribute, rate) for key, rate in level.value.sel(group=large).to_series().items()]
    table = pd.DataFrame(rows, columns=["way", "group", "attribute", "estimate"]).dropna()
    return table.sort_values(["estimate", "attribute", "group"]).drop_duplicates("way").set_index("way")


def front_points(choices: Choices, result: Evaluation) -> pd.DataFrame:
    """Subsets on tested patients, with whether validation patients put them on the front of AUROC and difference.

    Parameters
    ----------
    choices : Choices
    result : Evaluation
        Of the power set, on tested patients.

    Returns
    -------
    pandas.DataFrame
        A row for each difference and subset: contrast, subset, auroc, estimate, low, high and size (of the
        difference), front (on validation patients), membership (share of their resamples in which the subset is
        on the front), still (on the front of tested patients).
    """
    names, parts = choices.subsets, []
    quality = choices.auroc.sel(subset=names).values.values
    tested = result.metric("auroc").sel(subset=names).value.values
    for attribute, group in result.groups.contrasts.items():
        harm = np.abs(choices.differences[attribute].sel(subset=names).values.values)
        on_front = pareto(quality, harm)
        difference = result.difference("tpr", attribute).sel(subset=names, group=group)
        part = difference.frame()[["subset", "estimate", "low", "high"]].assign(contrast=difference.label)
        part = part.assign(auroc=tested, size=lambda d: d["estimate"].abs(), front=on_front[0])
        part = part.assign(membership=on_front[1:].mean(axis=0), still=lambda d: pareto(d["auroc"], d["size"]))
        parts.append(part)
    columns = ["contrast", "subset", "auroc", "estimate", "low", "high", "size", "front", "membership", "still"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def selection_table(result: Evaluation, choices: Choices, outcome: Evaluation) -> pd.DataFrame:
    """Tidy rows of chapter 6: procedures, the subsets that are named, margins, Shapley values and interactions.

    Parameters
    ----------
    result : Evaluation
        Of the power set.
    choices : Choices
    outcome : Evaluation
        From :func:`evaluate_choices`.

    Returns
    -------
    pandas.DataFrame
        The artefact ``selection``, with ``way``, ``subset``, ``modality`` and ``pair``. Rows with a choice and no
        subset are results of a procedure, changes against all modalities with ``versus``; rows with both are the own
        results of the subset that is named. ``smallest_margin`` is that of each bounded difference, with the validation
        rows behind it.
    """
    auroc, contrasts = result.metric("auroc"), result.contrasts("tpr").values()
    parts = [outcome.metric("auroc").frame(), changes_from_all(outcome).frame().assign(versus=RULES[0])]
    parts += [outcome.difference("tpr", a).frame(simultaneous="group") for a in outcome.groups.attributes]
    for change in group_changes(outcome).values():
        parts.append(change.frame(simultaneous="group").assign(way="bounded", versus=RULES[0]))
    named = list(choices.named.values())
    own = auroc.sel(subset=named).rename("subset", "way", list(choices.named)).frame()
    parts.append(own.assign(subset=named))
    shares = [shapley(auroc), interactions(auroc), *(shapley(level) for level in contrasts)]
    parts += [share.frame() for share in shares if share.value.size]
    parts += [_margin_rows(choices)]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _margin_rows(choices) -> pd.DataFrame:
    """Smallest margin that could have been shown for each difference, as tidy rows."""
    rows = []
    for (attribute, difference), margin in zip(choices.differences.items(), choices.smallest_margins, strict=True):
        at = difference.sel(subset=choices.overall["best AUROC"])
        row = at.frame().iloc[[0]].assign(metric="smallest_margin", attribute=attribute, estimate=margin)
        rows.append(row.assign(low=np.nan, high=np.nan, se_patients=np.nan, se_retrain=np.nan, way="bounded"))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _minus_first(level: Estimate, dim: str, labels: Sequence[str], first: str) -> Estimate:
    """Paired changes along a dimension against one of its labels; of the same models there is no change at all."""
    every = level.labels(dim)
    matrix = np.zeros((len(labels), len(every)))
    for row, name in zip(matrix, labels, strict=True):
        if not np.array_equal(level.values.sel({dim: name}), level.values.sel({dim: first}), equal_nan=True):
            row[every.index(name)] += 1
            row[every.index(first)] -= 1
    return level.map(matrix, dim, dim, list(labels))


def _best_within(auroc: pd.Series, limit: pd.Series, margin: float) -> str | None:
    """Subset with the highest AUROC among those whose limit keeps the margin; None if none does."""
    kept = [name for name in limit.index if name != NONE and limit[name] <= margin]
    return max(kept, key=auroc.get, default=None)


def _over_patients(differences) -> Estimate:
    """Signed differences side by side, with their spread over patients only."""
    kept = {name: replace(difference, spread=None, pooled=None) for name, difference in differences.items()}
    joined = stack(kept, "difference")
    few = joined.small is not None and bool(joined.small.any())
    return joined if few else replace(joined, small=None, exact=None, counts=None)  # quicker, and the same


def _farthest(joined: Estimate) -> xr.DataArray:
    """End of the simultaneous interval of each subset that is farthest from zero."""
    ends = joined.interval(simultaneous="difference")
    return np.maximum(*(np.abs(end) for end in ends)).fillna(np.inf).max("difference")


def _half_limits(joined: Estimate, resamples: int, seed: int, together: int = 20) -> pd.DataFrame:
    """Upper limit of each subset from random halves of the resamples, a row each; some halves at a time, for memory."""
    draws, half, parts = np.random.default_rng(seed), max(2, resamples // 2), []
    for _ in range(0, HALVES, together):
        at = [[0, *(1 + draws.permutation(resamples)[:half])] for _ in range(together)]
        values = joined.values.isel(resample=xr.DataArray(at, dims=("half", "resample")))
        values = values.transpose("resample", *joined.dims, "half").assign_coords(half=range(together))
        limits = _farthest(replace(joined, values=values)).transpose("half", "subset")
        parts.append(pd.DataFrame(limits.values, columns=limits["subset"].values))
    return pd.concat(parts, ignore_index=True)
