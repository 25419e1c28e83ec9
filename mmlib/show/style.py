"""What all figures and tables share: colours, words, intervals, bands."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from mmlib.measure.estimates import Estimate, estimate

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
if "inline" in plt.get_backend():
    # a notebook draws figures as it shows them, after each cell; before that, pyplot would draw each once for nothing
    plt.switch_backend(plt.get_backend())
    plt.uninstall_repl_displayhook()
METRIC_NAMES = {
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "selection_rate": "selection rate",
    "fnr": "false negative rate",
    "ppv": "positive predictive value",
    "auroc": "AUROC",
    "average_precision": "AUPRC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "equalized_odds": "equalized odds",
    "observed_expected": "observed / expected",
}
RULE_NAMES = {"prevalence": "matched selection", "f1": "F1-maximal", "half": "0.5"}
COLOURS = sns.color_palette("colorblind")
GREY = "0.45"
#: All samples together; the first colours are those of the contrasts: race, sex, age group.
OVERALL = "0.15"
#: Said where a run names no group to be shown against a reference.
NO_CONTRAST = "This run shows no group against a reference group."

#: Mark of what is drawn past the limits of its axes on purpose.
REACHES_OUT = "reaches out"


def reaches_out(*artists) -> None:
    """Mark artists that go past the limits of their axes on purpose, such as an interval whose cut end is an arrow.

    Nothing else may: a test looks for data that no reader sees.
    """
    for artist in artists:
        artist.set_gid(REACHES_OUT)


def words(name: str) -> str:
    """A name from the data in words for a reader."""
    return name.replace("_", " ").replace("+", " + ")


def listed(names) -> str:
    """Names joined as a sentence does."""
    names = [words(n) for n in names] or ["none"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def interval(value, low, high, form):
    """An estimate and its interval in one format, on one line: its spaces do not break."""
    if not np.isfinite([low, high]).all():
        return f"{value:{form}} (no interval)".replace(" ", "\u00a0")
    return f"{value:{form}} [{low:{form}}, {high:{form}}]".replace(" ", "\u00a0")


def estimate_cells(estimate, form: str, undefined: str = "no interval") -> list[str]:
    """Every quantity of an estimate with its interval, in one format, or words where there is no interval."""
    parts = [np.ravel(part) for part in (estimate.value, *estimate.interval())]
    return [interval(*part, form) if np.isfinite(part).all() else undefined for part in zip(*parts, strict=True)]


def nothing(text: str, title: str) -> plt.Axes:
    """Draw a sentence where there is nothing to draw, so that the figure and what refers to it stay."""
    _, ax = plt.subplots(figsize=(8, 1))
    ax.text(0, 0.5, text, va="center")
    ax.axis("off")
    ax.set_title(title)
    return ax


def decimals(metric: str) -> int:
    """Digits that a metric is shown with: three for areas under a curve, two for rates and their differences."""
    return 3 if metric in ("auroc", "average_precision") else 2


def sentence(text: str):
    """A table that holds one sentence, where there is nothing to list, so that the table and its label stay."""
    return pd.DataFrame({"": [text]}).style.hide(axis="index")


def ends(values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate, low and high end of the 95 % interval, from an `Estimate` of one dimension or tidy rows."""
    if isinstance(values, pd.DataFrame):
        return tuple(values[column].to_numpy() for column in ("estimate", "low", "high"))
    if not isinstance(values, Estimate):
        values = estimate(values, {"place": range(np.shape(values)[1])})
    return tuple(end.values for end in (values.value, *values.interval()))


def band(ax, x, values, colour, label):
    """Draw a line and its 95 % band from an `Estimate` or tidy rows."""
    middle, low, high = ends(values)
    ax.plot(x, middle, marker="o", ms=4, color=colour, label=label)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)


def bars(ax, x, values, colour, label):
    """Draw points joined by a line, with 95 % intervals, from an `Estimate` or tidy rows."""
    middle, low, high = ends(values)
    arms = np.maximum([middle - low, high - middle], 0)  # a percentile interval may leave out the estimate
    ax.errorbar(x, middle, yerr=arms, fmt="o-", ms=4, lw=1, capsize=2, color=colour, label=label)


def dots(ax, y, values, colour, label=None, *, zero: bool = True):
    """Draw a point for each row, with its 95 % interval and a line at zero if wanted, from an `Estimate` or rows."""
    middle, low, high = ends(values)
    arms = np.maximum([middle - low, high - middle], 0)
    ax.errorbar(middle, y, xerr=arms, fmt="o", ms=5, capsize=2, color=colour, label=label)
    if zero:
        ax.axvline(0, color=GREY, lw=1)
    ax.locator_params(axis="x", nbins=5)


def by_modality(shares, modalities, *, title: str, quantity: str = "share") -> np.ndarray:
    """Draw what each modality does to several quantities, the first in a panel of its own.

    Parameters
    ----------
    shares : mapping of str to Estimate or tidy rows
        Name of the quantity -> a value of each modality.
    modalities : sequence of str
    title, quantity : str

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        Two, or one if there is one quantity.
    """
    first, *others = shares
    panels = {f"{quantity} of {first}": [first]}
    if others:
        panels[f"{quantity} of the signed difference"] = others
    size = (4.5 * len(panels), 0.55 * max(len(modalities), 4) + 1.6)
    figure, axes = plt.subplots(1, len(panels), sharey=True, squeeze=False, figsize=size)
    at = np.arange(len(modalities))
    for ax, (label, names) in zip(axes[0], panels.items(), strict=True):
        for i, name in enumerate(names):
            colour = OVERALL if name == first else COLOURS[i]
            dots(ax, at + 0.15 * (i - (len(names) - 1) / 2), shares[name], colour, name)
        ax.set(xlabel=label)
    axes[0, 0].set_yticks(at, [words(m) for m in modalities])
    axes[0, 0].set_ylim(len(modalities) - 0.5, -0.5)
    if others:
        axes[0, 1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes[0]


def rows(names, panels, *, title: str, chosen: str = "", zero: bool = True) -> np.ndarray:
    """Draw a row per name with 95 % intervals, a panel per quantity and a colour per curve; the chosen name is bold.

    Parameters
    ----------
    names : sequence of str
        What the rows are called.
    panels : mapping of str to mapping of str to Estimate or tidy rows
        Label of the panel -> name of the curve -> a value of each row.
    title, chosen : str
    zero : bool
        Whether a line at zero is drawn: for differences, not for levels.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(9.5, 0.36 * len(names) + 1.8), sharey=True)
    axes, at = np.atleast_1d(axes), np.arange(len(names))
    for ax, (label, curves) in zip(axes, panels.items(), strict=True):
        for i, (name, values) in enumerate(curves.items()):
            colour = OVERALL if name == "overall" else [COLOURS[0], GREY, *COLOURS[3:]][i]  # group, reference
            dots(ax, at + 0.25 * (i - (len(curves) - 1) / 2), values, colour, name, zero=zero)
        ax.set(xlabel=label)
    axes[0].set_yticks(at, names, fontsize=9)
    for tick, name in zip(axes[0].get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name == chosen else "normal")
    axes[0].invert_yaxis()
    fullest = int(np.argmax([len(curves) for curves in panels.values()]))
    if len(list(panels.values())[fullest]) > 1:
        axes[fullest].legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return axes
