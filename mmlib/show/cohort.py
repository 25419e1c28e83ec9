"""Figures and tables of chapter 1: who is in the cohort, and whose data are missing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, interval, words


def group_sizes(sizes: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw samples, positives and label rates of groups, from the frame of ``audit.group_sizes``."""
    rows = sizes.drop_duplicates(["group", "n", "n_positive"]).reset_index(drop=True)
    labels = [g if g != "all" else "everybody" for g in rows.group]
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(8, 0.36 * len(rows) + 1.3), width_ratios=[3, 2]
    )
    at = np.arange(len(rows))
    left.barh(at, rows.n, color="0.85")
    left.barh(at, rows.n_positive, color=COLOURS[0])
    for y, r in rows.iterrows():
        left.text(r.n, y, f" {r.n:,} / {r.n_positive:,}", va="center", fontsize=9)
    left.set(yticks=at, xlim=(0, rows.n.max() * 1.25), xlabel="samples / of them positive")
    left.set_yticklabels(labels)
    right.errorbar(
        rows.rate,
        at,
        xerr=[rows.rate - rows.low, rows.high - rows.rate],
        fmt="o",
        color=COLOURS[0],
        capsize=2,
    )
    right.axvline(rows.rate[0], color=GREY, lw=1, ls="--")
    right.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
    right.set(xlabel="label rate, 95 % interval")
    left.invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def recorded_fields(share: pd.Series, fields, *, title: str) -> plt.Axes:
    """Draw the share of samples in which each field is recorded, coloured by modality."""
    modalities = list(dict.fromkeys(f.modality for f in fields))
    _, ax = plt.subplots(figsize=(8, 0.23 * len(fields) + 1))
    for y, f in enumerate(fields):
        colour = COLOURS[modalities.index(f.modality) % len(COLOURS)]
        ax.barh(y, share[f.column], color=colour, label=f.modality if f.modality not in _labels(ax) else None)
    ax.set_yticks(range(len(fields)), [_short(f.label) for f in fields], fontsize=9)
    ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
    ax.set(xlim=(0, 1), xlabel="recorded")
    ax.invert_yaxis()
    ax.set_title(title)
    ax.legend(
        ncols=min(len(modalities), 3), loc="upper left", bbox_to_anchor=(0, -0.09), frameon=False, fontsize=9
    )
    return ax


def presence(shares: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw the presence of incomplete modalities by group; takes the frame of ``audit.presence``."""
    everybody = shares[shares.group == "all"].drop_duplicates("name").set_index("name").rate
    names = [n for n in everybody.index if everybody[n] < 0.9995] or list(everybody.index[:1])
    groups = shares[(shares.name == names[0])].drop_duplicates(["group", "n"]).reset_index(drop=True).group
    figure, axes = plt.subplots(
        1,
        len(names),
        sharey=True,
        squeeze=False,
        figsize=(max(6, 2.6 * len(names)), 0.32 * len(groups) + 1.2),
    )
    for ax, name in zip(axes[0], names, strict=True):
        rows = shares[shares.name == name].drop_duplicates(["group", "n"]).reset_index(drop=True)
        ax.errorbar(
            rows.rate, rows.index, xerr=[rows.rate - rows.low, rows.high - rows.rate], fmt="o", capsize=2
        )
        ax.axvline(everybody[name], color=GREY, lw=1, ls="--")
        ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
        ax.set_title(words(name), fontsize=11, fontweight="normal")
        ax.set(yticks=rows.index, xlabel="present")
        ax.set_yticklabels(
            [f"{g if g != 'all' else 'everybody'} (n={n:,})" for g, n in zip(rows.group, rows.n, strict=True)]
        )
    axes[0, 0].invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def _labels(ax):
    return [t.get_label() for t in ax.containers]


def _short(label, most=52):
    return label if len(label) <= most else label[: most - 1].rsplit(" ", 1)[0] + " ..."


def count_table(sizes: pd.DataFrame):
    """Style a frame of ``audit.group_sizes``."""
    table = sizes.assign(rate=[interval(*r, ".1%") for r in sizes[["rate", "low", "high"]].to_numpy()])
    table = table[["attribute", "group", "n", "n_positive", "rate"]]
    table.columns = ["attribute", "group", "n", "positives", "label rate [95 %]"]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def presence_table(table: pd.DataFrame):
    """Style a frame of ``audit.presence_and_label``."""
    columns = [
        "recorded",
        "n present",
        "n absent",
        "label rate if present",
        "label rate if absent",
        "AUROC of presence",
    ]
    rates = {c: "{:.1%}" for c in columns[3:5]}
    return (
        table.set_axis(columns, axis=1)
        .style.hide(axis="index")
        .format({"n present": "{:,}", "n absent": "{:,}", **rates, columns[5]: "{:.3f}"})
    )
