"""Figures and tables of what a describer learns from reports."""

from collections.abc import Mapping
from textwrap import shorten

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import SMALLEST_CELL
from mmlib.measure.estimates import Estimate
from mmlib.questions.describing import AFTER, ANOTHER, BEFORE
from mmlib.show.style import COLOURS, GREY, ends, interval


def learning_curve(losses: pd.DataFrame, held: Estimate) -> np.ndarray:
    """Draw the loss in training, step by step, and the loss on pairs that were held out.

    Parameters
    ----------
    losses : pandas.DataFrame
        From `mmlib.text.finetuning.finetune`: epoch, step, loss.
    held : Estimate
        From `mmlib.questions.describing.held_out_losses`.
    """
    scored = held.labels("scored")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 0.45 * len(scored) + 2.2), width_ratios=[3, 2])
    at, epochs = np.arange(1, len(losses) + 1), losses.groupby("epoch")
    left.plot(at, losses.loss, color="0.75", lw=1, label="step")
    ends_of = epochs.size().cumsum()
    left.plot(ends_of - epochs.size() / 2, epochs.loss.mean(), "o-", ms=5, color=COLOURS[0], label="mean of an epoch")
    left.set(xlabel="step", ylabel="loss of a token, in training", yscale="log")
    left.legend(frameon=False, fontsize=9)
    middle, low, high = ends(held)
    rows = np.arange(len(scored))
    spread = np.maximum([middle - low, high - middle], 0)
    right.errorbar(middle, rows, xerr=spread, fmt="o", capsize=2, color=COLOURS[0])
    right.axvline(float(held.sel(scored=BEFORE)), color=GREY, lw=1, ls="--")
    right.set_yticks(rows, scored, fontsize=9)
    right.set(xlabel="loss of a token, held out (95 % interval)", ylim=(len(rows) - 0.5, -0.5), xscale="log")
    for axis in (left.yaxis, right.xaxis):
        axis.set_major_locator(plt.matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(plt.matplotlib.ticker.NullLocator())
    change, looks = _changes(held)
    title = f"Held-out loss {float(change):+.2f} by training; {float(looks):+.2f} with another patient's picture"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def agreement_table(counts: pd.DataFrame, agreement: Mapping[str, Estimate]):
    """Style how often texts name what the report of the same picture names.

    Parameters
    ----------
    counts : pandas.DataFrame
        From `mmlib.questions.describing.count_findings`.
    agreement : mapping of str to Estimate
        From `mmlib.questions.describing.finding_agreement`.
    """
    names = {c: "reports naming it" if c == "reports" else f"texts {c}" for c in counts}
    table = counts.rename(columns=names)
    for whose, balanced in agreement.items():
        rows = zip(*ends(balanced), strict=True)
        table[f"balanced accuracy, {whose} [95 %]"] = [
            f"{row[0]:.2f}, too few for an interval" if np.isnan(row[1]) else interval(*row, ".2f") for row in rows
        ]
    table = table.rename_axis("finding").reset_index()
    return table.style.hide(axis="index").format(dict.fromkeys(names.values(), "{:,}"))


def describing_in_short(held: Estimate, texts: Mapping[str, pd.Series], *, pairs: int, random: bool) -> Markdown:
    """The answer of the chapter in a few sentences.

    Parameters
    ----------
    held : Estimate
        From `mmlib.questions.describing.held_out_losses`.
    texts : mapping of str to pandas.Series
        From `mmlib.questions.describing.describe_twice`.
    pairs : int
        Those that were trained on.
    random : bool
        Whether the model started from random weights.
    """
    change, looks = _changes(held)
    before, after = (float(held.sel(scored=when)) for when in (BEFORE, AFTER))
    seen = "the 95 % interval lies above 0: the model uses the pictures"
    unseen = "nothing shows that the model uses the pictures, rather than having learnt how reports sound"
    common = texts[AFTER].value_counts()
    quoted = f"the most frequent, for {common.iloc[0]:,}: *{shorten(common.index[0], 80).rstrip('.') or 'nothing'}*"
    made_up = (
        "**The texts of this page mean nothing.** Its model starts from random weights, so that the page can be made "
        "anywhere, offline and in a minute, and knows no word beyond the reports of its pairs. What to set for a real "
        "one stands at the end.\n\n"
    )
    return Markdown(
        f"{made_up if random else ''}**In short.** After training on {pairs:,} pairs, the loss of a token of "
        f"{held.n:,} held-out reports changes by {change:+.3f}, from {before:.3f} to {after:.3f}. Beside another "
        f"patient's picture it differs from that by {looks:+.3f}; {seen if looks.clear() > 0 else unseen}. The model "
        f"writes {texts[AFTER].nunique():,} different texts for these pictures ({texts[BEFORE].nunique():,} before); "
        f"{quoted if common.iloc[0] >= SMALLEST_CELL else 'none is frequent'}."
    )


def _changes(held: Estimate) -> tuple[Estimate, Estimate]:
    """Change of the loss by training, and beside another patient's picture."""
    after = held.sel(scored=AFTER)
    return after - held.sel(scored=BEFORE), held.sel(scored=ANOTHER) - after
