"""Figures and tables of chapter 3: what adding a modality does."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import Markdown

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import NONE, full_subset, members
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.models.study import Study
from mmlib.questions.presence import PAIRS
from mmlib.show import style
from mmlib.show.style import (
    COLOURS,
    GREY,
    METRIC_NAMES,
    RULE_NAMES,
    band,
    bars,
    dots,
    estimate_cells,
    listed,
    words,
)

#: Columns of the table of single modalities: metric -> heading.
ALONE = {"auroc": "AUROC", "average_precision": "AUPRC", "f1": "F1", "balanced_accuracy": "balanced accuracy"}


def unimodal_table(alone: Evaluation, study: Study):
    """Metrics of each modality alone, of all together, and of flagging all samples.

    Parameters
    ----------
    alone : Evaluation
        From `mmlib.questions.additions.evaluate_singles`.
    study : Study
        Whose samples may lack modalities.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    lacking = dict(zip(study.modalities, (~study.present.numpy()).sum(axis=0), strict=True))
    prevalence = float(study.y.mean())
    names = [*study.modalities, "all"][: len(alone.labels)]
    cells = {heading: estimate_cells(alone.metric(metric), ".3f") for metric, heading in ALONE.items()}
    table = pd.DataFrame({"modality": map(words, names), "lacking": [lacking.get(m, 0) for m in names]} | cells)
    flag_all = ["0.500", f"{prevalence:.3f}", f"{2 * prevalence / (1 + prevalence):.3f}", "0.500"]
    table.loc[len(table)] = ["flag all samples", 0, *flag_all]
    return table.style.hide(axis="index").format({"lacking": "{:,}"})


def order_path(result: Evaluation, path: Sequence[str]) -> np.ndarray:
    """AUROC and signed TPR differences along one order of addition.

    Parameters
    ----------
    result : Evaluation
        Of the power set.
    path : sequence of str
        Subsets, from `mmlib.questions.additions.addition_path`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Two, or one if no differences are shown.
    """
    contrasts = result.contrasts("tpr")
    figure, axes = plt.subplots(1, 2 if contrasts else 1, squeeze=False, figsize=(9 if contrasts else 5, 4.2))
    ticks = [NONE] + [f"+ {words(_added(a, b))}" for a, b in zip(path, path[1:], strict=False)]
    at = np.arange(len(path))
    band(axes[0, 0], at, result.metric("auroc").sel(subset=list(path)), COLOURS[0], "AUROC")
    axes[0, 0].set(ylabel="AUROC (95 % interval)")
    for i, (label, level) in enumerate(contrasts.items()):
        shift = 0.12 * (i - (len(contrasts) - 1) / 2)
        bars(axes[0, 1], at + shift, level.sel(subset=list(path)), COLOURS[i % len(COLOURS)], label)
    if contrasts:
        axes[0, 1].axhline(0, color=GREY, lw=1)
        axes[0, 1].set(ylabel="TPR difference (95 % interval)")
        axes[0, 1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.3))
    for ax in axes[0]:
        ax.set_xticks(at, ticks, rotation=35, ha="right", fontsize=9)
    # from the empty set, if there is but one modality
    start, end = path[min(1, len(path) - 2)], path[-1]
    gain = result.changes([(start, end)], ["auroc"]).metric("auroc").sel(subset=end)
    since = "from no modality to the only one" if start == NONE else "after the first modality"
    title = f"In this order AUROC changes by {gain:+.3f} {since}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def addition_dots(changes: Estimate) -> plt.Axes:
    """Change in AUROC that each single addition brings, by the modality added.

    Parameters
    ----------
    changes : Estimate
        From `mmlib.questions.additions.addition_changes`.

    Returns
    -------
    matplotlib.axes.Axes
    """
    steps = changes.frame(simultaneous=True)
    steps["modality"] = [_added(before, after) for before, after in zip(steps.versus, steps.subset, strict=True)]
    steps["size"] = [len(members(before)) for before in steps.versus]
    names = list(members(full_subset(steps.subset)))
    most = len(steps) // len(names)
    _, ax = plt.subplots(figsize=(8, min(max(0.05 * len(steps), 0.6 * len(names)), 10) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    within = steps.sort_values("size", kind="stable").groupby("modality").cumcount().reindex(steps.index)
    at = steps.modality.map(names.index) + 0.8 * ((within + 0.5) / most - 0.5)
    kinds = (
        ("interval above 0", steps.low > 0, COLOURS[0]),
        ("interval holds 0", (steps.low <= 0) & (steps.high >= 0), "0.6"),
        ("interval below 0", steps.high < 0, COLOURS[3]),
    )
    for label, rows, colour in kinds:
        part = steps[rows]
        arms = [part.estimate - part.low, part.high - part.estimate]
        look = {"fmt": "o", "ms": 4, "lw": 0.8, "color": colour}
        ax.errorbar(part.estimate, at[rows], xerr=arms, label=f"{label} ({len(part)})", **look)
    ax.set_yticks(range(len(names)), [words(m) for m in names])
    ax.set(xlabel="change in AUROC; from top to bottom, added to small subsets, then to large")
    ax.invert_yaxis()
    ax.legend(frameon=False, fontsize=9)
    up, clear = int((steps.estimate > 0).sum()), int((steps.low > 0).sum())
    ax.set_title(f"{up} of {len(steps)} single additions raise AUROC; for {clear} the interval excludes 0")
    return ax


def addition_counts(counted: pd.DataFrame):
    """Numbers of single additions that raise AUROC, and that widen or narrow signed differences.

    Parameters
    ----------
    counted : pandas.DataFrame
        From `mmlib.questions.additions.count_additions`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    names = [f"{_short(row.metric)} {row.contrast}".strip() for row in counted.itertuples()]
    table = pd.DataFrame(
        {
            "quantity": names,
            "additions": counted["additions"],
            "raise or widen": counted["up"],
            "share": (counted["up"] / counted["additions"]).map("{:.0%}".format),
            "raise or widen, interval excludes 0": counted["clear_up"],
            "lower or narrow, interval excludes 0": counted["clear_down"],
        }
    )
    return table.style.hide(axis="index")


def shapley_dots(shares: Mapping[str, Estimate]) -> np.ndarray:
    """Shapley value of each modality for AUROC, and for signed TPR differences.

    Parameters
    ----------
    shares : mapping of str to Estimate
        From `mmlib.questions.additions.shapley_shares`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    auroc, *differences = shares.values()
    modalities = auroc.labels("modality")
    leader = words(_largest(auroc)).capitalize()
    title = f"{leader} adds most to AUROC ({float(auroc.value.max()):+.3f})"
    if len(modalities) == 1:
        title = f"{leader}, the only modality, changes AUROC by {float(auroc.value.max()):+.3f}"
    rows = pd.concat([d.frame() for d in differences], ignore_index=True) if differences else pd.DataFrame()
    if len(rows):
        clear = rows[(rows.low > 0) | (rows.high < 0)]
        if clear.empty:
            title += "; no clear effect on a TPR difference"
        else:
            most = clear.loc[clear.estimate.abs().idxmax()]
            pair = f"{most.group} minus {most.reference}, {most.estimate:+.2f}"
            title += f"; {words(most.modality)} moves a TPR difference most ({pair})"
    return style.by_modality(shares, modalities, title=title)


def movement(moved: Evaluation) -> np.ndarray:
    """True positive rate of each group before (hollow) and after (filled), a panel per attribute.

    Parameters
    ----------
    moved : Evaluation
        Of two score vectors, from `mmlib.questions.additions.evaluate_best_single`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Groups with fewer than 30 positives are pale.
    """
    attributes, (start, end) = moved.groups.attributes, moved.labels
    gained = moved.changes([(start, end)], ["tpr"])
    panels = {}
    for attribute in attributes:
        rates, change = moved.metric("tpr", attribute), gained.metric("tpr", attribute).sel(subset=end)
        before = rates.sel(subset=start).value.values
        about = {"before": before, "moved": change.value.values, "text": estimate_cells(change, "+.2f")}
        panels[attribute] = rates.sel(subset=end).frame().assign(**about)
    heights = [len(rows) for rows in panels.values()]
    size = (8, 0.34 * sum(heights) + 0.5 * len(panels) + 0.8)
    figure, axes = plt.subplots(len(panels), 1, sharex=True, squeeze=False, figsize=size, height_ratios=heights)
    for ax, (attribute, part) in zip(axes[:, 0], panels.items(), strict=True):
        for y, r in part.iterrows():
            colour = COLOURS[0] if r.n_positive >= MINIMUM else "0.7"
            arms = np.maximum([[r.estimate - r.low], [r.high - r.estimate]], 0)
            ax.errorbar(r.estimate, y, xerr=arms, fmt="o", color=colour)
            ax.plot(r.before, y, "o", color=colour, mfc="white")
            ax.annotate("", (r.estimate, y), (r.before, y), arrowprops={"arrowstyle": "->", "color": colour})
            ax.text(1.01, y, r.text, transform=ax.get_yaxis_transform(), va="center", fontsize=8)
        names = [f"{r.group} (n={r.n:,}, {r.n_positive:,} positive)" for r in part.itertuples()]
        ax.set_yticks(part.index, names, fontsize=9)
        ax.set_ylim(len(part) - 0.5, -0.5)
        ax.set_title(words(attribute), fontsize=10, fontweight="normal")
    axes[0, 0].text(1.01, 1.02, "change [95 %]", transform=axes[0, 0].transAxes, fontsize=8, va="bottom")
    axes[-1, 0].set(xlabel=METRIC_NAMES["tpr"])
    title = _movement_title(attributes[0], panels[attributes[0]])
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[:, 0]


def _movement_title(attribute, rows):
    large = rows[rows.n_positive >= MINIMUM].sort_values("before", kind="stable")
    if len(large) < 2:
        return f"{words(attribute).capitalize()}: fewer than two groups have {MINIMUM} positives"
    low, high = large.iloc[0], large.iloc[-1]
    return (
        f"{words(attribute).capitalize()}: {low.group}, lowest before, {low.moved:+.2f}; "
        f"{high.group}, highest before, {high.moved:+.2f}"
    )


def matched_presence(gains: Estimate) -> np.ndarray:
    """Gain in AUROC of each modality over all pairs, and over pairs matched in its presence.

    Parameters
    ----------
    gains : Estimate
        From `mmlib.questions.presence.matched_gains`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    places, names = gains.labels("place"), gains.labels("modality")
    size = (9, 0.6 * max(len(names), 4) + 1.6)
    figure, axes = plt.subplots(1, len(places), sharey=True, squeeze=False, figsize=size)
    at = np.arange(len(names))
    for ax, place in zip(axes[0], places, strict=True):
        for i, pairs in enumerate(PAIRS):
            dots(ax, at + 0.24 * (i - 0.5), gains.sel(place=place, pairs=pairs), COLOURS[2 * i], pairs)
        ax.set(xlabel="gain in AUROC (95 % interval)")
        ax.set_title(place, fontsize=11, fontweight="normal")
    shares = gains.value["present"].values
    labels = [f"{words(m)}\n{share:.0%} have it" for m, share in zip(names, shares, strict=True)]
    axes[0, 0].set_yticks(at, labels, fontsize=9)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    axes[0, -1].legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.2))
    title = _presence_title(gains.sel(place="last"))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def _presence_title(last):
    by_presence = last.map([[1, -1]], "pairs", "difference", ["presence"]).sel(difference="presence")
    at = by_presence.value["modality"].values[int(np.argmax(np.abs(by_presence.value.values)))]
    one = by_presence.sel(modality=at)
    if not int(one.clear()):
        return "No clear effect of presence on what a modality adds last"
    whole, matched = (float(last.sel(modality=at, pairs=pairs)) for pairs in PAIRS)
    return f"{words(at).capitalize()}, added last, gains {whole:+.3f}; {matched:+.3f} where its presence is the same"


def operating_points(rules: Mapping[str, Evaluation], auroc: Estimate) -> np.ndarray:
    """Signed TPR difference of every subset against its AUROC, a panel per operating point.

    Parameters
    ----------
    rules : mapping of str to Evaluation
        From `mmlib.questions.additions.evaluate_rules`.
    auroc : Estimate with the dimension ``subset``
        Of the same power set.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Of the first difference shown; a sentence if none is.
    """
    contrasts = {rule: next(iter(result.contrasts("tpr").items()), None) for rule, result in rules.items()}
    if None in contrasts.values():
        return np.array([style.nothing(style.NO_CONTRAST, "TPR difference at other operating points")])
    names = [name for name in auroc.labels("subset") if name != NONE]
    figure, axes = plt.subplots(1, len(rules), sharey=True, squeeze=False, figsize=(9, 3.6))
    x, found = auroc.sel(subset=names).value.values, []
    for ax, (rule, (_, level)) in zip(axes[0], contrasts.items(), strict=True):
        y, low, high = style.ends(level.sel(subset=names))
        selected = rules[rule].metric("selection_rate").sel(subset=names).value.values
        arms = np.maximum([y - low, high - y], 0)
        ax.errorbar(x, y, yerr=arms, fmt="none", lw=0.6, color="0.7", zorder=0)
        look = {"cmap": "viridis", "vmin": 0, "vmax": 1, "s": 30, "edgecolor": "white"}
        points = ax.scatter(x, y, c=selected, **look)
        if len(x) > 2 and np.ptp(x) > 0:
            slope, start = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            ax.plot(ends, start + slope * ends, color=GREY, lw=1)
        ax.axhline(0, color=GREY, lw=1, ls="--")
        ax.set(xlabel="AUROC of the subset")
        ax.set_title(RULE_NAMES[rule], fontsize=11, fontweight="normal")
        found.append(f"{float(level.sel(subset=full_subset(names))):+.2f} ({RULE_NAMES[rule]})")
    label = next(iter(contrasts.values()))[0]
    axes[0, 0].set_ylabel(f"TPR, {label}".replace(" (", "\n("), fontsize=10)
    figure.colorbar(points, ax=axes[0], label="share selected")
    title = f"All modalities: TPR difference {', '.join(found)}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def rules_table(rules: Mapping[str, Evaluation], auroc: Estimate):
    """Selection rate and signed TPR differences of the weakest, the strongest and all modalities, by operating point.

    Parameters
    ----------
    rules, auroc
        As in `operating_points`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    names = auroc.labels("subset")
    everything = full_subset(names)
    singles = sorted((s for s in names if len(members(s)) == 1), key=lambda s: float(auroc.sel(subset=s)))
    kept = list(dict.fromkeys([singles[0], singles[-1], everything]))
    parts = []
    for rule, result in rules.items():
        selected = result.metric("selection_rate").sel(subset=kept).value.values
        columns = {"rule": RULE_NAMES[rule], "modalities": ["all" if s == everything else words(s) for s in kept]}
        columns |= {"selected": [f"{share:.1%}" for share in selected]}
        contrasts = result.contrasts("tpr").items()
        columns |= {f"TPR {name} [95 %]": estimate_cells(level.sel(subset=kept), "+.2f") for name, level in contrasts}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True).style.hide(axis="index")


def group_table(by_group: Evaluation):
    """AUROC of one model over all samples and within each group, with sizes.

    Parameters
    ----------
    by_group : Evaluation
        Of one score vector, with AUROC by group.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    levels = [by_group.metric("auroc"), *(by_group.metric("auroc", a) for a in by_group.groups.attributes)]
    about = ["attribute", "group", "n", "n_positive"]
    parts = [level.frame()[about].assign(cell=estimate_cells(level, ".3f")) for level in levels]
    table = pd.concat(parts, ignore_index=True)
    table["attribute"] = table["attribute"].map(words).where(table["group"] != "all", "")
    table = table.set_axis(["attribute", "group", "n", "positives", "AUROC [95 %]"], axis=1)
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def sensitivity_table(compared: Mapping[str, Estimate]):
    """AUROC of variants, its paired difference to the first one, and signed TPR differences.

    Parameters
    ----------
    compared : mapping of str to Estimate
        From `mmlib.questions.sensitivity.compare_variations`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    auroc, change, *_ = compared.values()
    table = {"variant": auroc.labels("variant"), "AUROC": [f"{value:.3f}" for value in auroc.value.values]}
    table["difference [95 %]"] = ["", *estimate_cells(change, "+.3f")]
    table |= {f"{name} [95 %]": estimate_cells(level, "+.2f") for name, level in list(compared.items())[2:]}
    return pd.DataFrame(table).style.hide(axis="index")


def additions_in_short(moved: Evaluation, single: xr.Dataset, counted: pd.DataFrame) -> Markdown:
    """Answer of chapter 3 in a few sentences.

    Parameters
    ----------
    moved : Evaluation
        From `mmlib.questions.additions.evaluate_best_single`.
    single : xarray.Dataset
        From `mmlib.questions.additions.best_single`: which modality was chosen.
    counted : pandas.DataFrame
        From `mmlib.questions.additions.count_additions`.

    Returns
    -------
    IPython.display.Markdown
    """
    (start, end), auroc = moved.labels, moved.metric("auroc")
    modalities, level = members(end), auroc.sel(subset=end)
    if len(modalities) == 1:
        return Markdown(
            f"**In short.** There is one modality, {words(end)}, with an AUROC of {level:.3f}; chance is 0.500. "
            "What another one adds cannot be asked here."
        )
    gain = moved.changes([(start, end)], ["auroc"]).metric("auroc").sel(subset=end)
    chosen = pd.Series(single["chosen"].values.ravel()).value_counts().index
    found = {1: "95 % interval excludes 0", -1: "95 % interval excludes 0", 0: "no clear difference"}[int(gain.clear())]
    every = counted[counted["metric"] == "auroc"].iloc[0]
    text = (
        f"**In short.** With all {len(modalities)} modalities AUROC is {level:.3f}, with the best single modality "
        f"({listed(chosen)}, chosen on validation) {float(auroc.sel(subset=start)):.3f}: a change of {gain:+.3f} "
        f"({found}). Of {every.additions} single additions {every.up or 'none'} raise AUROC. The interval, "
        f"simultaneous over all additions, lies above 0 for {every.clear_up or 'none'} and below 0 for "
        f"{every.clear_down or 'none'}."
    )
    tpr = counted[counted["metric"] == "tpr"]
    if len(tpr):
        changes, wider, narrower = (int(tpr[c].sum()) for c in ("additions", "clear_up", "clear_down"))
        text += (
            f" Of the {changes} changes of a signed TPR difference, {wider or 'none'} widen it and "
            f"{narrower or 'none'} narrow it with an interval that excludes 0. The other "
            f"{changes - wider - narrower} are no clear change."
        )
    return Markdown(text)


def _added(before, after):
    """The modality that one subset has and another lacks."""
    (added,) = set(members(after)) - set(members(before))
    return added


def _largest(values):
    """Label of the modality with the largest value."""
    return values.labels("modality")[int(np.argmax(values.value.values))]


def _short(metric):
    """What a table calls a metric."""
    return {"auroc": "AUROC", "tpr": "TPR"}.get(metric, METRIC_NAMES.get(metric, metric))
