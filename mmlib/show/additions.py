"""Figures and tables of chapter 3: what adding a modality does."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, RULE_NAMES, band, bars, draws_interval, interval, words


def order_path(auroc, gaps, order, *, title: str) -> np.ndarray:
    """Draw AUROC (1 + B, M + 1) and signed differences along one order of addition; returns two axes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    at, ticks = np.arange(len(order) + 1), ["none", *[f"+ {words(m)}" for m in order]]
    band(left, at, auroc, COLOURS[0], "AUROC")
    left.set(ylabel="AUROC (95 % interval)")
    for i, (name, values) in enumerate(gaps.items()):
        bars(right, at + 0.12 * (i - (len(gaps) - 1) / 2), values, COLOURS[i], name)
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


def unimodal_table(result, modalities, silent, prevalence):
    """Style the metrics of each modality alone and of all together; takes an ``Evaluation`` over subsets."""
    flag_all = 2 * prevalence / (1 + prevalence)
    columns = {
        "auroc": "AUROC",
        "average_precision": "AUPRC",
        "f1": "F1",
        "balanced_accuracy": "balanced accuracy",
    }
    rows = []
    for name in [*modalities, result.labels[-1]]:
        k = result.labels.index(name)
        row = {"modality": words(name) if name in modalities else "all", "lacking": silent.get(name, 0)}
        for metric, label in columns.items():
            draws = result.overall(metric)[:, k]
            low, high = np.quantile(draws[1:], [0.025, 0.975])
            row[label] = interval(draws[0], low, high, ".3f")
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
        for name in subsets:
            k = result.labels.index(name)
            row = {
                "rule": RULE_NAMES[rule],
                "modalities": words(name) if name != result.labels[-1] else "all",
            }
            row["selected"] = f"{result.overall('selection_rate')[0, k]:.1%}"
            row |= {
                f"TPR {g} minus {r}": f"{result.contrast('tpr', a, g, r)[0, k]:+.3f}"
                for a, (g, r) in shown.items()
            }
            rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


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


def sensitivity_table(result, shown):
    """Style AUROC, its paired difference to the first variant, and signed TPR differences of variants."""
    auroc, rows = result.overall("auroc"), []
    for k, name in enumerate(result.labels):
        draws = auroc[:, k] - auroc[:, 0]
        row = {
            "variant": name,
            "AUROC": f"{auroc[0, k]:.3f}",
            "difference [95 %]": "" if k == 0 else draws_interval(draws, "+.3f"),
        }
        row |= {
            f"TPR {g} minus {r} [95 %]": draws_interval(result.contrast("tpr", a, g, r)[:, k], "+.3f")
            for a, (g, r) in shown.items()
        }
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")
