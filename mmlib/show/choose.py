"""Figures and tables of chapter 6: which modalities one would choose, and what was known beforehand."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from matplotlib.ticker import MaxNLocator

from mmlib.core.subsets import members
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.questions.additions import interactions
from mmlib.questions.choose import Choices, auroc_given_up, cost_of, lowest_rates
from mmlib.show import style
from mmlib.show.style import COLOURS, GREY, dots, estimate_cells, interval, words

#: Said where there is no addition whose change could be predicted.
NOTHING_PREDICTED = "No change of a difference could be predicted: that takes two modalities and a difference shown."


def group_shares(shares: Mapping[str, Estimate]) -> plt.Axes:
    """Map of the Shapley value of every modality for AUROC and for the TPR of groups.

    Parameters
    ----------
    shares : mapping of str to Estimate
        From `mmlib.questions.additions.shapley_by_group`: overall AUROC first.

    Returns
    -------
    matplotlib.axes.Axes
        Cells whose 95 % interval, simultaneous over the modalities of a row, excludes 0 are bold.
    """
    rows = list(shares.values())
    modalities = rows[0].labels("modality")
    clear = np.array([row.clear(simultaneous=True).values != 0 for row in rows])
    _, ax = plt.subplots(figsize=(1.15 * len(modalities) + 3.4, 0.36 * len(rows) + 1.5))
    _map(ax, np.array([row.value.values for row in rows]), clear, list(shares), [words(m) for m in modalities])
    leader, *others = [modalities[int(np.argmax(row.value.values))] for row in rows]
    title = f"{words(leader).capitalize()} adds most AUROC"
    if len(modalities) == 1:
        title = f"{words(leader).capitalize()} is the only modality"
    elif others:
        title += f", and most TPR in {others.count(leader)} of {len(others)} groups"
    ax.set_title(title)
    return ax


def interaction_maps(result: Evaluation) -> np.ndarray:
    """Interaction of every pair of modalities, a map for AUROC and one for the first TPR difference shown.

    Parameters
    ----------
    result : Evaluation
        Of the power set, with AUROC.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Pairs whose 95 % interval, simultaneous over all pairs, excludes 0 are bold. A sentence if there is no pair.
    """
    pairs = {"AUROC": interactions(result.metric("auroc"))}
    for label, level in list(result.contrasts("tpr").items())[:1]:
        pairs[f"TPR, {label}"] = interactions(level)
    modalities = members(result.labels[-1])
    if len(modalities) < 2:
        return np.array([style.nothing("There is one modality, so there is no pair.", "Pairs of modalities")])
    figure, axes = plt.subplots(
        1, len(pairs), figsize=(4.5 * len(pairs), 0.5 * len(modalities) + 2.2), squeeze=False
    )
    rows, columns = np.triu_indices(len(modalities), 1)
    labels = [words(m) for m in modalities]
    for ax, (name, found) in zip(axes[0], pairs.items(), strict=True):
        square = np.full((len(modalities), len(modalities)), np.nan)
        clear = np.zeros(square.shape, bool)
        square[columns, rows], clear[columns, rows] = found.value, found.clear(simultaneous=True) != 0
        _map(ax, square[1:, :-1], clear[1:, :-1], labels[1:], labels[:-1])
        ax.set_title(name.replace(" (", "\n("), fontsize=11, fontweight="normal")
    auroc = pairs["AUROC"].value
    title = f"{int((auroc < 0).sum())} of {auroc.size} pairs add less AUROC together than one by one"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def front(points: pd.DataFrame, *, n: int) -> np.ndarray:
    """Size of a signed difference against AUROC on tested patients, a panel per difference.

    Parameters
    ----------
    points : pandas.DataFrame
        From `mmlib.questions.choose.front_points`.
    n : int
        Tested samples.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        The front of validation patients is ringed, joined and numbered. A sentence if no difference is shown.
    """
    if points.empty:
        return np.array([style.nothing(style.NO_CONTRAST, "The front of AUROC and difference")])
    names = list(dict.fromkeys(points["contrast"]))
    figure, axes = plt.subplots(1, len(names), figsize=(9, 3.9), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        part = points[points["contrast"] == name]
        look = {"c": part["membership"], "cmap": "viridis_r", "vmin": 0, "vmax": 1, "s": 34}
        shown = ax.scatter(part["auroc"], part["size"], **look, edgecolor="white", lw=0.5)
        chosen = part[part["front"]].sort_values("auroc")
        ax.plot(chosen["auroc"], chosen["size"], color=COLOURS[3], lw=1, marker="o", ms=9, mfc="none")
        for at, row in enumerate(chosen.itertuples(), start=1):
            look = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
            ax.annotate(f"{at}", (row.auroc, row.size), xytext=(0, 7), **look)
        ax.set_title(name.replace(" (", "\n("), fontsize=10, fontweight="normal")
        ax.set(xlabel=f"AUROC (n = {n:,})")
    axes[0, 0].set_ylim(bottom=-0.01)  # once all panels, which share it, are drawn
    axes[0, 0].set(ylabel="size of the TPR difference, tested")
    figure.colorbar(shown, ax=axes[0], label="share of resamples on the front")
    stay, placed = int((points["front"] & points["still"]).sum()), int(points["front"].sum())
    title = f"{stay} of {placed} places on the validation fronts hold on tested patients"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def front_table(points: pd.DataFrame):
    """Members of the fronts, numbered as in the figure.

    Parameters
    ----------
    points : pandas.DataFrame
        From `mmlib.questions.choose.front_points`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    chosen = points[points["front"].astype(bool)].sort_values(["contrast", "auroc"], kind="stable")
    order = chosen.groupby("contrast", sort=False).cumcount() + 1
    cells = [interval(*r, "+.2f") for r in chosen[["estimate", "low", "high"]].to_numpy()]
    table = pd.DataFrame(
        {
            "contrast": chosen["contrast"],
            "number": order,
            "modalities": [words(s) for s in chosen["subset"]],
            "on the front": chosen["membership"].map("{:.0%}".format),
            "AUROC, tested": chosen["auroc"].map("{:.3f}".format),
            "difference, tested [95 %]": cells,
        }
    )
    return table.style.hide(axis="index")


def prices(outcome: Evaluation, *, margin: float) -> np.ndarray:
    """AUROC that each way to choose gives up against all modalities, and the TPR differences that it leaves.

    Parameters
    ----------
    outcome : Evaluation
        From `mmlib.questions.choose.evaluate_choices`.
    margin : float
        Shaded.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Two, or one if no difference is shown.
    """
    contrasts, ways = outcome.contrasts("tpr"), outcome.labels
    panels = 2 if contrasts else 1
    figure, axes = plt.subplots(
        1, panels, sharey=True, squeeze=False, figsize=(4.5 * panels, 0.5 * len(ways) + 1.8)
    )
    at, change = np.arange(len(ways)), auroc_given_up(outcome)
    dots(axes[0, 0], at, change, COLOURS[0])
    axes[0, 0].set(xlabel=f"AUROC minus that of all modalities (n = {change.n:,})")
    axes[0, 0].set_yticks(at, ways)
    axes[0, 0].invert_yaxis()
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(5))
    if np.ptp(axes[0, 0].get_xlim()) < 0.001:  # no way differs from all modalities
        axes[0, 0].set_xlim(-0.01, 0.01)
    if contrasts:
        right = axes[0, 1]
        for i, (name, level) in enumerate(contrasts.items()):
            dots(right, at + 0.16 * (i - (len(contrasts) - 1) / 2), level, COLOURS[i + 1], name)
        right.axvspan(-margin, margin, color=GREY, alpha=0.12, lw=0)
        right.set(xlabel="TPR, group minus reference (shaded: margin)")
        right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    title = f"The constrained choice changes AUROC by {change.sel(choice='constrained'):+.3f}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def choice_table(choices: Choices, outcome: Evaluation):
    """What each way chose, how stably, what it costs, and what it gives on tested patients.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
    outcome : Evaluation
        From `mmlib.questions.choose.evaluate_choices`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    ways, lowest = outcome.labels, lowest_rates(outcome)
    agree = [f"{choices.by_fold[w].count(choices.overall[w])} of {len(choices.by_fold[w])}" for w in ways]
    table = {
        "choice": ways,
        "modalities": [words(choices.overall[way]) for way in ways],
        "folds that agree": agree,
        "cost": [f"{cost_of(choices.overall[way], choices.costs):g}" for way in ways],
        "AUROC minus all [95 %]": ["", *estimate_cells(auroc_given_up(outcome), "+.3f")[1:]],
    }
    table |= {f"TPR {name} [95 %]": estimate_cells(level, "+.2f") for name, level in outcome.contrasts("tpr").items()}
    if lowest.notna().any():
        table["lowest TPR of a group"] = [f"{lowest[way]:.2f}" for way in ways]
    return pd.DataFrame(table).style.hide(axis="index")


def predictions(table: pd.DataFrame, twins: pd.DataFrame, own: pd.Series) -> np.ndarray:
    """Predicted against observed changes of this cohort, and its rank correlation among those of the twins.

    Parameters
    ----------
    table : pandas.DataFrame
        From `mmlib.questions.forecast.predict_halves`.
    twins : pandas.DataFrame
        From `mmlib.questions.forecast.judge_forecasts`, a row per simulated cohort.
    own : pandas.Series
        From `mmlib.questions.forecast.judge_halves`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        A sentence if nothing could be predicted.
    """
    if table.empty:
        return np.array([style.nothing(NOTHING_PREDICTED, "Predicted and observed changes")])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), width_ratios=[1.2, 1])
    for i, (name, part) in enumerate(table.groupby(["group", "reference"], sort=False)):
        look = {"s": 12, "alpha": 0.7, "color": COLOURS[i], "label": " minus ".join(name)}
        left.scatter(part["predicted"], part["change"], **look)
    left.axline((0, 0), slope=1, color=GREY, lw=1, ls="--")
    left.axhline(0, color=GREY, lw=0.8)
    left.axvline(0, color=GREY, lw=0.8)
    left.set(xlabel="predicted change of the TPR difference", ylabel=f"observed in others (n = {len(table)})")
    left.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    bins = np.linspace(-1, 1, 41)
    right.hist(twins["rank_correlation"], bins, color=COLOURS[0], alpha=0.7, label=f"{len(twins)} twins")
    right.hist(twins["ceiling"], bins, histtype="step", color=GREY, lw=1.5, label="their noise ceiling")
    here = own["rank_correlation"]
    known = not np.isnan(here)
    if known:
        right.axvline(here, color=COLOURS[3], lw=2, label="this cohort")
    right.set(xlabel="rank correlation within a cohort", ylabel="simulated cohorts")
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    right.set_xlim(min(-0.25, here - 0.1) if known else -0.25, 1)
    middle = f"{twins['rank_correlation'].median():.2f} in the median twin"
    title = f"Rank correlation {here:.2f} in this cohort, {middle}" if known else f"Rank correlation {middle}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def skill_table(own: pd.Series, twins: pd.DataFrame, real: pd.DataFrame, *, run: str):
    """How well changes are predicted: this cohort, the median twin, and the other real cohorts.

    Parameters
    ----------
    own : pandas.Series
        From `mmlib.questions.forecast.judge_halves`.
    twins, real : pandas.DataFrame
        From `mmlib.questions.forecast.judge_forecasts`, a row per cohort.
    run : str
        Name of this cohort's run, left out of ``real``.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    names = {
        "rank_correlation": "rank correlation",
        "ceiling": "its noise ceiling",
        "sign_accuracy": "sign right",
        "error": "mean error",
        "error_no_change": "of predicting no change",
        "error_average": "of predicting the average",
    }
    rows = {"this cohort": own, f"median of {len(twins)} twins": twins.median(numeric_only=True)}
    rows |= {f"{row['cohort']}, real": row for _, row in real.iterrows() if row["cohort"] != run}
    table = [
        {"cohort": name, "additions": f"{row['n']:g}"}
        | {label: f"{row[key]:{'.0%' if key == 'sign_accuracy' else '.3f'}}" for key, label in names.items()}
        for name, row in rows.items()
    ]
    return pd.DataFrame(table).replace(r"nan%?", "-", regex=True).style.hide(axis="index")


def model_table(model: pd.DataFrame):
    """Predictors: what each is, and what it predicts by itself."""
    table = pd.DataFrame(
        {
            "predictor": model["predictor"],
            "what it is": model["meaning"],
            "rank correlation alone": model["alone"].map("{:+.2f}".format),
            "coefficient": model["coefficient"].map("{:+.2f}".format),
        }
    )
    return table.style.hide(axis="index")


def flag_table(flags: pd.DataFrame):
    """How often modalities of known effect are flagged, and left out by the constrained choice."""
    table = pd.DataFrame(
        {
            "labs read lower by": flags["effect"].map(lambda e: f"{-e:g} SD" if e else "nothing"),
            "modality": flags["modality"],
            "truly": flags["role"],
            "caused in the population": flags["caused"].map("{:+.3f}".format),
            "flagged [95 %]": [
                interval(*r, ".1%") for r in flags[["flagged", "flagged low", "flagged high"]].to_numpy()
            ],
            "left out [95 %]": [
                interval(*r, ".0%") for r in flags[["left out", "left out low", "left out high"]].to_numpy()
            ],
        }
    )
    return table.style.hide(axis="index")


def choose_in_short(choices: Choices, outcome: Evaluation, own: pd.Series) -> Markdown:
    """Answer of chapter 6 in a few sentences.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
    outcome : Evaluation
        From `mmlib.questions.choose.evaluate_choices`.
    own : pandas.Series
        From `mmlib.questions.forecast.judge_halves`.

    Returns
    -------
    IPython.display.Markdown
    """
    if len(choices.subsets) == 1:
        return Markdown(
            f"**In short.** There is one modality, {words(*choices.subsets)}, so there is nothing to choose."
        )
    contrasts, change = outcome.contrasts("tpr"), auroc_given_up(outcome).sel(choice="constrained")
    subset, folds = choices.overall["constrained"], choices.by_fold["constrained"]
    found = "95 % interval excludes 0" if int(change.clear()) else "no clear difference"
    text = (
        f"**In short.** {_margin_kept(choices)} {words(subset)} on all validation patients; {folds.count(subset)} of "
        f"{len(folds)} folds choose it. On tested patients, who had no part in the choice, choosing so changes AUROC "
        f"by {change:+.3f} against all modalities ({found})"
    )
    if contrasts:
        left = {name: float(level.sel(choice="constrained")) for name, level in contrasts.items()}
        widest = max(left, key=lambda name: abs(left[name]))
        text += f", and the largest TPR difference left is {left[widest]:+.2f} ({widest})"
    if np.isnan(own["rank_correlation"]):
        return Markdown(f"{text}. {NOTHING_PREDICTED}")
    return Markdown(
        f"{text}. Predicted beforehand, changes of the differences have a rank correlation of "
        f"{own['rank_correlation']:.2f} with the observed ones (noise ceiling {own['ceiling']:.2f}). The sign is "
        f"right in {own['sign_accuracy']:.0%}. The mean error is {own['error']:.3f}; predicting no change gives "
        f"{own['error_no_change']:.3f}."
    )


def _margin_kept(choices):
    """How many subsets keep the margin, up to the name of the constrained choice."""
    kept, every, margin = len(choices.kept), len(choices.subsets), f"{choices.margin:g}"
    if not choices.differences:
        return "This run bounds no difference between groups, so AUROC alone decides. The choice is"
    if kept:
        return (
            f"{kept} of {every} subsets keep every TPR difference within {margin} on validation patients, by the "
            "upper limit of the 95 % interval. The one with the highest AUROC is"
        )
    return (
        f"None of the {every} subsets can be shown, on validation patients, to keep every TPR difference within "
        f"{margin}. The one with the smallest upper limit is"
    )


def _map(ax, values, clear, rows, columns):
    """Map of numbers, bold where they are clearly not 0."""
    reach = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 1
    look = {"cmap": "vlag", "vmin": -reach, "vmax": reach, "annot": True, "fmt": "+.3f", "cbar": False}
    sns.heatmap(values, ax=ax, **look, annot_kws={"fontsize": 8}, linewidths=0.5)
    shown = np.argwhere(~np.isnan(values))
    for text, (row, column) in zip(ax.texts, shown, strict=True):
        text.set_fontweight("bold" if clear[row, column] else "normal")
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows, rotation=0, fontsize=9)
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=30, ha="right", fontsize=9)
    ax.grid(False)
