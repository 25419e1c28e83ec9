"""Figures of the chapter on the paradox: two scores, the plane of gains, a page part to turn the knobs, a twin."""

import html
from collections.abc import Sequence

import altair as alt
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.colors import ListedColormap
from scipy.stats import norm

from mmlib.paradox import Group, add_modality, hurdle, matched_threshold, tpr_gaps, weights
from mmlib.show.style import COLOURS, GREY, draws_interval

STAGES = ("old", "old + new")
PAIR = (COLOURS[0], COLOURS[3])  # the reference and the other group
REGIONS = (
    "AUROC falls in a group",
    "AUROC rises in both, the gap narrows",
    "AUROC rises in both, the gap widens",
)


def two_scores(groups: Sequence[Group], *, title: str) -> np.ndarray:
    """Draw the positives of two groups before and after; beyond the threshold they are found."""
    table = add_modality(groups)
    figure, axes = plt.subplots(1, 2, sharex=True, sharey=True, figsize=(9, 3.2))
    x = np.linspace(-3, 5.5, 400)
    for ax, stage in zip(axes, STAGES, strict=True):
        for g, colour, height in zip(groups, PAIR, (0.93, 0.84), strict=True):
            row = table.loc[stage, g.name]
            density = norm.pdf(x - row.separation - row["shift"])
            ax.plot(x, density, color=colour)
            beyond = x >= row.threshold
            ax.fill_between(x[beyond], density[beyond], color=colour, alpha=0.25, lw=0)
            ax.text(
                0.02,
                height,
                f"{g.name}: TPR {row.tpr:.2f}, AUROC {row.auroc:.2f}",
                transform=ax.transAxes,
                color=colour,
                fontsize=9,
            )
        ax.vlines(row.threshold, 0, 0.43, color=GREY, ls="--", lw=1)
        ax.text(row.threshold, 0.43, " selected", color=GREY, fontsize=9)
        ax.set(title=stage, xlabel="score", ylim=(0, 0.56), yticks=[])
        ax.grid(False)
    axes[0].set_ylabel("positives")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes


def plane_of_gains(groups: Sequence[Group], *, title: str, points: int = 61) -> plt.Axes:
    """Draw, over how well the new score separates in each group, where the paradox lies.

    Weights are those of the given groups throughout, so that the borders of AUROC are straight lines.
    """
    first, second = groups
    w, v = weights(groups)
    grid = np.linspace(0, 2, points)
    new = np.stack(np.meshgrid(grid, grid), axis=-1)  # first group across, second group up
    old, shift = np.array([first.old, second.old]), v * np.array([first.shift, second.shift])
    after = w * old + v * new
    selected = sum(g.share * g.prevalence for g in groups)
    t = matched_threshold(groups, after, np.broadcast_to(shift, after.shape), selected)
    gap = np.abs(np.diff(norm.cdf(after + shift - t[..., None]), axis=-1)[..., 0])
    region = np.where((after > old).all(axis=-1), 1 + (gap > abs(tpr_gaps(groups).gap["old"])), 0)
    figure, ax = plt.subplots(figsize=(6.4, 4.6))
    colours = ("0.88", COLOURS[2], COLOURS[1])
    ax.pcolormesh(
        grid, grid, region, cmap=ListedColormap(colours), vmin=0, vmax=2, alpha=0.55, shading="nearest"
    )
    tau = hurdle(groups)
    ax.axvline(tau * first.old, color=GREY, lw=1)
    ax.axhline(tau * second.old, color=GREY, lw=1)
    ax.plot(first.new, second.new, "o", color="black")
    ax.annotate("the example", (first.new, second.new), (8, 6), textcoords="offset points", fontsize=9)
    for level, name, colour in zip(range(3), REGIONS, colours, strict=True):
        if (region == level).any():
            ax.plot([], [], "s", ms=9, color=colour, alpha=0.7, label=name)
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=1)
    ax.set(
        xlabel=f"separation of the new score: {first.name}",
        ylabel=second.name,
        xlim=(0, 2),
        ylim=(0, 2),
        title=title,
    )
    return ax


def knobs(groups: Sequence[Group]) -> HTML:
    """Make the page part on which a reader sets separations, shift, share and prevalence.

    Everything is computed in the browser. The script is inside, in a frame of its own, so that it needs no
    network and meets no other script of the page.

    Parameters
    ----------
    groups : sequence of two Group
        Where the knobs stand at first, the reference first; both have the prevalence of the first.
    """
    first, second = groups
    sliders = {
        "old_r": (f"old score, {first.name}", first.old, 0.2, 2),
        "old_a": (f"old score, {second.name}", second.old, 0.2, 2),
        "new_r": (f"new score, {first.name}", first.new, 0, 2),
        "new_a": (f"new score, {second.name}", second.new, 0, 2),
        "shift": (f"new score reads higher for {second.name} by", second.shift, -1, 1),
        "share": (f"share of {second.name}", second.share, 0.05, 0.95),
        "prevalence": ("prevalence", first.prevalence, 0.05, 0.6),
    }
    params = [
        alt.param(name=k, value=v, bind=alt.binding_range(min=low, max=high, step=0.05, name=f"{text} "))
        for k, (text, v, low, high) in sliders.items()
    ]
    # after the change a score is w old + v new; before it, w is 1 and v is 0
    mean = {s: f"((1-share)*{s}_r + share*{s}_a)" for s in ("old", "new")}
    w = f"(datum.stage=='before' ? 1 : {mean['old']}/sqrt(pow({mean['old']},2)+pow({mean['new']},2)))"
    v = f"(datum.stage=='before' ? 0 : {mean['new']}/sqrt(pow({mean['old']},2)+pow({mean['new']},2)))"
    high = {g: f"(datum.w*old_{g} + datum.v*new_{g})" for g in "ra"}
    move = {"r": "0", "a": "(datum.v*shift)"}
    above = {
        g: f"(prevalence*(1-cumulativeNormal(datum.t-{high[g]}-{move[g]},0,1))"
        f" + (1-prevalence)*(1-cumulativeNormal(datum.t-{move[g]},0,1)))"
        for g in "ra"
    }
    # the threshold is the highest of a fine grid at which enough are selected
    found = (
        alt.Chart(alt.sequence(-3, 5, 0.005, as_="t"))
        .transform_calculate(before="1", after="2")
        .transform_fold(["before", "after"], as_=["stage", "number"])
        .transform_calculate(w=w, v=v)
        .transform_calculate(selected=f"(1-share)*{above['r']} + share*{above['a']}")
        .transform_filter("datum.selected >= prevalence")
        .transform_aggregate(t="max(t)", w="max(w)", v="max(v)", groupby=["stage"])
        .transform_calculate(
            **{f"tpr_{g}": f"1-cumulativeNormal(datum.t-{high[g]}-{move[g]},0,1)" for g in "ra"},
            **{f"auroc_{g}": f"cumulativeNormal({high[g]}/sqrt(2),0,1)" for g in "ra"},
        )
    )
    colours = ["#" + "".join(f"{round(255 * c):02x}" for c in colour) for colour in PAIR]
    panels = []
    for metric, label in (("auroc", "AUROC"), ("tpr", "true positive rate")):
        names = [f"{metric}_r", f"{metric}_a"]
        base = (
            found.transform_fold(names, as_=["key", "value"])
            .transform_calculate(group=f"datum.key=='{names[0]}' ? '{first.name}' : '{second.name}'")
            .encode(
                x=alt.X("stage:N", sort=["before", "after"], title=None, axis=alt.Axis(labelAngle=0)),
                y=alt.Y("value:Q", title=label, scale=alt.Scale(domain=[0.3, 1], clamp=True)),
                color=alt.Color(
                    "group:N",
                    title=None,
                    scale=alt.Scale(domain=[first.name, second.name], range=colours),
                    legend=alt.Legend(orient="top"),
                ),
            )
        )
        number = base.encode(text=alt.Text("value:Q", format=".3f"))
        panels.append(
            (
                base.mark_line(point=True)
                + number.mark_text(dy=-12, fontSize=12).transform_filter(f"datum.key=='{names[0]}'")
                + number.mark_text(dy=14, fontSize=12).transform_filter(f"datum.key=='{names[1]}'")
            ).properties(width=230, height=250)
        )
    chart = alt.hconcat(*panels).add_params(*params)
    page = chart.to_html(inline=True, embed_options={"actions": False})
    look = "<style>#vis { flex-direction: column } body, form { font: 14px sans-serif }</style></head>"
    page = page.replace("</head>", look, 1)
    return HTML(
        f'<div><iframe srcdoc="{html.escape(page)}" title="Sliders of the two-score model" '
        'style="width: 100%; height: 580px; border: 0; background: white"></iframe></div>'
    )


def twin_table(auroc: np.ndarray, tpr: np.ndarray, names: Sequence[str], sizes: np.ndarray):
    """Show AUROC and true positive rate of groups before and after, with their difference and intervals.

    Parameters
    ----------
    auroc, tpr : numpy.ndarray of shape (1 + B, 2, G)
        Draws of the two models in each group, the reference first.
    names : sequence of str
    sizes : numpy.ndarray of shape (G,)
        Positives in each group.
    """
    rows = {}
    for metric, values in (("AUROC", auroc), ("true positive rate", tpr)):
        for g, name in enumerate(names):
            rows[metric, f"{name} ({sizes[g]:,} positives)"] = values[:, :, g]
        rows[metric, f"{names[1]} minus {names[0]}"] = values[:, :, 1] - values[:, :, 0]
    cells = {
        key: [
            draws_interval(d, f) for d, f in ((v[:, 0], ".3f"), (v[:, 1], ".3f"), (v[:, 1] - v[:, 0], "+.3f"))
        ]
        for key, v in rows.items()
    }
    return pd.DataFrame.from_dict(cells, orient="index", columns=["old", "old + new", "change"]).style
