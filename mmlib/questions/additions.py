"""What each modality adds, read off the power set: single additions, exact Shapley values, interactions of pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import NONE, full_subset, members
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation, evaluate
from mmlib.measure.groups import Groups

#: Metrics at one threshold of which tables are written.
RATES = ("selection_rate", "tpr", "fpr")
#: Rates whose signed differences are primary: how they change from the baseline to all modalities.
PRIMARY = ("selection_rate", "tpr")
#: What a single addition can do to a signed difference.
EFFECTS = ("reverses", "widens", "narrows", "unclear")


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
    """Metrics of subsets of modalities on tested samples, for all groups.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact, or any ``score`` and ``threshold`` over the dimension ``subset``.
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    groups : Groups
    subsets : sequence of str, optional
        Some of the power set, by default all; the variance of retraining is pooled over all in either case.
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

    Examples
    --------
    The same in public names, to be changed in a cell::

        from mmlib import evaluate, resample_patients

        found = evaluate(
            powerset["score"],
            powerset["threshold"].sel(rule=rule),
            cohort,
            resample_patients(cohort["patient_id"], resamples, seed),
            groups=groups,
            ranking={"auroc": []},
        )
    """
    whole = powerset["score"], powerset["threshold"].sel(rule=rule)
    part = whole if subsets is None else [data.sel(subset=list(subsets)) for data in whole]
    return evaluate(
        *part,
        cohort,
        resample_patients(cohort["patient_id"], resamples, seed),
        groups=groups,
        metrics=metrics,
        ranking={"auroc": []} if ranking is None else ranking,
        alike=None if subsets is None else whole,
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

    Examples
    --------
    The same in public names, to be changed in a cell::

        from mmlib.core import full_subset
        from mmlib.questions import evaluate_subsets

        names = powerset["subset"].values.tolist()
        found = evaluate_subsets(
            powerset,
            cohort,
            groups,
            subsets=[*study.modalities, full_subset(names)],
            rule=rule,
            metrics=("f1", "balanced_accuracy"),
            ranking={"auroc": [], "average_precision": []},
            resamples=resamples,
            seed=seed,
        )
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


def addition_effects(levels: Estimate) -> xr.DataArray:
    """What each single addition to a non-empty subset does to signed differences: one of `EFFECTS`.

    With a before and b after, an addition *reverses* the difference if the intervals of a and of b exclude 0 with other
    signs. It *widens* it (b is larger in size than a) or *narrows* it if the intervals of both b - a and b + a exclude
    0, with equal or with other signs. All else is *unclear*. Additions to the empty set are left out: there
    is no difference before.

    Parameters
    ----------
    levels : Estimate with the dimensions ``subset`` and ``group``
        Signed differences of the whole power set, of all groups of one attribute. Intervals are simultaneous over
        all groups and subsets, or additions; a group with few events is *unclear*, and widens no other's interval.

    Returns
    -------
    xarray.DataArray with dimensions (subset, group), of str
        The rows of `single_additions` with a size above 0; ``subset`` is what there is after the addition,
        ``versus`` before.
    """
    levels = replace(levels, exact=None)  # intervals of few events hold for one subset each
    known = levels.sel(subset=[s for s in levels.labels("subset") if s != NONE])
    steps = single_additions(known.labels("subset"))
    if steps.empty:
        return known.value.isel(subset=slice(0)).astype(object)
    signs = known.clear(simultaneous=True)
    before, after = (signs.sel(subset=steps[end].tolist()).values for end in ("before", "after"))
    change, total = (_along_additions(known, sign).clear(simultaneous=True) for sign in (-1, 1))
    larger = change.values * total.values
    effect = np.select([before * after < 0, larger > 0, larger < 0], EFFECTS[:3], EFFECTS[3])
    return change.copy(data=effect.astype(object))


def count_additions(result: Evaluation, metrics: Sequence[str] = ("tpr", "selection_rate")) -> pd.DataFrame:
    """Numbers of single additions that reverse, widen or narrow the signed differences shown.

    Parameters
    ----------
    result : Evaluation
        Of the power set.
    metrics : sequence of str
        Whose signed differences are counted.

    Returns
    -------
    pandas.DataFrame
        A row for each difference shown. Columns metric, contrast (its label), additions (to a non-empty subset), and
        one for each of `EFFECTS`; see `addition_effects`.
    """
    rows = []
    for metric in metrics:
        for attribute, group in result.groups.contrasts.items():
            levels = result.difference(metric, attribute)
            effects = addition_effects(levels).sel(group=group).values
            counts = [int((effects == effect).sum()) for effect in EFFECTS]
            rows.append((metric, levels.sel(group=group).label, len(effects), *counts))
    return pd.DataFrame(rows, columns=["metric", "contrast", "additions", *EFFECTS])


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
    from sklearn.metrics import roc_auc_score

    singles = [str(s) for s in powerset["subset"].values if len(members(str(s))) == 1]
    if len(singles) > 1 and powerset["validation_score"].isnull().all():
        raise ValueError(
            f"These scores have no validation samples, which would choose one of {', '.join(singles)}; expected versus "
            "in each declared comparison of rq1 that is not about AUROC."
        )
    if len(singles) == 1:
        return singles[0]
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
    tested at 5 %; that is so if the smallest is. No modality has to be chosen as the best, and no correction is needed.

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


def without_modalities(levels: Estimate, left_out: Sequence[str]) -> Estimate:
    """Part of a power set that holds none of some modalities.

    Parameters
    ----------
    levels : Estimate with the dimension ``subset``
        Of the whole power set.
    left_out : sequence of str

    Returns
    -------
    Estimate
        The power set of the other modalities.

    Examples
    --------
    >>> from mmlib.measure.estimates import estimate
    >>> levels = estimate([[.5, .7, .6, .9]], {"subset": ["none", "vitals", "labs", "vitals+labs"]}, name="auroc")
    >>> without_modalities(levels, ["labs"]).labels("subset")
    ['none', 'vitals']
    """
    return levels.sel(subset=[s for s in levels.labels("subset") if not set(members(s)) & set(left_out)])


def change_between(levels: Estimate, before: str, after: str) -> Estimate:
    """Paired change from one subset to another.

    Parameters
    ----------
    levels : Estimate with the dimension ``subset``
        Of the whole power set, over which the variance of retraining is pooled.
    before, after : str
        Names of subsets.

    Returns
    -------
    Estimate
        With ``subset``, which is ``after``, and beside it ``versus``, which is ``before``.

    Examples
    --------
    >>> from mmlib.measure.estimates import estimate
    >>> levels = estimate([[.5, .7, .6, .9]], {"subset": ["none", "vitals", "labs", "vitals+labs"]}, name="auroc")
    >>> float(change_between(levels, "vitals", "vitals+labs").sel(subset="vitals+labs").value.round(1))
    0.2
    """
    row = [[(s == after) - (s == before) for s in levels.labels("subset")]]
    return levels.map(row, "subset", "subset", [after]).beside("subset", versus=[before])


def addition_table(
    result: Evaluation,
    by_group: Evaluation,
    baseline: str,
    unresolved: Sequence[str] = (),
    others: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Tidy rows of chapter 3: metrics of all subsets, all modalities against each single one, every single addition.

    Parameters
    ----------
    result : Evaluation
        From `evaluate_subsets`, of the power set.
    by_group : Evaluation
        From `evaluate_subsets`, of the full set, with AUROC by group.
    baseline : str
        From `strongest_single`.
    unresolved : sequence of str
        Modalities that the audit left unresolved.
    others : mapping of str to pandas.DataFrame, optional
        More rows, by their ``kind``.

    Returns
    -------
    pandas.DataFrame
        The artefact ``rq1``, with ``subset``, for changes ``versus``, and ``kind``: ``level``, ``headline`` (all
        modalities against a single one; the smallest gain in AUROC, and changes of signed differences from the
        baseline, are primary), ``without unresolved`` (the same gains in AUROC without those modalities), ``addition``
        (one modality to a subset), ``effect`` (of single additions on a signed difference in TPR: how many ``part``,
        of a ``total``), and those of ``others``. Signed differences are simultaneous over groups, changes in AUROC by
        single additions over all additions.
    """
    attributes, auroc, everything = result.groups.attributes, result.metric("auroc"), full_subset(result.labels)
    parts = []

    def add(kind, *frames):
        parts.extend(frame.assign(kind=kind) for frame in frames)

    def levels(evaluation, metric):
        every = evaluation.metric(metric)
        return [e.frame() for a in attributes for e in (replace(every, attribute=a), evaluation.metric(metric, a))]

    for metric in RATES:
        add("level", *levels(result, metric))
        add("level", *(result.difference(metric, a).frame(simultaneous="group") for a in attributes))
    add("level", auroc.frame(), *levels(by_group, "auroc"))
    if baseline != everything:
        least = str(smallest_gain(against_each(auroc)).value["versus"].item())
        rows = _gain_rows(auroc)
        add("headline", rows.assign(primary=rows["versus"] == least))
        for metric in RATES:
            changes = [change_between(result.difference(metric, a), baseline, everything) for a in attributes]
            add("headline", *(c.frame(simultaneous="group", primary=metric in PRIMARY) for c in changes))
    rest = without_modalities(auroc, unresolved)
    if unresolved and len(members(full_subset(rest.labels("subset")))) > 1:
        add("without unresolved", _gain_rows(rest))
    add("addition", addition_changes(auroc).frame(simultaneous=True))
    add("effect", _effect_rows(result))
    for kind, more in (others or {}).items():
        add(kind, more)
    return pd.concat(parts, ignore_index=True)


def _effect_rows(result):
    """Counts of `count_additions` in rows of the results contract."""
    counted = count_additions(result, ("tpr",))
    rows = []
    for (attribute, group), found in zip(result.groups.contrasts.items(), counted.to_dict("records"), strict=True):
        about = result.difference("tpr", attribute).sel(group=[group]).frame().iloc[:1]
        about = about[["metric", "attribute", "group", "reference", "n", "n_positive"]].assign(primary=False)
        rows += [about.assign(part=effect, estimate=found[effect], total=found["additions"]) for effect in EFFECTS]
    empty = dict.fromkeys(["low", "high", "se_patients", "se_retrain"], np.nan)
    return pd.concat(rows, ignore_index=True).assign(**empty) if rows else pd.DataFrame()


def _gain_rows(auroc):
    """Tidy rows of the gains of all modalities over each single one."""
    return against_each(auroc).frame().assign(subset=full_subset(auroc.labels("subset")))


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


def _along_additions(levels: Estimate, sign: int = -1) -> Estimate:
    """After minus before for all single additions whose two subsets are there; with ``sign`` 1, after plus before."""
    subsets = levels.labels("subset")
    steps = single_additions(subsets)
    matrix = _step_matrix(subsets)
    if sign > 0:
        matrix = np.abs(matrix)
    changes = levels.map(matrix, "subset", "subset", steps["after"]).beside("subset", versus=steps["before"])
    return changes.pool("subset", freedom=(levels.seeds - 1) * len(subsets))


def _named(estimate, prefix):
    """The same under the name of what it is a share of."""
    return replace(estimate, name=f"{prefix}_{estimate.name}{'_difference' if estimate.reference else ''}")
