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
from mmlib.measure.evaluate import Evaluation, evaluate, evaluate_masked, select
from mmlib.measure.expectation import pattern_probabilities
from mmlib.measure.metrics import group_masks
from mmlib.measure.significance import (
    change_p,
    equivalence,
    gap_test,
    holm,
    minimal_detectable_change,
    too_small,
)
from mmlib.questions.additions import best_single

QUESTIONS = {
    "rq1": {"metric", "attribute", "group", "versus"},
    "rq2": {"metric", "attribute", "group", "rate"},
    "gap": {"metric", "attribute", "group"},
}
#: What may be declared: linear in the model, so that signed changes are meaningful.
METRICS = ("auroc", "tpr", "fpr", "selection_rate")
ALPHA = 0.05
#: Columns of what is returned, before judgement.
COLUMNS = [*RESULTS.columns, "question", "subset", "versus", "rate", "refused", "p"]


def check_declared(declared: Sequence[Mapping], references: Mapping[str, str], cohort: pd.DataFrame) -> None:
    """Raise a `ValueError`, in one sentence, unless every declared comparison can be understood.

    Parameters
    ----------
    declared : sequence of mapping
        ``declared`` of the run.
    references : mapping of str to str
        Protected attribute (or crossing) to reference group.
    cohort : pandas.DataFrame
    """
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
            if attribute not in references:
                raise ValueError(f"{where}: attribute {attribute!r} has no reference; {list(references)} have.")
            known = group_masks(cohort, [attribute])[attribute][0][1:]
            if group not in known or group == references[attribute]:
                expected = [g for g in known if g != references[attribute]]
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
    references: Mapping[str, str],
    *,
    run: str,
    rule: str = "prevalence",
    order: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    permutations: int = 1999,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate and test what a run declared: one family, corrected by Holm's method.

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
    references : mapping of str to str
        Protected attribute to reference group.
    run, rule : str
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
    check_declared(declared, references, cohort)
    y, patients = cohort["label"].to_numpy(), cohort["patient_id"]
    crossed = [d for d in declared if "group" in d]
    attributes = list(dict.fromkeys([next(iter(references)), *(d["attribute"] for d in crossed)]))
    ranked = {attributes[0], *(d["attribute"] for d in crossed if d["metric"] == "auroc")}
    ranked = [a for a in attributes if a in ranked]
    measured = {"attributes": attributes, "metrics": METRICS[1:]}
    full, asked = powerset.isel(subset=[-1]), {d["question"] for d in declared}
    found = {}
    if "rq1" in asked:
        found["rq1"] = _additions(declared, powerset, cohort, patient_weights, order, rule, ranked, measured)
    if "rq2" in asked:
        found["rq2"] = _losses(declared, masking, cohort, patient_weights, rule, ranked, measured)
    if "gap" in asked:
        cut = full.threshold.sel(rule=rule)
        found["gap"] = evaluate(full.score, cut, cohort, patient_weights, ranking={"auroc": ranked}, **measured)
    chosen = select(full.score, full.threshold.sel(rule=rule), cohort["fold"]).isel(subset=0).values
    rows = []
    for entry in declared:
        question, metric = entry["question"], entry["metric"]
        attribute, group = entry.get("attribute", attributes[0]), entry.get("group", "all")
        reference, result = references[attribute] if "group" in entry else None, found[question]
        wanted = {"rq1": entry.get("versus", "best"), "rq2": entry.get("rate"), "gap": None}[question]
        k = {"rq1": result.versus, "rq2": result.labels, "gap": [None]}[question].index(wanted)
        row = result.frame(run, metric, attribute, reference=reference, primary=True)
        row = row[row.group == group].iloc[k].to_dict() | {"question": question, "refused": ""}
        row |= {"rate": wanted} if question == "rq2" else {"subset": str(full["subset"].values[0])}
        names, masks = group_masks(cohort, [attribute])[attribute]
        if "group" in entry:
            for name in (reference, group):
                small = too_small(y, masks[names.index(name)], patients, metric, name)
                row["refused"] = small or row["refused"]
        if row["refused"]:
            row["p"] = np.nan
        elif question == "gap":
            q = full.score.isel(subset=0).values if metric == "auroc" else chosen
            tested = gap_test(
                y, q, names, masks, patients, metric, reference=reference, permutations=permutations, seed=seed
            )
            row["p"] = tested.set_index("group").p[group]
        else:
            draws, spread = result.series(metric, attribute, group, reference)
            s_retrain = spread[:, k].std(ddof=1) if len(spread) > 1 else 0.0
            row["p"] = float(change_p(draws[:, k], s_retrain, len(spread)))
        rows.append(row)
    return judge_declared(pd.DataFrame(rows).reindex(columns=COLUMNS), margins or {})


def judge_declared(table: pd.DataFrame, margins: Mapping[str, float], alpha: float = ALPHA) -> pd.DataFrame:
    """Correct the p-values of one family, say what could have been detected, and put each row into a word.

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
        less than the margin``, ``no difference beyond the margin``, ``cannot tell`` or ``not tested``.
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
        same = "no difference beyond the margin" if equal else "cannot tell"
        words.append("not tested" if np.isnan(p) else differs if p <= alpha else same)
    return table.assign(verdict=words)


def _additions(declared, powerset, cohort, patient_weights, order, rule, ranked, measured) -> Evaluation:
    """Evaluate all modalities minus each subset that is named; ``versus`` keeps the names as declared."""
    names = [str(s) for s in powerset["subset"].values]
    versus = list(dict.fromkeys(d.get("versus", "best") for d in declared if d["question"] == "rq1"))
    data = powerset[["score", "threshold"]]
    parts = [data.sel(subset=names[-1], drop=True)]
    for name in versus:
        subset = (order or [names[1]])[0] if name == "first" else name
        if name != "best" and subset not in names:
            raise ValueError(f"declared: versus is {name!r}; expected best, first or a subset such as {names[1]!r}.")
        if name == "best":
            parts.append(best_single(powerset, cohort).drop_vars("chosen"))
        else:
            parts.append(data.sel(subset=subset, drop=True))
    data = xr.concat(parts, pd.Index(["all", *versus], name="subset"), coords="minimal", compat="override")
    cut = data.threshold.sel(rule=rule)
    result = evaluate(data.score, cut, cohort, patient_weights, ranking={"auroc": ranked}, **measured)
    return result.changes([(name, "all") for name in versus])


def _losses(declared, masking, cohort, patient_weights, rule, ranked, measured) -> Evaluation:
    """Evaluate the expected change at each drop rate that is named, modalities being lost at random."""
    rates = list(dict.fromkeys(d["rate"] for d in declared if d["question"] == "rq2"))
    plain = masking.sel(regime=PLAIN)
    modalities = members(full_subset(masking["pattern"].values))
    present = cohort[[f"present_{m}" for m in modalities]].to_numpy()
    drop = np.multiply.outer([0.0, *rates], np.ones((1, len(modalities))))
    result = evaluate_masked(
        plain.score,
        plain.threshold.sel(rule=rule),
        pattern_probabilities(drop, subset_masks(modalities)[1], present),
        [0.0, *rates],
        cohort,
        patient_weights,
        auroc_of=ranked,
        **measured,
    )
    return result.changes([(0.0, rate) for rate in rates])
