"""Figures and tables of chapter 5 on probabilities: calibration in groups, decision curves."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.core.schema import MINIMUM
from mmlib.measure.calibration import EVENTS
from mmlib.measure.estimates import Estimate
from mmlib.show.style import COLOURS, GREY, band, ends, interval, nothing, reaches_out, words


def calibration_dots(table: pd.DataFrame) -> plt.Axes:
    """Observed over expected events by group, from `mmlib.questions.fairness.calibrate_groups`; small groups hollow."""
    rows = table.reset_index(drop=True)
    _, ax = plt.subplots(figsize=(8, 0.36 * len(rows) + 1.2))
    ax.axvline(1, color=GREY, lw=1)
    for y, r in rows.iterrows():
        spread = [[r.observed_expected - r.low], [r.high - r.observed_expected]]
        face = COLOURS[0] if r.n_positive >= MINIMUM else "white"
        ax.errorbar(r.observed_expected, y, xerr=spread, fmt="o", capsize=2, color=COLOURS[0], mfc=face)
    names = rows.group.replace({"all": "overall"})
    ax.set_yticks(
        rows.index, [f"{name} ({r.n_positive:,} of {r.n:,})" for name, r in zip(names, rows.itertuples(), strict=True)]
    )
    ax.set(xlabel="observed / expected (95 % interval)")
    ax.invert_yaxis()
    large = rows[(rows.group != "all") & (rows.n_positive >= MINIMUM)]
    off = int(((large.low > 1) | (large.high < 1)).sum())
    groups = "group" if len(large) == 1 else "groups"
    ax.set_title(
        f"Observed and expected events differ clearly in {off} of {len(large)} {groups}"
        if off
        else f"No clear difference from expected events in {len(large)} {groups}"
    )
    return ax


def reliability_panels(table: pd.DataFrame) -> np.ndarray:
    """Observed against predicted risk by group, a panel per attribute.

    Parameters
    ----------
    table : pandas.DataFrame
        From `mmlib.questions.fairness.reliability_bins`.
    """
    if not len(table):
        return np.array([nothing(f"No group has {EVENTS} events.", "Reliability")])
    attributes = list(dict.fromkeys(table.attribute))
    size = (3.2 * max(len(attributes), 2), 3.8)
    figure, axes = plt.subplots(1, len(attributes), sharex=True, sharey=True, squeeze=False, figsize=size)
    for ax, attribute in zip(axes[0], attributes, strict=True):
        ax.axline((0, 0), slope=1, color=GREY, lw=1, ls="--")
        for i, (group, rows) in enumerate(table[table.attribute == attribute].groupby("group", sort=False)):
            name = f"{group} ({rows.n_positive.sum():,} events)"
            spread = [rows.observed - rows.low, rows.high - rows.observed]
            colour = COLOURS[i % len(COLOURS)]
            ax.errorbar(rows.predicted, rows.observed, yerr=spread, fmt="o-", ms=3, lw=1, color=colour, label=name)
        ax.set_title(words(attribute), fontsize=11, fontweight="normal")
        ax.set(xlabel="predicted")
        ax.legend(frameon=False, fontsize=7, loc="upper left")
    top = 1.05 * table[["predicted", "high"]].to_numpy().max()
    axes[0, 0].set(ylabel="observed, 95 % interval", xlim=(0, top), ylim=(0, top))
    off = int(((table.low > table.predicted) | (table.high < table.predicted)).sum())
    title = f"The 95 % interval misses the prediction in {off} of {len(table)} bins"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def decision_panels(curves: Mapping[str, Mapping[str, Estimate]]) -> np.ndarray:
    """Standardised net benefit against the probability from which one acts, a panel per attribute.

    Parameters
    ----------
    curves : mapping of str to mapping of str to Estimate
        From `mmlib.questions.fairness.decision_curves`; acting on all is dashed.
    """
    below = -(-len(curves) // 2)  # two panels beside each other, as wide as a page
    figure, axes = plt.subplots(below, 2, sharex=True, sharey=True, squeeze=False, figsize=(8, 3.2 * below + 0.6))
    for ax in axes.flat[len(curves) :]:
        ax.remove()
    axes = axes.flat[: len(curves)]
    for ax, (panel, lines) in zip(axes, curves.items(), strict=True):
        for i, (name, benefit) in enumerate(lines.items()):
            prices = benefit.labels("threshold")
            if name == "act on all":
                reaches_out(*ax.plot(prices, benefit.value, color=GREY, ls="--", label=name))  # it falls without end
            else:
                band(ax, prices, benefit, COLOURS[i], f"{name} (n={int(benefit.n):,})")
        ax.axhline(0, color=GREY, lw=1)
        ax.set_title("overall" if panel == "all" else words(panel), fontsize=11, fontweight="normal")
        ax.legend(frameon=False, fontsize=9)
    shown = [end for lines in curves.values() for name, b in lines.items() if name != "act on all" for end in ends(b)]
    values = np.concatenate([[-0.25, 1], *map(np.ravel, shown)])  # a group may have no interval at all
    low, high = np.nanmin(values), np.nanmax(values)
    axes[0].set_ylim(low, high)
    figure.supxlabel("act from this probability", fontsize=11)
    figure.supylabel("standardised net benefit, 95 %", fontsize=11)
    figure.suptitle(_worth(curves["all"]), x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def calibration_table(table: pd.DataFrame):
    """Observed over expected, calibration intercepts and slopes by group."""
    shown = pd.DataFrame(
        {
            "attribute": table.attribute.map(words),
            "group": table.group.replace({"all": "overall"}),
            "n": table.n,
            "events": table.n_positive,
        }
    )
    for label, name in (("observed / expected", "observed_expected"), ("intercept", "intercept"), ("slope", "slope")):
        ends = ["low", "high"] if name == "observed_expected" else [f"{name}_low", f"{name}_high"]
        enough = (table.n_positive >= MINIMUM) | (name == "observed_expected")
        fitted = enough & table[[name, *ends]].notna().all(axis=1)
        cells = [interval(*r, ".2f") for r in table[[name, *ends]].to_numpy()]
        shown[f"{label} [95 %]"] = np.where(fitted, cells, "-")
    return shown.style.hide(axis="index").format({"n": "{:,}", "events": "{:,}"})


def _worth(overall: Mapping[str, Estimate]) -> str:
    """From which probability to which the model beats both acting on all and acting on none."""
    model = overall["model"]
    better = ((model - overall["act on all"]).clear() > 0) & (model.clear() > 0)
    if not better.any():
        return "Acting on the model is at no probability clearly better than on all or on none"
    where = np.flatnonzero(better)
    prices = better["threshold"].values[where]
    if where[-1] - where[0] >= len(where):
        return f"Acting on the model is clearly better than on all or on none at {len(where)} of {better.size} points"
    first, last = 100 * prices[0], 100 * prices[-1]
    return f"Acting on the model is clearly better than on all or on none from {first:.0f} to {last:.0f} %"
