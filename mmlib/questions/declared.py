"""The comparisons that a run declares beforehand: estimated, tested as one family, and judged.

A run's YAML lists them under ``declared``, a mapping each::

    declared:
      - {question: rq1, metric: auroc}                              # all modalities minus the best single one
      - {question: rq1, metric: tpr, attribute: race, group: Black, versus: first}
      - {question: rq2, metric: auroc, rate: 0.2}                   # expected change at a drop rate
      - {question: gap, metric: tpr, attribute: race, group: Black} # at the full model

``attribute`` and ``group`` make it a signed difference to the attribute's reference group. ``versus`` (rq1) is
``best`` (single modality, chosen on validation; the default), ``first`` (of the order) or a subset's name.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import PLAIN, RESULTS
from mmlib.core.subsets import full_subset, members, subset_masks
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation, evaluate, evaluate_masked, select
from mmlib.measure.expectation import pattern_probabilities
from mmlib.measure.groups import Groups
from mmlib.measure.significance import (
    change_p,
    equivalence,
    gap_test,
    holm,
    minimal_detectable_change,
    too_small,
)
from mmlib.questions.additions import strongest_single

QUESTIONS = {
    "rq1": {"metric", "attribute", "group", "versus"},
    "rq2": {"metric", "attribute", "group", "rate"},
    "gap": {"metric", "attribute", "group"},
}
#: What may be declared: linear in the model, so that signed changes are meaningful.
METRICS = ("auroc", "tpr", "fpr", "selection_rate")
ALPHA = 0.05
#: Columns of what is returned, before judgement.
COLUMNS = [*(c for c in RESULTS.columns if c != "run"), "question", "subset", "versus", "rate", "refused", "p"]


def check_declared(declared: Sequence[Mapping], groups: Groups, cohort: pd.DataFrame) -> None:
    """Nothing, or a `ValueError` in one sentence if a declared comparison cannot be understood.

    Parameters
    ----------
    declared : sequence of mapping
        ``declared`` of the run.
    groups : mmlib.measure.groups.Groups
    cohort : pandas.DataFrame
    """
    masks = groups.masks(cohort)
    for number, entry in enumerate(declared, start=1):
        where = f"declared, entry {number} ({entry})"
        if not isinstance(entry, Mapping) or entry.get("question") not in QUESTIONS:
            raise ValueError(f"{where}: expected a mapping whose question is one of {', '.join(QUESTIONS)}.")
        question, metric = entry["question"], entry.get("metric")
        if unknown := sorted(set(entry) - QUESTIONS[question] - {"question"}):
            raise ValueError(
                f"{where}: {unknown[0]!r} does not go with {question}; expected {sorted(QUESTIONS[question])}."
            )
        if metric not in METRICS:
            raise ValueError(f"{where}: metric is {metric!r}; expected one of {', '.join(METRICS)}.")
        if ("attribute" in entry) != ("group" in entry) or (question == "gap" and "group" not in entry):
            raise ValueError(f"{where}: expected both attribute and group, or (for rq1 and rq2) neither.")
        if "attribute" in entry:
            attribute, group = entry["attribute"], entry["group"]
            if attribute not in masks:
                raise ValueError(f"{where}: attribute {attribute!r} has no reference; {', '.join(masks)} have.")
            expected = [g for g in masks[attribute][0] if g not in ("all", groups.reference(attribute))]
            if group not in expected:
                raise ValueError(f"{where}: group is {group!r}; expected one of {', '.join(expected)}.")
        rate = entry.get("rate")
        if question == "rq2" and not (isinstance(rate, int | float) and 0 < rate <= 1):
            raise ValueError(f"{where}: rate is {rate!r}; expected a drop rate above 0 and up to 1.")


def compare_declared(
    declared: Sequence[Mapping],
    powerset: xr.Dataset,
    masking: xr.Dataset,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    groups: Groups,
    *,
    rule: str = "prevalence",
    order: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    permutations: int = 1999,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimates and tests of what a run declared: one family, corrected by Holm's method.

    Changes are tested by the paired bootstrap with retraining variance added, gaps by permutation within the
    label (given these models). A group with fewer than 30 patients of a label that the metric needs is refused.

    Parameters
    ----------
    declared : sequence of mapping
        As the module says.
    powerset, masking : xarray.Dataset
        The artefacts.
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n)
    groups : mmlib.measure.groups.Groups
    rule : str
    order : sequence of str
        Order of addition, whose first modality ``versus: first`` means; cohort order if empty.
    margins : mapping of str to float, optional
        By metric, the largest difference that does not matter, for an equivalence test (not part of the family).
    permutations, seed : int

    Returns
    -------
    pandas.DataFrame
        Rows of the results contract with ``question, versus``, ``refused`` (a reason or ``""``), ``p``, ``p_holm``,
        ``detectable`` (with 80 % power, Holm's first step), ``margin, attainable, p_equivalent`` and ``verdict``.

    Raises
    ------
    ValueError
        In one sentence, from `check_declared`, or if a subset is unknown.
    """
    check_declared(declared, groups, cohort)
    signed = [entry for entry in declared if "group" in entry]
    asked = Groups({a: groups.reference(a) for a in (groups.first, *(entry["attribute"] for entry in signed))})
    ranked = {groups.first, *(entry["attribute"] for entry in signed if entry["metric"] == "auroc")}
    wanted = {
        "groups": asked,
        "metrics": [m for m in METRICS if m != "auroc"],
        "ranking": {"auroc": [a for a in asked.attributes if a in ranked]},
    }
    complete = full_subset(powerset["subset"].values)
    full = powerset[["score", "threshold"]].sel(subset=[complete], rule=rule)
    found, of = {}, {question: [d for d in declared if d["question"] == question] for question in QUESTIONS}
    if of["rq1"]:
        found["rq1"] = _additions(of["rq1"], powerset, cohort, patient_weights, order, rule, wanted)
    if of["rq2"]:
        found["rq2"] = _losses(of["rq2"], masking, cohort, patient_weights, rule, wanted)
    if of["gap"]:
        found["gap"] = evaluate(full.score, full.threshold, cohort, patient_weights, **wanted)
    masks, rows = asked.masks(cohort), []
    for entry in declared:
        quantity, question, metric = _quantity(entry, found), entry["question"], entry["metric"]
        about = {"question": question, "refused": _refused(entry, quantity, masks, cohort), "p": np.nan}
        about |= {"rate": entry["rate"]} if question == "rq2" else {"subset": complete}
        if not about["refused"] and question == "gap":
            q = full.score if metric == "auroc" else select(full.score, full.threshold, cohort["fold"])
            tested = gap_test(
                cohort["label"],
                q.isel(subset=0).values,
                *masks[entry["attribute"]],
                cohort["patient_id"],
                metric,
                reference=quantity.reference,
                permutations=permutations,
                seed=seed,
            )
            about["p"] = tested.set_index("group").p[entry["group"]]
        elif not about["refused"]:
            about["p"] = float(change_p(quantity.values, quantity.s_retrain, quantity.seeds))
        rows.append(quantity.frame(primary=True).iloc[0].to_dict() | about)
    return judge_declared(pd.DataFrame(rows).reindex(columns=COLUMNS), margins or {})


def judge_declared(table: pd.DataFrame, margins: Mapping[str, float], alpha: float = ALPHA) -> pd.DataFrame:
    """Declared comparisons with corrected p-values, the smallest detectable difference, and a verdict in words.

    Parameters
    ----------
    table : pandas.DataFrame
        ``metric, estimate, se_patients, se_retrain, p``; nan is a refused test.
    margins : mapping of str to float
        Equivalence margin by metric.
    alpha : float

    Returns
    -------
    pandas.DataFrame
        With ``p_holm, detectable, margin, attainable, p_equivalent`` and ``verdict``: ``differs``, ``differs, by
        less than the margin``, ``no difference beyond the margin``, ``no clear difference`` or ``not tested``.
    """
    table = table.assign(p_holm=holm(table.p))
    se = np.hypot(table.se_patients, table.se_retrain.fillna(0)).where(table.p.notna())
    table["detectable"] = minimal_detectable_change(se, comparisons=max(int(table.p.notna().sum()), 1), alpha=alpha)
    table["margin"] = table.metric.map(margins).astype(float)
    tests = [
        equivalence(e, s, m, alpha=alpha) if m > 0 and s > 0 else None
        for e, s, m in zip(table.estimate, se, table.margin, strict=True)
    ]
    table["attainable"] = pd.array([None if t is None else t.attainable for t in tests], dtype="boolean")
    table["p_equivalent"] = [np.nan if t is None else t.p for t in tests]
    words = []
    for p, equal in zip(table.p_holm, table.p_equivalent <= alpha, strict=True):
        differs = "differs, by less than the margin" if equal else "differs"
        same = "no difference beyond the margin" if equal else "no clear difference"
        words.append("not tested" if np.isnan(p) else differs if p <= alpha else same)
    return table.assign(verdict=words)


def _quantity(entry, found) -> Estimate:
    """What an entry declares: one quantity of the evaluations."""
    question, metric = entry["question"], entry["metric"]
    result = found[question]
    if question != "gap":
        pair = (entry.get("versus", "best"), "all") if question == "rq1" else (0.0, entry["rate"])
        result = result.changes([pair], [metric])
    every = result.difference(metric, entry["attribute"]) if "group" in entry else result.metric(metric)
    (label,) = result.labels
    every = every.sel(**{result.key: label})
    return every.sel(group=entry["group"]) if "group" in entry else every


def _refused(entry, quantity, masks, cohort) -> str:
    """Why an entry is not tested, or nothing."""
    if "group" not in entry:
        return ""
    own = dict(zip(*masks[entry["attribute"]], strict=True))
    small = [
        too_small(cohort["label"], own[name], cohort["patient_id"], entry["metric"], name)
        for name in (entry["group"], quantity.reference)
    ]
    return next(filter(None, small), "")


def _additions(declared, powerset, cohort, patient_weights, order, rule, wanted) -> Evaluation:
    """Evaluate all modalities and each subset that is named; names stay as declared."""
    names = [str(s) for s in powerset["subset"].values]
    data = powerset[["score", "threshold"]]
    parts = {"all": data.sel(subset=full_subset(names), drop=True)}
    for name in dict.fromkeys(entry.get("versus", "best") for entry in declared):
        subset = (order or [names[1]])[0] if name == "first" else name
        if name == "best":
            parts[name] = data.sel(subset=strongest_single(powerset, cohort), drop=True)
        elif subset in names:
            parts[name] = data.sel(subset=subset, drop=True)
        else:
            raise ValueError(f"declared: versus is {name!r}; expected best, first or a subset such as {names[1]!r}.")
    label = pd.Index(list(parts), name="subset")
    data = xr.concat(list(parts.values()), label, coords="minimal", compat="override").sel(rule=rule)
    return evaluate(data.score, data.threshold, cohort, patient_weights, **wanted)


def _losses(declared, masking, cohort, patient_weights, rule, wanted) -> Evaluation:
    """Evaluate the expectation at each drop rate that is named and at none, modalities being lost at random."""
    rates = [0.0, *dict.fromkeys(entry["rate"] for entry in declared)]
    plain = masking.sel(regime=PLAIN, rule=rule)
    modalities = members(full_subset(masking["pattern"].values))
    present = cohort[[f"present_{m}" for m in modalities]].to_numpy()
    drop = np.multiply.outer(rates, np.ones((1, len(modalities))))
    wanted = wanted | {"auroc_of": wanted["ranking"]["auroc"]}
    del wanted["ranking"]
    return evaluate_masked(
        plain.score,
        plain.threshold,
        pattern_probabilities(drop, subset_masks(modalities)[1], present),
        rates,
        cohort,
        patient_weights,
        **wanted,
    )
