"""Tables and sentences of the chapter on the learned view of a signal."""

import pandas as pd
from IPython.display import Markdown

from mmlib.measure.estimates import Estimate
from mmlib.questions.learned import BOTH, LEARNED, MACRO, MEASURED


def views_table(views: Estimate):
    """Style AUROC of each view, and its paired difference to what was measured, in words.

    Parameters
    ----------
    views : Estimate
        AUROC by ``variant``.
    """
    change = views - views.sel(variant=MEASURED)
    rows = [
        {
            "inputs": name,
            "AUROC [95 %]": f"{views.sel(variant=name):.3f}",
            "difference [95 %]": "" if name == MEASURED else f"{change.sel(variant=name):+.3f}",
        }
        for name in views.labels("variant")
    ]
    return pd.DataFrame(rows).style.hide(axis="index")


def labels_table(areas: Estimate, labels: pd.DataFrame):
    """Style AUROC of each label, with its positives, and the mean.

    Parameters
    ----------
    areas : Estimate
        From `mmlib.questions.learned.compare_labels`.
    labels : pandas.DataFrame
    """
    rows = [
        {
            "label": name,
            "positives": "" if name == MACRO else f"{int(labels[name].sum()):,}",
            "AUROC [95 %]": f"{areas.sel(label=name):.3f}",
        }
        for name in areas.labels("label")
    ]
    return pd.DataFrame(rows).style.hide(axis="index")


def learned_in_short(views: Estimate, areas: Estimate, *, published: float, trained: int, of_them: int) -> Markdown:
    """The answer of the chapter in a few sentences.

    Parameters
    ----------
    views, areas : Estimate
    published : float
        Mean AUROC over the labels of the best published network; 0 if there is none.
    trained, of_them : int
        Samples of a fold's training, here and there.
    """
    alone = views.sel(variant=LEARNED) - views.sel(variant=MEASURED)
    added = views.sel(variant=BOTH) - views.sel(variant=LEARNED)
    told = [
        f"**In short.** What was measured, in words: AUROC {views.sel(variant=MEASURED):.3f}. The signal itself, "
        f"learned, differs from it by {alone:+.3f}{_verdict(alone)}. What was measured, added to the learned view, "
        f"changes AUROC by {added:+.3f}{_verdict(added)}."
    ]
    if published:
        mean = areas.sel(label=MACRO)
        told.append(
            f"Over all labels the network reaches a mean AUROC of {mean:.3f}; the best published one reaches "
            f"{published:.3f}, {published - float(mean):.3f} more, trained on about {of_them:,} samples instead of "
            f"{trained:,}."
        )
    return Markdown(" ".join(told))


def _verdict(change: Estimate) -> str:
    return "" if change.clear() else " (no clear difference)"
