"""Chapter 4's missingness that happened: samples that lack a modality beside like ones from which it is masked."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import PLAIN
from mmlib.models.names import DROPOUT
from mmlib.questions.absence import Absence
from mmlib.show import style
from mmlib.show.style import METRIC_NAMES, decimals, words

#: What the two sides are called, as they are compared.
SIDE_NAMES = {"masked": "predicted by masking", "observed": "observed in those who lack it"}
SHOWN = ("auroc", "tpr")
NAMES = {PLAIN: "plain", DROPOUT: "dropout"}


def absence_dots(absence: Absence) -> np.ndarray:
    """Metrics of those who lack a modality beside what masking it from like samples predicts, by modality and regime.

    Parameters
    ----------
    absence : Absence
        From `mmlib.questions.absence.observed_absence`.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
    """
    if not absence.metrics:
        return np.array([style.nothing(_nothing(absence), "Missingness that happened")])
    panels = {}
    for metric in SHOWN:
        table = absence.metric(metric).frame().sort_values(["modality", "regime"], ascending=[True, False])
        panels[METRIC_NAMES[metric]] = {name: table[table.side == side] for side, name in SIDE_NAMES.items()}
    first = table[table.side == "masked"].itertuples()
    rows = [f"{words(row.modality)}, {NAMES.get(row.regime, row.regime)}" for row in first]
    difference = _of_plain(absence.difference("auroc"))
    clear = [m for m in difference.labels("modality") if int(difference.sel(modality=m).clear())]
    title = "No clear difference in AUROC between observed and masked absence"
    if clear:
        size = f" ({float(difference.sel(modality=clear[0])):+.3f})" if len(clear) == 1 else ""
        title = f"Samples that lack {style.listed(clear)}: AUROC is not what masking predicts{size}"
    axes = style.rows(rows, panels, title=title, zero=False)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for ax in axes:
        if ax.get_legend():
            handles, labels = ax.get_legend_handles_labels()
            ax.get_legend().remove()
            ax.figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return axes


def absence_table(absence: Absence):
    """Modalities that some samples lack: how many, and whether the comparison can be made, as a table.

    Parameters
    ----------
    absence : Absence
        From `mmlib.questions.absence.observed_absence`.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    if absence.blocks.empty:
        return style.sentence(_nothing(absence))
    rows = []
    for block in absence.blocks.itertuples():
        row = {
            "modality": words(block.modality),
            "lack it (positive)": f"{block.n_lack:,} ({block.n_positive_lack:,})",
            "have it (positive)": f"{block.n_have:,} ({block.n_positive_have:,})",
            "without like samples": f"{block.unsupported:.1%}",
        }
        for metric in ("auroc", "tpr", "fpr"):
            cell = "not computed"
            if block.computed:
                change = absence.difference(metric).sel(modality=block.modality)
                cell = style.estimate_cells(_of_plain(change), f"+.{decimals(metric)}f")[0]
            row[f"{METRIC_NAMES[metric]}, observed minus masked [95 %]"] = cell
        rows.append(row | {"why not": block.why})
    table = pd.DataFrame(rows)
    return (table if table["why not"].any() else table.drop(columns="why not")).style.hide(axis="index")


def absence_in_short(absence: Absence) -> Markdown:
    """What real absence shows that masking does not predict, a sentence for each modality of the plain model.

    Parameters
    ----------
    absence : Absence
        From `mmlib.questions.absence.observed_absence`.

    Returns
    -------
    IPython.display.Markdown
    """
    if not absence.metrics:
        return Markdown(_nothing(absence))
    said = []
    for modality in absence.difference("auroc").labels("modality"):
        change, rate = (_of_plain(absence.difference(m).sel(modality=modality)) for m in ("auroc", "tpr"))
        levels = _of_plain(absence.metric("tpr").sel(modality=modality))
        block = absence.blocks.set_index("modality").loc[modality]
        who = f"The {block.n_lack:,} samples that lack *{words(modality)}*"
        found = int(change.clear())
        if found:
            size = f"{change:.3f} higher" if found > 0 else f"{-change:.3f} lower"
            said.append(
                f"{who} have an AUROC that is {size} than masking predicts from like samples: masking at random does "
                f"not describe real absence here. {_rates(rate, levels)}"
            )
        elif not np.isfinite(np.array([float(end) for end in change.interval()])).all():
            said.append(
                f"{who} have too few like samples for an interval of the difference in AUROC to what masking predicts. "
                f"{_rates(rate, levels)}"
            )
        else:
            said.append(
                f"{who}: no clear difference in AUROC from what masking predicts from like samples, {change:+.3f}. "
                f"{_rates(rate, levels)}"
            )
    return Markdown(" ".join(said))


def _nothing(absence: Absence) -> str:
    """Why real absence is not compared with masking in this run."""
    if absence.blocks.empty:
        return "No sample lacks a modality in this run, so real absence cannot be compared with masking."
    return "No modality of this run is lacked by enough samples that have like ones to be compared with."


def _rates(change, levels):
    observed, masked = (float(levels.sel(side=side)) for side in ("observed", "masked"))
    clear = "" if int(change.clear()) else ", no clear difference"
    return f"Their true positive rate is {observed:.2f}; masking predicts {masked:.2f} ({change:+.2f}{clear})."


def _of_plain(quantity):
    return quantity.sel(regime=PLAIN) if PLAIN in quantity.labels("regime") else quantity
