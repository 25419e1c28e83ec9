"""Figures and tables of chapter 2: what is lost when measurements become sentences."""

import matplotlib.pyplot as plt
import pandas as pd

from mmlib.show.style import GREY, interval


def auroc_differences(table: pd.DataFrame, *, title: str) -> plt.Axes:
    """Draw AUROC differences to a reference with intervals; takes the frame of ``evaluate.compare_auroc``."""
    table = table.sort_values("difference", ascending=False).reset_index(drop=True)
    _, ax = plt.subplots(figsize=(8, 0.5 * len(table) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    spread = [table.difference - table.difference_low, table.difference_high - table.difference]
    ax.errorbar(table.difference, table.index, xerr=spread, fmt="o", capsize=3)
    ax.set_yticks(
        table.index,
        [f"{v}\nAUROC {a:.3f}" for v, a in zip(table.variant, table.auroc, strict=True)],
        fontsize=9,
    )
    ax.set(xlabel="difference in AUROC (95 % interval)")
    ax.invert_yaxis()
    ax.set_title(title)
    return ax


def unit_table(table: pd.DataFrame):
    """Style the comparison of field and note encoding."""
    shown = table.assign(
        auroc=[interval(*r, ".3f") for r in table[["auroc", "low", "high"]].to_numpy()],
        difference=[
            interval(*r, "+.3f")
            for r in table[["difference", "difference_low", "difference_high"]].to_numpy()
        ],
    )[["variant", "texts", "distinct", "seconds", "auroc", "difference"]]
    shown.columns = ["unit", "texts", "distinct", "seconds", "AUROC [95 %]", "difference [95 %]"]
    return shown.style.hide(axis="index").format({"texts": "{:,}", "distinct": "{:,}", "seconds": "{:.1f}"})
