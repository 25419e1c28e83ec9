"""Figures and tables of chapter 5: how differently groups are treated."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, METRIC_NAMES, interval, words


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


def performance_table(described: pd.DataFrame):
    """Style point estimates by group from ``metrics.describe``, attributes stacked in the index."""
    table = described.reset_index()
    table = table[(table.group != "all") | (table.index == 0)]
    table["attribute"] = table.attribute.map(words).where(table.group != "all", "")
    table["group"] = table.group.replace({"all": "everybody"})
    table.columns = [
        "attribute",
        "group",
        "n",
        "positives",
        "selected",
        "TPR",
        "FPR",
        "accuracy",
        "balanced accuracy",
        "F1",
        "AUROC",
        "AUPRC",
    ]
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


def calibration_table(table: pd.DataFrame, *, minimum: int = 30):
    """Style calibration intercepts and slopes by group."""
    rows = table.drop_duplicates(["group", "n", "n_positive"])
    shown = rows.assign(
        group=rows.group.replace({"all": "everybody"}),
        attribute=rows.attribute.map(words).where(rows.group != "all", ""),
        **{c: rows[c].where(rows.n_positive >= minimum) for c in ("intercept", "slope")},
    )[["attribute", "group", "n", "n_positive", "observed_expected", "intercept", "slope"]]
    shown.columns = ["attribute", "group", "n", "events", "observed / expected", "intercept", "slope"]
    return shown.style.hide(axis="index").format({"n": "{:,}", "events": "{:,}"}, precision=3, na_rep="-")
