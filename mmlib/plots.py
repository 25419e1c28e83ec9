"""Every figure of the book: tidy frames in, axes out; nothing is shown or saved here.

One message each, and the message is the title. Intervals are drawn, sizes are written, colours are safe for
colour-blind readers, and backgrounds are opaque so that dark pages do not swallow the ink.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from mmlib.tables import METRIC_NAMES, RULE_NAMES, words

sns.set_theme(
    context="notebook",
    style="whitegrid",
    palette="colorblind",
    rc={
        "figure.facecolor": "white",
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlesize": 12,
        "savefig.facecolor": "white",
        "figure.dpi": 110,
        "savefig.bbox": "tight",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
    },
)
COLOURS = sns.color_palette("colorblind")
GREY = "0.45"


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


def auroc_differences(table: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw AUROC differences to a reference with intervals; takes the frame of ``evaluate.compare_auroc``."""
    table = table.sort_values("difference", ascending=False).reset_index(drop=True)
    _, ax = plt.subplots(figsize=(8, 0.5 * len(table) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    spread = [table.difference - table.difference_low, table.difference_high - table.difference]
    ax.errorbar(table.difference, table.index, xerr=spread, fmt="o", capsize=3)
    ax.set_yticks(
        table.index,
        [f"{v}\nAUROC {a:.3f}" for v, a in zip(table.variant, table.auroc, strict=True)],
        fontsize=9,
    )
    ax.set(xlabel="difference in AUROC (95 % interval)")
    ax.invert_yaxis()
    ax.set_title(title)
    return ax


def order_path(auroc, gaps, order, *, title: str) -> np.ndarray:
    """Draw AUROC (1 + B, M + 1) and signed differences along one order of addition; returns two axes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    at, ticks = np.arange(len(order) + 1), ["none", *[f"+ {words(m)}" for m in order]]
    _band(left, at, auroc, COLOURS[0], "AUROC")
    left.set(ylabel="AUROC (95 % interval)")
    for i, (name, values) in enumerate(gaps.items()):
        _bars(right, at + 0.12 * (i - (len(gaps) - 1) / 2), values, COLOURS[i], name)
    right.axhline(0, color=GREY, lw=1)
    right.set(ylabel="difference in TPR (95 % interval)")
    right.legend(frameon=False, fontsize=9)
    for ax in (left, right):
        ax.set_xticks(at, ticks, rotation=35, ha="right", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def additions(steps: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw the change that each single addition brings, by modality added."""
    names = list(dict.fromkeys(steps.modality))
    _, ax = plt.subplots(figsize=(8, 0.6 * len(names) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    jitter = (steps["size"] - steps["size"].mean()) / (2.5 * max(steps["size"].max(), 1))
    at = steps.modality.map(names.index) + jitter
    for sign, label in ((True, "raises"), (False, "lowers")):
        rows = (steps.change > 0) == sign
        ax.scatter(
            steps.change[rows],
            at[rows],
            s=22,
            color=COLOURS[0 if sign else 3],
            label=label,
            edgecolor="white",
            lw=0.4,
        )
    ax.set_yticks(range(len(names)), [words(m) for m in names])
    ax.set(xlabel="change in AUROC; upper dots were added to small subsets, lower ones to large")
    ax.invert_yaxis()
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    ax.set_title(title)
    return ax


def by_modality(shares, modalities, *, title: str, quantity: str = "share") -> np.ndarray:
    """Draw what each modality does (1 + B, M) to several quantities; the first gets a panel of its own."""
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 0.55 * len(modalities) + 1.6))
    at = np.arange(len(modalities))
    for i, (name, values) in enumerate(shares.items()):
        ax, shift = (left, 0) if i == 0 else (right, 0.15 * (i - len(shares) / 2))
        low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
        ax.errorbar(
            values[0],
            at + shift,
            xerr=[values[0] - low, high - values[0]],
            fmt="o",
            capsize=2,
            ms=5,
            color=COLOURS[max(i - 1, 0)],
            label=name,
        )
    for ax, label in (
        (left, f"{quantity} of {next(iter(shares))}"),
        (right, f"{quantity} of the signed difference"),
    ):
        ax.axvline(0, color=GREY, lw=1)
        ax.set(xlabel=label)
    left.set_yticks(at, [words(m) for m in modalities])
    left.invert_yaxis()
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def operating_points(points: pd.DataFrame, *, contrast: str, title: str) -> np.ndarray:
    """Draw a signed difference against AUROC for every subset, one panel per decision rule."""
    rules = list(dict.fromkeys(points.rule))
    figure, axes = plt.subplots(1, len(rules), sharey=True, figsize=(9, 3.6))
    for ax, rule in zip(axes, rules, strict=True):
        rows = points[points.rule == rule]
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
    axes[0].set(ylabel=contrast)
    figure.colorbar(dots, ax=axes, label="share selected")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def _band(ax, x, values, colour, label):
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    ax.plot(x, values[0], marker="o", ms=4, color=colour, label=label)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)


def _bars(ax, x, values, colour, label):
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    ax.errorbar(
        x,
        values[0],
        yerr=[values[0] - low, high - values[0]],
        fmt="o-",
        ms=4,
        lw=1,
        capsize=2,
        color=colour,
        label=label,
    )


def masking_curve(rates, auroc, one_run_sd, *, title: str) -> plt.Axes:
    """Draw expected AUROC (1 + B, R) against the drop rate: interval over patients, and of one masked run."""
    _, ax = plt.subplots(figsize=(8, 4.2))
    _band(ax, rates, auroc, COLOURS[0], "exact expectation, band (a) over patients")
    ax.errorbar(
        rates,
        auroc[0],
        yerr=1.96 * one_run_sd,
        fmt="none",
        capsize=4,
        color=COLOURS[3],
        label="(b) one masked run",
    )
    ax.set(xlabel="probability that a modality is dropped", ylabel="AUROC")
    ax.legend(frameon=False, fontsize=9)
    ax.set_title(title)
    return ax


def contrast_curves(rates, panels, *, title: str) -> np.ndarray:
    """Draw signed differences (1 + B, R) against the drop rate, one panel per metric."""
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 4), sharey=True)
    for ax, (label, curves) in zip(axes, panels.items(), strict=True):
        for i, (name, values) in enumerate(curves.items()):
            _band(ax, rates, values, COLOURS[i], name)
        ax.axhline(0, color=GREY, lw=1)
        ax.set(xlabel="drop probability", ylabel=label)
    axes[0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def simulation(runs: pd.DataFrame, exact: pd.DataFrame, *, attribute: str, title: str) -> np.ndarray:
    """Draw simulated masked runs over the exact expectation; both frames have rate, auroc and gap."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4))
    for ax, column, label in zip(
        axes, ("auroc", "gap"), ("AUROC", f"max-min gap in TPR by {words(attribute)}"), strict=True
    ):
        jitter = np.random.default_rng(0).uniform(-0.012, 0.012, len(runs))
        ax.scatter(
            runs.rate + jitter,
            runs[column],
            s=5,
            alpha=0.35,
            color=COLOURS[0],
            lw=0,
            label="one simulated run",
        )
        ax.plot(exact.rate, exact[column], color=COLOURS[3], label="exact")
        mean = runs.groupby("rate")[column].mean()
        ax.plot(mean.index, mean, "D", ms=6, color="black", label="mean of the runs")
        ax.set(xlabel="drop probability", ylabel=label)
    axes[1].legend(frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def regimes(rates, curves, advantage, *, title: str) -> np.ndarray:
    """Draw expected AUROC of several regimes, and the paired difference of two of them (1 + B, R)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    for i, (name, values) in enumerate(curves.items()):
        left.plot(
            rates,
            values,
            marker="o",
            ms=3,
            color=COLOURS[i],
            ls="-" if name.startswith("plain") else "--",
            label=name,
        )
    left.set(xlabel="drop probability", ylabel="expected AUROC")
    left.legend(frameon=False, fontsize=9)
    _band(right, rates, advantage, COLOURS[3], "difference")
    right.axhline(0, color=GREY, lw=1)
    right.set(xlabel="drop probability", ylabel="AUROC, dropout minus plain (95 %)")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def signed_contrasts(rows: pd.DataFrame, references, *, title: str, minimum: int = 30) -> np.ndarray:
    """Draw signed differences of several metrics, a panel each, from tidy rows; small groups are hollow."""
    metrics = list(dict.fromkeys(rows.metric))
    keys = list(dict.fromkeys(zip(rows.attribute, rows.group, strict=True)))
    rows_of_panels = -(-len(metrics) // 2)
    size = (8, rows_of_panels * (0.4 * len(keys) + 0.8) + 0.8)
    figure, axes = plt.subplots(rows_of_panels, 2, sharey=True, squeeze=False, figsize=size)
    for ax, metric in zip(axes.flat, metrics, strict=False):
        part = rows[rows.metric == metric].set_index(["attribute", "group"]).loc[keys].reset_index()
        few = {"fpr": part.n - part.n_positive, "tpr": part.n_positive, "selection_rate": part.n}
        small = few.get(metric, np.minimum(part.n - part.n_positive, part.n_positive)) < minimum
        for y, r in part.iterrows():
            colour = COLOURS[list(references).index(r.attribute) % len(COLOURS)]
            ax.errorbar(
                r.estimate,
                y,
                xerr=[[r.estimate - r.low], [r.high - r.estimate]],
                fmt="o",
                capsize=2,
                ms=5,
                color=colour,
                mfc="white" if small[y] else colour,
            )
        ax.axvline(0, color=GREY, lw=1)
        ax.set_title(METRIC_NAMES[metric], fontsize=10, fontweight="normal")
        ax.tick_params(axis="x", labelsize=9)
    label = part.assign(
        text=[
            f"{r.group} minus {r.reference}\nn={r.n:,}, positives {r.n_positive:,}" for r in part.itertuples()
        ]
    )
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(keys)), label.text, fontsize=8)
    axes[0, 0].invert_yaxis()
    figure.supxlabel("group minus reference, 95 % simultaneous intervals", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def calibration(table: pd.DataFrame, *, title: str, minimum: int = 30) -> plt.Axes:
    """Draw observed over expected events by group, from frames of ``metrics.calibration``."""
    rows = table.drop_duplicates(["group", "n", "n_positive"]).reset_index(drop=True)
    _, ax = plt.subplots(figsize=(8, 0.36 * len(rows) + 1.2))
    ax.axvline(1, color=GREY, lw=1)
    for y, r in rows.iterrows():
        spread = [[r.observed_expected - r.low], [r.high - r.observed_expected]]
        ax.errorbar(
            r.observed_expected,
            y,
            xerr=spread,
            fmt="o",
            capsize=2,
            color=COLOURS[0],
            mfc=COLOURS[0] if r.n_positive >= minimum else "white",
        )
    ax.set_yticks(
        rows.index,
        [
            f"{'everybody' if r.group == 'all' else r.group} ({r.n_positive:,} of {r.n:,})"
            for r in rows.itertuples()
        ],
    )
    ax.set(xlabel="observed / expected (95 % interval)")
    ax.invert_yaxis()
    ax.set_title(title)
    return ax
