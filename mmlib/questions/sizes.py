"""Counts that stand for a cohort: sizes of groups, who has which modality, and histograms of scores."""

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import BINS
from mmlib.measure.groups import Groups

#: Labels of samples, with the values of ``label`` that they hold.
LABELS = {"all": (0, 1), "positive": (1,), "negative": (0,)}


def size_table(cohort: pd.DataFrame, present: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Samples, patients and positives of every group and label, and how many of them have each modality.

    Parameters
    ----------
    cohort : pandas.DataFrame
        With ``patient_id``, ``label`` and the attributes.
    present : pandas.DataFrame of bool
        A column per modality, rows as in ``cohort``.
    groups : Groups
        Crossed attributes are left out.

    Returns
    -------
    pandas.DataFrame
        Columns attribute, group, label (``all``, ``positive`` or ``negative``), modality (missing in the rows on the
        cell itself), n, n_patients, n_positive and, for a modality, n_present.

    Examples
    --------
    >>> cohort = pd.DataFrame({"patient_id": list("aab"), "label": [1, 0, 0], "sex": list("ffm")})
    >>> table = size_table(cohort, pd.DataFrame({"labs": [True, False, False]}), Groups({"sex": "m"}))
    >>> table.query("group == 'f' and label == 'all'")[["n", "n_patients", "n_present"]].values.tolist()
    [[2.0, 1.0, nan], [2.0, 1.0, 1.0]]
    """
    rows = []
    for attribute, group, members in _cells(cohort, groups):
        for label, values in LABELS.items():
            inside = members & cohort["label"].isin(values).to_numpy()
            patients, positives = cohort["patient_id"][inside].nunique(), int(cohort["label"][inside].sum())
            counts = [None, *(present[m].to_numpy()[inside].sum() for m in present)]
            for modality, there in zip([None, *present], counts, strict=True):
                rows.append((attribute, group, label, modality, inside.sum(), patients, positives, there))
    names = ["attribute", "group", "label", "modality", "n", "n_patients", "n_positive", "n_present"]
    return pd.DataFrame(rows, columns=names).astype({"modality": object, "n_present": float})


def score_bins(powerset: xr.Dataset, cohort: pd.DataFrame, groups: Groups) -> pd.DataFrame:
    """Histogram of the scores of the first seed by subset, group and label.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact.
    cohort : pandas.DataFrame
        Rows as the samples of ``powerset``.
    groups : Groups
        Of each attribute, the reference and the contrast are counted.

    Returns
    -------
    pandas.DataFrame
        Columns subset, attribute, group, label, n, and one for each of the equal bins of scores from 0 to 1.
    """
    scores, rows = powerset["score"].isel(seed=0).transpose("subset", "sample"), []
    edges = np.linspace(0, 1, len(BINS) + 1)
    for attribute, group, members in _cells(cohort, groups):
        if attribute != "overall" and group not in (
            groups.reference(attribute),
            groups.contrasts.get(attribute),
        ):
            continue
        for label in ("positive", "negative"):
            inside = members & cohort["label"].isin(LABELS[label]).to_numpy()
            for subset, score in zip(scores["subset"].values, scores.values, strict=True):
                counts = np.histogram(score[inside], edges)[0]
                rows.append((subset, attribute, group, label, inside.sum(), *counts))
    return pd.DataFrame(rows, columns=["subset", "attribute", "group", "label", "n", *BINS])


def _cells(cohort, groups):
    """Attribute, name and members of all samples and of every group of a single attribute."""
    yield "overall", "all", np.ones(len(cohort), bool)
    for attribute, (names, masks) in groups.single().masks(cohort).items():
        for name, members in zip(names, masks, strict=True):
            if name != "all":
                yield attribute, name, np.asarray(members, bool)
