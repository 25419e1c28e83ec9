"""Figures and tables of chapter 7: training and deciding for missing modalities."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, band, draws_interval


def yardstick(rates, plain, specialist, *, title: str) -> plt.Axes:
    """Draw the loss of the plain model (1 + B, R), split by what the specialists keep."""
    _, ax = plt.subplots(figsize=(8, 4.2))
    band(ax, rates, specialist, COLOURS[2], "specialists: trained on what remains")
    band(ax, rates, plain, COLOURS[0], "plain model")
    start = np.full(len(rates), plain[0, 0])
    ax.fill_between(rates, specialist[0], start, color=GREY, alpha=0.12, lw=0)
    ax.fill_between(rates, plain[0], specialist[0], color=COLOURS[1], alpha=0.35, lw=0)
    k = len(rates) - 2
    ax.text(rates[k], (start[k] + specialist[0, k]) / 2, "irreducible", ha="center", va="center", fontsize=10)
    ax.text(
        rates[k], (plain[0, k] + specialist[0, k]) / 2, "recoverable", ha="center", va="center", fontsize=10
    )
    ax.set(xlabel="probability that a modality is dropped", ylabel="expected AUROC (95 %)")
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    ax.set_title(title)
    return ax


def gains(rates, curves, *, title: str) -> plt.Axes:
    """Draw the gain of some regimes over the plain model (1 + B, R) against the drop rate."""
    _, ax = plt.subplots(figsize=(8, 4.2))
    for i, (name, values) in enumerate(curves.items()):
        band(ax, rates, values, COLOURS[i], name)
    ax.axhline(0, color=GREY, lw=1)
    ax.set(xlabel="probability that a modality is dropped", ylabel="AUROC, regime minus plain (95 %)")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    ax.set_title(title)
    return ax


def pareto(names, cost, gain, *, margin: float, chosen: str, title: str) -> plt.Axes:
    """Draw the change on complete inputs and with modalities missing, each (1 + B, K), with intervals."""
    _, ax = plt.subplots(figsize=(8.5, 5.2))
    # nobody is better on both
    best = [
        not (
            (cost[0] >= cost[0, k])
            & (gain[0] >= gain[0, k])
            & ((cost[0] > cost[0, k]) | (gain[0] > gain[0, k]))
        ).any()
        for k in range(len(names))
    ]
    for k, name in enumerate(names):
        colour = COLOURS[3] if name == chosen else COLOURS[0] if best[k] else GREY
        errors = [
            [[v[0, k] - np.quantile(v[1:, k], 0.025)], [np.quantile(v[1:, k], 0.975) - v[0, k]]]
            for v in (cost, gain)
        ]
        ax.errorbar(
            cost[0, k], gain[0, k], xerr=errors[0], yerr=errors[1], fmt="o", ms=5, lw=0.8, color=colour
        )
    # names stand in the right margin, in the order of their points and never on top of each other
    order = np.argsort(gain[0])
    room = np.linspace(*ax.get_ylim(), len(names) + 2)[1:-1]
    right = ax.get_xlim()[1]
    for k, y in zip(order, room, strict=True):
        colour = COLOURS[3] if names[k] == chosen else COLOURS[0] if best[k] else GREY
        ax.annotate(
            names[k],
            (cost[0, k], gain[0, k]),
            xytext=(right, y),
            va="center",
            fontsize=8,
            color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.4, "alpha": 0.6},
        )
    ax.set_xlim(right=right)
    ax.axvline(-margin, color=GREY, ls="--", lw=1)
    ax.axvline(0, color=GREY, lw=0.5)
    ax.set(
        xlabel="AUROC on complete inputs, minus plain (95 %)",
        ylabel="AUROC with modalities missing, minus plain (95 %)",
    )
    ax.set_title(title)
    return ax


def regime_table(names, columns):
    """Style one row per regime; column -> (draws (1 + B, K), format), ``%`` formats as shares."""
    table = pd.DataFrame({"regime": names})
    for label, (draws, form) in columns.items():
        table[f"{label} [95 %]"] = [draws_or_words(draws[:, k], form) for k in range(len(names))]
    return table.style.hide(axis="index")


def chosen_table(rows):
    """Style what was chosen for each scenario on validation patients, and how it did on the tested ones."""
    return pd.DataFrame(rows).style.hide(axis="index")


def draws_or_words(draws, form):
    """Write the estimate of ``(1 + B,)`` draws and its interval, or that there is nothing to recover (nan)."""
    undefined = np.isnan(draws)
    if undefined[0] or undefined.mean() > 0.05:
        return "nothing to recover"
    return draws_interval(draws[~undefined], form)
