"""Figures and tables of chapter 5 on probabilities: calibration in groups, decision curves."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, band, interval, nothing, words


def observed_expected(table: pd.DataFrame, *, title: str, minimum: int = 30) -> plt.Axes:
    """Draw observed over expected events by group, from frames of ``calibration.calibration``."""
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


def reliability(table: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw observed against predicted risk by group, a panel per attribute; from ``calibration.reliability``."""
    if not len(table):
        return np.array([nothing("No group has 100 events.", title)])
    attributes = list(dict.fromkeys(table.attribute))
    size = (3.2 * max(len(attributes), 2), 3.8)
    figure, axes = plt.subplots(1, len(attributes), sharex=True, sharey=True, squeeze=False, figsize=size)
    for ax, attribute in zip(axes[0], attributes, strict=True):
        ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
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
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def decision_curves(thresholds, panels, *, title: str) -> np.ndarray:
    """Draw standardised net benefit (1 + B, T) against the probability from which one acts, a panel per mapping.

    A line called "act on everybody" is drawn dashed.
    """
    figure, axes = plt.subplots(1, len(panels), sharey=True, squeeze=False, figsize=(3.1 * len(panels) + 1, 4))
    for ax, (name, lines) in zip(axes[0], panels.items(), strict=True):
        for i, (label, values) in enumerate(lines.items()):
            if label == "act on everybody":
                ax.plot(thresholds, values[0], color=GREY, ls="--", label=label)
            else:
                band(ax, thresholds, values, COLOURS[i], label)
        ax.axhline(0, color=GREY, lw=1)
        ax.set_title(words(name), fontsize=11, fontweight="normal")
        ax.set(xlabel="act from this probability", ylim=(-0.25, 1))
        ax.legend(frameon=False, fontsize=7)
    axes[0, 0].set(ylabel="standardised net benefit, 95 %")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def calibration_table(table: pd.DataFrame, *, minimum: int = 30):
    """Style calibration intercepts and slopes by group."""
    rows = table.drop_duplicates(["group", "n", "n_positive"])
    shown = pd.DataFrame(
        {
            "attribute": rows.attribute.map(words).where(rows.group != "all", ""),
            "group": rows.group.replace({"all": "everybody"}),
            "n": rows.n,
            "events": rows.n_positive,
        }
    )
    for label, name in (("observed / expected", "observed_expected"), ("intercept", "intercept"), ("slope", "slope")):
        ends = ["low", "high"] if name == "observed_expected" else [f"{name}_low", f"{name}_high"]
        enough = (rows.n_positive >= minimum) | (name == "observed_expected")
        fitted = enough & rows[[name, *ends]].notna().all(axis=1)
        cells = [interval(*r, ".2f") for r in rows[[name, *ends]].to_numpy()]
        shown[f"{label} [95 %]"] = np.where(fitted, cells, "-")
    return shown.style.hide(axis="index").format({"n": "{:,}", "events": "{:,}"})
