"""Scores counted in bins, from which a page can compute what a reader asks: any set of modalities, any threshold."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlib.core.schema import BINS
from mmlib.core.subsets import members
from mmlib.core.words import RUN_KINDS
from mmlib.measure.metrics import auroc, rates

LABELS = ("negative", "positive")


@dataclass(frozen=True)
class BinnedScores:
    """Histograms of one run for two groups, with what the run found for their TPR difference.

    Parameters
    ----------
    title, kind, attribute : str
    groups : tuple of str
        The reference and the group compared with it.
    modalities, subsets : tuple of str
    counts : numpy.ndarray of shape (subset, 3, 2, bin)
        Samples of the two groups and of all, negative and positive.
    found : pandas.DataFrame
        Columns estimate, low, high of the run's TPR difference, a row per subset; NaN where it has none.
    start, added : str
        A set and that with one modality more: of all that raise AUROC in both groups, the one that widens most.
    error : float
        Largest distance between a TPR difference of the bins and the run's own.
    """

    title: str
    kind: str
    attribute: str
    groups: tuple[str, str]
    modalities: tuple[str, ...]
    subsets: tuple[str, ...]
    counts: np.ndarray
    found: pd.DataFrame
    start: str = ""
    added: str = ""
    error: float = np.nan

    @property
    def prevalence(self) -> float:
        """Share of positives among all samples."""
        whole = self.counts[0, 2]
        return float(whole[1].sum() / whole.sum())

    def cut(self, subset: str, share: float | None = None) -> int:
        """First bin selected, so that the share of all is nearest to one, by default the prevalence."""
        whole = self.counts[self.subsets.index(subset), 2].sum(axis=0)
        selected = np.r_[np.cumsum(whole[::-1])[::-1], 0] / whole.sum()
        return int(np.abs(selected - (self.prevalence if share is None else share)).argmin())

    def metrics(self, subset: str, cut: int | None = None) -> dict[str, np.ndarray]:
        """AUROC, TPR, FPR and selection rate of the two groups and of all, if the bins from ``cut`` on are selected."""
        cut = self.cut(subset) if cut is None else cut
        counts = self.counts[self.subsets.index(subset)]
        bins = counts.shape[-1]
        y, place = np.repeat([0, 1], bins), np.tile(np.arange(bins), 2)
        weights, everyone = counts.reshape(3, 2 * bins), np.ones((1, 2 * bins), bool)
        selected = rates(y, (place >= cut).astype(float), weights, everyone)
        area = auroc(y, place.astype(float), weights, everyone)[:, 0, 0]
        return {"auroc": area} | {name: selected[name][:, 0, 0] for name in ("tpr", "fpr", "selection_rate")}


def widest_addition(tables: Mapping) -> BinnedScores | None:
    """Binned scores of the first run that has them, for the attribute with the widest addition; else None.

    Parameters
    ----------
    tables : mapping of str to RunTables
        From ``mmlib.runs.read_runs``: real health cohorts come first, then twins.
    """
    order = sorted(tables.values(), key=lambda run: RUN_KINDS.index(run.kind))
    for run in (run for run in order if len(run.table("bins"))):
        found = [one for attribute in run.contrasts if (one := _example(run, attribute)) is not None]
        if found:
            return max(found, key=_widening)
    return None


def _example(run, attribute):
    """Binned scores of one attribute with the addition that widens most, or None if none does."""
    table, result = run.table("bins"), run.table("rq1")
    pair = run.references[attribute], run.contrasts[attribute]
    subsets = tuple(dict.fromkeys(table["subset"]))
    cells = table.set_index(["subset", "attribute", "group", "label"])[list(BINS)]
    three = [(attribute, pair[0]), (attribute, pair[1]), ("overall", "all")]
    if any((subset, *who, label) not in cells.index for who in three for subset in subsets[:1] for label in LABELS):
        return None
    counts = [[[cells.loc[(s, *who, label)].to_numpy() for label in LABELS] for who in three] for s in subsets]
    own = result[(result.kind == "level") & (result.metric == "tpr") & (result.attribute == attribute)]
    own = own[(own.group == pair[1]) & (own.reference == pair[0])].drop_duplicates("subset").set_index("subset")
    ends = own[["estimate", "low", "high"]].reindex(list(subsets))
    binned = BinnedScores(
        run.title, run.kind, attribute, pair, run.modalities, subsets, np.array(counts, float), ends
    )
    values = {s: binned.metrics(s) for s in subsets}
    gaps = {s: float(v["tpr"][1] - v["tpr"][0]) for s, v in values.items()}
    steps = [
        (s, t)
        for s in subsets
        for t in subsets
        if members(s) and set(members(s)) < set(members(t)) and len(members(t)) == len(members(s)) + 1
        and (values[t]["auroc"] > values[s]["auroc"])[:2].all()
        and ends.loc[[s, t]].notna().all(axis=None)
        and abs(gaps[t]) > abs(gaps[s])
    ]  # fmt: skip
    if not steps:
        return None
    start, added = max(steps, key=lambda step: abs(ends.estimate[step[1]]) - abs(ends.estimate[step[0]]))
    off = (pd.Series(gaps) - ends.estimate).abs().max()
    return BinnedScores(**{**vars(binned), "start": start, "added": added, "error": float(off)})


def _widening(one):
    return abs(one.found.estimate[one.added]) - abs(one.found.estimate[one.start])
