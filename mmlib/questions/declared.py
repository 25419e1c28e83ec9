"""The comparisons that a run declares beforehand: estimated, tested as one family, and judged.

A run's YAML lists them under ``declared``, a mapping each::

    declared:
      - {question: rq1, metric: auroc}                              # all modalities minus each single one
      - {question: rq1, metric: tpr, attribute: race, group: Black, versus: first}
      - {question: rq2, metric: auroc, rate: 0.2}                   # expected loss at a drop rate, against the margin
      - {question: gap, metric: tpr, attribute: race, group: Black} # at the full model

``attribute`` and ``group`` make it a signed difference to the attribute's reference group. ``versus`` (rq1) is
``first`` (of the order) or a subset's name. Without it, AUROC over all samples is compared with *each* single modality
(an intersection-union test), anything else with the single modality that has the best validation AUROC.

**The verdict.** It is read off the 95 % interval that is shown beside it, and Holm's p-value can only make it more
cautious, so that both always agree:

- *differs*: the interval excludes 0, and the p-value is at most .05 after Holm's correction;
- *not after correction*: the interval excludes 0, the corrected p-value does not reject;
- *equivalent within the margin*: the interval includes 0 and lies within the margin, and two one-sided tests reject;
- *undecided*: the interval includes 0 and reaches beyond the margin, or no margin was declared;
- *not tested*: too few events, or nothing that could be tested.

For a difference at one model the p-value comes from permuting groups within the label, given these models, and the
interval from the bootstrap with retraining: where they disagree, the more cautious one rules. That a drop lowers
expected AUROC is true by construction, so its loss is held against a margin in proportion to the drop rate: *differs*
then says that the whole interval lies beyond that margin.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import MINIMUM_EVENTS, PLAIN, RESULTS
from mmlib.core.subsets import full_subset, members, subset_masks
from mmlib.core.words import METRICS, QUESTIONS, check_entries
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation, evaluate, evaluate_masked, select
from mmlib.measure.exact import effective_number
from mmlib.measure.expectation import pattern_probabilities
from mmlib.measure.groups import Groups
from mmlib.measure.significance import (
    change_p,
    equivalence,
    gap_test,
    holm,
    loss_margin,
    minimal_detectable_change,
    samples_to_decide,
)
from mmlib.questions.additions import against_each, smallest_gain, strongest_single

#: All verdicts; of a difference that was not declared it is only said that it is ``DESCRIBED``.
VERDICTS = ("differs", "not after correction", "equivalent within the margin", "undecided", "not tested")
DESCRIBED = "described"
ALPHA = 0.05
#: Events that a rate counts, in words, and among whom.
EVENTS = {"tpr": "positives found", "fpr": "negatives flagged", "selection_rate": "samples flagged"}
#: Columns of what is returned, before judgement.
COLUMNS = [*(c for c in RESULTS.columns if c != "run"), "question", "subset", "versus", "rate", "each"]
COLUMNS += ["n_effective", "refused", "p"]


def check_declared(declared: Sequence[Mapping], groups: Groups, cohort: pd.DataFrame) -> None:
    """Nothing, or a `ValueError` in one sentence if a declared comparison cannot be understood.

    Parameters
    ----------
    declared : sequence of mapping
        ``declared`` of the run.
    groups : mmlib.measure.groups.Groups
    cohort : pandas.DataFrame
    """
    check_entries(declared)
    masks = groups.masks(cohort)
    for number, entry in enumerate(declared, start=1):
        where = f"declared, entry {number} ({entry})"
        if "attribute" in entry:
            attribute, group = entry["attribute"], entry["group"]
            if attribute not in masks:
                raise ValueError(f"{where}: attribute {attribute!r} has no reference; {', '.join(masks)} have.")
            expected = [g for g in masks[attribute][0] if g not in ("all", groups.reference(attribute))]
            if group not in expected:
                raise ValueError(f"{where}: group is {group!r}; expected one of {', '.join(expected)}.")


def compare_declared(
    declared: Sequence[Mapping],
    full: Evaluation,
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
    """Estimates, tests and verdicts of what a run declared: one family, corrected by Holm's method.

    Changes are tested by the paired bootstrap with retraining variance added, gaps by permutation within the
    label (given these models). Rates with few events in a group or its reference are not tested
    (``mmlib.core.schema.MINIMUM_EVENTS``).

    Parameters
    ----------
    declared : sequence of mapping
        As the module says.
    full : Evaluation
        From `mmlib.questions.fairness.evaluate_full_model`, with the same patient weights and operating point.
    powerset, masking : xarray.Dataset
        The artefacts.
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n)
    groups : mmlib.measure.groups.Groups
    rule : str
    order : sequence of str
        Order of addition, whose first modality ``versus: first`` means; cohort order if empty.
    margins : mapping of str to float, optional
        By metric, the largest difference that does not matter.
    permutations, seed : int

    Returns
    -------
    pandas.DataFrame
        Rows of the results contract with ``question, subset, versus, rate``, ``each`` (compared with each single
        modality, of which ``versus`` has the smallest gain), ``n_effective, refused`` (a reason or ``""``), ``p``, and
        the columns of `judge_declared`.

    Raises
    ------
    ValueError
        In one sentence, from `check_declared`, or if a subset is unknown.
    """
    check_declared(declared, groups, cohort)
    signed = [entry for entry in declared if "group" in entry]
    asked = Groups({a: groups.reference(a) for a in (groups.first, *(entry["attribute"] for entry in signed))})
    ranked = {entry["attribute"] for entry in signed if entry["metric"] == "auroc"}
    wanted = {
        "groups": asked,
        "metrics": [m for m in METRICS if m != "auroc"],
        "ranking": {"auroc": [a for a in asked.attributes if a in ranked]},
    }
    names = [str(s) for s in powerset["subset"].values]
    complete, found = full_subset(names), {"gap": full}
    of = {question: [d for d in declared if d["question"] == question] for question in QUESTIONS}
    if of["rq1"]:
        chosen = any("versus" not in entry and not _against_each(entry) for entry in of["rq1"])
        baseline = strongest_single(powerset, cohort) if chosen else complete
        befores = [_before(entry, names, order, baseline) for entry in of["rq1"]]
        found["rq1"] = _additions(befores, powerset, cohort, patient_weights, rule, wanted)
    if of["rq2"]:
        if len(masking["pattern"]) < 2 ** len(members(full_subset(masking["pattern"].values))):
            raise ValueError("declared names rq2, but there are no scores of patterns; expected a column for each.")
        found["rq2"] = _losses(of["rq2"], masking, cohort, patient_weights, rule, wanted)
    masks, rows = asked.masks(cohort), []
    for entry in declared:
        question, metric, attribute = entry["question"], entry["metric"], entry.get("attribute", groups.first)
        result, margin = found[question], (margins or {}).get(metric)
        about, p = {"question": question, "each": False, "null": 0.0, "margin": margin}, np.nan
        if question == "rq1":
            quantity, p, about["versus"] = _gain(entry, result, complete, names, order, baseline)
            about |= {"subset": complete, "each": _against_each(entry)}
            models = [complete, about["versus"]]
        elif question == "rq2":
            models = [0.0, entry["rate"]]
            quantity = _levels(entry, result.changes([tuple(models)], [metric])).sel(rate=entry["rate"])
            about |= {"rate": entry["rate"], "versus": "0.0"}
            if metric == "auroc" and "group" not in entry:
                about["margin"] = margin and loss_margin(margin, entry["rate"])
                about["null"] = -about["margin"] if margin else np.nan
            p = _p(quantity, about["null"])
        else:
            quantity, models, about["subset"] = _levels(entry, result).sel(subset=complete), [complete], complete
        about["refused"] = _refused(entry, result, quantity, models, about)
        if question == "gap" and not about["refused"]:
            scored = powerset[["score", "threshold"]].sel(subset=complete, rule=rule, drop=True)
            q = scored.score if metric == "auroc" else select(scored.score, scored.threshold, cohort["fold"])
            tested = gap_test(
                cohort["label"],
                q.transpose("seed", "sample").values,
                *masks[attribute],
                cohort["patient_id"],
                metric,
                reference=quantity.reference,
                minimum=MINIMUM_EVENTS,
                permutations=permutations,
                seed=seed,
            ).set_index("group")
            p, about["refused"] = tested.p[entry["group"]], tested.refused[entry["group"]]
        about["p"] = np.nan if about["refused"] else float(p)
        who = masks[attribute][1][masks[attribute][0].index(entry.get("group", "all"))]
        about["n_effective"] = effective_number(pd.factorize(cohort["patient_id"])[0], who[None])[0]
        rows.append(quantity.frame(primary=True).iloc[0].to_dict() | about)
    return judge_declared(pd.DataFrame(rows).reindex(columns=[*COLUMNS, "null", "margin"]))


def judge_declared(table: pd.DataFrame) -> pd.DataFrame:
    """Declared comparisons with corrected p-values, a verdict in words, and what would decide the undecided ones.

    Parameters
    ----------
    table : pandas.DataFrame
        ``estimate, low, high, se_patients, se_retrain, p, null`` (the difference under the null hypothesis),
        ``margin`` and ``n``; p is nan where nothing was tested.

    Returns
    -------
    pandas.DataFrame
        With ``p_holm``; ``detectable``, the smallest difference from ``null`` that is detected with 80 % power at
        Holm's first step; ``p_equivalent`` of two one-sided tests, each on its own; ``attainable``, whether the margin
        is at least 2.9 standard errors; ``verdict``, one of ``VERDICTS``; and for undecided ones ``times``, the
        factor on patients that would decide, and ``n_needed``, that number of samples.
    """
    table = table.assign(margin=table.margin.astype(float), null=table.null.astype(float))
    tested = table.p.notna() & table.low.notna()
    table["p"] = table.p.astype(float).where(tested)
    table["p_holm"], family = holm(table.p), max(int(tested.sum()), 1)
    retrain = table.se_retrain.astype(float).fillna(0)
    se = np.hypot(table.se_patients.astype(float), retrain).where(tested)
    table["detectable"] = minimal_detectable_change(se, comparisons=family, alpha=ALPHA)
    both = [
        equivalence(e, s, m, alpha=ALPHA) if m > 0 and s > 0 else None
        for e, s, m in zip(table.estimate, se, table.margin, strict=True)
    ]
    table["attainable"] = pd.array([None if t is None else t.attainable for t in both], dtype="boolean")
    table["p_equivalent"] = np.array([np.nan if t is None else t.p for t in both], float)
    apart = (table.high < table.null) | ((table.low > table.null) & (table.null == 0))
    within = (table.low > -table.margin) & (table.high < table.margin) & (table.p_equivalent <= ALPHA)
    table["verdict"] = np.select(
        [~tested, apart & (table.p_holm <= ALPHA), apart, within], [VERDICTS[4], *VERDICTS[:3]], VERDICTS[3]
    )
    open_ = table.verdict == "undecided"
    times = samples_to_decide(table.margin, table.se_patients, retrain, comparisons=family, alpha=ALPHA)
    table["times"] = np.where(open_, times, np.nan)
    table["n_needed"] = np.ceil(table.times * table.n.astype(float))
    return table


def quote_declared(rows: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """Signed differences with the verdict and interval of those that were declared; the others are described.

    Parameters
    ----------
    rows : pandas.DataFrame
        Signed differences, rows of the results contract.
    judged : pandas.DataFrame
        From `compare_declared`.

    Returns
    -------
    pandas.DataFrame
        With ``verdict``, ``DESCRIBED`` where a difference was not declared; declared ones are primary, with the ``low``
        and ``high`` that their verdict was read off.
    """
    keys = ["metric", "attribute", "group"]
    own = judged[(judged.question == "gap") & judged.reference.notna()].set_index(keys)
    own = own[~own.index.duplicated()]
    at = own.index.get_indexer(pd.MultiIndex.from_frame(rows[keys]))
    declared, rows = at >= 0, rows.assign(verdict=DESCRIBED)
    rows["primary"] = rows.primary.to_numpy(bool) | declared
    for column in ("low", "high", "verdict") if declared.any() else ():
        rows.loc[declared, column] = own[column].to_numpy()[at[declared]]
    return rows


def counts_in_words(level: Estimate) -> str:
    """Count behind one rate with its exact 95 % interval, as ``2 of 55 positives found (...)``.

    Parameters
    ----------
    level : Estimate
        One rate that has counts.
    """
    (events, total), (low, high) = ([float(part) for part in pair] for pair in (level.counts, level.exact))
    shown = f"{events:.1f}".removesuffix(".0")
    return f"{shown} of {total:,.0f} {EVENTS[level.name]}, exact 95 % interval {low:.2f} to {high:.2f}"


def _levels(entry, result) -> Estimate:
    """Metric over all samples, or the signed difference that an entry names, of all models."""
    if "group" not in entry:
        return result.metric(entry["metric"])
    return result.difference(entry["metric"], entry["attribute"]).sel(group=entry["group"])


def _p(quantity, null=0.0) -> np.ndarray:
    """Two-sided p-value of a change, of one quantity or several."""
    return change_p(quantity.values - null, quantity.s_retrain.values, quantity.seeds, quantity.freedom)


def _against_each(entry) -> bool:
    """Whether an entry asks for AUROC over all samples against each single modality."""
    return entry["metric"] == "auroc" and not {"group", "versus"} & set(entry)


def _before(entry, names, order, baseline) -> str:
    """Name the subset that all modalities are compared with."""
    if "versus" not in entry:
        return baseline
    subset = ([*order] or [names[1]])[0] if entry["versus"] == "first" else entry["versus"]
    if subset not in names:
        raise ValueError(f"declared: versus is {subset!r}; expected first or a subset such as {names[1]!r}.")
    return subset


def _gain(entry, result, complete, names, order, baseline) -> tuple[Estimate, float, str]:
    """Gain that an entry declares, its p-value, and the subset that it is a gain over."""
    levels = _levels(entry, result)
    if _against_each(entry):
        singles = [s for s in names if len(members(s)) == 1 and s != complete]
        if not singles:
            return levels.sel(subset=complete) - levels.sel(subset=complete), np.nan, complete
        gains = against_each(levels.sel(subset=[*singles, complete]))
        smallest = smallest_gain(gains)  # of an intersection-union test the largest p-value counts
        return smallest, float(np.max(_p(gains))), str(smallest.value["versus"].item())
    before = _before(entry, names, order, baseline)
    change = levels.sel(subset=complete) - levels.sel(subset=before)
    return change, float(_p(change)), before


def _refused(entry, result, quantity, models, about) -> str:
    """Why an entry is not tested, or nothing."""
    if about.get("versus") == about.get("subset"):
        return "nothing was added: the comparison is with the same modalities"
    if np.isnan(about["null"]):
        return "any drop lowers expected AUROC by construction, and no margin for AUROC was declared"
    if quantity.small is not None and bool(quantity.small.any()):
        levels = result.metric(entry["metric"], entry["attribute"]) if "group" in entry else None
        for group in (entry.get("group"), quantity.reference) if levels is not None else ():
            for model in models[::-1]:
                level = levels.sel(**{result.key: model, "group": group})
                if bool(level.small):
                    few = f"{int(level.n_positive)} positives of {int(level.n):,}"
                    return f"{group}: {few if level.counts is None else counts_in_words(level)}"
        return f"fewer than {MINIMUM_EVENTS} events or non-events"
    return "" if np.isfinite(quantity.interval()[0]) else "too many resamples are undefined"


def _additions(befores, powerset, cohort, patient_weights, rule, wanted) -> Evaluation:
    """Evaluate all modalities, each single one and each subset that is named; retraining is pooled over all subsets."""
    names = [str(s) for s in powerset["subset"].values]
    kept = [s for s in names if len(members(s)) == 1 or s == full_subset(names) or s in befores]
    score, threshold = powerset["score"], powerset["threshold"].sel(rule=rule)
    parts = [part.sel(subset=kept) for part in (score, threshold)]
    return evaluate(*parts, cohort, patient_weights, **wanted, alike=(score, threshold))


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
