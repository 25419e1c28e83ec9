"""Figures and tables of what was declared beforehand, and of what is claimed across cohorts."""

import matplotlib.pyplot as plt
import pandas as pd

from mmlib.show.style import COLOURS, GREY, METRIC_NAMES, interval, nothing, words

SHORT = {"tpr": "TPR", "fpr": "FPR"}


def primaries(table: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw what was declared, from ``primaries.compare_primaries``: estimate, interval, detectable difference."""
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


def primaries_table(table: pd.DataFrame):
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
