"""What a modality adds beyond its presence: that a test was ordered is information too, whatever its result."""

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.subsets import full_subset, members, subset_name
from mmlib.measure.bootstrap import average_seeds, percentile_interval, widen
from mmlib.measure.ranking import auroc, divide


def matched_auroc(y, scores, patient_weights, stratum) -> np.ndarray:
    """Compute the AUROC over those pairs of a positive and a negative that lie in the same stratum.

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


def matched_gains(powerset: xr.Dataset, cohort: pd.DataFrame, patient_weights: np.ndarray) -> pd.DataFrame:
    """Compare what each modality adds to AUROC over all pairs with what it adds where its presence is the same.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact.
    cohort : pandas.DataFrame
        With ``present_<modality>``.
    patient_weights : numpy.ndarray of shape (1 + B, n)

    Returns
    -------
    pandas.DataFrame
        For each modality, added ``alone`` (to nothing, AUROC one half) and ``last`` (to all others), over ``all
        pairs`` and over ``pairs matched in presence``: columns modality, place, pairs, estimate, low, high (95 %,
        retraining included), present (share of samples), n, n_positive (who have it).
    """
    y, names = cohort["label"].to_numpy(), [str(s) for s in powerset["subset"].values]
    full = full_subset(names)
    modalities = members(full)
    rows = []
    for modality in modalities:
        others = subset_name(m for m in modalities if m != modality)
        has = cohort[f"present_{modality}"].to_numpy()
        score = powerset["score"].sel(subset=[modality, others, full]).transpose("seed", "subset", "sample")
        for pairs, stratum in (("all pairs", np.zeros(len(y))), ("pairs matched in presence", has)):
            areas = np.stack([matched_auroc(y, s, patient_weights, stratum) for s in score.values])
            places = {"alone": areas[..., 0] - 0.5, "last": areas[..., 2] - areas[..., 1]}
            for place, values in places.items():
                mean, s_retrain = average_seeds(values)
                low, high = widen(mean[0], *percentile_interval(mean), s_retrain, len(values))
                gain = (mean[0], float(low), float(high))
                rows.append((modality, place, pairs, *gain, has.mean(), has.sum(), y[has].sum()))
    columns = ["modality", "place", "pairs", "estimate", "low", "high", "present", "n", "n_positive"]
    return pd.DataFrame(rows, columns=columns)
