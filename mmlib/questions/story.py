"""What the tables of all runs say side by side: one tidy frame for each question of the story.

Every function takes the tables of some runs, as ``mmlib.runs.read_runs`` gives them, and returns rows that carry the
``run``, what readers call it (``title``) and its ``kind``: real health cohorts come first, other cohorts and synthetic
twins after them. Nothing is estimated here: every number is one that a run wrote, and a run without it has no row.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlib.core.schema import MINIMUM, PLAIN
from mmlib.core.subsets import members
from mmlib.core.words import RUN_KINDS
from mmlib.measure.scenarios import AT_RANDOM
from mmlib.models.names import BASE
from mmlib.questions.additions import EFFECTS
from mmlib.questions.claims import collect_claims
from mmlib.questions.declared import DESCRIBED
from mmlib.questions.drops import OBSERVED
from mmlib.questions.mitigation import COMPLETE, mechanisms_among, rate_label

#: Normal quantile of a two-sided 95 % interval.
Z95 = 1.959964
#: Columns that say whose numbers a row holds.
WHOSE = ["run", "title", "kind"]
ENDS = ["estimate", "low", "high"]
#: Stands for any value of a column.
GIVEN = object()
#: Columns that a table may lack if its run had nothing to put there.
NUMBERS = [
    *ENDS,
    "n",
    "n_positive",
    "se_patients",
    "events",
    "one_run",
    "margin",
    "detectable",
    "times",
    "n_needed",
]
WORDS = [
    "metric",
    "attribute",
    "group",
    "reference",
    "primary",
    "row",
    "subset",
    "versus",
    "part",
    "regime",
    "mechanism",
]
WORDS += ["side", "modality", "way", "question", "verdict", "field", "label"]
USED = dict.fromkeys([*NUMBERS, "rate", "n_present"], float) | dict.fromkeys(WORDS, object)


def joined(tables: Mapping, name: str) -> pd.DataFrame:
    """One table of all runs, real health cohorts first, with the ``title`` and ``kind`` of each run.

    Parameters
    ----------
    tables : mapping of str to RunTables
        From ``mmlib.runs.read_runs``.
    name : str
        Of the table, such as ``"rq1"``, whose own column ``kind`` is called ``row``.
    """
    order = sorted(tables, key=lambda run: RUN_KINDS.index(tables[run].kind))
    parts = []
    for run in order:
        table = tables[run].table(name).rename(columns={"kind": "row"})
        parts.append(table.assign(run=run, title=tables[run].title, kind=tables[run].kind))
    filled = [part for part in parts if len(part)] or parts[:1] or [pd.DataFrame(columns=WHOSE)]
    table = pd.concat(filled, ignore_index=True)
    return table.assign(
        **{name: pd.Series(np.nan, table.index, kind) for name, kind in USED.items() if name not in table}
    )


def cohort_sizes(tables: Mapping) -> pd.DataFrame:
    """Samples, units, positives, outcome and modalities of each run: ``n, patients, positives, task, modalities``."""
    names = ("n", "patients", "positives", "task", "units", "samples")
    rows = [
        {"run": run, "title": t.title, "kind": t.kind, **{k: getattr(t, k) for k in names}}
        | {"modalities": len(t.modalities)}
        for run, t in tables.items()
    ]
    return pd.DataFrame(rows).sort_values(
        "kind", key=lambda k: k.map(RUN_KINDS.index), kind="stable", ignore_index=True
    )


def group_rates(tables: Mapping) -> pd.DataFrame:
    """True positive rate of every group with all modalities, with its count and interval.

    Returns
    -------
    pandas.DataFrame
        ``attribute, group, n, n_positive, events`` (positives found, a mean over trainings), ``estimate, low, high``,
        ``overall`` (the rate over all samples), ``shown`` (the group or the reference of a difference shown),
        ``reference`` (whether it is the reference), ``large`` (30 positives or more), ``below`` (the interval lies
        below the overall rate) and ``task``, the outcome.
    """
    rates = _rows(joined(tables, "fairness"), metric="tpr", reference=None)
    rates = _single(rates)
    overall = rates[rates.group == "all"].drop_duplicates("run").set_index("run").estimate
    rates = rates[rates.group != "all"].reset_index(drop=True)
    task = {run: own.task or "outcome" for run, own in tables.items()}
    rates = rates.assign(overall=rates.run.map(overall).astype(float), task=rates.run.map(task))
    rates = rates.assign(reference=_is(rates, tables, "references"), shown=_is_compared(rates, tables))
    rates = rates.assign(large=rates.n_positive >= MINIMUM, below=rates.high < rates.overall)
    columns = [
        "attribute",
        "group",
        "n",
        "n_positive",
        "events",
        *ENDS,
        "overall",
        "shown",
        "reference",
        "large",
    ]
    return rates[[*WHOSE, *columns, "below", "task"]]


def lowest_rates_of_runs(rates: pd.DataFrame) -> pd.DataFrame:
    """The group with the lowest true positive rate of each run, among those with 30 positives or more.

    Parameters
    ----------
    rates : pandas.DataFrame
        From `group_rates`. Attributes with fewer than two such groups are left out.
    """
    large = rates[rates.large]
    large = large[large.groupby(["run", "attribute"]).group.transform("size") > 1]
    return large.loc[large.groupby("run", sort=False).estimate.idxmin()].reset_index(drop=True)


def lacking_shares(tables: Mapping) -> pd.DataFrame:
    """Share of samples that lack each modality, overall and in each group: ``lacking``, of ``n`` samples."""
    cells = _rows(joined(tables, "sizes"), modality=GIVEN, label="all")
    cells = _single(cells)
    cells = cells.assign(lacking=1 - cells.n_present.astype(float) / cells.n)
    return cells[[*WHOSE, "attribute", "group", "modality", "n", "lacking"]].reset_index(drop=True)


def audit_verdicts(tables: Mapping) -> pd.DataFrame:
    """Verdict of the audit on every field and modality of each run: ``field, label, verdict``."""
    fields = joined(tables, "audit").drop_duplicates(["run", "field"])
    return fields[[*WHOSE, "field", "label", "verdict"]].reset_index(drop=True)


def all_gains(tables: Mapping) -> pd.DataFrame:
    """Gain in AUROC of all modalities over each single one, the smallest of each run marked as ``primary``.

    Returns
    -------
    pandas.DataFrame
        ``versus`` (the single modality), ``estimate, low, high``, ``full`` (AUROC of all modalities), ``n, n_positive,
        primary``, ``kept``: whether the audit left no modality out (``headline``) or some (``without unresolved``), and
        ``verdict``, that of the run on this gain (``described`` where it declared none).
    """
    table = _rows(joined(tables, "rq1"), metric="auroc")
    level = table[(table.row == "level") & (table.group == "all")].drop_duplicates(["run", "subset"])
    level = level.set_index(["run", "subset"]).estimate.rename("full")
    gains = table[table.row.isin(["headline", "without unresolved"])]
    gains = gains.join(level, on=["run", "subset"]).rename(columns={"row": "kept"})
    declared = _rows(joined(tables, "declared"), question="rq1", metric="auroc", group="all")
    verdicts = declared.drop_duplicates(["run", "versus"])[["run", "versus", "verdict"]].assign(kept="headline")
    gains = gains.drop(columns="verdict", errors="ignore").merge(verdicts, how="left", on=["run", "versus", "kept"])
    columns = ["versus", "subset", *ENDS, "full", "n", "n_positive", "primary", "kept"]
    return gains.assign(verdict=gains.verdict.fillna(DESCRIBED))[[*WHOSE, *columns, "verdict"]]


def health_only(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of real health cohorts, the only ones that are counted."""
    return rows[rows.kind == "health"]


def is_clear(rows, value: float = 0.0):
    """Whether the 95 % interval of each row, or of one, excludes a value."""
    return (rows.low > value) | (rows.high < value)


def is_found(rows):
    """Whether each row, or one, *differs* by the verdict of its run; what is only described, by its interval."""
    return (rows.verdict == "differs") | ((rows.verdict == DESCRIBED) & is_clear(rows))


def judged_only(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the verdict of a declared test; differences that are only described, or have few events, aside.

    Examples
    --------
    >>> judged_only(pd.DataFrame({"verdict": ["differs", "described", "not tested"]})).verdict.tolist()
    ['differs']
    """
    return rows[~rows.verdict.isin(["not tested", DESCRIBED])]


def smallest_gains(gains: pd.DataFrame, kept: str = "headline") -> pd.DataFrame:
    """The smallest gain of each run, which decides whether all modalities beat each single one.

    Parameters
    ----------
    gains : pandas.DataFrame
        From `all_gains`.
    kept : {"headline", "without unresolved"}
    """
    own = gains[gains.kept == kept]
    return own.loc[own.groupby("run", sort=False).estimate.idxmin()].reset_index(drop=True)


def changed_contrasts(tables: Mapping) -> pd.DataFrame:
    """Change of each TPR difference shown, from the single modality of validation to all, with the verdict of its run.

    Returns
    -------
    pandas.DataFrame
        ``attribute, group, reference, versus, estimate, low, high, n_positive, verdict`` (``described`` where the run
        did not declare it) and ``gain`` (the smallest gain in AUROC of the run).
    """
    rows = _rows(joined(tables, "rq1"), row="headline", metric="tpr")
    rows = _shown(rows, tables)
    rows = _judged(rows, tables, "rq1")
    gain = smallest_gains(all_gains(tables)).set_index("run").estimate
    rows = rows.assign(gain=rows.run.map(gain))
    return rows[[*WHOSE, "attribute", "group", "reference", "versus", *ENDS, "n_positive", "verdict", "gain"]]


def contrast_parts(tables: Mapping) -> pd.DataFrame:
    """Ranking, allocation and overall share of each changed TPR difference, a row for each part."""
    rows = _rows(joined(tables, "rq1"), row="parts", metric="part_tpr")
    return _shown(rows, tables)[[*WHOSE, "attribute", "group", "reference", "versus", "part", *ENDS]]


def noise_effects(tables: Mapping) -> pd.DataFrame:
    """What a modality of random sentences adds to all modalities of each run, in AUROC."""
    rows = _rows(joined(tables, "rq1"), row="noise", metric="auroc")
    return _of_most(rows, "versus")[[*WHOSE, "versus", *ENDS, "n"]].reset_index(drop=True)


def addition_shares(tables: Mapping) -> pd.DataFrame:
    """Numbers of single additions of each run that raise AUROC, and that do so or lower it clearly.

    Returns
    -------
    pandas.DataFrame
        ``additions, raised, up, down`` (intervals, simultaneous over all additions of the run, above and below 0) and,
        over the TPR differences shown, ``changes`` and one column for each of
        ``mmlib.questions.additions.EFFECTS``; NaN where the run did not count them.
    """
    table = joined(tables, "rq1")
    steps, effects = table[table.row == "addition"], table[table.row == "effect"]
    counted = steps.assign(raised=steps.estimate > 0, up=steps.low > 0, down=steps.high < 0)
    counted = counted.groupby(WHOSE, sort=False).agg(
        additions=("estimate", "size"), raised=("raised", "sum"), up=("up", "sum"), down=("down", "sum")
    )
    found = effects.pivot_table(index="run", columns="part", values="estimate", aggfunc="sum")
    found = found.reindex(columns=list(EFFECTS)).assign(changes=found.sum(axis=1))
    return counted.reset_index().join(found, on="run")


def drop_curves(tables: Mapping) -> pd.DataFrame:
    """Expected AUROC of the plain model at each drop rate: ``rate, estimate, low, high``."""
    rows = _rows(joined(tables, "rq2"), metric="auroc", versus=None, mechanism=AT_RANDOM, regime=PLAIN)
    return rows[[*WHOSE, "rate", *ENDS, "n", "n_positive"]].reset_index(drop=True)


def drop_losses(tables: Mapping) -> pd.DataFrame:
    """Expected loss of AUROC at the rates of the paper, beside the chance of one test run.

    Returns
    -------
    pandas.DataFrame
        ``rate``, ``estimate, low, high`` of the loss (positive: AUROC falls), ``run`` to which it belongs, ``chance``
        (half-width of the 95 % interval of one masked run on the same samples), ``other`` (that of two test sets of
        other samples), ``margin``, ``seen`` (loss above ``chance``), ``seen_elsewhere`` (above ``other`` too) and
        ``beyond`` (the interval of the loss lies above the margin).
    """
    of_plain = _rows(joined(tables, "rq2"), metric="auroc", mechanism=AT_RANDOM, regime=PLAIN)
    rows, complete = _rows(of_plain, versus=GIVEN), _rows(of_plain, versus=None, rate=0)
    complete = complete.drop_duplicates("run").set_index("run").se_patients
    rows = rows.assign(estimate=-rows.estimate, low=-rows.high, high=-rows.low, chance=Z95 * rows.one_run)
    rows = rows.assign(other=Z95 * np.sqrt(2) * rows.run.map(complete).astype(float))
    rows = rows.assign(
        seen=rows.estimate > rows.chance,
        seen_elsewhere=(rows.estimate > rows.chance) & (rows.estimate > rows.other),
        beyond=rows.low > rows.margin,
    )
    columns = [
        "rate",
        *ENDS,
        "chance",
        "other",
        "margin",
        "seen",
        "seen_elsewhere",
        "beyond",
        "n",
        "n_positive",
    ]
    return rows[[*WHOSE, *columns]].reset_index(drop=True)


def dropped_contrasts(tables: Mapping, rate: float = 0.2) -> pd.DataFrame:
    """Expected change of each TPR difference shown at a drop rate, with the verdict of its run."""
    rows = _rows(joined(tables, "rq2"), metric="tpr", versus=GIVEN, mechanism=AT_RANDOM, rate=rate)
    rows = _judged(_shown(rows, tables), tables, "rq2", rate)
    return rows[[*WHOSE, "attribute", "group", "reference", "rate", *ENDS, "n_positive", "verdict", "margin"]]


def mechanism_levels(tables: Mapping) -> pd.DataFrame:
    """Expected AUROC of the plain model at the highest rate at which mechanisms are compared, by ``mechanism``."""
    rows = _rows(joined(tables, "rq2"), metric="auroc", versus=None, regime=PLAIN, rate=GIVEN)
    others = rows[rows.mechanism != AT_RANDOM]
    rows = rows[
        np.isclose(rows.rate.astype(float), rows.run.map(others.groupby("run").rate.max()).astype(float))
    ]
    return rows[[*WHOSE, "mechanism", "rate", *ENDS]].reset_index(drop=True)


def real_absences(tables: Mapping) -> pd.DataFrame:
    """Samples that really lack a modality minus what masking predicts for like samples, by ``modality`` and metric."""
    rows = _rows(joined(tables, "rq2"), metric=("auroc", "tpr"), mechanism=OBSERVED, side=None, regime=PLAIN)
    return rows[[*WHOSE, "modality", "metric", *ENDS, "n", "n_positive"]].reset_index(drop=True)


def full_contrasts(tables: Mapping) -> pd.DataFrame:
    """TPR difference of the full model for every group shown, with verdict and the smallest detectable difference.

    Returns
    -------
    pandas.DataFrame
        ``attribute, group, reference, estimate, low, high, n_positive, verdict, detectable, times, n_needed`` (NaN
        where the run did not declare the comparison).
    """
    rows = _rows(joined(tables, "fairness"), metric="tpr", reference=GIVEN)
    rows = _judged(_shown(rows, tables), tables, "gap")
    columns = [
        "attribute",
        "group",
        "reference",
        *ENDS,
        "n_positive",
        "verdict",
        "detectable",
        "times",
        "n_needed",
    ]
    return rows[[*WHOSE, *columns]]


def group_calibration(tables: Mapping) -> pd.DataFrame:
    """Observed over expected events of the full model, for the groups shown and their references."""
    rows = _rows(joined(tables, "rq1"), row="parts", metric="observed_expected")
    rows = _of_most(rows, "subset")
    rows = rows[_is_compared(rows, tables)].drop_duplicates(["run", "attribute", "group"])
    return rows[[*WHOSE, "attribute", "group", *ENDS, "n_positive"]].reset_index(drop=True)


def regime_gains(tables: Mapping, rate: float = 0.5) -> pd.DataFrame:
    """Gain in AUROC of each training regime over the plain model, with complete inputs, at random, and by mechanism.

    Parameters
    ----------
    tables : mapping of str to RunTables
    rate : float
        Drop rate at random.

    Returns
    -------
    pandas.DataFrame
        ``regime``, ``case`` (``complete``, ``at random``, the mechanism or its mirror), ``estimate, low, high``,
        ``chosen`` (on validation samples) and ``sign`` (gains clearly under one of mechanism and mirror and loses under
        the other: it has read absence as a sign).
    """
    rows = _rows(joined(tables, "mitigation"), metric="auroc", versus=BASE)
    pair = {run: mechanisms_among(own.rate.unique()) for run, own in rows.groupby("run")}
    wanted = {COMPLETE: "complete", rate_label(rate): "at random"}
    case = [
        wanted.get(_label(r.rate), _label(r.rate) if _label(r.rate) in pair[r.run] else None)
        for r in rows.itertuples()
    ]
    rows = rows.assign(case=case).dropna(subset="case").rename(columns={"primary": "chosen"})
    clear = np.sign(rows.estimate) * is_clear(rows)
    apart = rows.assign(clear=clear)[~rows.case.isin(["complete", "at random"])]
    signs = apart.groupby(["run", "regime"]).clear.agg(lambda found: {1, -1} <= set(found))
    rows = rows.join(signs.rename("sign"), on=["run", "regime"])
    rows = rows.assign(sign=rows["sign"].eq(True))
    return rows[[*WHOSE, "regime", "case", *ENDS, "chosen", "sign", "n"]].reset_index(drop=True)


def regime_rates(tables: Mapping, rate: float = 0.5) -> pd.DataFrame:
    """Change of each group's true positive rate at a drop rate, from the plain model to the chosen regime."""
    rows = _rows(joined(tables, "mitigation"), metric="tpr", versus=BASE)
    rows = rows[rows.rate.map(_label) == rate_label(rate)]
    return rows[[*WHOSE, "regime", "attribute", "group", *ENDS, "n_positive"]].reset_index(drop=True)


def declared_claims(tables: Mapping) -> pd.DataFrame:
    """Every declared comparison of every run under its claim; see `mmlib.questions.claims.collect_claims`."""
    about = {run: {"title": own.title, "kind": own.kind} for run, own in tables.items()}
    return collect_claims({run: own.table("declared") for run, own in tables.items()}, about)


def bounded_margins(tables: Mapping) -> pd.DataFrame:
    """Whether a subset keeps its TPR differences within the margin, and the smallest margin that could be shown.

    Returns
    -------
    pandas.DataFrame
        One row a run: ``bounded`` (whether there is a result) and ``smallest_margin`` (the largest over differences).
    """
    table = joined(tables, "selection")
    rows = []
    for run, own in table.groupby("run", sort=False):
        margin = own[own.metric == "smallest_margin"].estimate.max()
        bounded = bool(((own.way == "bounded") & (own.metric == "auroc")).any())
        first = own.iloc[0]
        rows.append({"run": run, "title": first.title, "kind": first["kind"], "bounded": bounded})
        rows[-1]["smallest_margin"] = margin
    return pd.DataFrame(rows, columns=[*WHOSE, "bounded", "smallest_margin"])


def _rows(table: pd.DataFrame, **wanted) -> pd.DataFrame:
    """Rows whose columns hold what is wanted: a value, one of several, `GIVEN` for any, None for none."""
    kept = np.ones(len(table), bool)
    for name, value in wanted.items():
        column = table[name]
        if value is None or value is GIVEN:
            kept &= column.isna() == (value is None)
        elif isinstance(value, tuple):
            kept &= column.isin(value)
        elif isinstance(value, str):
            kept &= column == value
        else:
            kept &= np.isclose(column.astype(float), value)
    return table[kept].reset_index(drop=True)


def _single(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of single attributes, without crossed ones."""
    single = [len(members(attribute)) == 1 for attribute in rows.attribute]
    return rows[np.array(single, bool)].reset_index(drop=True)


def _shown(rows: pd.DataFrame, tables: Mapping) -> pd.DataFrame:
    """Rows of the groups that their run shows against a reference."""
    return rows[_is(rows, tables, "contrasts")].reset_index(drop=True)


def _is(rows: pd.DataFrame, tables: Mapping, which: str) -> np.ndarray:
    """Whether the group of each row is the one that its run names under ``contrasts`` or ``references``."""
    pairs = zip(rows.run, rows.attribute, rows.group, strict=True)
    return np.array([getattr(tables[run], which).get(a) == group for run, a, group in pairs], bool)


def _is_compared(rows: pd.DataFrame, tables: Mapping) -> np.ndarray:
    """Whether the group of each row is in a difference that its run shows, as the group or as its reference."""
    shown = np.array([r.attribute in tables[r.run].contrasts for r in rows.itertuples()], bool)
    return _is(rows, tables, "contrasts") | (shown & _is(rows, tables, "references"))


def _of_most(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows on the largest set of modalities of each run."""
    if not len(rows):
        return rows
    size = rows[column].map(lambda name: len(members(name)))
    return rows[size == size.groupby(rows.run).transform("max")]


def _judged(rows: pd.DataFrame, tables: Mapping, question: str, rate: float | None = None) -> pd.DataFrame:
    """Rows with the interval and the verdict that their run declared, or ``described``."""
    declared = _rows(joined(tables, "declared"), question=question, metric="tpr")
    if rate is not None:
        declared = _rows(declared, rate=rate)
    keys, told = ["run", "attribute", "group"], ["verdict", "margin", "detectable", "times", "n_needed"]
    own = declared.drop_duplicates(keys)[[*keys, *ENDS, *told]]
    rows = rows.drop(columns=told, errors="ignore").merge(own, on=keys, how="left", suffixes=("", "_declared"))
    for end in ENDS:
        rows[end] = rows[f"{end}_declared"].where(rows.verdict.notna(), rows[end])
    return rows.assign(verdict=rows.verdict.fillna(DESCRIBED))


def _label(rate) -> str:
    """Label of a rate as chapter 7 writes it, whether a table kept it as text or as a number."""
    try:
        return rate_label(float(rate)) if float(rate) else COMPLETE
    except ValueError:
        return str(rate)
