"""What a modality adds beyond its presence: that a test was ordered is information too, whatever its result."""

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.subsets import full_subset, members, subset_name
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.estimates import Estimate, estimate
from mmlib.measure.ranking import auroc, divide

#: Where a modality is added, and the pairs of a positive and a negative sample that are compared.
PLACES, PAIRS = ("alone", "last"), ("all pairs", "pairs matched in presence")


def matched_auroc(y, scores, patient_weights, stratum) -> np.ndarray:
    """AUROC over those pairs of a positive and a negative that lie in the same stratum.

    Parameters
    ----------
    y : array-like of shape (n,)
    scores : array-like of shape (K, n)
    patient_weights : array-like of shape (1 + B, n)
    stratum : array-like of shape (n,)
        For example whether the sample has a modality.

    Returns
    -------
    ndarray of shape (1 + B, K)
        The strata's AUROC weighted by their numbers of pairs; nan if there is no such pair.
    """
    y, stratum, patient_weights = np.asarray(y), np.asarray(stratum), np.asarray(patient_weights)
    groups = np.array([stratum == s for s in np.unique(stratum)])
    total = [patient_weights @ (groups & (y == label)).T.astype(float) for label in (0, 1)]
    pairs = (total[0] * total[1])[:, None]
    areas = np.where(pairs > 0, auroc(y, scores, patient_weights, groups), 0)
    return divide((areas * pairs).sum(axis=-1), pairs.sum(axis=-1))


def matched_gains(
    powerset: xr.Dataset, cohort: pd.DataFrame, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Gain in AUROC of each modality over all pairs, and over pairs in which its presence is the same.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact.
    cohort : pandas.DataFrame
        With ``present_<modality>``.
    resamples, seed : int
        Of the bootstrap of patients.

    Returns
    -------
    Estimate
        With the dimensions ``modality``; ``place``: added ``alone`` (to nothing, AUROC one half) or ``last`` (to all
        others); and ``pairs``: ``all pairs`` or ``pairs matched in presence``. Sizes are those who have the
        modality, and the label ``present`` is their share. The variance of retraining is pooled over modalities.
    """
    y, weights = cohort["label"].to_numpy(), resample_patients(cohort["patient_id"], resamples, seed)
    full = full_subset(map(str, powerset["subset"].values))
    modalities = members(full)
    has = np.stack([cohort[f"present_{m}"].to_numpy() for m in modalities])
    gains = []
    for modality, there in zip(modalities, has, strict=True):
        others = subset_name(m for m in modalities if m != modality)
        score = powerset["score"].sel(subset=[modality, others, full]).transpose("seed", "subset", "sample").values
        by_pairs = []
        for stratum in (np.zeros(len(y)), there):
            area = np.stack([matched_auroc(y, s, weights, stratum) for s in score])
            by_pairs.append(np.stack([area[..., 0] - 0.5, area[..., 2] - area[..., 1]], axis=-1))
        gains.append(np.stack(by_pairs, axis=-1))
    values = np.stack(gains, axis=2)  # seed, resample, modality, place, pairs
    labels = {"modality": modalities, "place": PLACES, "pairs": PAIRS}
    found = estimate(values.mean(axis=0), labels, spread=values[:, 0], name="auroc")
    n, n_positive = (
        xr.DataArray(size, {"modality": found.values["modality"]}, ("modality",))
        for size in (has.sum(axis=1), (has & (y == 1)).sum(axis=1))
    )
    share = ("modality", has.mean(axis=1))
    found = replace(found, values=found.values.assign_coords(present=share), n=n, n_positive=n_positive)
    return found.pool("modality")
