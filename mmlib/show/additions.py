"""Figures and tables of chapter 3: what adding a modality does."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.core.subsets import NONE
from mmlib.measure.bootstrap import widen
from mmlib.show.style import (
    COLOURS,
    GREY,
    RULE_NAMES,
    band,
    bars,
    contrast_name,
    contrast_of,
    ends,
    interval,
    words,
)


def order_path(auroc: pd.DataFrame, gaps: pd.DataFrame, order, *, title: str) -> np.ndarray:
    """Draw AUROC and signed differences along one order of addition, from tidy rows; returns two axes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    at, ticks = np.arange(len(order) + 1), [NONE, *[f"+ {words(m)}" for m in order]]
    band(left, at, auroc, COLOURS[0], "AUROC")
    left.set(ylabel="AUROC (95 % interval)")
    families = gaps.groupby(["attribute", "group"], sort=False)
    for i, (_, rows) in enumerate(families):
        shift = 0.12 * (i - (len(families) - 1) / 2)
        bars(right, at + shift, rows, COLOURS[i % len(COLOURS)], contrast_name(rows.iloc[0]))
    right.axhline(0, color=GREY, lw=1)
    right.set(ylabel="TPR difference (95 % interval)")
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.3))
    for ax in (left, right):
        ax.set_xticks(at, ticks, rotation=35, ha="right", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def additions(steps: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw the change that each single addition brings, with columns change, low and high, by modality added."""
    names = list(dict.fromkeys(steps.modality))
    most = len(steps) // len(names)
    _, ax = plt.subplots(figsize=(8, min(max(0.05 * len(steps), 0.6 * len(names)), 10) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    within = steps.sort_values("size", kind="stable").groupby("modality").cumcount().reindex(steps.index)
    at = steps.modality.map(names.index) + 0.8 * ((within + 0.5) / most - 0.5)
    kinds = (
        ("surely raises", steps.low > 0, COLOURS[0]),
        ("cannot tell", (steps.low <= 0) & (steps.high >= 0), "0.6"),
        ("surely lowers", steps.high < 0, COLOURS[3]),
    )
    for label, rows, colour in kinds:
        part = steps[rows]
        spread = [part.change - part.low, part.high - part.change]
        style = {"fmt": "o", "ms": 4, "lw": 0.8, "color": colour}
        ax.errorbar(part.change, at[rows], xerr=spread, label=f"{label} ({len(part)})", **style)
    ax.set_yticks(range(len(names)), [words(m) for m in names])
    ax.set(xlabel="change in AUROC; from top to bottom, added to small subsets, then to large")
    ax.invert_yaxis()
    ax.legend(frameon=False, fontsize=9)
    ax.set_title(title)
    return ax


def movement(rows: pd.DataFrame, *, title: str, minimum: int = 30) -> np.ndarray:
    """Draw where a rate of each group goes, a panel per attribute; hollow is before, filled after.

    Takes tidy rows of groups with the columns ``before`` (estimate), estimate (after), low and high (interval of
    ``after``) and ``change`` (text). Groups below the minimum of positives are pale.
    """
    attributes = list(dict.fromkeys(rows.attribute))
    heights = [(rows.attribute == a).sum() for a in attributes]
    size = (8, 0.34 * sum(heights) + 0.5 * len(attributes) + 0.8)
    figure, axes = plt.subplots(len(attributes), 1, sharex=True, squeeze=False, figsize=size, height_ratios=heights)
    for ax, attribute in zip(axes[:, 0], attributes, strict=True):
        part = rows[rows.attribute == attribute].reset_index(drop=True)
        for y, r in part.iterrows():
            colour = COLOURS[0] if r.n_positive >= minimum else "0.7"
            ax.errorbar(r.estimate, y, xerr=[[r.estimate - r.low], [r.high - r.estimate]], fmt="o", color=colour)
            ax.plot(r.before, y, "o", color=colour, mfc="white")
            ax.annotate("", (r.estimate, y), (r.before, y), arrowprops={"arrowstyle": "->", "color": colour})
            ax.text(1.01, y, r.change, transform=ax.get_yaxis_transform(), va="center", fontsize=8)
        names = [f"{r.group} (n={r.n:,}, {r.n_positive:,} positive)" for r in part.itertuples()]
        ax.set_yticks(part.index, names, fontsize=9)
        ax.set_ylim(len(part) - 0.5, -0.5)
        ax.set_title(words(attribute), fontsize=10, fontweight="normal")
    axes[0, 0].text(1.01, 1.02, "change [95 %]", transform=axes[0, 0].transAxes, fontsize=8, va="bottom")
    axes[-1, 0].set(xlabel="true positive rate")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[:, 0]


def matched_presence(gains: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw AUROC gains on all pairs and on pairs matched in presence, from ``presence.matched_gains``."""
    places, names = list(dict.fromkeys(gains.place)), list(dict.fromkeys(gains.modality))
    figure, axes = plt.subplots(1, len(places), sharey=True, squeeze=False, figsize=(9, 0.6 * len(names) + 1.6))
    for ax, place in zip(axes[0], places, strict=True):
        for i, pairs in enumerate(dict.fromkeys(gains.pairs)):
            rows = gains[(gains.place == place) & (gains.pairs == pairs)]
            at = np.arange(len(rows)) + 0.24 * (i - 0.5)
            spread = [rows.estimate - rows.low, rows.high - rows.estimate]
            ax.errorbar(rows.estimate, at, xerr=spread, fmt="o", capsize=2, color=COLOURS[2 * i], label=pairs)
        ax.axvline(0, color=GREY, lw=1)
        ax.set(xlabel="gain in AUROC (95 % interval)")
        ax.set_title(place, fontsize=11, fontweight="normal")
    shares = gains.drop_duplicates("modality")
    labels = [f"{words(r.modality)}\n{r.present:.0%} have it" for r in shares.itertuples()]
    axes[0, 0].set_yticks(range(len(names)), labels, fontsize=9)
    axes[0, 0].invert_yaxis()
    axes[0, -1].legend(frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def operating_points(points: pd.DataFrame, *, contrast: str, title: str) -> np.ndarray:
    """Draw a signed difference, with low and high, against AUROC for every subset, one panel per decision rule."""
    rules = list(dict.fromkeys(points.rule))
    figure, axes = plt.subplots(1, len(rules), sharey=True, figsize=(9, 3.6))
    for ax, rule in zip(axes, rules, strict=True):
        rows = points[points.rule == rule]
        spread = [rows.contrast - rows.low, rows.high - rows.contrast]
        ax.errorbar(rows.auroc, rows.contrast, yerr=spread, fmt="none", lw=0.6, color="0.7", zorder=0)
        dots = ax.scatter(
            rows.auroc,
            rows.contrast,
            c=rows.selected,
            cmap="viridis",
            vmin=0,
            vmax=1,
            s=30,
            edgecolor="white",
        )
        slope, start = np.polyfit(rows.auroc, rows.contrast, 1)
        ends = np.array([rows.auroc.min(), rows.auroc.max()])
        ax.plot(ends, start + slope * ends, color=GREY, lw=1)
        ax.axhline(0, color=GREY, lw=1, ls="--")
        ax.set(xlabel="AUROC of the subset")
        ax.set_title(RULE_NAMES[rule], fontsize=11, fontweight="normal")
    axes[0].set_ylabel(contrast, fontsize=10)
    figure.colorbar(dots, ax=axes, label="share selected")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def unimodal_table(result, modalities, silent, prevalence):
    """Style the metrics of each modality alone and of all together; takes an ``Evaluation`` over subsets."""
    flag_all = 2 * prevalence / (1 + prevalence)
    columns = {
        "auroc": "AUROC",
        "average_precision": "AUPRC",
        "f1": "F1",
        "balanced_accuracy": "balanced accuracy",
    }
    frames = {m: result.frame("", m, next(iter(result.groups))).query("group == 'all'") for m in columns}
    rows = []
    for name in [*modalities, result.labels[-1]]:
        row = {"modality": words(name) if name in modalities else "all", "lacking": silent.get(name, 0)}
        for metric, label in columns.items():
            cell = frames[metric][frames[metric][result.key] == name]
            row[label] = interval(*cell[["estimate", "low", "high"]].to_numpy()[0], ".3f")
        rows.append(row)
    constant = ["0.500", f"{prevalence:.3f}", f"{flag_all:.3f}", "0.500"]
    rows.append(
        {"modality": "flag everybody", "lacking": 0} | dict(zip(columns.values(), constant, strict=True))
    )
    return pd.DataFrame(rows).style.hide(axis="index").format({"lacking": "{:,}"})


def rules_table(rules, subsets, shown):
    """Style selection rates and signed TPR differences of some subsets under several decision rules."""
    rows = []
    for rule, result in rules.items():
        frames = [result.frame("", "tpr", a, reference=r).query("group == @g") for a, (g, r) in shown.items()]
        for name in subsets:
            k = result.labels.index(name)
            row = {"rule": RULE_NAMES[rule], "modalities": words(name) if name != result.labels[-1] else "all"}
            row["selected"] = f"{result.overall('selection_rate')[0, k]:.1%}"
            rows.append(row | _contrast_cells(frames, k))
    return pd.DataFrame(rows).style.hide(axis="index")


def _contrast_cells(frames, k):
    """Write the k-th row of each frame of signed differences, under a heading that names the group and its size."""
    rows = [frame.iloc[k] for frame in frames]
    return {f"TPR {contrast_name(r)} [95 %]": interval(r.estimate, r.low, r.high, "+.3f") for r in rows}


def group_table(frame: pd.DataFrame):
    """Style one metric by group, with sizes and intervals; takes tidy rows."""
    rows = frame.drop_duplicates(["group", "n", "n_positive"])
    table = pd.DataFrame(
        {
            "attribute": rows.attribute.map(words).where(rows.group != "all", ""),
            "group": rows.group.where(rows.group != "all", "everybody"),
            "n": rows.n,
            "positives": rows.n_positive,
            f"{rows.metric.iloc[0].upper()} [95 %]": [
                interval(*r, ".3f") for r in rows[["estimate", "low", "high"]].to_numpy()
            ],
        }
    )
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def sensitivity_table(variation, spread_of, shown):
    """Style AUROC of variants, its paired difference to the first one, and signed TPR differences, with intervals.

    The variants were trained once; their intervals are widened by the spread between the training seeds of
    ``spread_of``, an ``Evaluation`` whose last vector is the unchanged model.
    """
    seeds = len(spread_of.spread["tpr", next(iter(shown))])

    def widened(draws, spread, trainings=1):
        s = spread[:, -1].std(ddof=1) * np.sqrt(trainings) if seeds > 1 else np.nan
        return interval(draws[0], *widen(*ends(draws), s, 1), "+.3f")

    auroc, of_seeds = variation.overall("auroc"), spread_of.series("auroc")[1]
    rows = []
    for k, name in enumerate(variation.labels):
        row = {"variant": name, "AUROC": f"{auroc[0, k]:.3f}", "difference [95 %]": ""}
        if k:
            row["difference [95 %]"] = widened(auroc[:, k] - auroc[:, 0], of_seeds, trainings=2)
        for a, (g, r) in shown.items():
            draws, (_, spread) = variation.contrast("tpr", a, g, r), spread_of.series("tpr", a, g, r)
            row[f"TPR {contrast_of(variation, a, g, r)} [95 %]"] = widened(draws[:, k], spread)
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")
