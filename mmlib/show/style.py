"""What all figures and tables share: colours, words, intervals, bands."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

sns.set_theme(
    context="notebook",
    style="whitegrid",
    palette="colorblind",
    rc={
        "figure.facecolor": "white",
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlesize": 12,
        "savefig.facecolor": "white",
        "figure.dpi": 110,
        "savefig.bbox": "tight",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
    },
)
METRIC_NAMES = {
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "selection_rate": "selection rate",
    "fnr": "false negative rate",
    "ppv": "positive predictive value",
    "auroc": "AUROC",
    "average_precision": "AUPRC",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "equalized_odds": "equalized odds",
    "observed_expected": "observed / expected",
}
RULE_NAMES = {"prevalence": "matched selection", "f1": "F1-maximal", "half": "0.5"}
COLOURS = sns.color_palette("colorblind")
GREY = "0.45"


def words(name: str) -> str:
    """Turn a name from the data into words for a reader."""
    return name.replace("_", " ").replace("+", " + ")


def listed(names) -> str:
    """Join names as a sentence does."""
    names = [words(n) for n in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def interval(estimate, low, high, form):
    """Write an estimate and its interval in one format, on one line: its spaces do not break."""
    return f"{estimate:{form}} [{low:{form}}, {high:{form}}]".replace(" ", "\u00a0")


def draws_interval(draws, form):
    """Write the estimate of ``(1 + B,)`` draws and its percentile interval."""
    return interval(draws[0], *np.quantile(draws[1:], [0.025, 0.975]), form)


def nothing(text: str, title: str) -> plt.Axes:
    """Draw a sentence where there is nothing to draw, so that the figure and what refers to it stay."""
    _, ax = plt.subplots(figsize=(8, 1))
    ax.text(0, 0.5, text, va="center")
    ax.axis("off")
    ax.set_title(title)
    return ax


def contrast_name(row) -> str:
    """Name the signed difference of a tidy row, with the size of the group."""
    return f"{row.group} minus {row.reference} (n={row.n:,}, {row.n_positive:,} positive)"


def contrast_of(result, attribute: str, group: str, reference: str) -> str:
    """Name a signed difference of an ``Evaluation``, with the size of the group."""
    names, n, positive = result.groups[attribute]
    at = names.index(group)
    return f"{group} minus {reference} (n={n[at]:,}, {positive[at]:,} positive)"


def ends(values):
    """Return estimate, low and high of tidy rows, or of draws (1 + B, n) and their percentiles."""
    if isinstance(values, pd.DataFrame):
        return tuple(values[column].to_numpy() for column in ("estimate", "low", "high"))
    return values[0], *np.quantile(values[1:], [0.025, 0.975], axis=0)


def band(ax, x, values, colour, label):
    """Draw a line and its 95 % band from tidy rows or draws."""
    estimate, low, high = ends(values)
    ax.plot(x, estimate, marker="o", ms=4, color=colour, label=label)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)


def bars(ax, x, values, colour, label):
    """Draw points joined by a line, with 95 % intervals, from tidy rows or draws."""
    estimate, low, high = ends(values)
    spread = [estimate - low, high - estimate]
    ax.errorbar(x, estimate, yerr=spread, fmt="o-", ms=4, lw=1, capsize=2, color=colour, label=label)


def by_modality(shares, modalities, *, title: str, quantity: str = "share") -> np.ndarray:
    """Draw what each modality does to several quantities (tidy rows or draws); the first has a panel of its own."""
    figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(9, 0.55 * len(modalities) + 1.6))
    at = np.arange(len(modalities))
    for i, (name, values) in enumerate(shares.items()):
        ax, shift = (left, 0) if i == 0 else (right, 0.15 * (i - len(shares) / 2))
        estimate, low, high = ends(values)
        ax.errorbar(
            estimate,
            at + shift,
            xerr=[estimate - low, high - estimate],
            fmt="o",
            capsize=2,
            ms=5,
            color=COLOURS[max(i - 1, 0)],
            label=name,
        )
    for ax, label in (
        (left, f"{quantity} of {next(iter(shares))}"),
        (right, f"{quantity} of the signed difference"),
    ):
        ax.axvline(0, color=GREY, lw=1)
        ax.set(xlabel=label)
        ax.locator_params(axis="x", nbins=5)
    left.set_yticks(at, [words(m) for m in modalities])
    left.invert_yaxis()
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return np.array([left, right])


def rows(names, panels, *, title: str, chosen: str = "") -> np.ndarray:
    """Draw a row per name: panel -> curve -> (1 + B, K), with percentile intervals; the chosen name is bold."""
    figure, axes = plt.subplots(1, len(panels), figsize=(9.5, 0.36 * len(names) + 1.8), sharey=True)
    axes, at = np.atleast_1d(axes), np.arange(len(names))
    for ax, (label, curves) in zip(axes, panels.items(), strict=True):
        for i, (name, values) in enumerate(curves.items()):
            low, high = np.nanquantile(values[1:], [0.025, 0.975], axis=0)
            ax.errorbar(
                values[0],
                at + 0.25 * (i - (len(curves) - 1) / 2),
                xerr=[values[0] - low, high - values[0]],
                fmt="o",
                ms=4,
                capsize=2,
                color=COLOURS[i],
                label=name,
            )
        ax.axvline(0, color=GREY, lw=1)
        ax.set(xlabel=label)
        ax.locator_params(axis="x", nbins=5)
    axes[0].set_yticks(at, names, fontsize=9)
    for tick, name in zip(axes[0].get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name == chosen else "normal")
    axes[0].invert_yaxis()
    fullest = int(np.argmax([len(curves) for curves in panels.values()]))
    if len(list(panels.values())[fullest]) > 1:
        axes[fullest].legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes
