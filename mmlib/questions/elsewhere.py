"""Elsewhere: models trained at some places (sites, devices, periods) and tested at the others.

The same patients are scored twice: by models that were trained at all places, and by models that saw none of theirs.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.schema import MINIMUM
from mmlib.measure.estimates import Estimate, stack
from mmlib.measure.evaluation import compare_auroc
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import train_variants
from mmlib.models.study import prepare

WITHIN, ELSEWHERE = "within", "elsewhere"
#: Place of those whose own has too few positives or negatives, or is unknown.
OTHERS = "all others"
MEAN = "mean over places"


def assign_places(cohort: pd.DataFrame, column: str, *, minimum: int = MINIMUM) -> pd.DataFrame:
    """The samples that can be tested elsewhere, with their ``place``.

    Parameters
    ----------
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    column : str
        Where a sample was recorded, such as ``site`` or ``device``.
    minimum : int
        A place with fewer positives or negatives is one of "all others".

    Returns
    -------
    pandas.DataFrame
        Patients who were recorded at several places are left out, since they would be on both sides.

    Raises
    ------
    ValueError
        If there is no such column, or fewer than two places are large enough.

    Examples
    --------
    >>> cohort = pd.DataFrame({"patient_id": list("aabcd"), "label": [0, 1, 0, 1, 1], "site": [1, 2, 1, 1, None]})
    >>> cohort = pd.concat([cohort, cohort.assign(site=2, patient_id=list("efghi"))])
    >>> assign_places(cohort, "site", minimum=1)["place"].value_counts().to_dict()
    {'2': 5, '1': 2}
    """
    if column not in cohort:
        raise ValueError(f"The cohort has no column {column!r}; expected one of {', '.join(cohort.columns)}.")
    found = cohort[column].map(lambda v: f"{v:g}" if isinstance(v, float) else str(v), na_action="ignore")
    place = found.astype(object).where(found.notna(), OTHERS)
    counts = cohort.groupby(place)["label"].agg(["sum", "size"])
    rarer = np.minimum(counts["sum"], counts["size"] - counts["sum"])
    samples = cohort.assign(place=place.where(place.map(rarer) >= minimum, OTHERS))
    alone = samples.groupby("patient_id")["place"].transform("nunique") == 1
    samples = samples[alone].reset_index(drop=True)
    known = samples.groupby("place")["label"].agg(["sum", "size"])
    large = np.minimum(known["sum"], known["size"] - known["sum"]) >= minimum
    if large.sum() < 2:
        raise ValueError(
            f"{column!r} has {int(large.sum())} places with {minimum} positives and {minimum} negatives; expected two."
        )
    return samples[samples["place"].map(large).astype(bool)].reset_index(drop=True)


def train_elsewhere(
    samples: pd.DataFrame,
    embeddings: xr.Dataset,
    architecture: Architecture,
    *,
    seeds: int = 1,
    **prepared,
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Scores of the same samples by models trained at all places, and by models trained at the others.

    Parameters
    ----------
    samples : pandas.DataFrame
        From `assign_places`.
    embeddings : xarray.Dataset
        The artefact ``embeddings``; its other samples are left aside.
    architecture : mmlib.models.fusion.Architecture
    seeds : int
        Retrainings of every model.
    **prepared
        ``dimensions``, ``validation`` and ``seed`` of `mmlib.models.study.prepare`.

    Returns
    -------
    dict of str to numpy.ndarray of shape (seeds, n_samples)
        ``within``: on the run's folds. ``elsewhere``: a fold is a place. Reduction, early stopping and calibration use
        training and validation samples of the same places.
    pandas.DataFrame
        Columns place, within, elsewhere: with how many samples the models that tested a place were trained, validation
        samples included; the mean over folds for those within.
    """
    vectors = embeddings.sel(sample=samples["sample_id"].to_numpy(object))
    code, places = pd.factorize(samples["place"], sort=True)
    rows = {WITHIN: samples, ELSEWHERE: samples.assign(fold=code.astype("int8"))}
    studies = {way: prepare(own, vectors, **prepared) for way, own in rows.items()}
    trained = {way: train_variants({way: (study, architecture)}, seeds=seeds) for way, study in studies.items()}
    scores = {way: found["score"].values[0] for way, found in trained.items()}
    known = {way: (~study.tested).sum(axis=1) for way, study in studies.items()}
    sizes = pd.DataFrame({"place": places, WITHIN: round(known[WITHIN].mean()), ELSEWHERE: known[ELSEWHERE]})
    return scores, sizes


def compare_elsewhere(scores: dict[str, np.ndarray], samples: pd.DataFrame, patient_weights: np.ndarray) -> Estimate:
    """AUROC at each place by ``variant``, within and elsewhere, so that their difference is paired.

    Parameters
    ----------
    scores : dict of str to numpy.ndarray of shape (seeds, n_samples)
        From `train_elsewhere`.
    samples : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)

    Returns
    -------
    Estimate
        With the dimensions ``place``, the largest first, and ``variant``.
    """
    parts = {}
    for place in samples["place"].value_counts().index:
        here = (samples["place"] == place).to_numpy()
        own = {way: score[:, here] for way, score in scores.items()}
        parts[place] = compare_auroc(own, samples[here], patient_weights[:, here])
    sizes = {
        size: xr.DataArray([getattr(part, size) for part in parts.values()], {"place": list(parts)}, ("place",))
        for size in ("n", "n_positive")
    }
    return replace(stack(parts, "place"), **sizes)


def change_elsewhere(auroc: Estimate) -> Estimate:
    """AUROC elsewhere minus within at each place, and the mean over places.

    Parameters
    ----------
    auroc : Estimate
        From `compare_elsewhere`.
    """
    change = auroc.sel(variant=ELSEWHERE) - auroc.sel(variant=WITHIN)
    places = auroc.labels("place")
    matrix = np.vstack([np.eye(len(places)), np.full(len(places), 1 / len(places))])
    total = {
        size: xr.DataArray(
            [*getattr(auroc, size).values, getattr(auroc, size).sum()], {"place": [*places, MEAN]}, ("place",)
        )
        for size in ("n", "n_positive")
    }
    mapped = change.map(matrix, "place", "place", [*places, MEAN])
    return replace(mapped, name="auroc_difference", reference=WITHIN, **total)


def elsewhere_table(auroc: Estimate, change: Estimate) -> pd.DataFrame:
    """Tidy rows of the artefact ``elsewhere``, with the key ``place``.

    Parameters
    ----------
    auroc, change : Estimate
        From `compare_elsewhere` and `change_elsewhere`.
    """
    return pd.concat([auroc.frame(), change.frame()], ignore_index=True)
