"""Figures and tables of chapter 5: how differently groups are treated."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import members
from mmlib.measure.evaluation import Evaluation
from mmlib.show.style import (
    COLOURS,
    GREY,
    METRIC_NAMES,
    RULE_NAMES,
    band,
    decimals,
    interval,
    listed,
    nothing,
    sentence,
    words,
)

PERFORMANCE = {
    "attribute": "attribute",
    "group": "group",
    "n": "n",
    "n_positive": "positives",
    "selection_rate": "selected",
    "tpr": "TPR",
    "fpr": "FPR",
    "fnr": "FNR",
    "ppv": "PPV",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "AUPRC",
}
COUNTS = {"n": "{:,}", "positives": "{:,}"}


def signed_contrasts(differences: pd.DataFrame, tested: pd.DataFrame) -> np.ndarray:
    """Signed differences of several metrics with simultaneous intervals, a panel each; small groups are hollow.

    Parameters
    ----------
    differences : pandas.DataFrame
        From `mmlib.questions.fairness.signed_differences`; crossed attributes are left out.
    tested : pandas.DataFrame
        From `mmlib.questions.fairness.detectable_differences`.
    """
    rows = differences[~_crossed(differences)]
    metrics, attributes = list(dict.fromkeys(rows.metric)), list(dict.fromkeys(rows.attribute))
    keys = list(dict.fromkeys(zip(rows.attribute, rows.group, strict=True)))
    if not keys:
        return np.array([nothing("No attribute has a second group.", _finding(tested))])
    rows_of_panels = -(-len(metrics) // 2)
    size = (8, rows_of_panels * (0.4 * len(keys) + 0.8) + 0.8)
    figure, axes = plt.subplots(rows_of_panels, 2, sharey=True, squeeze=False, figsize=size)
    for ax, metric in zip(axes.flat, metrics, strict=False):
        part = rows[rows.metric == metric].set_index(["attribute", "group"]).loc[keys].reset_index()
        negatives = part.n - part.n_positive
        count = {"fpr": negatives, "tpr": part.n_positive, "selection_rate": part.n}
        small = count.get(metric, np.minimum(negatives, part.n_positive)) < MINIMUM
        for y, r in part.iterrows():
            colour = COLOURS[attributes.index(r.attribute) % len(COLOURS)]
            spread = [[r.estimate - r.low], [r.high - r.estimate]]
            face = "white" if small[y] else colour
            ax.errorbar(r.estimate, y, xerr=spread, fmt="o", capsize=2, ms=5, color=colour, mfc=face)
        ax.axvline(0, color=GREY, lw=1)
        ax.set_title(METRIC_NAMES[metric], fontsize=10, fontweight="normal")
        ax.tick_params(axis="x", labelsize=9)
    for ax in axes.flat[len(metrics) :]:
        ax.axis("off")
    names = [
        f"{r.group} minus {r.reference}\nn={r.n:,}, positives {r.n_positive:,}" for r in part.itertuples()
    ]
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(keys)), names, fontsize=8)
    axes[0, 0].invert_yaxis()
    figure.supxlabel("group minus reference, 95 % simultaneous intervals", fontsize=10)
    figure.suptitle(_finding(tested), x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def threshold_sweep(swept: Evaluation, result: Evaluation) -> np.ndarray:
    """Signed differences against the share selected, a panel per metric; the operating point is dashed.

    Parameters
    ----------
    swept : Evaluation
        From `mmlib.questions.fairness.sweep_thresholds`.
    result : Evaluation
        The full model at its operating point.
    """
    metrics = list(dict.fromkeys(metric for metric, _ in swept.values))
    contrasts = {metric: swept.contrasts(metric) for metric in metrics}
    if not swept.groups.contrasts:
        return np.array([nothing("No group is named as a contrast.", "Another threshold")])
    figure, axes = plt.subplots(1, len(metrics), sharey=True, squeeze=False, figsize=(9, 4))
    for ax, metric in zip(axes[0], metrics, strict=True):
        for i, (label, difference) in enumerate(contrasts[metric].items()):
            band(ax, difference.labels("selected"), difference, COLOURS[i % len(COLOURS)], label)
        ax.axhline(0, color=GREY, lw=1)
        chosen = result.metric("selection_rate").sel(**{result.key: result.labels[-1]})
        ax.axvline(float(chosen), color=GREY, lw=1, ls="--")
        ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
        ax.set(xlabel="share of all samples selected", ylabel=f"difference in {METRIC_NAMES[metric]}")
    axes[0, 0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.18))
    apart = {
        difference.value["group"].item(): float((difference.clear() != 0).mean())
        for difference in contrasts["tpr"].values()
    }
    found = ", ".join(f"{group} {100 * share:.0f} %" for group, share in apart.items() if share)
    title = "No clear TPR difference at any threshold"
    title = f"TPR differs clearly at this share of thresholds: {found}" if found else title
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def performance_table(described: pd.DataFrame):
    """Point estimates by group, from `mmlib.questions.fairness.describe_groups`."""
    table = described[list(PERFORMANCE)].rename(columns=PERFORMANCE)
    table["attribute"] = table.attribute.map(words)
    table["group"] = table.group.replace({"all": "overall"})
    three = {"AUROC": "{:.3f}", "AUPRC": "{:.3f}"}
    return table.style.hide(axis="index").format(COUNTS | three, precision=2, na_rep="-")


def detectable_table(tested: pd.DataFrame):
    """Signed differences in true positive rate beside the smallest detectable ones."""
    if not len(tested):
        return sentence(f"No group and its reference have {MINIMUM} positives or more.")
    table = pd.DataFrame(
        {
            "metric": tested.metric.map(METRIC_NAMES),
            "contrast": _contrast(tested),
            "n": tested.n,
            "positives": tested.n_positive,
            "difference [95 %]": _intervals(tested, "+"),
            "detectable": tested.detectable,
        }
    )
    return table.style.hide(axis="index").format(COUNTS | {"detectable": "{:.2f}"})


def crossed_table(differences: pd.DataFrame, metrics: Sequence[str] = ("tpr", "selection_rate")):
    """Signed differences of crossed groups, a row per group and a column per metric."""
    rows = differences[_crossed(differences) & differences.metric.isin(metrics)]
    if not len(rows):
        return sentence("No attributes are crossed in this run.")
    rows = rows.assign(shown=_intervals(rows, "+"), metric=rows.metric.map(METRIC_NAMES) + " [95 %]")
    rows.loc[rows.low.isna(), "shown"] = "-"
    keys = ["attribute", "group", "reference", "n", "n_positive"]
    wide = rows.pivot(index=keys, columns="metric", values="shown").reset_index().sort_values(["attribute", "group"])
    table = pd.DataFrame({"contrast": _contrast(wide), "n": wide.n, "positives": wide.n_positive})
    return table.join(wide[list(dict.fromkeys(rows.metric))]).style.hide(axis="index").format(COUNTS)


def worst_table(worst: pd.DataFrame):
    """The worst group by each metric beside the value over all samples."""
    if not len(worst):
        return sentence(f"No attribute has two groups with {MINIMUM} positives or more.")
    table = pd.DataFrame(
        {
            "attribute": worst.attribute.map(words),
            "metric": worst.metric.map(METRIC_NAMES),
            "overall": [f"{r.overall:.{decimals(r.metric)}f}" for r in worst.itertuples()],
            "worst group": worst.group,
            "n": worst.n,
            "positives": worst.n_positive,
            "its value [95 %]": _intervals(worst, ""),
        }
    )
    return table.style.hide(axis="index").format(COUNTS)


def gap_table(gaps: pd.DataFrame):
    """Max-min gaps beside those under shuffled labels, and fairlearn's numbers over all groups."""
    table = pd.DataFrame(
        {
            "attribute": gaps.attribute.map(words),
            "metric": gaps.metric.map(METRIC_NAMES),
            "max-min gap": gaps.gap,
            "mean under shuffled labels": gaps.null,
            "fairlearn, all groups": gaps.fairlearn,
        }
    )
    return table.style.hide(axis="index").format(precision=2, na_rep="-")


def fairness_in_short(
    tested: pd.DataFrame, gaps: pd.DataFrame, judged: pd.DataFrame, *, rule: str, resamples: int
) -> Markdown:
    """The answer of chapter 5 in a paragraph.

    Parameters
    ----------
    tested : pandas.DataFrame
        From `mmlib.questions.fairness.detectable_differences`.
    gaps : pandas.DataFrame
        From `mmlib.questions.fairness.max_min_gaps`; the first gap in true positive rate is told.
    judged : pandas.DataFrame
        From `mmlib.questions.declared.compare_declared`.
    rule : str
        Operating point.
    resamples : int
        Bootstrap resamples, which limit how small a p-value can be.
    """
    told = [f"**In short.** {_finding(tested)} ({RULE_NAMES[rule]}; {MINIMUM} positives or more)."]
    if len(tested):
        apart, r = tested[tested.clear != 0], tested.loc[tested.estimate.abs().idxmax()]
        if len(apart):
            told.append(f"The 95 % interval excludes 0 for {listed(_contrast(apart))}.")
        told.append(
            f"The largest difference is {r.group} minus {r.reference}: {interval(r.estimate, r.low, r.high, '+.2f')}, "
            f"from {r.n_positive:,} positives; differences from {r.detectable:.2f} on can be detected in this group."
        )
    gap = gaps[gaps.metric == "tpr"].iloc[0]
    if np.isfinite(gap.gap):
        told.append(
            f"The paper's max-min gap in true positive rate by {words(gap.attribute)} is {gap.gap:.2f}; shuffled group "
            f"labels give {gap.null:.2f} on average."
        )
    family = int(judged.p.notna().sum())
    if family:
        found = int((judged.p_holm <= 0.05).sum())
        are = "is" if found == 1 else "are"
        told.append(
            f"Of {family} comparisons that were declared and tested, {found} {are} statistically significant at 5 % "
            "after Holm's correction."
        )
        if family * 2 / (1 + resamples) > 0.05:
            told.append(f"(With {resamples:,} resamples no change can be significant in a family of {family}.)")
    return Markdown(" ".join(told))


def _finding(tested: pd.DataFrame) -> str:
    """In how many of the tested groups the difference in true positive rate is clear."""
    apart = int((tested.clear != 0).sum())
    if not len(tested):
        return "No group is large enough to test its true positive rate"
    if not apart:
        groups = "group" if len(tested) == 1 else "groups"
        return f"No clear difference in true positive rate in {len(tested)} tested {groups}"
    return f"The true positive rate differs clearly in {apart} of {len(tested)} tested groups"


def _crossed(rows: pd.DataFrame) -> pd.Series:
    return rows.attribute.map(lambda attribute: len(members(attribute)) > 1).astype(bool)


def _contrast(rows: pd.DataFrame) -> list[str]:
    return [f"{r.group} minus {r.reference}" for r in rows.itertuples()]


def _intervals(rows: pd.DataFrame, sign: str) -> list[str]:
    return [interval(r.estimate, r.low, r.high, f"{sign}.{decimals(r.metric)}f") for r in rows.itertuples()]
