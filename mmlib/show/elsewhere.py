"""Table and sentences of the chapter on models that are tested elsewhere."""

import pandas as pd
from IPython.display import Markdown

from mmlib.measure.estimates import Estimate
from mmlib.questions.elsewhere import ELSEWHERE, MEAN, WITHIN
from mmlib.show.style import listed, words


def places_table(auroc: Estimate, change: Estimate, sizes: pd.DataFrame):
    """Style AUROC within and elsewhere, a row per place, and their paired difference.

    Parameters
    ----------
    auroc, change : Estimate
        From `mmlib.questions.elsewhere.compare_elsewhere` and `change_elsewhere`.
    sizes : pandas.DataFrame
        From `mmlib.questions.elsewhere.train_elsewhere`.
    """
    known = sizes.set_index("place")
    rows = [
        {
            "tested at": place,
            "n": f"{int(change.sel(place=place).n):,}",
            "positives": f"{int(change.sel(place=place).n_positive):,}",
        }
        | {f"trained on, {way}": _size(known[way].get(place)) for way in (WITHIN, ELSEWHERE)}
        | {f"AUROC {way} [95 %]": _area(auroc, place, way) for way in (WITHIN, ELSEWHERE)}
        | {"difference [95 %]": f"{change.sel(place=place):+.3f}"}
        for place in change.labels("place")
    ]
    return pd.DataFrame(rows).style.hide(axis="index")


def elsewhere_in_short(auroc: Estimate, change: Estimate, column: str) -> Markdown:
    """The answer of the chapter in a few sentences.

    Parameters
    ----------
    auroc, change : Estimate
    column : str
        What a place is.
    """
    mean, places = change.sel(place=MEAN), auroc.labels("place")
    low = float(mean.interval()[0])
    verdict = {1: "is higher", -1: "is lower"}.get(int(mean.clear()), "is not clearly different")
    told = [
        f"**In short.** Trained at other places, AUROC {verdict}: it changes by {mean:+.3f} on average over "
        f"{len(places)} places ({words(column)})."
    ]
    if low < 0:
        told.append(f"A loss of {-low:.3f} is not excluded.")
    apart = [f"{p} ({change.sel(place=p):+.3f})" for p in places if change.sel(place=p).clear()]
    told.append(
        f"The interval of a single place excludes 0 at {len(apart)} of {len(places)}"
        f"{': ' + listed(apart) if apart else ''}."
    )
    return Markdown(" ".join(told))


def _area(auroc, place, way) -> str:
    return "" if place == MEAN else f"{auroc.sel(place=place, variant=way):.3f}"


def _size(number) -> str:
    return "" if number is None else f"{int(number):,}"
