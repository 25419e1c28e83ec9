"""Figures and tables of what was declared beforehand, and of what is claimed across cohorts."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.show.style import COLOURS, GREY, METRIC_NAMES, decimals, interval, listed, nothing, sentence, words

SHORT = {"tpr": "TPR", "fpr": "FPR"}
#: Claims that lie further off, in detectable differences, are drawn here.
EDGE = 30
#: What the answer says of each topic of `mmlib.questions.claims.TOPICS`, with the number of claims supported.
ANSWERS = {
    "each": "That every single addition raises AUROC is supported in {}.",
    "all": "That all modalities reach a higher AUROC than the best single one is supported in {}.",
    "moves": "That adding modalities moves the difference in true positive rate is supported in {}.",
    "differs": "That true positive rates differ with all modalities is supported in {}.",
    "loss": "At drop rates of 1 % or more, that missing modalities lower expected AUROC is supported in {}.",
    "loss moves": "That they move the expected difference in true positive rate is supported in {}.",
    "margin": "At drop rates below 1 %, that the loss of AUROC exceeds the margin is supported in {}.",
    "one run": "A single masked run could show that loss in {}.",
}


def declared_differences(table: pd.DataFrame) -> plt.Axes:
    """What a run declared: estimate, 95 % interval and detectable difference of every comparison.

    Parameters
    ----------
    table : pandas.DataFrame
        From `mmlib.questions.declared.compare_declared`.
    """
    if not len(table):
        return nothing("This run declares no comparison.", "Declared comparisons")
    _, ax = plt.subplots(figsize=(9, 0.5 * len(table) + 1.2))
    for y, r in enumerate(table.itertuples()):
        colour = COLOURS[0] if r.verdict.startswith("differs") else GREY
        ax.fill_between([-r.detectable, r.detectable], y - 0.3, y + 0.3, color="0.92", lw=0)
        spread = np.maximum([[r.estimate - r.low], [r.high - r.estimate]], 0)  # percentiles may leave out the estimate
        face = "white" if r.refused else colour
        ax.errorbar(r.estimate, y, xerr=spread, fmt="o", capsize=3, color=colour, mfc=face)
    ax.axvline(0, color=GREY, lw=1)
    names = [f"{_declared_name(r)}\nn={r.n:,}, {r.n_positive:,} positive" for r in table.itertuples()]
    ax.set_yticks(range(len(table)), names, fontsize=8)
    ax.set(xlabel="difference, 95 % interval; shaded: too small to be detected")
    ax.invert_yaxis()
    tested, found = int(table.p.notna().sum()), int(table.verdict.str.startswith("differs").sum())
    ax.set_title(
        f"{found or 'None'} of {tested} declared comparisons {'is' if found == 1 else 'are'} significant after Holm"
        if tested
        else "No declared comparison has enough positives to be tested"
    )
    return ax


def declared_table(table: pd.DataFrame):
    """What a run declared, with both p-values, the detectable difference, and the verdict."""
    if not len(table):
        return sentence("This run declares no comparison.")
    margins = [
        ("" if pd.isna(m) else f"{m:g}") + ("" if pd.isna(ok) or ok else ", not attainable")
        for m, ok in zip(table.margin, table.attainable, strict=True)
    ]
    shown = pd.DataFrame(
        {
            "declared": [_declared_name(r) for r in table.itertuples()],
            "n": table.n,
            "positives": table.n_positive,
            "difference [95 %]": [
                interval(r.estimate, r.low, r.high, f"+.{decimals(r.metric)}f") for r in table.itertuples()
            ],
            "SE patients": table.se_patients,
            "SE retraining": table.se_retrain,
            "p": table.p,
            "p (Holm)": table.p_holm,
            "detectable": table.detectable,
            "margin": margins,
            "verdict": table.verdict,
        }
    )
    numbers = {"p": _p_value, "p (Holm)": _p_value, "detectable": "{:.3f}"}
    numbers |= {c: "{:.4f}" for c in ("SE patients", "SE retraining")}
    return shown.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"} | numbers, na_rep="-")


def forest(claims: pd.DataFrame) -> plt.Axes:
    """The tested claims of all cohorts, in units of what could be detected.

    Parameters
    ----------
    claims : pandas.DataFrame
        From `mmlib.questions.claims.judge_claims`.
    """
    title = _tally(claims)
    table = claims[(claims.verdict != "not tested") & claims.detectable.notna()]
    if not len(table):
        return nothing("No claim could be tested.", title)
    names, cohorts = list(dict.fromkeys(table.claim)), list(dict.fromkeys(table.title))
    height = sum(table[table.claim == name].shape[0] for name in names)
    _, ax = plt.subplots(figsize=(9.5, 0.17 * height + 0.25 * len(names) + 1.4))
    y, middle = 0.0, []
    for name in names:
        part, top = table[table.claim == name], y
        for r in part.itertuples():
            ends = (np.array([r.estimate, r.low, r.high]) - r.threshold) / r.detectable
            value, low, high = np.clip(ends, -EDGE, EDGE)
            colour = COLOURS[cohorts.index(r.title) % len(COLOURS)]
            face = colour if r.verdict.startswith("supported") else "white"
            ax.plot([low, high], [y, y], color=colour, lw=1.5)
            ax.plot(value, y, "o", ms=5, color=colour, mfc=face)
            y += 1
        middle.append((top + y - 1) / 2)
        ax.axhline(y, color="0.9", lw=1)
        y += 1
    for number, cohort in enumerate(cohorts):
        ax.plot([], [], "o-", ms=5, color=COLOURS[number % len(COLOURS)], label=cohort)
    ax.axvspan(-1, 1, color="0.93", lw=0, zorder=0)
    ax.axvline(0, color=GREY, lw=1)
    ax.set_xscale("symlog", linthresh=2)
    ticks = [t for t in (-EDGE, -10, -3, -1, 0, 1, 3, 10, EDGE) if ax.get_xlim()[0] <= t <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_yticks(middle, names, fontsize=8)
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    ax.set(xlabel="distance from the claim's threshold, in detectable differences; 95 % interval")
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.08 - 0.6 / height), ncols=3)
    ax.figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return ax


def claims_table(claims: pd.DataFrame):
    """The claims of all cohorts with their verdicts; no number is shown of what was not tested."""
    tested = claims.verdict != "not tested"
    verdicts, estimates = [], []
    for r in claims.itertuples():
        # losses at small drop rates are below the usual three decimals
        form = f".{4 if abs(r.estimate) < 0.001 else decimals(r.metric)}f"
        estimates.append(interval(r.estimate, r.low, r.high, f"+{form}"))
        more = {"not tested": f": {r.refused or 'no standard error'}"}
        more["too small to tell"] = f" (detectable: {r.detectable:{form}})"
        verdicts.append(r.verdict + more.get(r.verdict, ""))
    shown = pd.DataFrame(
        {
            "claim": [", ".join(part for part in (r.claim, r.pair) if part) for r in claims.itertuples()],
            "cohort": claims.title,
            "verdict": verdicts,
            "estimate [95 %]": pd.Series(estimates, claims.index).where(tested, "-"),
            "n": claims.n.map("{:,}".format).where(tested, "-"),
            "positives": claims.n_positive.map("{:,}".format).where(tested, "-"),
            "p (Holm)": claims.p_holm,
            "of": claims.by.map({"paper": "the paper", "book": "this book"}),
            "note": claims.note.where(tested, ""),
        }
    )
    style = shown.style.hide(axis="index").format({"p (Holm)": _p_value}, na_rep="-")
    for column, width in {"claim": "13em", "verdict": "8em", "note": "20em"}.items():
        style.set_properties(subset=[column], **{"min-width": width})  # or numbers would squeeze the words
    return style


def claims_in_short(claims: pd.DataFrame, cohorts: Iterable[str]) -> Markdown:
    """The answer of the chapter on claims in a paragraph.

    Parameters
    ----------
    claims : pandas.DataFrame
        From `mmlib.questions.claims.judge_claims`.
    cohorts : iterable of str
        What readers call the cohorts.
    """
    told = [f"**In short.** Cohorts: {listed(cohorts)}."]
    asked = claims[claims.verdict != "not tested"]
    for topic, answer in ANSWERS.items():
        verdicts = asked.verdict[asked.topic == topic]
        if len(verdicts):
            told.append(answer.format(f"{int(verdicts.str.startswith('supported').sum())} of {len(verdicts)} cases"))
    if not len(asked):
        return Markdown(f"{told[0]} No claim could be tested.")
    small, untested = int((asked.verdict == "too small to tell").sum()), len(claims) - len(asked)
    told.append(f"For {small} of {len(asked)} claims the cohorts are too small to tell.")
    if untested:
        were = "was" if untested == 1 else "were"
        told.append(f"{untested} more {were} not tested, for lack of positives or of a standard error.")
    return Markdown(" ".join(told))


def _tally(claims: pd.DataFrame) -> str:
    """How many of the tested claims are supported, and for how many the cohorts are too small."""
    verdict = claims.verdict[claims.verdict != "not tested"]
    supported, small = int(verdict.str.startswith("supported").sum()), int((verdict == "too small to tell").sum())
    return f"Of {len(verdict)} claims {supported} are supported; for {small} the cohorts are too small to tell"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _declared_name(row) -> str:
    """A declared comparison in words."""
    what = SHORT.get(row.metric, METRIC_NAMES[row.metric])
    if row.group != "all":
        what = f"{what}, {row.group} minus {row.reference}"
    if row.question == "rq1":
        versus = {"best": "best single modality", "first": "first modality"}.get(row.versus, words(row.versus))
        return f"{what}: all modalities vs. {versus}"
    when = f"expected change at drop rate {row.rate:g}" if row.question == "rq2" else "at the full model"
    return f"{what}: {when}"
