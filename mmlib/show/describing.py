"""Figures and tables of what a describer learns from reports."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.measure.bootstrap import percentile_interval
from mmlib.show.style import COLOURS, GREY, ends, interval


def learning(losses: pd.DataFrame, held, *, title: str) -> np.ndarray:
    """Draw the loss in training, step by step, and the loss on pairs that were held out.

    Parameters
    ----------
    losses : pandas.DataFrame
        From ``finetune.finetune``: epoch, step, loss.
    held : mapping of str to numpy.ndarray of shape (1 + B,)
        What was scored -> mean loss of a token, as estimate and resamples.
    title : str
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 0.45 * len(held) + 2.2), width_ratios=[3, 2])
    at, epochs = np.arange(1, len(losses) + 1), losses.groupby("epoch")
    left.plot(at, losses.loss, color="0.75", lw=1, label="step")
    middle = epochs.size().cumsum() - epochs.size() / 2
    left.plot(middle, epochs.loss.mean(), "o-", ms=5, color=COLOURS[0], label="mean of an epoch")
    left.set(xlabel="step", ylabel="loss of a token, in training", yscale="log")
    left.legend(frameon=False, fontsize=9)
    estimate, low, high = ends(np.stack(list(held.values()), axis=1))
    rows = np.arange(len(held))
    spread = [estimate - low, high - estimate]
    right.errorbar(estimate, rows, xerr=spread, fmt="o", capsize=2, color=COLOURS[0])
    right.axvline(estimate[0], color=GREY, lw=1, ls="--")
    right.set_yticks(rows, list(held), fontsize=9)
    right.set(xlabel="loss of a token, held out (95 % interval)", ylim=(len(rows) - 0.5, -0.5), xscale="log")
    for axis in (left.yaxis, right.xaxis):
        axis.set_major_locator(plt.matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(plt.matplotlib.ticker.NullLocator())
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def agreement_table(named: pd.DataFrame, agreement):
    """Style how often texts name what the report of the same picture names.

    Parameters
    ----------
    named : pandas.DataFrame
        Indexed by finding: in how many reports and texts it is named, a column each.
    agreement : mapping of str to numpy.ndarray of shape (1 + B, n_findings)
        Whose texts -> balanced accuracy, as estimate and resamples.
    """
    cells = {}
    for who, draws in agreement.items():
        rows = zip(draws[0], *percentile_interval(draws), strict=True)
        cells[f"balanced accuracy, {who} [95 %]"] = [
            f"{row[0]:.3f}, too few for an interval" if np.isnan(row[1]) else interval(*row, ".3f") for row in rows
        ]
    table = named.assign(**cells).rename_axis("finding").reset_index()
    return table.style.hide(axis="index").format({c: "{:,}" for c in named})
