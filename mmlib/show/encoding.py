"""Figures and tables of chapter 2: what is lost when measurements become sentences, and what the vectors reveal."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, interval, words


def auroc_differences(table: pd.DataFrame, *, title: str, farthest: float = 0.15) -> plt.Axes:
    """Draw AUROC differences to a reference with intervals; takes the frame of ``evaluate.compare_auroc``.

    Those farther below than ``farthest`` are written, not drawn, so that the others can be told apart.
    """
    table = table.sort_values("difference", ascending=False).reset_index(drop=True)
    _, ax = plt.subplots(figsize=(8, 0.5 * len(table) + 1.2))
    ax.axvline(0, color=GREY, lw=1)
    spread = [table.difference - table.difference_low, table.difference_high - table.difference]
    far = table.difference < -farthest
    ax.errorbar(table.difference.mask(far), table.index, xerr=spread, fmt="o", capsize=3)
    for y, r in table[far].iterrows():
        text = f"$\\leftarrow$ {interval(r.difference, r.difference_low, r.difference_high, '+.3f')}"
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "backgroundcolor": "white"}
        ax.text(0.01, y, text, fontsize=9, color=GREY, **place)
    ax.set_yticks(
        table.index,
        [f"{v}\nAUROC {a:.3f}" for v, a in zip(table.variant, table.auroc, strict=True)],
        fontsize=9,
    )
    ax.set(xlabel="difference in AUROC (95 % interval)", ylim=(len(table) - 0.5, -0.5))
    ax.set_title(title)
    return ax


def decoded(table: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw how well each group can be told from each modality; takes the frame of ``decoding.decode_groups``."""
    attributes, modalities = (list(dict.fromkeys(table[c])) for c in ("attribute", "subset"))
    most = table.groupby("attribute").group.nunique().max()
    figure, axes = plt.subplots(
        1,
        len(attributes),
        sharey=True,
        squeeze=False,
        figsize=(max(6, 3.6 * len(attributes)), len(modalities) * (0.3 + 0.12 * most) + 1.2 + 0.2 * most),
    )
    for ax, attribute in zip(axes[0], attributes, strict=True):
        rows = table[table.attribute == attribute]
        groups = list(dict.fromkeys(rows.group))
        for i, group in enumerate(groups):
            own = rows[rows.group == group]
            at = own.subset.map(modalities.index) + 0.7 * ((i + 0.5) / len(groups) - 0.5)
            ax.errorbar(
                own.estimate,
                at,
                xerr=[own.estimate - own.low, own.high - own.estimate],
                fmt="o",
                ms=4,
                capsize=2,
                color=COLOURS[i % len(COLOURS)],
                label=f"{group} (n={own.n_positive.max():,})",
            )
        ax.axvline(0.5, color=GREY, lw=1, ls="--")
        ax.set_title(words(attribute), fontsize=11, fontweight="normal")
        ax.set(xlabel="AUROC against the others")
        ax.legend(
            loc="upper left", bbox_to_anchor=(0, -0.45 / len(modalities) - 0.05), frameon=False, fontsize=8
        )
    axes[0, 0].set_yticks(range(len(modalities)), [words(m) for m in modalities])
    axes[0, 0].set_ylim(len(modalities) - 0.5, -0.5)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def unit_table(table: pd.DataFrame):
    """Style the comparison of field and note encoding."""
    shown = _with_intervals(table)[
        ["variant", "texts", "distinct", "seconds", "AUROC [95 %]", "difference [95 %]"]
    ]
    return (
        shown.rename(columns={"variant": "unit"})
        .style.hide(axis="index")
        .format({"texts": "{:,}", "distinct": "{:,}", "seconds": "{:.1f}"})
    )


def without_table(comparisons: Mapping[str, pd.DataFrame], cohort: pd.DataFrame):
    """Style the comparisons, by model, of all fields with fewer; frames of ``evaluate.compare_auroc``."""
    table = _with_intervals(pd.concat(comparisons, names=["model", "row"]).reset_index())
    table = table.assign(n=len(cohort), positives=int(cohort["label"].sum()))
    shown = table[["model", "variant", "n", "positives", "AUROC [95 %]", "difference [95 %]"]]
    return (
        shown.rename(columns={"variant": "unresolved fields"})
        .style.hide(axis="index")
        .format({"n": "{:,}", "positives": "{:,}"})
    )


def kinds_table(comparisons: Mapping[str, pd.DataFrame]):
    """Style the comparisons, by kind of positives, of two models; frames of ``evaluate.compare_auroc``."""
    table = _with_intervals(pd.concat(comparisons, names=["kind", "row"]).reset_index())
    shown = table[["kind", "n", "n_positive", "variant", "AUROC [95 %]", "difference [95 %]"]]
    shown.columns = ["positives", "n", "of them positive", "model", *shown.columns[4:]]
    return shown.style.hide(axis="index").format({"n": "{:,}", "of them positive": "{:,}"})


def _with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    changes = table[["difference", "difference_low", "difference_high"]].to_numpy()
    return table.assign(
        **{
            "AUROC [95 %]": [interval(*r, ".3f") for r in table[["auroc", "low", "high"]].to_numpy()],
            "difference [95 %]": [interval(*r, "+.3f") if any(r) else "" for r in changes],
        }
    )
