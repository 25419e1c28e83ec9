"""Splits by patient: folds, and smaller parts of a cohort."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold


def assign_folds(samples: pd.DataFrame, *, folds: int = 5, seed: int = 0) -> pd.Series:
    """Fold of each sample, stratified by label; all samples of a patient are in one fold.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``patient_id`` and ``label``; official folds in ``split_fold`` are kept whole and joined, in
        their order, to as many folds as asked for.
    folds, seed : int
        Number of folds (two or more) and seed of the shuffle; official folds are not shuffled.

    Returns
    -------
    pandas.Series
        int8, the fold in which a sample is tested.

    Examples
    --------
    >>> samples = pd.DataFrame({"patient_id": list("abcdefgh"), "label": [0, 1] * 4})
    >>> sorted(assign_folds(samples, folds=2).value_counts())
    [4, 4]
    """
    rarest = samples.drop_duplicates("patient_id").label.value_counts().min()
    if not 2 <= folds <= rarest:
        raise ValueError(
            f"folds is {folds}; expected 2 to {rarest}, the number of patients of the rarer label."
        )
    if "split_fold" in samples:
        official = np.unique(samples["split_fold"])
        if folds > len(official):
            raise ValueError(f"folds is {folds}; expected 2 to {len(official)}, the number of official folds.")
        place = np.searchsorted(official, samples["split_fold"])
        return pd.Series((place * folds // len(official)).astype("int8"), samples.index, name="fold")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(samples), "int8")
    for k, (_, test) in enumerate(splitter.split(samples, samples.label, samples.patient_id)):
        fold[test] = k
    return pd.Series(fold, samples.index, name="fold")


def subsample(samples: pd.DataFrame, size: int, *, minimum: int = 4, seed: int = 0) -> pd.DataFrame:
    """About ``size`` samples, from every fold and label in proportion, so that each fold keeps both labels.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``fold`` and ``label``.
    size : int
    minimum : int
        Smallest number from a fold and label, if there are as many.
    seed : int

    Returns
    -------
    pandas.DataFrame
        Rows in their old order.
    """
    share = min(1.0, size / len(samples))
    parts = [
        part.sample(min(len(part), max(minimum, round(share * len(part)))), random_state=seed)
        for _, part in samples.groupby(["fold", "label"])
    ]
    return pd.concat(parts).sort_index()
