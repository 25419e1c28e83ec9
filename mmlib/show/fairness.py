"""Figures and tables of chapter 5: how differently groups are treated."""


import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import MINIMUM, MINIMUM_EVENTS
from mmlib.core.subsets import members
from mmlib.measure.evaluation import Evaluation
from mmlib.questions.declared import DESCRIBED, VERDICTS
from mmlib.show.claims import declared_sentence
from mmlib.show.style import (
    COLOURS,
    GREY,
    METRIC_NAMES,
    RULE_NAMES,
    band,
    decimals,
    interval,
    nothing,
    sentence,
    words,
)

PERFORMANCE = {
    "attribute": "attribute",
    "group": "group",
    "n": "n",
    "n_effective": "effective n",
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


def signed_contrasts(differences: pd.DataFrame, judged: pd.DataFrame) -> np.ndarray:
    """Signed differences of several metrics, a panel each; declared ones are diamonds, those with few events hollow.

    Intervals are simultaneous over the groups of an attribute, those of declared differences the ones of their verdict.

    Parameters
    ----------
    differences : pandas.DataFrame
        From `mmlib.questions.fairness.signed_differences`, with verdicts; crossed attributes are left out.
    judged : pandas.DataFrame
        From `mmlib.questions.declared.compare_declared`.
    """
    rows = differences[~_crossed(differences)]
    metrics, attributes = list(dict.fromkeys(rows.metric)), list(dict.fromkeys(rows.attribute))
    keys = list(dict.fromkeys(zip(rows.attribute, rows.group, strict=True)))
    if not keys:
        return np.array([nothing("No attribute has a second group.", _finding(judged))])
    rows_of_panels = -(-len(metrics) // 2)
    size = (8, rows_of_panels * (0.4 * len(keys) + 0.8) + 0.8)
    figure, axes = plt.subplots(rows_of_panels, 2, sharey=True, squeeze=False, figsize=size)
    for ax, metric in zip(axes.flat, metrics, strict=False):
        part = rows[rows.metric == metric].set_index(["attribute", "group"]).loc[keys].reset_index()
        for y, r in part.iterrows():
            colour = COLOURS[attributes.index(r.attribute) % len(COLOURS)]
            spread = np.maximum([[r.estimate - r.low], [r.high - r.estimate]], 0)
            mark, face = "o" if r.verdict == DESCRIBED else "D", "white" if r.small else colour
            ax.errorbar(r.estimate, y, xerr=spread, fmt=mark, capsize=2, ms=5, color=colour, mfc=face)
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
    figure.supxlabel("group minus reference, 95 % intervals; diamond: declared", fontsize=10)
    figure.suptitle(_finding(judged), x=0.01, ha="left", fontweight="bold", fontsize=12)
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
    title = f"95 % interval of the TPR difference excludes 0 at this share of thresholds: {found}"
    title = title if found else "No clear TPR difference at any threshold"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def performance_table(described: pd.DataFrame):
    """Point estimates by group, from `mmlib.questions.fairness.describe_groups`."""
    shown = described if (described.n_effective.round() < described.n).any() else described.drop(columns="n_effective")
    table = shown[[column for column in PERFORMANCE if column in shown]].rename(columns=PERFORMANCE)
    table["attribute"] = table.attribute.map(words)
    table["group"] = table.group.replace({"all": "overall"})
    three = {"AUROC": "{:.3f}", "AUPRC": "{:.3f}"}
    counts = COUNTS | ({"effective n": "{:,.0f}"} if "effective n" in table else {})
    return table.style.hide(axis="index").format(counts | three, precision=2, na_rep="-")


def detectable_table(tested: pd.DataFrame):
    """Signed differences in true positive rate beside the smallest detectable ones, and the verdict if declared."""
    if not len(tested):
        few = MINIMUM_EVENTS
        return sentence(f"No group and its reference have {few} positives found and {few} missed.")
    table = pd.DataFrame(
        {
            "metric": tested.metric.map(METRIC_NAMES),
            "contrast": _contrast(tested),
            "n": tested.n,
            "positives": tested.n_positive,
            "difference [95 %]": _intervals(tested, "+"),
            "detectable": tested.detectable,
            "verdict": tested.verdict,
        }
    )
    return table.style.hide(axis="index").format(COUNTS | {"detectable": "{:.2f}"})


def small_table(small: pd.DataFrame):
    """Groups whose true positive rate needs its count, with exact intervals.

    Parameters
    ----------
    small : pandas.DataFrame
        From `mmlib.questions.fairness.small_groups`.
    """
    if not len(small):
        return sentence("Every group has enough events, and none lies clearly below the overall true positive rate.")
    why = {(True, True): "few events; below", (True, False): "few events", (False, True): "below"}
    table = pd.DataFrame(
        {
            "attribute": small.attribute.map(words),
            "group": small.group,
            "n": small.n,
            "positives": small.n_positive,
            "found": [_count(e) for e in small.events],
            "TPR [exact 95 %]": _intervals(small.assign(metric="tpr"), ""),
            "overall": small.overall,
            "why listed": [why[bool(few), bool(below)] for few, below in zip(small.few, small.below, strict=True)],
        }
    )
    return table.style.hide(axis="index").format(COUNTS | {"overall": "{:.2f}"})


def crossed_table(differences: pd.DataFrame):
    """Signed differences of crossed groups, most positives first, a row per group and a column per metric."""
    rows = differences[_crossed(differences) & differences.metric.isin(("tpr", "selection_rate"))]
    if not len(rows):
        return sentence("No attributes are crossed in this run.")
    rows = rows.assign(shown=_intervals(rows, "+"), metric="difference in " + rows.metric.map(METRIC_NAMES) + " [95 %]")
    rows.loc[rows.low.isna(), "shown"] = "-"
    keys = ["attribute", "group", "reference", "n", "n_positive"]
    wide = rows.pivot(index=keys, columns="metric", values="shown").reset_index()
    wide = wide.sort_values("n_positive", ascending=False)
    table = pd.DataFrame({"contrast": _contrast(wide), "n": wide.n, "positives": wide.n_positive})
    return table.join(wide[list(dict.fromkeys(rows.metric))]).style.hide(axis="index").format(COUNTS)


def worst_table(worst: pd.DataFrame):
    """The worst group of each attribute by one metric after the other, beside the value over all samples."""
    if not len(worst):
        return sentence(f"No attribute has two groups with {MINIMUM} positives or more.")
    worst = worst.sort_values("metric", key=lambda m: m.map(list(m.unique()).index), kind="stable")
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
    differences: pd.DataFrame,
    lowest: pd.DataFrame,
    small: pd.DataFrame,
    gaps: pd.DataFrame,
    judged: pd.DataFrame,
    *,
    rule: str,
    resamples: int,
    units: str = "patients",
) -> Markdown:
    """The answer of chapter 5 in a paragraph: the lowest group, the verdicts on declared differences, the paper's gap.

    Parameters
    ----------
    differences : pandas.DataFrame
        From `mmlib.questions.fairness.detectable_differences`.
    lowest, small : pandas.DataFrame
        From `mmlib.questions.fairness.lowest_group` and `small_groups`.
    gaps : pandas.DataFrame
        From `mmlib.questions.fairness.max_min_gaps`; the first gap in true positive rate is told.
    judged : pandas.DataFrame
        From `mmlib.questions.declared.compare_declared`.
    rule : str
        Operating point.
    resamples : int
        Bootstrap resamples, which limit how small a p-value can be.
    units : str
        What is resampled, in the plural.
    """
    told, own = ["**In short.**"], judged[(judged.question == "gap") & (judged.metric == "tpr")]
    told += [_lowest(r) for r in lowest.itertuples()]
    if len(own):
        told.append(f"{_finding(judged)} ({RULE_NAMES[rule]}).")
        told += [f"{declared_sentence(r, units)}." for r in own.itertuples()]
    elif len(differences):
        r = differences.loc[differences.estimate.abs().idxmax()]
        told.append(
            f"{_finding(judged)}. The largest is {r.group} minus {r.reference}: "
            f"{interval(r.estimate, r.low, r.high, '+.2f')} ({RULE_NAMES[rule]})."
        )
    few = small[small.few & (small.n_positive > 0) & ~small.group.isin([*own.group, *lowest.group])]
    if len(few):
        more = "Other groups" if len(own) or len(lowest) else "Groups"
        told.append(f"{more} with too few events for a test: {'; '.join(map(_found, few.itertuples()))}.")
    gap = gaps[gaps.metric == "tpr"].iloc[0]
    if np.isfinite(gap.gap):
        told.append(
            f"The paper's max-min gap in true positive rate by {words(gap.attribute)} is {gap.gap:.2f}; shuffled group "
            f"labels give {gap.null:.2f} on average."
        )
    family = int(judged.p.notna().sum())
    if family:
        found = int((judged.verdict == "differs").sum())
        differ = "differs" if found == 1 else "differ"
        told.append(f"Of all {family} comparisons that were declared and tested, {found} {differ} after Holm.")
        if family * 2 / (1 + resamples) > 0.05:
            told.append(f"(With {resamples:,} resamples no change can be significant in a family of {family}.)")
    return Markdown(" ".join(told))


def _lowest(r) -> str:
    """Say how many positives the model finds in the group with the lowest true positive rate."""
    share, low, high, overall = (f"{100 * value:.0f}\u00a0%" for value in (r.estimate, r.low, r.high, r.overall))
    return (
        f"Of groups with {MINIMUM} positives or more, *{r.group}* has the lowest true positive rate: the model finds "
        f"{_count(r.events)} of {r.n_positive:,} positives ({share}; exact 95\u00a0% interval {low} to {high}), "
        f"against {overall} overall{'' if r.below else ', which the interval includes'}."
    )


def _found(r) -> str:
    return f"{r.group} ({_count(r.events)} of {r.n_positive:,} found, exact interval {r.low:.2f} to {r.high:.2f})"


def _count(events: float) -> str:
    """Write a count, which is a mean over trainings and may have a fraction."""
    return f"{events:,.1f}".removesuffix(".0")


def _finding(judged: pd.DataFrame) -> str:
    """How many of the declared differences in true positive rate differ."""
    own = judged[(judged.question == "gap") & (judged.metric == "tpr")]
    if not len(own):
        return "No TPR difference was declared: all are described, not tested"
    if not own.p.notna().any():
        return "No declared TPR difference has enough events to be tested"
    apart, more = (own.group[own.verdict == verdict].tolist() for verdict in VERDICTS[:2])
    tested = int(own.p.notna().sum())
    if not apart and not more:
        return f"No clear TPR difference: {tested} declared, none differs"
    if not apart:
        return f"No declared TPR difference holds after Holm, {len(more)} of {tested} only before it"
    found = f"{len(apart)} of {tested} declared TPR differences {'holds' if len(apart) == 1 else 'hold'} after Holm"
    return found + (f", {len(more)} more only before it" if more else "")


def _crossed(rows: pd.DataFrame) -> pd.Series:
    return rows.attribute.map(lambda attribute: len(members(attribute)) > 1).astype(bool)


def _contrast(rows: pd.DataFrame) -> list[str]:
    return [f"{r.group} minus {r.reference}" for r in rows.itertuples()]


def _intervals(rows: pd.DataFrame, sign: str) -> list[str]:
    return [interval(r.estimate, r.low, r.high, f"{sign}.{decimals(r.metric)}f") for r in rows.itertuples()]
