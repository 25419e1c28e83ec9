"""What the vectors reveal: which protected attribute can be read from which modality."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from mmlib.measure.bootstrap import simultaneous_rows
from mmlib.measure.metrics import group_masks
from mmlib.measure.ranking import auroc
from mmlib.models.study import Study


def decode_groups(
    study: Study,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    attributes: Sequence[str],
    *,
    run: str,
    minimum: int = 30,
    C: float = 0.1,
) -> pd.DataFrame:
    """Predict each protected attribute from each modality's vectors alone, out of fold.

    Parameters
    ----------
    study : mmlib.models.study.Study
        Vectors, reduced per fold, and folds; training and validation rows are used together.
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    attributes : sequence of str
    run : str
    minimum : int
        Groups with fewer samples that have the modality, or that lack the attribute's value, are left out.
    C : float
        Inverse strength of the penalty of the logistic regressions.

    Returns
    -------
    pandas.DataFrame
        Rows of the results contract with the key ``subset`` (one modality): the metric ``decoded_auroc`` of a group
        against all others, among samples that have the modality; ``n_positive`` counts the group. Intervals are
        simultaneous over all rows of an attribute; one half means that the vectors do not tell.
    """
    parts = []
    for attribute, (names, masks) in group_masks(cohort, attributes).items():
        known, found, draws = masks[1:].any(axis=0), [], []
        for m, modality in enumerate(study.modalities):
            there = study.present[:, m].numpy() & known
            inside = (masks[1:] & there).sum(axis=1)
            kept = np.flatnonzero((inside >= minimum) & (there.sum() - inside >= minimum))
            if len(kept) < 2:
                continue
            learnable = there & masks[1:][kept].any(axis=0)
            for g in kept:
                score = _membership(study, m, learnable, masks[1:][g], C)
                draws.append(auroc(masks[1:][g].astype(int), score, patient_weights, there[None])[..., 0])
                found.append((modality, names[1:][g], int(there.sum()), int(inside[g])))
        if not found:
            continue
        table = pd.DataFrame(found, columns=["subset", "group", "n", "n_positive"])
        values = np.concatenate(draws, axis=1)
        parts.append(simultaneous_rows(table, values, run=run, metric="decoded_auroc", attribute=attribute))
    return pd.concat(parts, ignore_index=True)


def _membership(study, m, learnable, member, C):
    """Log odds of being a member (n_samples,), from models that never saw the sample's patient."""
    score, there = np.zeros(len(member)), study.present[:, m].numpy()
    for f in range(len(study.training)):
        rows, test = learnable & (study.fold != f), there & (study.fold == f)
        if len(set(member[rows])) < 2 or not test.any():
            continue
        x = study.X[f, :, m].numpy()
        model = LogisticRegression(C=C, solver="newton-cholesky").fit(x[rows], member[rows])
        score[test] = model.decision_function(x[test])
    return score
