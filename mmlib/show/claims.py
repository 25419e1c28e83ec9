"""Figures and tables of what was declared beforehand, and of what all runs say of it together."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.questions.declared import VERDICTS
from mmlib.show.style import COLOURS, GREY, METRIC_NAMES, decimals, interval, nothing, sentence, words

SHORT = {"tpr": "TPR", "fpr": "FPR"}
#: Colour and filling of each verdict.
MARKS = {
    "differs": (COLOURS[0], COLOURS[0]),
    "not after correction": (COLOURS[0], "white"),
    "equivalent within the margin": (COLOURS[2], COLOURS[2]),
    "undecided": (GREY, "white"),
    "not tested": (GREY, "white"),
}


def declared_differences(table: pd.DataFrame) -> np.ndarray:
    """What a run declared: estimate and 95 % interval of every comparison, marked by its verdict.

    Parameters
    ----------
    table : pandas.DataFrame
        From `mmlib.questions.declared.compare_declared`.
    """
    if not len(table):
        return np.array([nothing("This run declares no comparison.", "Declared comparisons")])
    parts = _by_scale(table)
    heights = [len(part) for part in parts]
    size = (9, 0.5 * len(table) + 0.9 * len(parts) + 0.6)
    figure, axes = plt.subplots(len(parts), 1, squeeze=False, figsize=size, height_ratios=heights)
    for ax, part in zip(axes[:, 0], parts, strict=True):
        _draw(ax, part, [f"{declared_name(r)}\nn={r.n:,}, {r.n_positive:,} positive" for r in part.itertuples()])
        ax.set_xlabel(f"difference in {'AUROC' if part.metric.iloc[0] == 'auroc' else 'rates'}", fontsize=9)
    _explain(figure, table)
    tested, found = int(table.p.notna().sum()), int((table.verdict == "differs").sum())
    title = f"{found or 'None'} of {tested} tested comparisons {'differs' if found == 1 else 'differ'} after Holm"
    title = title if tested else "No declared comparison could be tested"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[:, 0]


def declared_table(table: pd.DataFrame, units: str = "patients"):
    """What a run declared, with both p-values, the detectable difference, and the verdict.

    Parameters
    ----------
    table : pandas.DataFrame
        From `mmlib.questions.declared.compare_declared`.
    units : str
        What is resampled, in the plural.
    """
    if not len(table):
        return sentence("This run declares no comparison.")
    margins = [
        ("" if pd.isna(m) else f"{m:g}") + ("" if pd.isna(ok) or ok else ", below 2.9 SE")
        for m, ok in zip(table.margin, table.attainable, strict=True)
    ]
    shown = pd.DataFrame(
        {
            "declared": [declared_name(r) for r in table.itertuples()],
            "n": table.n,
            "effective n": table.n_effective,
            "positives": table.n_positive,
            "difference [95 %]": [_estimate(r) for r in table.itertuples()],
            "p (Holm)": table.p_holm,
            "margin": margins,
            "verdict": [verdict_in_words(r, units) for r in table.itertuples()],
            "p": table.p,
            f"SE {units}": table.se_patients,
            "SE retraining": table.se_retrain,
            "detectable": [_number(r.detectable, r.metric) for r in table.itertuples()],
        }
    )
    if (table.n_effective.round() == table.n).all():
        shown = shown.drop(columns="effective n")
    numbers = {"p": _p_value, "p (Holm)": _p_value, "n": "{:,}", "effective n": "{:,.0f}", "positives": "{:,}"}
    numbers |= {c: "{:.3f}" for c in (f"SE {units}", "SE retraining")}
    style = shown.style.hide(axis="index").format({c: f for c, f in numbers.items() if c in shown}, na_rep="-")
    return style.set_properties(subset=["declared", "verdict"], **{"min-width": "13em"})


def declared_name(row) -> str:
    """Name of a declared comparison.

    Parameters
    ----------
    row : namedtuple
        A row of `mmlib.questions.declared.compare_declared`.
    """
    what = SHORT.get(row.metric, METRIC_NAMES[row.metric])
    if row.group != "all":
        what = f"{what}, {row.group} minus {row.reference}"
    if row.question == "rq1":
        over = f"each single one (smallest gain: over {words(row.versus)})" if row.each else words(row.versus)
        return f"{what}: all modalities minus {over}"
    if row.question == "gap":
        return f"{what}: with all modalities"
    margin = "" if not row.null < 0 else f", against a margin of {-row.null:g}"
    return f"{what}: expected change at drop rate {row.rate:g}{margin}"


def verdict_in_words(row, units: str = "patients") -> str:
    """Verdict of a declared comparison, with what would decide it or why it was not tested.

    Parameters
    ----------
    row : namedtuple
        A row of `mmlib.questions.declared.compare_declared`.
    units : str
        What is resampled, in the plural.
    """
    if row.verdict == "not tested":
        return f"{row.verdict} ({row.refused or 'no interval'})"
    if row.verdict != "undecided":
        small = row.verdict in VERDICTS[:2] and row.null == 0 and max(abs(row.low), abs(row.high)) < row.margin
        return f"{row.verdict}{' (by less than the margin)' if small else ''}"
    of = "a loss" if row.null < 0 else "a difference"
    found = f"{of} of {_number(row.detectable - row.null, row.metric)} could be detected"
    if np.isnan(row.times):
        needed = "no margin was declared"
    elif np.isinf(row.times):
        needed = f"retraining alone varies too much for the margin, so that more {units} would not decide"
    elif row.times <= 1:
        needed = f"{units} are enough for differences of 0 and of the margin, this one lies between"
    else:
        group = "" if row.group == "all" else " in this group"
        times = f"{row.times:.1f}" if row.times < 10 else f"{row.times:,.0f}"
        needed = f"{times} times as many {units} would decide (n={_rounded(row.n_needed)}{group})"
    return f"{row.verdict} ({found}; {needed})"


def declared_sentence(row, units: str = "patients") -> str:
    """Estimate, 95 % interval and verdict of a declared comparison.

    Parameters
    ----------
    row : namedtuple
        A row of `mmlib.questions.declared.compare_declared`.
    units : str
        What is resampled, in the plural.
    """
    shown = "" if row.verdict == "not tested" else f" {_estimate(row)},"
    return f"{declared_name(row)}:{shown} {verdict_in_words(row, units)}"


def _by_scale(table) -> list[pd.DataFrame]:
    """Split into comparisons of AUROC and of rates, whose scales differ."""
    area = table.metric == "auroc"
    return [part for part in (table[area], table[~area]) if len(part)]


def _draw(ax, rows, names=None, at=None):
    """Draw estimates with 95 % intervals, marked by verdict; what is not tested is said."""
    at = range(len(rows)) if at is None else at
    for y, r in zip(at, rows.itertuples(), strict=True):
        colour, face = MARKS[r.verdict]
        if r.verdict == "not tested":
            ax.text(0, y, "not tested", ha="center", va="center", fontsize=8, color=GREY, backgroundcolor="white")
            continue
        arms = np.maximum([[r.estimate - r.low], [r.high - r.estimate]], 0)  # percentiles may leave out the estimate
        ax.errorbar(r.estimate, y, xerr=arms, fmt="o", ms=5, capsize=3, color=colour, mfc=face)
        for edge in (-r.margin, r.margin) if r.margin > 0 else ():
            ax.plot([edge, edge], [y - 0.3, y + 0.3], color=COLOURS[1], lw=1.5, zorder=0)
    ax.axvline(0, color=GREY, lw=1)
    ax.tick_params(axis="x", labelsize=8)
    ax.grid(axis="y", visible=False)
    if names is not None:
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.set_ylim(len(names) - 0.5, -0.5)


def _explain(figure, table):
    """Write a legend of the verdicts that occur."""
    given = [verdict for verdict in MARKS if (table.verdict == verdict).any() and verdict != "not tested"]
    handles = [plt.Line2D([], [], marker="o", color=MARKS[v][0], mfc=MARKS[v][1], label=v) for v in given]
    handles.append(plt.Line2D([], [], marker="|", ms=10, ls="", mew=1.5, color=COLOURS[1], label="margin"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)


def _estimate(row) -> str:
    """Write an estimate with its interval, with one more digit where rounding would hide that this excludes 0."""
    if np.isnan(row.low):
        return "-"
    digits = decimals(row.metric)
    hidden = row.verdict in VERDICTS[:2] and 0 in (round(row.low, digits), round(row.high, digits))
    return interval(row.estimate, row.low, row.high, f"+z.{digits + hidden}f")


def _number(value, metric) -> str:
    return "-" if np.isnan(value) else f"{value:.{decimals(metric)}f}"


def _rounded(number) -> str:
    """Two significant digits, with separators of thousands."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
