"""Figures and tables of chapter 1: who is in the cohort, whose data are missing, what the audit found."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mmlib.show.style import COLOURS, GREY, interval, words

VERDICT_COLOURS = {
    "leak": COLOURS[3],
    "unresolved": COLOURS[1],
    "informative presence": COLOURS[0],
    "fine": GREY,
}


def group_sizes(sizes: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw samples, positives and label rates of groups, from the frame of ``audit.group_sizes``."""
    rows = sizes.drop_duplicates(["group", "n", "n_positive"]).reset_index(drop=True)
    labels = [g if g != "all" else "everybody" for g in rows.group]
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(8, 0.36 * len(rows) + 1.3), width_ratios=[3, 2]
    )
    at = np.arange(len(rows))
    left.barh(at, rows.n, color="0.85")
    left.barh(at, rows.n_positive, color=COLOURS[0])
    for y, r in rows.iterrows():
        left.text(r.n, y, f" {r.n:,} / {r.n_positive:,}", va="center", fontsize=9)
    left.set(yticks=at, xlim=(0, rows.n.max() * 1.25), xlabel="samples / of them positive")
    left.set_yticklabels(labels)
    right.errorbar(
        rows.rate,
        at,
        xerr=[rows.rate - rows.low, rows.high - rows.rate],
        fmt="o",
        color=COLOURS[0],
        capsize=2,
    )
    right.axvline(rows.rate[0], color=GREY, lw=1, ls="--")
    right.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
    right.set(xlabel="label rate, 95 % interval")
    left.invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def recorded_fields(share: pd.Series, fields, *, title: str, most: int = 40) -> plt.Axes:
    """Draw the share of samples in which fields are recorded, coloured by modality; of many the rarest ones."""
    modalities = list(dict.fromkeys(f.modality for f in fields))
    rare = set(share.nsmallest(most, keep="first").index)
    fields = [f for f in fields if f.column in rare]
    figure, ax = plt.subplots(figsize=(8, 0.23 * len(fields) + 1.4))
    for y, f in enumerate(fields):
        colour = COLOURS[modalities.index(f.modality) % len(COLOURS)]
        ax.barh(y, share[f.column], color=colour, label=f.modality if f.modality not in _labels(ax) else None)
    ax.set_yticks(range(len(fields)), [_short(f.label) for f in fields], fontsize=9)
    ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
    ax.set(xlim=(0, 1), xlabel="recorded")
    ax.invert_yaxis()
    ax.set_title(title)
    figure.legend(ncols=min(len(modalities), 3), loc="outside lower center", frameon=False, fontsize=9)
    return ax


def presence(shares: pd.DataFrame, *, title: str) -> np.ndarray:
    """Draw the presence of incomplete modalities by group; takes the frame of ``audit.presence``."""
    everybody = shares[shares.group == "all"].drop_duplicates("name").set_index("name").rate
    names = [n for n in everybody.index if everybody[n] < 0.9995] or list(everybody.index[:1])
    groups = shares[(shares.name == names[0])].drop_duplicates(["group", "n"]).reset_index(drop=True).group
    figure, axes = plt.subplots(
        1,
        len(names),
        sharey=True,
        squeeze=False,
        figsize=(max(6, 2.6 * len(names)), 0.32 * len(groups) + 1.2),
    )
    for ax, name in zip(axes[0], names, strict=True):
        rows = shares[shares.name == name].drop_duplicates(["group", "n"]).reset_index(drop=True)
        ax.errorbar(
            rows.rate, rows.index, xerr=[rows.rate - rows.low, rows.high - rows.rate], fmt="o", capsize=2
        )
        ax.axvline(everybody[name], color=GREY, lw=1, ls="--")
        ax.xaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1))
        ax.set_title(words(name), fontsize=11, fontweight="normal")
        ax.set(yticks=rows.index, xlabel="present")
        ax.set_yticklabels(
            [f"{g if g != 'all' else 'everybody'} (n={n:,})" for g, n in zip(rows.group, rows.n, strict=True)]
        )
    axes[0, 0].invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def audit(table: pd.DataFrame, *, title: str, most: int = 12) -> np.ndarray:
    """Draw how well presence alone and values alone predict the label: the strongest, coloured by verdict.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of ``audit.predictiveness`` with their ``verdict`` and ``label``.
    title : str
    most : int
        Fields per panel.
    """
    panels = {"presence_auroc": "presence alone", "value_auroc": "value alone"}
    away = (table.estimate - 0.5).abs()
    rows = {m: table[table.metric == m].loc[lambda d: away[d.index].nlargest(most).index] for m in panels}
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.3 * max(3, *(len(r) for r in rows.values())) + 1.6))
    for ax, (metric, label) in zip(axes, panels.items(), strict=True):
        shown = rows[metric].reset_index(drop=True)
        for y, r in shown.iterrows():
            ax.errorbar(
                r.estimate,
                y,
                xerr=[[r.estimate - r.low], [r.high - r.estimate]],
                fmt="o",
                capsize=2,
                color=VERDICT_COLOURS[r.verdict],
            )
        ax.axvline(0.5, color=GREY, lw=1, ls="--")
        ax.set_yticks(shown.index, [_short(label, 44) for label in shown.label], fontsize=9)
        ax.set(xlabel=f"AUROC of {label}", ylim=(max(len(shown), 1) - 0.5, -0.5))
        if shown.empty:
            ax.text(0.5, 0, "nothing varies enough to judge", ha="center", va="center", color=GREY)
            ax.set_yticks([])
    handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=v) for v, c in VERDICT_COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def _labels(ax):
    return [t.get_label() for t in ax.containers]


def _short(label, most=52):
    return label if len(label) <= most else label[: most - 1].rsplit(" ", 1)[0] + " ..."


def count_table(sizes: pd.DataFrame):
    """Style a frame of ``audit.group_sizes``."""
    table = sizes.assign(rate=[interval(*r, ".1%") for r in sizes[["rate", "low", "high"]].to_numpy()])
    table = table[["attribute", "group", "n", "n_positive", "rate"]]
    table.columns = ["attribute", "group", "n", "positives", "label rate [95 %]"]
    return table.style.hide(axis="index").format({"n": "{:,}", "positives": "{:,}"})


def left_out_table(counts, n: int):
    """Style what the loader dropped or repaired, and what remains."""
    rows = [*counts.items(), ("samples in the study", n)]
    return pd.DataFrame(rows, columns=["step", "n"]).style.hide(axis="index").format({"n": "{:,}"})


def presence_table(shares: pd.DataFrame, attribute: str):
    """Style the share of samples that have each modality, by group; takes the frame of ``audit.presence``."""
    rows = shares[shares.attribute == attribute]
    cells = rows.assign(cell=[interval(*r, ".1%") for r in rows[["rate", "low", "high"]].to_numpy()])
    table = cells.pivot(index=["group", "n"], columns="name", values="cell")[list(dict.fromkeys(rows.name))]
    table = table.reindex(cells[["group", "n"]].drop_duplicates().apply(tuple, axis=1)).reset_index()
    table["group"] = table["group"].replace("all", "everybody")
    table.columns = [attribute.replace("_", " "), "n", *(words(m) for m in table.columns[2:])]
    return table.style.hide(axis="index").format({"n": "{:,}"})


def verdict_table(verdicts: pd.DataFrame):
    """Style the verdicts that are worth a look, the worst first; takes the frame of ``audit.give_verdicts``."""
    rows = verdicts[verdicts.verdict != "fine"]
    rows = rows.sort_values("verdict", key=lambda v: v.map(list(VERDICT_COLOURS).index), kind="stable")
    columns = ["label", "field", "verdict", "reason", "n_absent", "rate_present", "rate_absent", "source"]
    rest = pd.DataFrame([[f"{len(verdicts) - len(rows)} others", "", "fine", "", np.nan, np.nan, np.nan, ""]])
    table = pd.DataFrame(
        np.concatenate([rows[columns].to_numpy(object), rest.to_numpy(object)]),
        columns=[
            "field",
            "name",
            "verdict",
            "why",
            "n without it",
            "label rate with it",
            "without",
            "source",
        ],
    )
    return (
        table.style.hide(axis="index")
        .format({"n without it": "{:,.0f}", "label rate with it": "{:.1%}", "without": "{:.1%}"}, na_rep="")
        .set_properties(**{"text-align": "left", "white-space": "normal"})
    )


def lacking_table(contrasts: pd.DataFrame, *, minimum: int = 30, most: int = 8):
    """Style the surest differences in what is recorded; takes the frame of ``audit.presence_contrasts``.

    Groups with fewer than ``minimum`` positives are left out.
    """
    rows = contrasts[(contrasts.n_positive >= minimum) & ((contrasts.low > 0) | (contrasts.high < 0))]
    rows = rows.loc[rows.estimate.abs().nlargest(most).index]
    table = pd.DataFrame(
        {
            "field": rows.field,
            "group": rows.group + " minus " + rows.reference.fillna(""),
            "n": rows.n,
            "difference [95 %]": [interval(*r, "+.1%") for r in rows[["estimate", "low", "high"]].to_numpy()],
        }
    )
    return table.style.hide(axis="index").format({"n": "{:,}"})
