"""The first page of a run in the book: who, how many, one table, what is special, and how it was made."""

from datetime import date

import pandas as pd

from mmlib.core.subsets import full_subset
from mmlib.runs.shared import RunTables

#: Most rows of the table of groups.
MOST = 15


def summary_page(run: RunTables, *, notice: str = "", code: str = "", today: date | None = None) -> str:
    """Markdown of the first page of a run.

    Parameters
    ----------
    run : RunTables
    notice : str
        Markdown under the heading.
    code : str
        Sha256 of the chapters of this checkout and the modules behind them; the page says if those that made a shared
        run were others.
    today : datetime.date, optional
        From which the age of a shared run counts: the date of the commit; today by default.
    """
    share = f" ({run.positives / run.n:.1%})" if run.n else ""
    who = f"{run.n:,} {run.samples} of {run.patients:,} {run.units}"
    if run.samples == run.units and run.n == run.patients:
        who = f"{run.n:,} {run.units}"
    parts = [f"# {run.title}" + (" (synthetic)" if run.kind == "synthetic" else "")]
    parts += [notice.strip(), "" if run.computed else _shared_notice(run, code, today or date.today())]
    parts += [
        f"{who}. Outcome: *{run.task}*, in {run.positives:,}{share}. Modalities: {_listed(run.modalities)}."
    ]
    parts += [
        "## The groups",
        _groups(run),
        "## What is special",
        "\n".join(f"- {line}" for line in _special(run)),
    ]
    if not run.public:
        parts += [
            "Counts on this page are rounded to 5, and what small groups would reveal is left out "
            f"({sum(run.withheld.values()):,} rows of its tables); see [](/book/share.md)."
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shared_notice(run, code, today):
    made = run.made
    age = (today - date.fromisoformat(made.date)).days
    when = "the day of this build" if age == 0 else f"{age:,} day{'' if age == 1 else 's'} before this build"
    by = f" by {made.by}" if made.by else ""
    lines = [
        "```{admonition} A shared run",
        f"Nothing on this page was computed when this book was built. Its tables ([](/book/share.md)) were made on "
        f"{made.date}{by}, {when}, by `{made.command}` at commit `{made.commit or 'unknown'}` "
        f"(mmlib {made.versions.get('mmlib', 'unknown')}).",
    ]
    if code and code != made.code:
        lines += ["", "The chapters that made them, or the library behind these, have changed since."]
    return "\n".join([*lines, "```"])


def _groups(run):
    """Size and positives of every group, and how many of them the model with all modalities finds."""
    sizes = run.table("sizes")
    sizes = sizes[sizes.modality.isna() & (sizes.label == "all")]
    levels = _levels(run, "tpr").set_index(["attribute", "group"])
    lines = [
        f"| attribute | group | {run.samples} | positive | found of 100 positive |",
        "|---|---|--:|--:|--:|",
    ]
    for row in sizes.head(MOST).itertuples():
        key = (
            (next(iter(run.references), ""), "all")
            if row.attribute == "overall"
            else (row.attribute, row.group)
        )
        found = _found(levels.loc[key]) if key in levels.index else ""
        lines.append(f"| {_plain(row.attribute)} | {row.group} | {row.n:,} | {row.n_positive:,} | {found} |")
    return "\n".join(lines) + (
        "\n\nFound by the model with all modalities, whose threshold selects as many as are positive; a count where "
        "fewer than ten are found, or missed."
    )


def _found(row):
    if pd.isna(row.estimate):
        return ""
    return f"{row.events:.0f} of {row.total:.0f}" if row.small else f"{100 * row.estimate:.0f}"


def _special(run):
    """Sentences on missing modalities, performance, declared comparisons and the audit."""
    sizes = run.table("sizes")
    lacking = sizes[(sizes.attribute == "overall") & (sizes.label == "all") & sizes.modality.notna()]
    lacking = (1 - lacking.set_index("modality").n_present / lacking.set_index("modality").n).sort_values()
    if len(lacking) and lacking.iloc[-1] > 0:
        most = _plain(lacking.index[-1])
        yield f"{lacking.iloc[-1]:.0%} of {run.samples} lack *{most}*, the modality that is missing most often."
    elif len(lacking):
        yield f"Every modality is recorded for all {run.samples}."
    auroc = _levels(run, "auroc")
    auroc = auroc[auroc.group == "all"].head(1)
    for row in auroc.itertuples():
        interval = f"95 % interval {row.low:.3f} to {row.high:.3f}"
        yield f"AUROC of the model with all modalities: {row.estimate:.3f} ({interval})."
    declared = run.table("declared")
    if len(declared):
        verdicts = declared.verdict.value_counts()
        told = _listed([f"{count} *{verdict}*" for verdict, count in verdicts.items()])
        yield f"Of {len(declared)} declared comparisons: {told}."
    audit = run.table("audit")
    for verdict in ("leak", "unresolved"):
        names = sorted(audit[audit.verdict == verdict].label.dropna().unique())
        if names:
            more = [f"{len(names) - 3} more"] if len(names) > 3 else []
            inputs = "input" if len(names) == 1 else "inputs"
            yield f"The audit calls {len(names)} {inputs} *{verdict}*: {_listed(names[:3] + more)}."


def _levels(run, metric):
    """Rows of a metric at the model with all modalities."""
    table = run.table("fairness")
    if not len(table):
        return table
    full = full_subset(table.subset.dropna().unique())
    return table[(table.metric == metric) & table.reference.isna() & (table.subset == full)]


def _plain(name):
    return str(name).replace("_", " ")


def _listed(names):
    names = [_plain(name) for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"
