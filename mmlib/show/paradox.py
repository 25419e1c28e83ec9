"""Figures and the interactive part of the chapter on the paradox: what formulas say, and what a twin shows."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy.ndimage import distance_transform_edt

from mmlib.questions.paradox import Group, add_modality, scan_plane, tpr_gaps
from mmlib.show.explorer import page_part
from mmlib.show.style import COLOURS, GREY, bars, words

#: What the sliders set: label, lowest and highest value, and the groups that have one (0 is the reference).
KNOBS = {
    "old": ("old score separates by", 0.1, 3, (0, 1)),
    "new": ("new score separates by", 0, 3, (0, 1)),
    "shift": ("new score reads too high by", -1.5, 1.5, (1,)),
    "prevalence": ("share of positives", 0.02, 0.98, (0, 1)),
    "share": ("share of the population", 0.02, 0.98, (1,)),
}
#: Regions of the plane, and their colours.
REGIONS = {
    "AUROC\nfalls in\none group": "0.85",
    "rises in both,\ngap narrows": (*COLOURS[0], 0.25),
    "rises in both,\ngap widens": (*COLOURS[3], 0.35),
    "rises in both,\ngap turns\nand widens": (*COLOURS[3], 0.2),
}


def plane(examples: Mapping[str, Sequence[Group]], *, title: str, most: float = 2.0) -> np.ndarray:
    """Draw what the new modality does for all its separations up to ``most``, a panel for each pair of groups."""
    figure, axes = plt.subplots(1, len(examples), figsize=(8.6, 4.6), sharey=True, squeeze=False)
    at = np.linspace(0, most, 201)
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
        ax.set(xlabel=f"new score separates the {reference.name} by", xlim=(0, most), ylim=(0, most), aspect="equal")
        ax.set_title(name, fontweight="normal", fontsize=11)
        ax.locator_params(nbins=4)
        ax.grid(visible=False)
    axes[0, 0].set_ylabel(f"new score separates the {other.name} by")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def _middle(inside):
    """Find the point of a region that lies deepest inside it, where a label fits."""
    return np.unravel_index(distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1].argmax(), inside.shape)


def example_table(examples: Mapping[str, Sequence[Group]]):
    """Style what adding the modality does in each example: AUROC and TPR by group, and both gaps."""
    rows = []
    for name, groups in examples.items():
        table, gaps = add_modality(groups), tpr_gaps(groups)
        for stage, gap in gaps.iterrows():
            row = {"example": name, "modalities": stage}
            for metric, label in (("auroc", "AUROC"), ("tpr", "TPR")):
                row |= {f"{label} {g.name}": table.loc[(stage, g.name), metric] for g in groups}
            rows.append(row | {"gap in TPR": gap.gap, "probit gap": gap.probit_gap})
    shown = pd.DataFrame(rows)
    signed = dict.fromkeys(("gap in TPR", "probit gap"), "{:+.3f}")
    levels = dict.fromkeys(shown.columns[2:-2], "{:.3f}")
    return shown.style.hide(axis="index").format(signed | levels)


def twin(panels: Mapping[str, tuple], stages: Sequence[str], *, title: str) -> np.ndarray:
    """Draw a study of a twin, a panel per quantity: (1 + B, K) draws, and truth and formula of shape (K,).

    All panels but the last share their scale.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 3.9))
    at = np.arange(len(stages))
    for ax, (quantity, (draws, truth, formula)) in zip(axes, panels.items(), strict=True):
        bars(ax, at - 0.12, draws, COLOURS[0], "study, 95 %")
        ax.plot(at, truth, "D", ms=6, color="black", label="truth")
        ax.plot(at + 0.12, formula, "s", ms=7, mfc="white", color=COLOURS[3], label="formula")
        if draws.min() < 0:
            ax.axhline(0, color=GREY, lw=1)
        ax.set(xlim=(-0.5, len(stages) - 0.5), xlabel="modalities of the model")
        ax.set_xticks(at, [words(stage) for stage in stages])
        ax.set_title(quantity, fontweight="normal", fontsize=10)
    for ax in axes[1:-1]:
        ax.sharey(axes[0])
    axes[0].autoscale(axis="y")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=10, loc="outside lower left", ncols=3)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def knobs(settings: Mapping[str, tuple[Sequence[Group], float]], name: str) -> HTML:
    """Make the interactive page part: sliders for two groups, and what adding the modality then does.

    Parameters
    ----------
    settings : mapping of str to (two Group, float)
        What a reader can start from: the groups, the reference first and without shift, and the share selected.
        The groups of all settings are called as in the first.
    name : str
        Unique on the page.

    Returns
    -------
    IPython.display.HTML
    """
    values = {title: _values(groups, selected) for title, (groups, selected) in settings.items()}
    limits = KNOBS | {"selected": ("share selected", 0.01, 0.99, (0,))}
    for title, setting in values.items():
        for key, value in setting.items():
            _, low, high, _ = limits[key.partition("-")[0]]
            if not low <= value <= high:
                raise ValueError(f"The setting {title!r} has {key} {value:g}; its slider goes from {low} to {high}.")
    first = next(iter(settings.values()))[0]
    data = {
        "groups": [g.name for g in first],
        "settings": [{"name": title, "values": setting} for title, setting in values.items()],
        "knobs": [
            {"key": key, "label": label, "low": low, "high": high, "of": of}
            for key, (label, low, high, of) in limits.items()
        ],
    }
    return page_part("paradox", f"paradox-{name}", data)


def _values(groups, selected):
    """Name the position of every slider, as the page does."""
    own = {f"{key}-{i}": getattr(groups[i], key) for key, (*_, of) in KNOBS.items() for i in of}
    return own | {"selected-0": selected}
