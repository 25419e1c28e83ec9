"""Figures and tables of chapter 6: which modalities one would choose, and what was known beforehand."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from mmlib.measure.bootstrap import simultaneous_interval
from mmlib.show.style import COLOURS, GREY, contrast_of, draws_interval, interval, words


def group_shares(shares: dict, modalities, *, title: str) -> plt.Axes:
    """Draw the Shapley value of every modality for every row as a map.

    Parameters
    ----------
    shares : dict of str to numpy.ndarray of shape (1 + B, M)
        Row label -> values.
    modalities : sequence of str
    title : str

    Returns
    -------
    matplotlib.axes.Axes
        Cells whose simultaneous 95 % interval (over the modalities of a row) excludes zero are bold.
    """
    values = np.stack(list(shares.values()), axis=1)
    sure = [_sure(row) for row in shares.values()]
    _, ax = plt.subplots(figsize=(1.15 * len(modalities) + 3.4, 0.36 * len(shares) + 1.5))
    _map(ax, values[0], sure, list(shares), [words(m) for m in modalities])
    ax.set_title(title)
    return ax


def interactions(pairs: dict, modalities, *, title: str) -> np.ndarray:
    """Draw the interaction of every pair of modalities, a map per quantity, from (1 + B, P) of ``combinations``."""
    figure, axes = plt.subplots(1, len(pairs), figsize=(9, 0.5 * len(modalities) + 2.2), squeeze=False)
    rows, columns = np.triu_indices(len(modalities), 1)
    labels = [words(m) for m in modalities]
    for ax, (name, draws) in zip(axes[0], pairs.items(), strict=True):
        square = np.full((len(modalities), len(modalities)), np.nan)
        sure = np.zeros(square.shape, bool)
        square[columns, rows], sure[columns, rows] = draws[0], _sure(draws)
        _map(ax, square[1:, :-1], sure[1:, :-1], labels[1:], labels[:-1])
        ax.set_title(name, fontsize=11, fontweight="normal")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def front(points: pd.DataFrame, *, n: int, title: str) -> np.ndarray:
    """Draw the size of a signed difference against AUROC on tested patients, a panel per contrast.

    Parameters
    ----------
    points : pandas.DataFrame
        Columns contrast, subset, auroc, size (on tested patients), front (bool, by validation patients),
        membership (share of resamples in which the subset is on the front).
    n : int
        Tested samples.
    title : str

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    names = list(dict.fromkeys(points["contrast"]))
    figure, axes = plt.subplots(1, len(names), figsize=(9, 3.9), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        part = points[points["contrast"] == name]
        look = {"c": part["membership"], "cmap": "viridis_r", "vmin": 0, "vmax": 1, "s": 34}
        dots = ax.scatter(part["auroc"], part["size"], **look, edgecolor="white", lw=0.5)
        chosen = part[part["front"]].sort_values("auroc")
        ax.plot(chosen["auroc"], chosen["size"], color=COLOURS[3], lw=1, marker="o", ms=9, mfc="none")
        for at, row in enumerate(chosen.itertuples(), start=1):
            ax.annotate(
                f"{at}",
                (row.auroc, row.size),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        ax.set_title(name.replace(" (", "\n("), fontsize=10, fontweight="normal")
        ax.set(xlabel=f"AUROC (n = {n:,})")
        ax.set_ylim(bottom=-0.01)
    axes[0, 0].set(ylabel="size of the TPR difference, tested")
    figure.colorbar(dots, ax=axes[0], label="share of resamples on the front")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def front_table(points: pd.DataFrame):
    """Style the members of the fronts, numbered as in the figure."""
    chosen = points[points["front"]].sort_values(["contrast", "auroc"], kind="stable")
    order = chosen.groupby("contrast", sort=False).cumcount() + 1
    table = pd.DataFrame(
        {
            "contrast": chosen["contrast"],
            "number": order,
            "modalities": [words(s) for s in chosen["subset"]],
            "on the front": chosen["membership"].map("{:.0%}".format),
            "AUROC, tested": chosen["auroc"].map("{:.3f}".format),
            "difference, tested [95 %]": chosen["written"],
        }
    )
    return table.style.hide(axis="index")


def prices(auroc, contrasts: dict, labels, *, margin: float, n: int, title: str) -> np.ndarray:
    """Draw what each choice costs in AUROC (1 + B, K) against the first, and its signed differences (1 + B, K)."""
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 0.5 * len(labels) + 1.8))
    at = np.arange(len(labels))
    _dots(left, auroc - auroc[:, :1], at, COLOURS[0], None)
    for i, (name, values) in enumerate(contrasts.items()):
        _dots(right, values, at + 0.16 * (i - (len(contrasts) - 1) / 2), COLOURS[i + 1], name)
    right.axvspan(-margin, margin, color=GREY, alpha=0.12, lw=0)
    left.set_yticks(at, labels)
    left.invert_yaxis()
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.set(xlabel=f"AUROC minus that of all modalities (n = {n:,})")
    right.set(xlabel="TPR, group minus reference (shaded: margin)")
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def choice_table(choices, result, shown, *, cost, worst):
    """Style the choices: what was chosen, how stably, what it costs and gives on tested patients.

    Parameters
    ----------
    choices : mmlib.questions.choose.Choices
    result : mmlib.measure.evaluate.Evaluation
        Of the choices, on tested patients.
    shown : dict of str to (str, str)
    cost : dict of str to float
        Choice -> cost.
    worst : numpy.ndarray of shape (K,)
        Smallest TPR over groups that are large enough.
    """
    rows = []
    for k, way in enumerate(result.labels):
        auroc = result.overall("auroc")
        same = sum(s == choices.overall[way] for s in choices.by_fold[way])
        row = {
            "choice": way,
            "modalities": words(choices.overall[way]),
            "folds that agree": f"{same} of {len(choices.by_fold[way])}",
            "cost": f"{cost[way]:g}",
            "AUROC minus all [95 %]": "" if k == 0 else draws_interval(auroc[:, k] - auroc[:, 0], "+.3f"),
        }
        row |= {
            f"TPR {contrast_of(result, a, g, r)} [95 %]": draws_interval(result.contrast("tpr", a, g, r)[:, k], "+.3f")
            for a, (g, r) in shown.items()
        }
        rows.append(row | {"lowest TPR of a group": f"{worst[k]:.3f}"})
    return pd.DataFrame(rows).style.hide(axis="index")


def predictions(table: pd.DataFrame, twins: pd.DataFrame, own: float, *, title: str) -> np.ndarray:
    """Draw predicted against observed changes of this cohort, and its rank correlation among those of the twins.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`mmlib.questions.forecast.predict_halves`.
    twins : pandas.DataFrame
        From :func:`mmlib.questions.forecast.judge_forecasts`, a row per simulated cohort.
    own : float
        Rank correlation of this cohort.
    title : str

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), width_ratios=[1.2, 1])
    for i, (name, part) in enumerate(table.groupby(["group", "reference"], sort=False)):
        left.scatter(
            part["predicted"], part["change"], s=12, alpha=0.7, color=COLOURS[i], label=" minus ".join(name)
        )
    left.axline((0, 0), slope=1, color=GREY, lw=1, ls="--")
    left.axhline(0, color=GREY, lw=0.8)
    left.axvline(0, color=GREY, lw=0.8)
    left.set(
        xlabel="predicted change of the TPR difference",
        ylabel=f"observed elsewhere (n = {len(table)})",
    )
    left.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    bins = np.linspace(-1, 1, 41)
    right.hist(twins["rank_correlation"], bins, color=COLOURS[0], alpha=0.7, label=f"{len(twins)} twins")
    right.hist(twins["ceiling"], bins, histtype="step", color=GREY, lw=1.5, label="their noise ceiling")
    right.axvline(own, color=COLOURS[3], lw=2, label="this cohort")
    right.set(xlabel="rank correlation within a cohort", ylabel="simulated cohorts")
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    right.set_xlim(min(-0.25, own - 0.1), 1)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def skill_table(rows: dict):
    """Style how well changes are predicted, cohorts side by side, from `mmlib.questions.forecast.judge_forecasts`."""
    names = {
        "rank_correlation": "rank correlation",
        "ceiling": "its noise ceiling",
        "sign_accuracy": "sign right",
        "error": "mean error",
        "error_no_change": "of predicting no change",
        "error_average": "of predicting the average",
    }
    form = {"sign_accuracy": ".0%"}
    table = [
        {"cohort": name, "additions": f"{row['n']:g}"}
        | {label: f"{row[key]:{form.get(key, '.3f')}}" for key, label in names.items()}
        for name, row in rows.items()
    ]
    return pd.DataFrame(table).style.hide(axis="index")


def model_table(model: pd.DataFrame):
    """Style the predictors: what each is, and what it predicts by itself."""
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
    """Style how often modalities of known effect are flagged, and left out by the constrained choice."""
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


def _sure(draws):
    if draws.shape[1] == 0:
        return np.zeros(0, bool)
    low, high = simultaneous_interval(draws)
    return (low > 0) | (high < 0)


def _map(ax, values, sure, rows, columns):
    reach = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 1
    look = {"cmap": "vlag", "vmin": -reach, "vmax": reach, "annot": True, "fmt": "+.3f", "cbar": False}
    sns.heatmap(values, ax=ax, **look, annot_kws={"fontsize": 8}, linewidths=0.5)
    shown = [
        (r, c) for r in range(values.shape[0]) for c in range(values.shape[1]) if not np.isnan(values[r, c])
    ]
    for text, cell in zip(ax.texts, shown, strict=True):
        text.set_fontweight("bold" if np.asarray(sure)[cell] else "normal")
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows, rotation=0, fontsize=9)
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=30, ha="right", fontsize=9)
    ax.grid(False)


def _dots(ax, values, at, colour, label):
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    ax.errorbar(
        values[0],
        at,
        xerr=[values[0] - low, high - values[0]],
        fmt="o",
        ms=5,
        capsize=2,
        color=colour,
        label=label,
    )
    ax.axvline(0, color=GREY, lw=1)
