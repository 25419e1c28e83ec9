"""Splits by patient: folds, and smaller parts of a cohort."""

import numpy as np
import pandas as pd

from mmlib.core.schema import MINIMUM


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
            raise ValueError(
                f"folds is {folds}; expected 2 to {len(official)}, the number of official folds."
            )
        place = np.searchsorted(official, samples["split_fold"])
        return pd.Series((place * folds // len(official)).astype("int8"), samples.index, name="fold")
    splitter, fold = _patient_folds(folds, seed), np.empty(len(samples), "int8")
    for k, (_, test) in enumerate(splitter.split(samples, samples.label, samples.patient_id)):
        fold[test] = k
    return pd.Series(fold, samples.index, name="fold")


def _patient_folds(folds, seed):
    """scikit-learn's splitter, which tries a patient in all folds at once: equal folds in a seventh of the time."""
    from sklearn.model_selection import StratifiedGroupKFold

    class PatientFolds(StratifiedGroupKFold):
        def _find_best_fold(self, y_counts_per_fold, y_cnt, group_y_counts):  # without it: slower, not wrong
            tried = y_counts_per_fold + np.eye(folds)[:, :, None] * group_y_counts
            uneven = (tried / y_cnt).std(axis=1).mean(axis=1).tolist()
            sizes, best = y_counts_per_fold.sum(axis=1).tolist(), 0
            for k in range(1, folds):
                alike = abs(uneven[k] - uneven[best]) <= 1e-8 + 1e-5 * uneven[best]  # as numpy.isclose
                if uneven[k] < uneven[best] or (alike and sizes[k] < sizes[best]):
                    best = k
            return best

    return PatientFolds(folds, shuffle=True, random_state=seed)


def hold_out(samples: pd.DataFrame, fold: int, *, share: float = 0.15, seed: int = 0) -> np.ndarray:
    """Validation samples of a fold, among those it does not test: whole patients, stratified by having a positive.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``patient_id``, ``label`` and ``fold``.
    fold : int
    share : float
        Of the patients that the fold does not test.
    seed : int

    Returns
    -------
    numpy.ndarray of shape (n_samples,), bool

    Raises
    ------
    ValueError
        If one label is missing among these samples or those that are left to train on.
    """
    from sklearn.model_selection import StratifiedKFold

    rest = samples["fold"].to_numpy() != fold
    y = samples["label"].to_numpy()
    positive = samples[rest].groupby("patient_id", sort=False)["label"].max()
    rarer = min(positive.sum(), (1 - positive).sum())
    if rarer < 2:  # nearly every patient has a positive, or none has
        positive[:] = 0
    splits = max(2, min(round(1 / share), rarer if rarer > 1 else len(positive)))
    splitter = StratifiedKFold(splits, shuffle=True, random_state=seed)
    _, chosen = next(splitter.split(positive, positive))
    held = rest & samples["patient_id"].isin(positive.index[chosen]).to_numpy()
    if len(np.unique(y[held])) < 2 or len(np.unique(y[rest & ~held])) < 2:
        rarest = min(np.bincount(y[rest], minlength=2))
        raise ValueError(
            f"Fold {fold} has {rarest} training samples of the rarer label, too few to set some aside for "
            f"validation; use more samples or fewer folds."
        )
    return held


def check_folds(samples: pd.DataFrame, present: pd.DataFrame, *, seed: int = 0) -> None:
    """Nothing, or a `ValueError` if a fold cannot test, or the others cannot train what the later chapters need.

    Parameters
    ----------
    samples : pandas.DataFrame
        With ``patient_id``, ``label`` and ``fold``.
    present : pandas.DataFrame
        Same rows, a column per modality: True where a sample has it.
    seed : int
        Of the validation split.
    """
    for fold, tested in samples.groupby("fold"):
        if tested["label"].nunique() < 2:
            raise ValueError(f"Fold {fold} tests samples of one label only; use more samples or fewer folds.")
        hold_out(samples, fold, seed=seed)
        had = present[samples["fold"] != fold].sum()
        if had.min() < MINIMUM:
            raise ValueError(
                f"Outside fold {fold}, {had.min()} samples have the modality {had.idxmin()!r}; expected {MINIMUM} or "
                f"more to learn from: join it with another, or leave it out."
            )


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
