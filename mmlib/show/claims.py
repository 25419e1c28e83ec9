"""Figures and tables of what was declared beforehand, and of what is claimed across cohorts."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, METRIC_NAMES, interval, nothing, words

SHORT = {"tpr": "TPR", "fpr": "FPR"}
#: Claims that lie further off, in detectable differences, are drawn here.
EDGE = 30


def declared(table: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw what was declared, from ``declared.compare_declared``: estimate, interval, detectable difference."""
    if not len(table):
        return nothing("This run declares no comparison.", title)
    _, ax = plt.subplots(figsize=(9, 0.5 * len(table) + 1.2))
    for y, r in enumerate(table.itertuples()):
        colour = COLOURS[0] if r.verdict.startswith("differs") else GREY
        ax.fill_between([-r.detectable, r.detectable], y - 0.3, y + 0.3, color="0.92", lw=0)
        spread = [[r.estimate - r.low], [r.high - r.estimate]]
        face = "white" if r.refused else colour
        ax.errorbar(r.estimate, y, xerr=spread, fmt="o", capsize=3, color=colour, mfc=face)
    ax.axvline(0, color=GREY, lw=1)
    names = [f"{primary_name(r)}\nn={r.n:,}, {r.n_positive:,} positive" for r in table.itertuples()]
    ax.set_yticks(range(len(table)), names, fontsize=8)
    ax.set(xlabel="difference, 95 % interval; shaded: too small to be detected")
    ax.invert_yaxis()
    ax.set_title(title)
    return ax


def primary_name(row) -> str:
    """Put a declared comparison into words."""
    what = SHORT.get(row.metric, METRIC_NAMES[row.metric])
    if row.group != "all":
        what = f"{what}, {row.group} minus {row.reference}"
    if row.question == "rq1":
        versus = {"best": "best single modality", "first": "first modality"}.get(row.versus, words(row.versus))
        return f"{what}: all modalities vs. {versus}"
    when = f"expected change at drop rate {row.rate:g}" if row.question == "rq2" else "at the full model"
    return f"{what}: {when}"


def declared_table(table: pd.DataFrame):
    """Style what was declared, with both p-values, what could have been detected, and the verdict."""
    shown = pd.DataFrame(
        {
            "declared": [primary_name(r) for r in table.itertuples()],
            "n": table.n,
            "positives": table.n_positive,
            "difference [95 %]": [interval(*r, "+.4f") for r in table[["estimate", "low", "high"]].to_numpy()],
            "SE patients": table.se_patients,
            "SE retraining": table.se_retrain,
            "p": table.p,
            "p (Holm)": table.p_holm,
            "detectable": table.detectable,
            "margin": [
                ("" if pd.isna(m) else f"{m:g}") + ("" if pd.isna(ok) or ok else ", not attainable")
                for m, ok in zip(table.margin, table.attainable, strict=True)
            ],
            "verdict": table.verdict,
        }
    )
    numbers = {c: "{:.4f}" for c in ("SE patients", "SE retraining", "p", "p (Holm)", "detectable")}
    return shown.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"} | numbers, na_rep="-")


def forest(table: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw the tested claims of all cohorts, from ``claims.judge_claims``, in units of what could be detected."""
    table = table[(table.verdict != "not tested") & table.detectable.notna()]
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


def claims_table(table: pd.DataFrame):
    """Style the claims of all cohorts; of what was not tested no number is shown."""
    tested = table.verdict != "not tested"
    verdict = [
        f"{r.verdict}: {r.refused or 'no standard error'}"
        if r.verdict == "not tested"
        else f"{r.verdict} (detectable: {r.detectable:.4f})" if r.verdict == "too small to tell" else r.verdict
        for r in table.itertuples()
    ]
    about = [", ".join(part for part in (r.claim, r.pair) if part) for r in table.itertuples()]
    numbers = table[["estimate", "low", "high"]].to_numpy()
    estimate = [interval(*r, "+.5f" if abs(r[0]) < 0.001 else "+.4f") for r in numbers]
    shown = pd.DataFrame(
        {
            "claim": about,
            "cohort": table.title,
            "verdict": verdict,
            "estimate [95 %]": pd.Series(estimate, table.index).where(tested, "-"),
            "n": table.n.map("{:,}".format).where(tested, "-"),
            "positives": table.n_positive.map("{:,}".format).where(tested, "-"),
            "p (Holm)": table.p_holm,
            "of": table.by.map({"paper": "the paper", "book": "this book"}),
            "note": table.note.where(tested, ""),
        }
    )
    style = shown.style.hide(axis="index").format({"p (Holm)": "{:.4f}"}, na_rep="-")
    for column, width in {"claim": "13em", "verdict": "8em", "note": "20em"}.items():
        style.set_properties(subset=[column], **{"min-width": width})  # or numbers would squeeze the words
    return style
