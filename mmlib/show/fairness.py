"""Figures and tables of chapter 5: how differently groups are treated."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, METRIC_NAMES, band, contrast_name, interval, words


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


def sweep(rows: pd.DataFrame, chosen: float, *, title: str) -> np.ndarray:
    """Draw signed differences against the share selected, a panel per metric, from tidy rows; mark ``chosen``."""
    metrics = list(dict.fromkeys(rows.metric))
    figure, axes = plt.subplots(1, len(metrics), sharey=True, squeeze=False, figsize=(9, 4))
    for ax, metric in zip(axes[0], metrics, strict=True):
        families = rows[rows.metric == metric].groupby(["attribute", "group"], sort=False)
        for i, (_, part) in enumerate(families):
            band(ax, part.selected, part, COLOURS[i % len(COLOURS)], contrast_name(part.iloc[0]))
        ax.axhline(0, color=GREY, lw=1)
        ax.axvline(chosen, color=GREY, lw=1, ls="--")
        ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
        ax.set(xlabel="share of everybody selected", ylabel=f"difference in {METRIC_NAMES[metric]}")
    axes[0, 0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.18))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def performance_table(described: pd.DataFrame):
    """Style point estimates by group from ``metrics.describe``, attributes stacked in the index."""
    table = described.reset_index()
    table = table[(table.group != "all") | (table.index == 0)]
    table["attribute"] = table.attribute.map(words).where(table.group != "all", "")
    table["group"] = table.group.replace({"all": "everybody"})
    names = "attribute group n positives selected TPR FPR FNR PPV accuracy balanced-accuracy F1 AUROC AUPRC"
    table.columns = [name.replace("-", " ") for name in names.split()]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"}, precision=3, na_rep="-")


def contrast_table(rows: pd.DataFrame):
    """Style signed differences from tidy rows; a column ``detectable`` holds the smallest detectable ones."""
    table = pd.DataFrame(
        {
            "metric": rows.metric.map(METRIC_NAMES),
            "contrast": [f"{r.group} minus {r.reference}" for r in rows.itertuples()],
            "n": rows.n,
            "positives": rows.n_positive,
            "difference [95 %]": [interval(*r, "+.3f") for r in rows[["estimate", "low", "high"]].to_numpy()],
        }
    )
    if "detectable" in rows:
        table["detectable"] = rows.detectable.map("{:.3f}".format)
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def crossed_table(rows: pd.DataFrame):
    """Style signed differences of crossed groups, a row per group and a column per metric, from tidy rows."""
    rows = rows.assign(shown=[interval(*r, "+.2f") for r in rows[["estimate", "low", "high"]].to_numpy()])
    rows.loc[rows.low.isna(), "shown"] = "-"
    keys = ["attribute", "group", "reference", "n", "n_positive"]
    wide = rows.pivot(index=keys, columns="metric", values="shown").reset_index().sort_values(["attribute", "group"])
    table = pd.DataFrame(
        {
            "contrast": [f"{r.group} minus {r.reference}" for r in wide.itertuples()],
            "n": wide.n,
            "positives": wide.n_positive,
        }
        | {f"{METRIC_NAMES[m]} [95 %]": wide[m] for m in dict.fromkeys(rows.metric)}
    )
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def worst_table(rows: pd.DataFrame):
    """Style the worst group of each metric beside everybody, from tidy rows of groups with simultaneous intervals."""
    lines = []
    for (attribute, metric), part in rows.groupby(["attribute", "metric"], sort=False):
        everybody = part[part.group == "all"].iloc[0]
        groups = part[(part.group != "all") & (part.n_positive >= 30) & part.estimate.notna()]
        if len(groups) > 1:
            r = groups.loc[groups.estimate.idxmax() if metric in ("fpr", "fnr") else groups.estimate.idxmin()]
            line = {"attribute": words(attribute), "metric": METRIC_NAMES[metric]}
            line |= {"everybody": f"{everybody.estimate:.3f}", "worst group": r.group}
            line |= {"n": r.n, "positives": r.n_positive}
            lines.append(line | {"its value [95 %]": interval(r.estimate, r.low, r.high, ".3f")})
    return pd.DataFrame(lines).style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def gap_table(gaps: pd.DataFrame, fairlearn_gaps: dict):
    """Style max-min gaps beside their null means, and fairlearn's numbers over all groups."""
    extra = {"selection_rate": "demographic_parity_difference", "equalized_odds": "equalized_odds_difference"}
    table = pd.DataFrame(
        {
            "attribute": gaps.attribute.map(words),
            "metric": gaps.metric.map(METRIC_NAMES),
            "max-min gap": gaps.gap,
            "mean under shuffled labels": gaps.null,
            "fairlearn, all groups": [
                fairlearn_gaps[a].get(extra.get(m), np.nan)
                for a, m in zip(gaps.attribute, gaps.metric, strict=True)
            ],
        }
    )
    return table.style.hide(axis="index").format(precision=3, na_rep="")
