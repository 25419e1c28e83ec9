"""Figures of the chapter on the paradox: what formulas say, and what a twin shows."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from scipy.ndimage import distance_transform_edt

from mmlib.questions.paradox import Group, add_modality, is_paradox, scan_plane, tpr_gaps
from mmlib.questions.twin_study import TwinStudy
from mmlib.show.story import story_table
from mmlib.show.style import COLOURS, GREY, bars, words

#: Regions of the plane, and their colours.
REGIONS = {
    "AUROC\nfalls in\none group": "0.85",
    "rises in both,\ngap narrows": (*COLOURS[0], 0.25),
    "rises in both,\ngap widens": (*COLOURS[3], 0.35),
    "rises in both,\ngap turns\nand widens": (*COLOURS[3], 0.2),
}


def plane(examples: Mapping[str, Sequence[Group]]) -> np.ndarray:
    """What the new modality does for all its separations up to 2, a panel for each pair of groups."""
    figure, axes = plt.subplots(
        len(examples), 1, figsize=(5, 4.4 * len(examples)), sharex=True, squeeze=False
    )
    most, at = 2, np.linspace(0, 2, 201)
    for ax, (name, groups) in zip(axes.flat, examples.items(), strict=True):
        gain, (before, after) = scan_plane(groups, at)
        rises, widens, same = gain.min(axis=-1), np.abs(after) - np.abs(before), before * after
        fields = (-rises, np.minimum(rises, -widens))
        fields += tuple(np.minimum(rises, np.minimum(widens, side)) for side in (same, -same))
        for field, (label, colour) in zip(fields, REGIONS.items(), strict=True):
            ax.contourf(at, at, field, levels=[0, 10], colors=[colour])
            if (field > 0).any():
                y, x = _middle(field > 0)
                ax.text(at[x], at[y], label, ha="center", va="center", fontsize=10)
        reference, other = groups
        ax.plot([0, most], [0, most], color=GREY, lw=1, ls=":")
        ax.plot(reference.new, other.new, "o", ms=8, color="black")
        ax.annotate(
            "example",
            (reference.new, other.new),
            (-6, -13),
            textcoords="offset points",
            ha="right",
            weight="bold",
            fontsize=10,
        )
        ax.set(
            ylabel=f"new score separates the {other.name} by", xlim=(0, most), ylim=(0, most), aspect="equal"
        )
        ax.set_title(name, fontweight="normal", fontsize=11)
        ax.locator_params(nbins=4)
        ax.grid(visible=False)
    axes[-1, 0].set_xlabel(f"new score separates the {reference.name} by")
    found = sum(is_paradox(two) for two in examples.values())
    title = f"AUROC rises in both groups and the gap widens in {found} of {len(examples)} examples"
    figure.suptitle(textwrap.fill(title, 48), x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[:, 0]


def _middle(inside):
    """Find the point of a region that lies deepest inside it, where a label fits."""
    return np.unravel_index(distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1].argmax(), inside.shape)


def example_table(examples: Mapping[str, Sequence[Group]]) -> HTML:
    """What adding the modality does in each example: AUROC and TPR by group, and the gap in TPR."""
    rows = []
    for name, groups in examples.items():
        table, gaps = add_modality(groups), tpr_gaps(groups)
        for stage, gap in gaps.iterrows():
            row = {"example": name, "modalities": stage}
            for metric, label in (("auroc", "AUROC"), ("tpr", "TPR")):
                row |= {f"{label} {g.name}": table.loc[(stage, g.name), metric] for g in groups}
            rows.append(row | {"gap in TPR": gap.gap})
    shown = pd.DataFrame(rows)
    forms = {"AUROC": "{:.3f}", "TPR": "{:.2f}", "gap": "{:+.2f}"}
    forms = {c: forms[c.split()[0]] for c in shown.columns.drop(["example", "modalities"])}
    return story_table(shown, forms)


def twin_panels(compared: pd.DataFrame) -> np.ndarray:
    """A study of a twin before and after a modality is added, with truth and formula, a panel per quantity.

    Parameters
    ----------
    compared : pandas.DataFrame
        From `mmlib.questions.twin_study.compare_with_truth`. All panels but the last share their scale.
    """
    panels = dict(list(compared.groupby(_quantity(compared), sort=False)))
    figure, axes = plt.subplots(len(panels), 1, figsize=(5.4, 2.3 * len(panels) + 1))
    for ax, (quantity, rows) in zip(axes, panels.items(), strict=True):
        at = np.arange(len(rows))
        bars(ax, at - 0.12, rows, COLOURS[0], "study, 95 %")
        ax.plot(at, rows.truth, "D", ms=6, color="black", label="truth")
        ax.plot(at + 0.12, rows.formula, "s", ms=7, mfc="white", color=COLOURS[3], label="formula")
        if rows.low.min() < 0:
            ax.axhline(0, color=GREY, lw=1)
        ax.set(xlim=(-0.5, len(rows) - 0.5))
        ax.set_xticks(at, [words(stage) for stage in rows.stage])
        sizes = rows[["n", "n_positive"]].iloc[-1]
        title = f"{quantity} (n={sizes.n:,}, {sizes.n_positive:,} positive)"
        ax.set_title(title, fontweight="normal", fontsize=10)
    for ax in axes[1:-1]:
        ax.sharey(axes[0])
    axes[0].autoscale(axis="y")
    figure.legend(
        *axes[0].get_legend_handles_labels(), frameon=False, fontsize=10, loc="outside lower left", ncols=3
    )
    rises = compared[compared.metric == "auroc"].groupby("group", sort=False).truth.agg(["first", "last"])
    gap = compared[compared.metric == "tpr"].truth
    title = f"AUROC rises in {int((rises['last'] > rises['first']).sum())} of {len(rises)} groups, and the true TPR "
    title += f"difference goes from {gap.iloc[0]:+.2f} to {gap.iloc[-1]:+.2f}"
    figure.suptitle(textwrap.fill(title, 48), x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def paradox_in_short(examples: Mapping[str, Sequence[Group]], twin: TwinStudy) -> Markdown:
    """What the paradox is, when it happens, and what a simulated study shows of it, in a paragraph.

    Parameters
    ----------
    examples : mapping of str to two Group
    twin : TwinStudy
    """
    found = sum(is_paradox(two) for two in examples.values())
    (reference, other), (old, both) = twin.measured, twin.stages
    change, truth = (part.changes([(old, both)]) for part in (twin.study, twin.truth))
    area = change.metric("auroc", "race").sel(stage=both)
    moved, true = (
        part.difference("tpr", "race").sel(stage=both, group=other.name) for part in (change, truth)
    )
    return Markdown(
        "A paradox is here: with a new modality AUROC rises in every group, and yet the difference in true positive "
        "rate widens. It can happen when one group gets a noisier reading, or one that is too low "
        f"({found} of {len(examples)} examples below). In a simulated study of {change.metric('tpr').n:,} patients "
        f"*{both.removeprefix(f'{old}+')}* reads {_reads(twin.bias)} for {other.name} patients. Adding it changes "
        f"AUROC by {area.sel(group=reference.name):+.3f} in {reference.name} and by {area.sel(group=other.name):+.3f} "
        f"in {other.name} patients, and the difference in true positive rate by {moved:+.2f} (in truth "
        f"{float(true):+.2f})."
    )


def _quantity(compared: pd.DataFrame) -> pd.Series:
    """Name of what each row of a comparison with the truth is about."""
    pair = [
        f"{r.group} minus {r.reference}" if pd.notna(r.reference) else r.group for r in compared.itertuples()
    ]
    return compared.metric.map({"auroc": "AUROC", "tpr": "TPR"}) + ", " + pd.Series(pair, compared.index)


def _reads(shift: float) -> str:
    """How much too high or too low something reads, in words."""
    return f"{abs(shift):.2g} standard deviations too {'low' if shift < 0 else 'high'}"
