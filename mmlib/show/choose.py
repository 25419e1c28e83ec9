"""Figures and tables of chapter 6: which modalities one would choose, and what was known beforehand."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from matplotlib.ticker import MaxNLocator

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import full_subset, members
from mmlib.measure.estimates import Estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.questions.additions import interactions
from mmlib.questions.choose import (
    RULES,
    Choices,
    changes_from_all,
    cost_of,
    group_changes,
    lowest_groups,
    own_changes,
)
from mmlib.show import style
from mmlib.show.style import COLOURS, GREY, OVERALL, decimals, dots, estimate_cells, interval, listed, words

#: Said where there is no addition whose change could be predicted.
NOTHING_PREDICTED = "No change of a difference could be predicted: that takes two modalities and a difference shown."

#: What changes of AUROC are against.
AGAINST = " against all modalities"


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
    digits = [decimals("tpr" if name.startswith("TPR") else "auroc") for name in shares]
    values = np.array([row.value.values for row in rows])
    _map(ax, values, clear, list(shares), [words(m) for m in modalities], digits)
    ax.set_title(_leader(rows, modalities))
    return ax


def _leader(rows, modalities):
    """Which modality adds most, as far as the paired interval of the first two tells them apart."""
    order = [[modalities[i] for i in np.argsort(-row.value.values, kind="stable")] for row in rows]
    leader = words(order[0][0])
    if len(modalities) == 1:
        return f"{leader.capitalize()} is the only modality"
    ahead = rows[0].sel(modality=order[0][0]) - rows[0].sel(modality=order[0][1])
    if not int(ahead.clear()):
        return f"{leader.capitalize()} and {words(order[0][1])} add most AUROC, with no clear difference between them"
    if len(rows) == 1:
        return f"{leader.capitalize()} adds most AUROC"
    most = sum(names[0] == order[0][0] for names in order[1:])
    return f"{leader.capitalize()} adds most AUROC; its share of TPR is the largest in {most} of {len(rows) - 1} groups"


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
        digits = [decimals("auroc" if name == "AUROC" else "tpr")] * (len(modalities) - 1)
        _map(ax, square[1:, :-1], clear[1:, :-1], labels[1:], labels[:-1], digits)
        ax.set_title(name.replace(" (", "\n("), fontsize=11, fontweight="normal")
    below = int((pairs["AUROC"].clear(simultaneous=True) < 0).sum())
    title = f"{below} of {pairs['AUROC'].value.size} pairs add clearly less AUROC together than one by one"
    title = title if below else "No pair adds clearly less AUROC together than one by one"
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
        ax.set_title(textwrap.fill(name, 30), fontsize=10, fontweight="normal")
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
    everything = full_subset([*points["subset"], "none"])
    table = pd.DataFrame(
        {
            "contrast": [name.partition(" (")[0] for name in chosen["contrast"]],
            "number": order,
            "modalities": [_in_words(s, everything) for s in chosen["subset"]],
            "on the front": chosen["membership"].map("{:.0%}".format),
            "AUROC, tested": chosen["auroc"].map("{:.3f}".format),
            "difference, tested [95 %]": cells,
        }
    )
    return table.style.hide(axis="index")


def prices(choices: Choices, outcome: Evaluation) -> np.ndarray:
    """AUROC that each way to choose gives up or gains against all modalities, and the TPR differences that it leaves.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
        Their margin is shaded.
    outcome : Evaluation
        From `mmlib.questions.choose.evaluate_choices`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Two, or one if no difference is shown. A procedure without a result has a row that says so.
    """
    contrasts, ways = outcome.contrasts("tpr"), outcome.labels
    panels, every = 2 if contrasts else 1, [way for way in RULES if way in choices.by_fold]
    figure, axes = plt.subplots(
        1, panels, sharey=True, squeeze=False, figsize=(4.5 * panels, 0.5 * len(every) + 1.8)
    )
    left, at, change = axes[0, 0], np.array([every.index(way) for way in ways]), changes_from_all(outcome)
    left.plot(0, at[0], "o", ms=5, color=OVERALL)
    dots(left, at[1:], change, OVERALL)
    left.set(xlabel=f"AUROC minus that of all\nmodalities (n = {change.n:,})")
    left.set_yticks(range(len(every)), every)
    left.set_ylim(len(every) - 0.5, -0.5)
    left.xaxis.set_major_locator(MaxNLocator(5))
    if np.ptp(left.get_xlim()) < 0.001:  # no way differs from all modalities
        left.set_xlim(-0.01, 0.01)
    for way in set(every) - set(ways):
        look = {"transform": left.get_yaxis_transform(), "va": "center", "fontsize": 9, "color": GREY}
        look |= {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}
        left.text(0.03, every.index(way), _over_folds(choices.by_fold[way]), **look)
    if contrasts:
        right = axes[0, 1]
        for i, (name, level) in enumerate(contrasts.items()):
            dots(right, at + 0.16 * (i - (len(contrasts) - 1) / 2), level, COLOURS[i], name)
        right.axvspan(-choices.margin, choices.margin, color=GREY, alpha=0.12, lw=0)
        right.set(xlabel="TPR, group minus reference\n(shaded: margin)")
        right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(_prices_title(choices, outcome), x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def _prices_title(choices, outcome):
    """Finding of the figure of prices: what the bounded choice does to AUROC, or that there is none."""
    folds = choices.by_fold["bounded"]
    if not choices.settled:
        return f"Whether a subset keeps the margin of {choices.margin:g} hangs on the draw of the resamples"
    if choices.overall["bounded"] is None:
        return f"On validation, no subset can be shown to keep every TPR difference within {choices.margin:g}"
    if None in folds:
        return f"In {folds.count(None)} of {len(folds)} folds no subset keeps the margin of {choices.margin:g}"
    change = changes_from_all(outcome).sel(way="bounded")
    way = "bounded choice" if choices.differences else "choice by AUROC alone"
    return f"The {way} {_given_up(change)}"


def choice_table(choices: Choices, outcome: Evaluation):
    """Each way to choose as a procedure: what it chose over the folds, and what that gives on tested patients.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
    outcome : Evaluation
        From `mmlib.questions.choose.evaluate_choices`.

    Returns
    -------
    pandas.io.formats.style.Styler
        Numbers belong to the procedure. One without an answer in some fold has none.
    """
    ways, lowest = outcome.labels, lowest_groups(outcome)["estimate"]
    everything = choices.by_fold[RULES[0]][0]
    table = {"chosen over the folds": [_over_folds(choices.by_fold[way], everything) for way in ways]}
    table["AUROC minus all [95 %]"] = ["", *_auroc_cells(changes_from_all(outcome))]
    table |= {f"TPR {name} [95 %]": estimate_cells(level, "+.2f") for name, level in outcome.contrasts("tpr").items()}
    if len(lowest):
        table["lowest TPR of a group"] = [f"{lowest.get(way, np.nan):.2f}" for way in ways]
    frame = pd.DataFrame(table, index=ways)
    for way in choices.by_fold:
        if way not in ways:
            frame.loc[way] = [_over_folds(choices.by_fold[way], everything), *["no result"] * (frame.shape[1] - 1)]
    return frame.rename_axis("way to choose").reset_index().style.hide(axis="index")


def named_table(choices: Choices, result: Evaluation):
    """Subset that all validation patients name for each way to choose, and its own results.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
    result : Evaluation
        Of the power set, on tested patients.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    ways = [way for way in choices.overall if way != RULES[0]]
    cells = dict(zip(choices.named, _auroc_cells(own_changes(choices, result)), strict=True))
    rows = []
    for way in ways:
        subset = choices.named.get(way)
        unnamed = "none" if choices.overall[way] is None and choices.settled else "depends on the resamples"
        row = {"way to choose": way, "subset": _in_words(subset, full_subset(result.labels)) if subset else unnamed}
        row["cost"] = f"{cost_of(subset, choices.costs):g}" if subset else "-"
        row["AUROC minus all [95 %]"] = cells.get(way, "-")
        if choices.differences:
            row["upper limit of a TPR difference"] = _limit(choices, subset) if subset else "-"
        for name, level in result.contrasts("tpr").items():
            row[f"TPR {name} [95 %]"] = estimate_cells(level.sel(subset=[subset]), "+.2f")[0] if subset else "-"
        rows.append(row)
    return pd.DataFrame(rows).style.hide(axis="index")


def gains_table(choices: Choices, outcome: Evaluation):
    """Who gains and who loses: true positive rate of every group by the bounded choice and with all modalities.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
    outcome : Evaluation
        From `mmlib.questions.choose.evaluate_choices`.

    Returns
    -------
    pandas.io.formats.style.Styler
        The lowest group first within an attribute. A sentence if the bounded choice has no result.
    """
    changes = group_changes(outcome)
    if not choices.differences or not changes:
        none = "The bounded choice has no result: no group is compared."
        text = "This run bounds no difference." if changes else none
        return style.sentence(text)
    parts = []
    for attribute, change in changes.items():
        level = outcome.metric("tpr", attribute)
        before, after = (level.sel(way=way) for way in (RULES[0], "bounded"))
        positives = np.broadcast_to(level.n_positive, before.value.shape)
        part = pd.DataFrame({"attribute": words(attribute), "group": change.labels("group"), "positives": positives})
        for name, rate in (("TPR, all modalities", before), ("TPR, bounded", after)):
            part[name] = [f"{value:.2f}" for value in rate.value.values]
        part["change [95 %]"] = _change_cells(change)
        parts.append(part.iloc[np.argsort(before.value.values, kind="stable")])
    table = pd.concat(parts, ignore_index=True)
    return table.style.hide(axis="index").format({"positives": "{:,}"})


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
    right.set_xlim(np.nanmin([-0.25, here - 0.1, *twins[["rank_correlation", "ceiling"]].min() - 0.05]), 1)
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


def flag_table(flags: pd.DataFrame):
    """How often modalities of known effect are flagged, and left out by a bounded choice that has an answer."""
    cells = {
        name: [interval(*row, ".0%") for row in flags[[name, f"{name} low", f"{name} high"]].to_numpy()]
        for name in ("flagged", "left out")
    }
    table = pd.DataFrame(
        {
            "labs read lower by": flags["effect"].map(lambda e: f"{-e:g} SD" if e else "nothing"),
            "modality": flags["modality"],
            "truly": flags["role"],
            "caused in the population": flags["caused"].map("{:+.2f}".format),
            "flagged [95 %]": cells["flagged"],
            "twins with an answer": flags["kept the margin"].map("{:.0%}".format),
            "left out of it [95 %]": cells["left out"],
        }
    )
    return table.style.hide(axis="index")


def choose_in_short(
    choices: Choices, outcome: Evaluation, result: Evaluation, own: pd.Series, *, units: str = "patients"
) -> Markdown:
    """Answer of chapter 6 in a few sentences.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
    outcome : Evaluation
        From `mmlib.questions.choose.evaluate_choices`.
    result : Evaluation
        Of the power set, on tested patients.
    own : pandas.Series
        From `mmlib.questions.forecast.judge_halves`.
    units : str
        What is resampled, in the plural.

    Returns
    -------
    IPython.display.Markdown
    """
    text = f"**In short.** {bounded_in_words(choices, outcome, result, units=units)}"
    if len(choices.subsets) == 1:
        return Markdown(text)
    if np.isnan(own["rank_correlation"]):
        return Markdown(f"{text} {NOTHING_PREDICTED}")
    return Markdown(
        f"{text} Predicted beforehand, changes of the TPR differences have a rank correlation of "
        f"{own['rank_correlation']:.2f} with the observed ones (noise ceiling {own['ceiling']:.2f}). The sign is "
        f"right in {own['sign_accuracy']:.0%}. The mean error is {own['error']:.2f}, {error_in_words(own)} that of "
        f"predicting no change."
    )


def error_in_words(own: pd.Series) -> str:
    """Mean error of the forecasts against that of predicting no change, as the beginning of a comparison.

    Examples
    --------
    >>> error_in_words(pd.Series({"error": 0.02, "error_no_change": 0.025})).replace("\u00a0", " ")
    '20 % smaller than'
    """
    ratio = own["error"] / own["error_no_change"] - 1
    if not np.isfinite(ratio):
        return "not known, nor is"
    if abs(ratio) < 0.005:
        return "the same as"
    return f"{abs(ratio):.0%} {'smaller' if ratio < 0 else 'larger'} than".replace("%", "\u00a0%")


def bounded_in_words(
    choices: Choices, outcome: Evaluation, result: Evaluation, *, units: str = "patients"
) -> str:
    """What the bounded choice answers, what it does to AUROC, and who gains and who loses by it.

    Parameters
    ----------
    choices, outcome, result, units
        As in `choose_in_short`.

    Returns
    -------
    str
        No subset is named where none keeps the margin, or where the answer hangs on the draw of the resamples.
    """
    if len(choices.subsets) == 1:
        return f"There is one modality, {words(*choices.subsets)}, so there is nothing to choose."
    every, margin, subset = len(choices.subsets), f"{choices.margin:g}", choices.overall["bounded"]
    change = changes_from_all(outcome)
    if not choices.differences:
        return (
            "This run bounds no difference between groups, so AUROC alone decides. Choosing by it "
            f"({_over_folds(choices.by_fold['bounded'])}) {_given_up(change.sel(way='bounded'), AGAINST)}."
        )
    margins = choices.smallest_margins
    bounded = "; ".join(margins.index)
    bound = f"to keep the TPR differences ({bounded}) within {margin}, by the upper limit of the interval"
    if not choices.settled:
        answers = Counter("none" if a is None else a for a in choices.half_answers).most_common()
        nearest = (choices.limit[choices.subsets] - choices.margin).abs().idxmin()
        return (
            f"No subset is named: whether one can be shown, on validation {units}, {bound}, hangs on the draw of the "
            f"resamples. Of {len(choices.half_answers)} random halves of them, "
            f"{listed([f'{count} answer {answer}' for answer, count in answers[:3]])}. "
            f"The limit nearest to the margin is {_limit(choices, nearest)}."
        )
    if subset is None:
        text = f"The bounded choice is none: no subset of {every} can be shown, on validation {units}, {bound}."
        if margins.isna().all():
            return f"{text} There are too few validation {units} for any interval."
        text += (
            " The "
            f"smallest margin that these {units} could have shown is {margins.max():.2f}, for {margins.idxmax()} "
            "(2.9 standard errors at the subset with the highest AUROC)."
        )
        if margins.max() <= choices.margin:
            text += f" So there are enough {units} for this margin; the differences found are too large for it."
        return text
    kept, folds, own = len(choices.kept), choices.by_fold["bounded"], own_changes(choices, result)
    text = (
        f"{kept} of {every} subsets can be shown, on validation {units}, {bound}. Of these {words(subset)} has the "
        f"highest AUROC (upper limit {_limit(choices, subset)})."
    )
    if None in folds:
        return (
            f"{text} But in {folds.count(None)} of {len(folds)} folds, without the {units} of the fold, no subset "
            f"keeps the margin, so the procedure has no result. By itself {words(subset)} "
            f"{_given_up(own.sel(way='bounded'), AGAINST)}; some of the {units} tested for this also chose it."
        )
    if len(set(folds)) > 1:
        text += f" By itself it {_given_up(own.sel(way='bounded'), AGAINST)}."
    return (
        f"{text} The procedure chose {_over_folds(folds)}. On {units} that had no part in the choice it "
        f"{_given_up(change.sel(way='bounded'), AGAINST)}.{_lowest_in_words(outcome)}"
    )


def _lowest_in_words(outcome):
    """What the bounded choice does to the lowest true positive rate of any group, and which groups gain and lose."""
    changes, lowest = group_changes(outcome), lowest_groups(outcome)
    if not {RULES[0], "bounded"} <= {*lowest.index}:
        return ""
    (_, first, before), (attribute, last, after) = (
        lowest.loc[way, ["attribute", "group", "estimate"]] for way in (RULES[0], "bounded")
    )
    cell = _change_cells(changes[attribute])[changes[attribute].labels("group").index(last)]
    found = int(changes[attribute].clear(simultaneous=True).sel(group=last))
    says = {0: " (no clear difference)", 1: "", -1: ": levelling down" if after < before else ""}[found]
    verb = "stays at" if abs(after - before) < 0.005 else f"{'falls' if after < before else 'rises'} from"
    moved = f"{verb} {before:.2f} ({first}) to {after:.2f} ({last}, a change of {cell}){says}"
    if verb == "stays at":
        moved = f"{verb} {after:.2f} ({last}, a change of {cell}){says}"
    signs = {}
    for a, change in changes.items():
        large = np.broadcast_to(change.n_positive, change.value.shape) >= MINIMUM
        clear = change.clear(simultaneous=True).values[large]
        signs |= {(a, g): s for g, s in zip(np.array(change.labels("group"), object)[large], clear, strict=True)}
    lose, gain = ([group for (_, group), s in signs.items() if s == sign] for sign in (-1, 1))
    return (
        f" The lowest TPR of any group {moved}. Of {len(signs)} groups, {_named(lose)} lower and {_named(gain)} higher "
        "TPR than with all modalities, by an interval that excludes 0."
    )


def _named(groups):
    """Number of groups, and which."""
    if not groups:
        return "none has"
    return f"{len(groups)} ({'; '.join(map(words, groups))}) {'has' if len(groups) == 1 else 'have'}"


def _change_cells(change):
    """Changes of a rate with the interval that holds for all groups of the attribute."""
    parts = [np.ravel(part) for part in (change.value, *change.interval(simultaneous=True))]
    return [
        interval(*row, "+.2f") if np.isfinite(row).all() else f"{row[0]:+.2f} (too few events for an interval)"
        for row in np.transpose(parts)
    ]


def _auroc_cells(change):
    """Changes of AUROC with their intervals; words where the models are the same."""
    cells = estimate_cells(change, "+.3f")
    same = ~change.values.values.any(axis=0)
    return ["the same models" if alike else cell for alike, cell in zip(same, cells, strict=True)]


def _given_up(change, against=""):
    """A change of AUROC in words: given up or gained by its sign, and whether the interval excludes 0."""
    if not change.values.values.any():
        return "is all modalities in every fold, so AUROC is the same"
    verb, moved = ("gains", change) if float(change) > 0 else ("gives up", -change)
    unclear = "" if int(change.clear()) else " (no clear difference)"
    return f"{verb} {moved:.3f} AUROC{against}{unclear}"


def _limit(choices, subset):
    """Upper limit of a subset with its Monte Carlo error."""
    return f"{choices.limit[subset]:.3f}, Monte Carlo error {choices.limit_error[subset]:.3f}"


def _in_words(subset: str, everything: str):
    """A subset of modalities in words, all of them in two."""
    return "all modalities" if "+" in subset and subset == everything else words(subset)


def _over_folds(subsets: Sequence[str | None], everything: str = ""):
    """How often each subset was chosen over the folds, the most frequent first."""
    (first, count), *others = Counter(subsets).most_common()
    named = [("none" if s is None else _in_words(s, everything), k) for s, k in [(first, count), *others]]
    if not others:
        return f"{named[0][0]} in all {count} folds"
    return ", ".join([f"{named[0][0]} in {count} of {len(subsets)} folds", *(f"{s} in {k}" for s, k in named[1:])])


def _map(ax, values, clear, rows, columns, digits):
    """Map of numbers, each row with its decimals, bold where they are clearly not 0."""
    reach = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 1
    cells = np.array([[f"{round(v, d) + 0.0:+.{d}f}" for v in row] for row, d in zip(values, digits, strict=True)])
    look = {"cmap": "vlag", "vmin": -reach, "vmax": reach, "annot": cells, "fmt": "", "cbar": False}
    sns.heatmap(values, ax=ax, **look, annot_kws={"fontsize": 8}, linewidths=0.5)
    shown = np.argwhere(~np.isnan(values))
    for text, (row, column) in zip(ax.texts, shown, strict=True):
        text.set_fontweight("bold" if clear[row, column] else "normal")
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows, rotation=0, fontsize=9)
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=30, ha="right", fontsize=9)
    ax.grid(False)
