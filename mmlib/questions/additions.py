"""What each modality adds, read off the power set: single additions, exact Shapley values, interactions of pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import full_subset, members
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation, evaluate
from mmlib.measure.groups import Groups

#: What the single modality is called that validation patients chose.
BEST_SINGLE = "best single"
#: Metrics at one threshold of which tables are written.
RATES = ("selection_rate", "tpr", "fpr")


def evaluate_subsets(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    subsets: Sequence[str] | None = None,
    rule: str = "prevalence",
    metrics: Sequence[str] = RATES,
    ranking: Mapping[str, Sequence[str]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Metrics of subsets of modalities on tested patients, for all groups.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact, or any ``score`` and ``threshold`` over the dimension ``subset``.
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    groups : Groups
    subsets : sequence of str, optional
        Some of the power set, by default all.
    rule : str
        Operating point.
    metrics, ranking
        As in `mmlib.measure.evaluation.evaluate`; by default AUROC over all samples.
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    Evaluation
        With the key ``subset``.
    """
    part = powerset if subsets is None else powerset.sel(subset=list(subsets))
    return evaluate(
        part["score"],
        part["threshold"].sel(rule=rule),
        cohort,
        resample_patients(cohort["patient_id"], resamples, seed),
        groups=groups,
        metrics=metrics,
        ranking={"auroc": []} if ranking is None else ranking,
    )


def evaluate_singles(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """AUROC, AUPRC, F1 and balanced accuracy of each modality alone and of all together, over all samples.

    Parameters
    ----------
    powerset, cohort, groups, rule, resamples, seed
        As in `evaluate_subsets`.

    Returns
    -------
    Evaluation
        With the key ``subset``: the single modalities, then the full set.
    """
    names = list(map(str, powerset["subset"].values))
    kept = dict.fromkeys([*(s for s in names if len(members(s)) == 1), full_subset(names)])
    return evaluate_subsets(
        powerset,
        cohort,
        Groups({groups.first: groups.reference(groups.first)}),
        subsets=list(kept),
        rule=rule,
        metrics=("f1", "balanced_accuracy"),
        ranking={"auroc": [], "average_precision": []},
        resamples=resamples,
        seed=seed,
    )


def evaluate_rules(
    powerset: xr.Dataset, cohort: pd.DataFrame, groups: Groups, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Evaluation]:
    """Rates of all subsets at every operating point.

    Parameters
    ----------
    powerset, cohort, groups, resamples, seed
        As in `evaluate_subsets`.

    Returns
    -------
    dict of str to Evaluation
        Operating point -> rates, without AUROC, which needs none.
    """
    settings = {"ranking": {}, "resamples": resamples, "seed": seed}
    return {
        rule: evaluate_subsets(powerset, cohort, groups, rule=rule, **settings)
        for rule in map(str, powerset["rule"].values)
    }


def single_additions(subsets: Sequence[str]) -> pd.DataFrame:
    """Every way to add one modality to a subset.

    Parameters
    ----------
    subsets : sequence of str
        Names of the power set, ``none`` included, in its order.

    Returns
    -------
    pandas.DataFrame
        Columns modality, before, after (names), size (of the subset before).

    Examples
    --------
    >>> single_additions(["none", "labs"]).values.tolist()
    [['labs', 'none', 'labs', 0]]
    """
    where = _by_members(subsets)
    rows = [
        (m, before, where[held | {m}], len(held))
        for held, before in where.items()
        for m in members(full_subset(subsets))
        if m not in held
    ]
    return pd.DataFrame(rows, columns=["modality", "before", "after", "size"])


def addition_path(subsets: Sequence[str], order: Sequence[str] = ()) -> list[str]:
    """Subsets that one order of addition passes through, the empty set first.

    Parameters
    ----------
    subsets : sequence of str
        Names of the power set.
    order : sequence of str
        Every modality once; by default cohort order.

    Examples
    --------
    >>> addition_path(["none", "vitals", "labs", "vitals+labs"], ["labs", "vitals"])
    ['none', 'labs', 'vitals+labs']
    """
    where, modalities = _by_members(subsets), members(full_subset(subsets))
    order = list(order) or list(modalities)
    if sorted(order) != sorted(modalities):
        raise ValueError(f"order is {order}; expected each of {list(modalities)} once.")
    return [where[frozenset(order[:k])] for k in range(len(order) + 1)]


def addition_changes(levels: Estimate) -> Estimate:
    """Change that each single addition brings; the variance of retraining is pooled over additions.

    Parameters
    ----------
    levels : Estimate with the dimension ``subset``
        Of the whole power set.

    Returns
    -------
    Estimate
        In the order of `single_additions`: ``subset`` is what there is after the addition, ``versus`` before.

    Examples
    --------
    >>> from mmlib.measure.estimates import estimate
    >>> levels = estimate([[.5, .7], [.5, .6], [.5, .8]], {"subset": ["none", "labs"]}, name="auroc")
    >>> addition_changes(levels).value.values.round(2).tolist()
    [0.2]
    """
    return _along_additions(levels)


def count_additions(result: Evaluation, metrics: Sequence[str] = ("tpr", "selection_rate")) -> pd.DataFrame:
    """Numbers of single additions that raise AUROC, and that widen the signed differences shown.

    Parameters
    ----------
    result : Evaluation
        Of the power set, with AUROC.
    metrics : sequence of str
        Whose signed differences are counted.

    Returns
    -------
    pandas.DataFrame
        A row for AUROC and one for each difference. Columns metric, contrast (its label; empty for AUROC),
        additions, up (raise AUROC, or move the difference away from zero), clear_up and clear_down (the 95 %
        interval of the change, simultaneous over all additions, excludes 0).
    """
    levels = [("", result.metric("auroc"))]
    levels += [pair for metric in metrics for pair in result.contrasts(metric).items()]
    rows = []
    for contrast, level in levels:
        change = _along_additions(level, widening=bool(contrast))
        clear = change.clear(simultaneous=True)
        counts = [int(c.sum()) for c in (change.value > 0, clear > 0, clear < 0)]
        rows.append((level.name, contrast, change.value.size, *counts))
    return pd.DataFrame(rows, columns=["metric", "contrast", "additions", "up", "clear_up", "clear_down"])


def shapley(levels: Estimate) -> Estimate:
    """Exact Shapley value of each modality: its mean gain over all orders of addition [Shapley1953]_.

    Parameters
    ----------
    levels : Estimate with the dimension ``subset``
        Of the whole power set; any *linear* quantity: AUROC, a rate, a signed difference; never an absolute gap.

    Returns
    -------
    Estimate
        With the dimension ``modality`` in place of ``subset``; values add up to the full set minus the empty set.

    Examples
    --------
    >>> from mmlib.measure.estimates import estimate
    >>> levels = estimate([[.5, .7, .6, .9]], {"subset": ["none", "vitals", "labs", "vitals+labs"]}, name="auroc")
    >>> shapley(levels).value.values.round(3).tolist()
    [0.25, 0.15]
    """
    subsets = levels.labels("subset")
    return _named(levels.map(shapley_matrix(subsets), "subset", "modality", members(full_subset(subsets))), "shapley")


def shapley_matrix(subsets: Sequence[str]) -> np.ndarray:
    """Matrix (M, 2^M) that turns the values of all subsets into Shapley values, in the order of the full set.

    Examples
    --------
    >>> shapley_matrix(["none", "vitals", "labs", "vitals+labs"]).tolist()
    [[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5]]
    """
    modalities, steps = members(full_subset(subsets)), single_additions(subsets)
    m = len(modalities)
    weight = steps["size"].map(lambda size: factorial(size) * factorial(m - size - 1) / factorial(m)).to_numpy()
    return (np.array([steps["modality"] == name for name in modalities]) * weight) @ _step_matrix(subsets)


def interactions(levels: Estimate) -> Estimate:
    """Shapley interaction of each pair: what two modalities do together beyond what each does alone [Grabisch1999]_.

    Parameters
    ----------
    levels : Estimate with the dimension ``subset``
        As in `shapley`.

    Returns
    -------
    Estimate
        With the dimension ``pair`` in place of ``subset``, pairs in the order of ``itertools.combinations``. Below
        zero for AUROC: each repeats part of what the other says; above: they need one another.
    """
    subsets = levels.labels("subset")
    modalities, where = members(full_subset(subsets)), _by_members(subsets)
    m, pairs = len(modalities), list(combinations(modalities, 2))
    matrix = np.zeros((len(pairs), len(subsets)))
    for row, pair in zip(matrix, pairs, strict=True):
        for held in (h for h in where if not h & set(pair)):
            weight = factorial(len(held)) * factorial(m - len(held) - 2) / factorial(m - 1)
            for added, sign in ((set(pair), 1), ({pair[0]}, -1), ({pair[1]}, -1), (set(), 1)):
                row[subsets.index(where[held | added])] += sign * weight
    return _named(levels.map(matrix, "subset", "pair", ["+".join(p) for p in pairs]), "interaction")


def shapley_shares(result: Evaluation) -> dict[str, Estimate]:
    """Shapley values of AUROC and of the signed TPR differences shown, by what a figure calls them.

    Parameters
    ----------
    result : Evaluation
        Of the power set, with AUROC.
    """
    differences = {f"TPR, {label}": shapley(level) for label, level in result.contrasts("tpr").items()}
    return {"AUROC": shapley(result.metric("auroc"))} | differences


def shapley_by_group(result: Evaluation) -> dict[str, Estimate]:
    """Shapley values of overall AUROC, and of the TPR of every group that is large enough, by what a figure calls them.

    Parameters
    ----------
    result : Evaluation
        Of the power set, with AUROC.
    """
    shares = {"AUROC, overall": shapley(result.metric("auroc"))}
    for attribute in result.groups.attributes:
        levels = result.metric("tpr", attribute)
        for group in levels.labels("group"):
            level = levels.sel(group=group)
            if int(level.n_positive) >= MINIMUM:
                shares[f"TPR, {group} ({int(level.n_positive):,} positives)"] = shapley(level)
    return shares


def strongest_single(powerset: xr.Dataset, cohort: pd.DataFrame) -> str:
    """Name of the single modality with the highest AUROC on validation samples, pooled over folds: the baseline.

    It is one modality for all folds and seeds. No tested outcome chooses it.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact; the single modalities are its subsets of one member.
    cohort : pandas.DataFrame

    Returns
    -------
    str
    """
    singles = [str(s) for s in powerset["subset"].values if len(members(str(s))) == 1]
    held = powerset["validation_score"].sel(subset=singles).transpose("subset", "seed", "fold", "sample").values
    y = np.broadcast_to(cohort["label"].to_numpy(), held.shape[2:])
    areas = [np.mean([roc_auc_score(y[~np.isnan(v)], v[~np.isnan(v)]) for v in by_seed]) for by_seed in held]
    return singles[int(np.argmax(areas))]


def against_each(levels: Estimate) -> Estimate:
    """All modalities minus each single one, paired.

    Parameters
    ----------
    levels : Estimate with the dimension ``subset``
        AUROC, or another metric, of the full set and every single modality, among others.

    Returns
    -------
    Estimate
        With the dimension ``versus``, the single modality, in place of ``subset``.

    Examples
    --------
    >>> from mmlib.measure.estimates import estimate
    >>> levels = estimate([[.5, .7, .6, .9]], {"subset": ["none", "vitals", "labs", "vitals+labs"]}, name="auroc")
    >>> against_each(levels).value.to_series().round(2).to_dict()
    {'vitals': 0.2, 'labs': 0.3}
    """
    subsets = levels.labels("subset")
    complete = full_subset(subsets)
    singles = [s for s in subsets if len(members(s)) == 1]
    matrix = np.zeros((len(singles), len(subsets)))
    matrix[:, subsets.index(complete)] += 1
    matrix[range(len(singles)), [subsets.index(s) for s in singles]] -= 1
    return levels.map(matrix, "subset", "versus", singles)


def smallest_gain(gains: Estimate) -> Estimate:
    """The smallest of the gains over each single modality, with its own interval: an intersection-union test.

    All modalities are better than *each* single one at the 5 % level if every one of the differences is above 0, each
    tested at 5 %; that is so if the smallest is. No choice of a best single modality is needed, nor a correction.

    Parameters
    ----------
    gains : Estimate with the dimension ``versus``
        From `against_each`.

    Returns
    -------
    Estimate
        One quantity, whose label ``versus`` says which single modality it is against: the one whose interval reaches
        lowest.
    """
    low = gains.interval()[0].fillna(-np.inf)
    return gains.sel(versus=gains.labels("versus")[int(low.values.argmin())])


def best_single(powerset: xr.Dataset, cohort: pd.DataFrame) -> xr.Dataset:
    """Scores of the best single modality, chosen in every fold and seed by AUROC on its validation patients.

    What is reported was then never used to choose, as it would be if the best of the tested AUROCs were taken.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact; the single modalities are its subsets of one member.
    cohort : pandas.DataFrame

    Returns
    -------
    xarray.Dataset
        ``score`` (seed, sample), ``threshold`` (seed, fold, rule), and ``chosen`` (seed, fold), the modality's
        name.
    """
    singles = [s for s in powerset["subset"].values if len(members(s)) == 1]
    part, y = powerset.sel(subset=singles), cohort["label"].to_numpy()
    validation = part["validation_score"].transpose("seed", "fold", "subset", "sample").values
    areas = [
        [[roc_auc_score(y[~np.isnan(v)], v[~np.isnan(v)]) for v in fold] for fold in seed]
        for seed in validation
    ]
    best = xr.DataArray(np.argmax(areas, axis=2), dims=("seed", "fold"))
    of_sample = best.isel(fold=xr.DataArray(cohort["fold"].to_numpy(), dims="sample"))
    seeds = xr.DataArray(np.arange(part.sizes["seed"]), dims="seed")
    score = part["score"].isel(subset=of_sample, seed=seeds, sample=xr.DataArray(np.arange(len(y)), dims="sample"))
    folds = xr.DataArray(np.arange(part.sizes["fold"]), dims="fold")
    threshold = part["threshold"].isel(subset=best, seed=seeds, fold=folds)
    found = xr.Dataset({"score": score.drop_vars("subset"), "threshold": threshold.drop_vars("subset")})
    return found.assign(chosen=(("seed", "fold"), np.array(singles, dtype=object)[best.values]))


def evaluate_best_single(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    groups: Groups,
    *,
    rule: str = "prevalence",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Metrics with the best single modality and with all, on tested patients, for all groups.

    Parameters
    ----------
    powerset, cohort, groups, rule, resamples, seed
        As in `evaluate_subsets`.

    Returns
    -------
    Evaluation
        With the key ``subset``: `BEST_SINGLE`, then the full set.
    """
    everything = full_subset(map(str, powerset["subset"].values))
    both = [best_single(powerset, cohort), powerset.sel(subset=everything, drop=True)]
    names = pd.Index([BEST_SINGLE, everything], name="subset")
    both = [part[["score", "threshold"]] for part in both]
    both = xr.concat(both, names, coords="minimal", compat="override")
    return evaluate_subsets(both, cohort, groups, rule=rule, resamples=resamples, seed=seed)


def addition_table(result: Evaluation, moved: Evaluation, by_group: Evaluation) -> pd.DataFrame:
    """Tidy rows of chapter 3: metrics of all subsets, the step from the best single modality, every single addition.

    Parameters
    ----------
    result : Evaluation
        From `evaluate_subsets`, of the power set.
    moved : Evaluation
        From `evaluate_best_single`.
    by_group : Evaluation
        From `evaluate_subsets`, of the full set, with AUROC by group.

    Returns
    -------
    pandas.DataFrame
        The artefact ``rq1``, with ``subset``, and for changes ``versus``. Signed differences are simultaneous over
        groups, changes in AUROC by single additions over all additions.
    """
    attributes, parts = result.groups.attributes, []

    def levels(evaluation, metric):
        every = evaluation.metric(metric)
        return [e for a in attributes for e in (replace(every, attribute=a), evaluation.metric(metric, a))]

    def differences(evaluation):
        return [evaluation.difference(m, a).frame(simultaneous="group") for m in RATES for a in attributes]

    parts += [e.frame() for m in RATES for e in levels(result, m)]
    parts += [result.metric("auroc").frame(), *(e.frame() for e in levels(by_group, "auroc"))]
    single = pd.concat([*differences(moved), moved.metric("auroc").frame()])
    gained = moved.changes([tuple(moved.labels)])
    parts += [*differences(result), single[single["subset"] == BEST_SINGLE]]
    parts += [*differences(gained), gained.metric("auroc").frame()]
    parts.append(addition_changes(result.metric("auroc")).frame(simultaneous=True))
    return pd.concat(parts, ignore_index=True)


def _by_members(subsets):
    """Members of each subset -> its name."""
    return {frozenset(members(s)): s for s in map(str, subsets)}


def _step_matrix(subsets):
    """Matrix (additions, subsets) that subtracts what there is before each single addition from what is after."""
    steps, at = single_additions(subsets), {s: i for i, s in enumerate(subsets)}
    matrix, rows = np.zeros((len(steps), len(subsets))), np.arange(len(steps))
    matrix[rows, steps["after"].map(at)] = 1
    matrix[rows, steps["before"].map(at)] = -1
    return matrix


def _along_additions(levels: Estimate, *, widening: bool = False) -> Estimate:
    """Changes by all single additions; if asked for, above zero where a difference moves away from zero."""
    subsets = levels.labels("subset")
    steps, matrix = single_additions(subsets), _step_matrix(subsets)
    if widening:
        # |after| > |before| exactly if the change has the sign of their sum
        matrix *= np.sign(np.abs(matrix) @ levels.value.values)[:, None]
    changes = levels.map(matrix, "subset", "subset", steps["after"]).beside("subset", versus=steps["before"])
    return changes.pool("subset", freedom=(levels.seeds - 1) * len(subsets))


def _named(estimate, prefix):
    """The same under the name of what it is a share of."""
    return replace(estimate, name=f"{prefix}_{estimate.name}{'_difference' if estimate.reference else ''}")
