"""Figures and tables of chapter 3: what adding a modality does."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import NONE, full_subset, members
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.questions.additions import EFFECTS, against_each, change_between, smallest_gain, without_modalities
from mmlib.questions.parts import PARTS
from mmlib.questions.presence import PAIRS
from mmlib.show import style
from mmlib.show.style import (
    COLOURS,
    GREY,
    METRIC_NAMES,
    OVERALL,
    RULE_NAMES,
    band,
    bars,
    dots,
    estimate_cells,
    interval,
    listed,
    words,
)

if TYPE_CHECKING:
    from mmlib.models.study import Study

#: Columns of the table of single modalities: metric -> heading.
ALONE = {"auroc": "AUROC", "average_precision": "AUPRC", "f1": "F1", "balanced_accuracy": "balanced accuracy"}


def unimodal_table(alone: Evaluation, study: "Study"):
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
    lacking = dict(zip(study.modalities, (~np.asarray(study.present)).sum(axis=0), strict=True))
    prevalence = float(study.y.mean())
    names = [*study.modalities, "all"][: len(alone.labels)]
    cells = {heading: estimate_cells(alone.metric(metric), ".3f") for metric, heading in ALONE.items()}
    table = pd.DataFrame({"modality": map(words, names), "lacking": [lacking.get(m, 0) for m in names]} | cells)
    flag_all = ["0.500", f"{prevalence:.3f}", f"{2 * prevalence / (1 + prevalence):.3f}", "0.500"]
    table.loc[len(table)] = ["flag all samples", 0, *flag_all]
    return table.style.hide(axis="index").format({"lacking": "{:,}"})


def headline_table(auroc: Estimate, unresolved: Sequence[str] = ()):
    """Gain in AUROC of all modalities over each single one; beside it, without modalities that the audit doubts.

    Parameters
    ----------
    auroc : Estimate with the dimension ``subset``
        Of the power set.
    unresolved : sequence of str
        From `mmlib.questions.audit.unresolved_modalities`; without any there is no second column.

    Returns
    -------
    pandas.io.formats.style.Styler
        A sentence if there is one modality.
    """
    if len(members(full_subset(auroc.labels("subset")))) == 1:
        return style.sentence("There is one modality: nothing to compare it with.")
    gains = against_each(auroc)
    singles = gains.labels("versus")
    table = {"single modality": map(words, singles), "its AUROC": [f"{v:.3f}" for v in auroc.sel(subset=singles).value]}
    table["all modalities, gain over it [95 %]"] = _gain_cells(gains, singles)
    rest = without_modalities(auroc, unresolved)
    if unresolved and len(members(full_subset(rest.labels("subset")))) > 1:
        name = f"all without {listed(unresolved)}, gain over it [95 %]"
        table[name] = _gain_cells(against_each(rest), singles)
    return pd.DataFrame(table).style.hide(axis="index")


def _gain_cells(gains, singles):
    """A cell for each single modality; the smallest gain is marked, and those left out are empty."""
    cells = dict(zip(gains.labels("versus"), estimate_cells(gains, "+.3f"), strict=True))
    cells[_versus(smallest_gain(gains))] += " (smallest)"
    return [cells.get(single, "") for single in singles]


def headline_in_short(auroc: Estimate, unresolved: Sequence[str] = ()) -> Markdown:
    """Whether all modalities have a higher AUROC than each single one; with and without what the audit doubts.

    Parameters
    ----------
    auroc, unresolved
        As in `headline_table`.

    Returns
    -------
    IPython.display.Markdown
    """
    everything = full_subset(auroc.labels("subset"))
    if len(members(everything)) == 1:
        return Markdown(f"There is one modality, {words(everything)}: nothing to compare it with.")
    text = _headline(auroc, "All modalities together")
    if unresolved:
        rest = without_modalities(auroc, unresolved)
        about = f" The audit of chapter 1 left {listed(unresolved)} unresolved."
        if len(members(full_subset(rest.labels("subset")))) < 2:
            return Markdown(f"{text}{about} Fewer than two other modalities remain, so there is no comparison without.")
        text += f"{about} {_headline(rest, f'Without {listed(unresolved)}, the others together')}"
    return Markdown(text)


def _headline(auroc, who):
    gains = against_each(auroc)
    least = smallest_gain(gains)
    verb = {
        1: "have a higher AUROC than each single one of them",
        0: "do not have a clearly higher AUROC than each single one of them",
        -1: "have a lower AUROC than one of them alone",
    }[int(least.clear())]
    found = "95 % interval excludes 0" if int(least.clear()) else "no clear difference"
    return f"{who} {verb}. The smallest gain is that over {words(_versus(least))}: {least:+.3f} ({found})."


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
    band(axes[0, 0], at, result.metric("auroc").sel(subset=list(path)), OVERALL, "AUROC")
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
    gain = change_between(result.metric("auroc"), start, end).sel(subset=end)
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
    """Numbers of single additions that reverse, widen or narrow the signed differences shown.

    Parameters
    ----------
    counted : pandas.DataFrame
        From `mmlib.questions.additions.count_additions`.

    Returns
    -------
    pandas.io.formats.style.Styler
        A sentence if no difference is shown, or nothing is added to a modality.
    """
    if not counted["additions"].sum():
        return style.sentence(style.NO_CONTRAST if counted.empty else "There is one modality: nothing is added to it.")
    table = {"signed difference": [f"{_short(row.metric)}, {row.contrast}" for row in counted.itertuples()]}
    table |= {"additions": counted["additions"]} | {effect: counted[effect] for effect in EFFECTS}
    return pd.DataFrame(table).rename(columns={"unclear": "no clear change"}).style.hide(axis="index")


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
        if rows.low.isna().all():
            title += ";\nTPR differences without interval: some subset finds too few of a group"
        elif clear.empty:
            title += ";\nno clear effect on a TPR difference"
        else:
            most = clear.loc[clear.estimate.abs().idxmax()]
            pair = f"{most.group} minus {most.reference}, {most.estimate:+.2f}"
            title += f";\n{words(most.modality)} moves a TPR difference most ({pair})"
    return style.by_modality(shares, modalities, title=title)


def movement(result: Evaluation, baseline: str) -> np.ndarray:
    """True positive rate of each group with one modality (hollow) and with all (filled), a panel per attribute.

    Parameters
    ----------
    result : Evaluation
        Of the power set.
    baseline : str
        The single modality to start from, from `mmlib.questions.additions.strongest_single`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Pale are groups with fewer than 30 positives, or too few events for an interval; a sentence if there is one
        modality.
    """
    attributes, end = result.groups.attributes, full_subset(result.labels)
    if baseline == end:
        return np.array([style.nothing("There is one modality: nothing moves a group.", "True positive rates")])
    panels = {}
    for attribute in attributes:
        rates = result.metric("tpr", attribute)
        change = change_between(rates, baseline, end).sel(subset=end)
        before = rates.sel(subset=baseline).value.values
        about = {"before": before, "clear": change.clear().values, "text": estimate_cells(change, "+.2f")}
        rows = rates.sel(subset=end).frame().assign(**about)
        panels[attribute] = rows.assign(tested=(rows.n_positive >= MINIMUM) & np.isfinite(change.interval()[0].values))
    heights = [len(rows) for rows in panels.values()]
    size = (8, 0.34 * sum(heights) + 0.5 * len(panels) + 0.8)
    figure, axes = plt.subplots(len(panels), 1, sharex=True, squeeze=False, figsize=size, height_ratios=heights)
    for ax, (attribute, part) in zip(axes[:, 0], panels.items(), strict=True):
        for y, r in part.iterrows():
            colour = COLOURS[0] if r.tested else "0.7"
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
    title = _movement_title(words(baseline), pd.concat(panels.values()))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[:, 0]


def _movement_title(baseline, rows):
    large = rows[rows.tested]
    up, down = int((large.clear > 0).sum()), int((large.clear < 0).sum())
    title = f"From {baseline} to all, TPR"
    if not up + down:
        return f"{title}: no clear change in any group"
    said = [f"{verb} in {n}" for verb, n in (("rises", up), ("falls", down)) if n]
    return f"{title} {' and '.join(said)} of {len(large)} groups (95 % interval excludes 0)"


def part_dots(parts: Mapping[str, Estimate], result: Evaluation, baseline: str) -> np.ndarray:
    """Three parts of how each difference of true positive rates changes from one modality to all, and the change.

    Parameters
    ----------
    parts : mapping of str to Estimate
        From `mmlib.questions.parts.shown_parts`.
    result : Evaluation
        Of the power set.
    baseline : str
        The single modality to start from.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        A panel per difference; a sentence if there is none.
    """
    if not parts:
        return np.array([style.nothing(_no_parts(result), "Parts of a changed TPR difference")])
    figure, axes = plt.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False, figsize=(9.5, 3))
    changes = _shown_changes(parts, result, baseline)
    for ax, (attribute, part) in zip(axes[0], parts.items(), strict=True):
        if _known(changes[attribute]):
            dots(ax, np.arange(len(PARTS)), part.sel(part=list(PARTS)), COLOURS[0])
            dots(ax, [len(PARTS)], changes[attribute].frame(), COLOURS[3])
        else:
            about = {"transform": ax.transAxes, "ha": "center", "va": "center"}
            ax.text(0.5, 0.5, "too few events:\nno change is reported", **about)
        ax.set(xlabel="change of the TPR difference")
        ax.set_title(part.label.replace(" (", "\n("), fontsize=10, fontweight="normal")
    axes[0, 0].set_yticks(range(len(PARTS) + 1), [*PARTS, "together"])
    axes[0, 0].set_ylim(len(PARTS) + 0.5, -0.5)
    figure.suptitle(_parts_title(parts, changes, baseline), x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def _parts_title(parts, changes, baseline):
    clear = {a: abs(float(c.value)) for a, c in changes.items() if int(c.clear())}
    if not clear:
        return f"From {words(baseline)} to all: no clear change of a TPR difference"
    largest = max(clear, key=clear.get)
    part = parts[largest]
    said = ", ".join(f"{name} {_signed(part.sel(part=name))}" for name in PARTS)
    return f"{part.label.split(' (')[0]}: TPR difference changes by {_signed(changes[largest])}\n({said})"


def _shown_changes(parts, result, baseline):
    """Attribute -> change of the difference shown, as everywhere in the chapter."""
    end, shown = full_subset(result.labels), result.groups.contrasts
    levels = {a: result.difference("tpr", a).sel(group=shown[a]) for a in parts}
    return {a: change_between(level, baseline, end).sel(subset=end) for a, level in levels.items()}


def _no_parts(result):
    return "There is one modality: no difference changes." if result.groups.contrasts else style.NO_CONTRAST


def part_table(parts: Mapping[str, Estimate], result: Evaluation, baseline: str):
    """Differences before and after, and observed over expected of the two groups before and after.

    Parameters
    ----------
    parts, result, baseline
        As in `part_dots`; the evaluation with ``observed_expected`` by group.

    Returns
    -------
    pandas.io.formats.style.Styler
        A sentence if there is no difference.
    """
    if not parts:
        return style.sentence(_no_parts(result))
    end, rows = full_subset(result.labels), []
    both = {words(baseline): baseline, "all": end}
    for attribute, change in _shown_changes(parts, result, baseline).items():
        group, reference = result.groups.contrasts[attribute], result.groups.reference(attribute)
        level, ratio = result.difference("tpr", attribute), result.metric("observed_expected", attribute)
        row = {"difference": parts[attribute].label}
        for name, subset in both.items():
            row[f"TPR difference, {name} [95 %]"] = estimate_cells(level.sel(subset=subset, group=group), "+.2f")[0]
        row["change [95 %]"] = estimate_cells(change, "+.2f")[0]
        for name, which in (("group", group), ("reference", reference)):
            cells = [estimate_cells(ratio.sel(subset=s, group=which), ".2f")[0] for s in both.values()]
            row[f"O/E of the {name}, {words(baseline)} to all [95 %]"] = " to ".join(cells)
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


def _signed(value):
    """A difference of rates with its sign; one that rounds to zero has none."""
    text = f"{float(value):+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text


def _known(change):
    """Whether a single change has an interval; where events are few it has none."""
    return bool(np.isfinite(change.interval()[0]))


def noise_dots(gains: Estimate) -> plt.Axes:
    """Gain in AUROC from a modality that says nothing, added to nothing, to each single one, and to all.

    Parameters
    ----------
    gains : Estimate
        From `mmlib.questions.noise.noise_gains`.

    Returns
    -------
    matplotlib.axes.Axes
        Intervals are simultaneous over all rows.
    """
    rows = gains.frame(simultaneous=True)
    _, ax = plt.subplots(figsize=(8, 0.36 * len(rows) + 1.2))
    dots(ax, np.arange(len(rows)), rows, COLOURS[0])
    ax.set_yticks(range(len(rows)), _noise_places(gains))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set(xlabel="gain in AUROC from noise (95 % interval, simultaneous over all rows)")
    clear = gains.clear(simultaneous=True)
    up, down = int((clear > 0).sum()), int((clear < 0).sum())
    said = [f"{verb} AUROC in {n}" for verb, n in (("raise", up), ("lower", down)) if n]
    found = f"Noise seems to {' and '.join(said)} of {len(rows)} additions"
    ax.set_title(found if said else "No clear effect of noise on AUROC")
    return ax


def noise_in_short(gains: Estimate) -> Markdown:
    """What noise adds to AUROC, alone, with each single modality and with all.

    Parameters
    ----------
    gains : Estimate
        As in `noise_dots`.

    Returns
    -------
    IPython.display.Markdown
    """
    low, high = (end.values for end in gains.interval(simultaneous=True))
    cells = [
        interval(*part, "+.3f") for part in zip(gains.value.values.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
    alone, *singles, whole = cells
    text = f"Noise alone has an AUROC that differs from chance by {alone}. "
    if singles:
        values = gains.value.values[1:-1]
        text += f"Added to single modalities it changes AUROC by {values.min():+.3f} to {values.max():+.3f}. "
    text += f"Added to all it changes AUROC by {whole}. "
    clear = gains.clear(simultaneous=True)
    up, down = int((clear > 0).sum()), int((clear < 0).sum())
    if not up + down:
        return Markdown(f"{text}Each of the {len(cells)} intervals, simultaneous over all, contains 0.")
    return Markdown(
        f"{text}Of {len(cells)} intervals, simultaneous over all, {up or 'none'} lie{'s' * (up == 1)} above 0 and "
        f"{down or 'none'} below."
    )


def _noise_places(gains):
    names = gains.labels("subset")
    return ["noise alone", *(f"added to {words(n)}" for n in names[1:-1]), "added to all"][: len(names)]


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
    axes[0, 0].set_ylabel(textwrap.fill(f"TPR, {label}", 34), fontsize=10)
    figure.colorbar(points, ax=axes[0], label="share selected")
    signs = {int(level.sel(subset=full_subset(names)).clear()) for _, level in contrasts.values()}
    change = "the sign depends on the operating point" if {1, -1} <= signs else "no clear change of sign"
    title = f"TPR difference with all modalities, {change}:\n{', '.join(found)}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def operating_in_short(rules: Mapping[str, Evaluation]) -> Markdown:
    """For how many subsets the operating point decides the sign of the TPR difference shown.

    Parameters
    ----------
    rules : mapping of str to Evaluation
        As in `operating_points`.

    Returns
    -------
    IPython.display.Markdown
    """
    contrasts = [next(iter(result.contrasts("tpr").values()), None) for result in rules.values()]
    if contrasts[0] is None:
        return Markdown(style.NO_CONTRAST)
    names = [name for name in contrasts[0].labels("subset") if name != NONE]
    signs = np.array([level.sel(subset=names).clear(simultaneous=True).values for level in contrasts])
    both = int(((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).sum())
    some = int((signs != 0).any(axis=0).sum())
    text = f"TPR difference, {contrasts[0].label}: "
    if both:
        return Markdown(
            f"{text}for {both} of {len(names)} subsets its interval excludes 0 with one sign at one operating point "
            "and with the other sign at another. A report must name its operating point."
        )
    found = f"For {some} the interval excludes 0 at one operating point or more" if some else "No interval excludes 0"
    return Markdown(
        f"{text}no subset of {len(names)} has intervals that exclude 0 with different signs at different operating "
        f"points. {found} (simultaneous over subsets)."
    )


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
    table = table[["attribute", "group", "AUROC [95 %]", "n", "positives"]]
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


def additions_in_short(auroc: Estimate, changes: Estimate, counted: pd.DataFrame) -> Markdown:
    """Answer of chapter 3 in a few sentences.

    Parameters
    ----------
    auroc : Estimate with the dimension ``subset``
        Of the power set.
    changes : Estimate
        From `mmlib.questions.additions.addition_changes`.
    counted : pandas.DataFrame
        From `mmlib.questions.additions.count_additions`.

    Returns
    -------
    IPython.display.Markdown
    """
    end = full_subset(auroc.labels("subset"))
    modalities, level = members(end), auroc.sel(subset=end)
    if len(modalities) == 1:
        return Markdown(
            f"**In short.** There is one modality, {words(end)}, with an AUROC of {level:.3f}; chance is 0.500. "
            "What another one adds cannot be asked here."
        )
    clear = changes.clear(simultaneous=True)
    raised, up, down = (int(c.sum()) for c in (changes.value > 0, clear > 0, clear < 0))
    text = (
        f"**In short.** With all {len(modalities)} modalities AUROC is {level:.3f}. {_headline(auroc, 'All together')} "
        f"Of {changes.value.size} single additions {raised or 'none'} raise AUROC; the interval, simultaneous over all "
        f"additions, lies above 0 for {up or 'none'} and below 0 for {down or 'none'}."
    )
    tpr = counted[counted["metric"] == "tpr"]
    if tpr["additions"].sum():
        text += " " + _effects(tpr)
    return Markdown(text)


def _effects(tpr):
    """What additions do to the TPR differences shown, in a sentence."""
    steps, shown = int(tpr["additions"].max()), len(tpr)
    reversals, wider, narrower, unclear = (int(tpr[effect].sum()) for effect in EFFECTS)
    changes = f"{steps} changes of the TPR difference shown"
    if shown > 1:
        changes = f"{steps * shown} changes of {shown} TPR differences"
    text = f"Additions to a subset that is not empty bring {changes}: "
    if unclear == steps * shown:
        return f"{text}no reversal, no widening and no narrowing that an interval shows."
    counts = ((reversals, "reversal"), (wider, "widening"), (narrower, "narrowing"))
    said = [f"{n or 'no'} {word}{'s' * (n > 1)}" for n, word in counts]
    return f"{text}{listed(said)} that intervals show; the other {unclear} are no clear change."


def _versus(gain):
    """The single modality that a gain is over."""
    return str(gain.value["versus"].item())


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
