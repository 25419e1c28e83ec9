"""What the vectors reveal: which protected attribute can be read from which modality."""

from functools import partial

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from mmlib.core.compute import map_parallel
from mmlib.core.schema import MINIMUM
from mmlib.measure.estimates import simultaneous_rows
from mmlib.measure.groups import Groups
from mmlib.measure.ranking import auroc
from mmlib.models.study import Study


def decode_groups(
    study: Study, groups: Groups, patient_weights: np.ndarray, *, minimum: int = MINIMUM
) -> pd.DataFrame:
    """How well each modality's vectors alone tell each protected group from all others, out of fold.

    Parameters
    ----------
    study : mmlib.models.study.Study
        Vectors, reduced per fold, and folds; training and validation rows are used together.
    groups : Groups
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
    minimum : int
        Groups with fewer samples that have the modality, or with fewer others, are left out.

    Returns
    -------
    pandas.DataFrame
        Tidy rows with the key ``subset`` (one modality): the metric ``decoded_auroc`` of a group against all others,
        among samples that have the modality; ``n_positive`` counts the group. Intervals are simultaneous over all
        rows of an attribute; one half means that the vectors do not tell. No rows if no modality can be judged.
    """
    parts = []
    for attribute, (names, masks) in groups.masks(study.cohort).items():
        known, found, values = masks[1:].any(axis=0), [], [np.empty((len(patient_weights), 0))]
        for m, modality in enumerate(study.modalities):
            there = study.present[:, m].numpy() & known
            inside = (masks[1:] & there).sum(axis=1)
            kept = np.flatnonzero((inside >= minimum) & (there.sum() - inside >= minimum))
            if len(kept) < 2:
                continue
            learnable = there & masks[1:][kept].any(axis=0)
            scores = map_parallel(partial(_membership, study, m, learnable), [masks[1:][g] for g in kept])
            for g, score in zip(kept, scores, strict=True):
                values.append(auroc(masks[1:][g].astype(int), score, patient_weights, there[None])[..., 0])
                found.append((modality, names[1:][g], int(there.sum()), int(inside[g])))
        table = pd.DataFrame(found, columns=["subset", "group", "n", "n_positive"])
        about = {"name": "decoded_auroc", "attribute": attribute}
        parts.append(simultaneous_rows(table, np.concatenate(values, axis=1), **about))
    return pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)


def _membership(study, m, learnable, member):
    """Log odds of being a member (n_samples,), from models that never saw the sample's patient."""
    score, there = np.zeros(len(member)), study.present[:, m].numpy()
    for f in range(len(study.training)):
        rows, test = learnable & (study.fold != f), there & (study.fold == f)
        if len(set(member[rows])) < 2 or not test.any():
            continue
        x = study.X[f, :, m].numpy()
        model = LogisticRegression(C=0.1, solver="newton-cholesky").fit(x[rows], member[rows])
        score[test] = model.decision_function(x[test])
    return score
