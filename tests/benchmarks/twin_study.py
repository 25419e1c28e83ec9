"""Simulated cohorts small enough for hundreds: drawn from the causal model, native numbers, one split, all subsets."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import xarray as xr
from sklearn.linear_model import LogisticRegression

from mmlib.core.subsets import subset_masks
from mmlib.measure.groups import Groups
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import summary, train_powerset
from mmlib.models.study import Study
from mmlib.twins.causal import Knobs, draw

SIZES = {"training": 2500, "validation": 1500, "tested": 3000, "fresh": 30_000}
GROUPS = Groups({"race": "White", "sex": "Male"}, {"race": "Black", "sex": "Female"})
MODEL = Architecture(width=16, heads=2, epochs=20, batch_size=500, learning_rate=1e-2)  # small and quick


@dataclass(frozen=True)
class Twin:
    """A trained twin. ``part`` says what each sample is for; ``fresh`` ones stand for the population."""

    cohort: pd.DataFrame
    powerset: xr.Dataset
    embeddings: xr.Dataset
    part: np.ndarray

    def patient_weights(self, *parts: str) -> np.ndarray:
        """One row of weights per part: ones there, zeros elsewhere."""
        return np.array([self.part == p for p in parts], float)


def train_twin(
    knobs: Knobs, seed: int, sizes: dict[str, int] = SIZES, *, linear: bool = False, **options
) -> Twin:
    """Draw a cohort and train all subsets of its modalities, as logistic regressions or as fusion models.

    ``options`` of the latter are ``seeds`` and ``subsets`` of `mmlib.models.powerset.train_powerset`.
    """
    torch.set_num_threads(1)
    people = draw(sum(sizes.values()), knobs, seed)
    part = np.repeat(list(sizes), list(sizes.values()))
    cohort = pd.DataFrame({"race": people.race, "sex": people.sex, "label": people.decided.astype("int8")})
    cohort["sample_id"] = cohort["patient_id"] = [str(i) for i in range(len(cohort))]
    cohort["fold"] = np.int8(0)
    modalities = list(knobs.signal)
    present = np.stack([people.present[m] for m in modalities], axis=1)
    X = np.stack([people.measured[m] for m in modalities], axis=1).astype(np.float32)
    known = (part == "training")[:, None] & present
    for m in range(len(modalities)):
        X[:, m] = (X[:, m] - X[known[:, m], m].mean(0)) / X[known[:, m], m].std(0)
    # a constant beside the numbers, else the layer norm would keep their direction and lose their size
    X = np.concatenate([X, np.ones((*X.shape[:2], 1), np.float32)], axis=2)
    X[~present] = 0
    masks = [torch.from_numpy(part == p)[None] for p in ("training", "validation")]
    study = Study(
        torch.from_numpy(X)[None],
        torch.from_numpy(present),
        torch.from_numpy(cohort["label"].to_numpy(np.float32)),
        *masks,
        cohort["fold"].to_numpy(),
        tuple(cohort["sample_id"]),
        tuple(modalities),
        np.ones((1, len(modalities))),
    )
    powerset = _regress(study) if linear else train_powerset(study, MODEL, **options)[0]
    embeddings = xr.Dataset(
        {"embedding": (("sample", "modality", "feature"), X), "present": (("sample", "modality"), present)},
        {"sample": cohort["sample_id"].to_numpy(object), "modality": modalities},
    )
    return Twin(cohort, powerset, embeddings, part)


def _regress(study: Study) -> xr.Dataset:
    """Fit a logistic regression to every subset, with a constant for the modalities that a sample has."""
    names, masks = subset_masks(study.modalities)
    X, y, rows = study.X[0].numpy(), study.y.numpy().astype(int), study.training[0].numpy()
    scores = [np.full(len(y), y[rows].mean())]
    for mask in masks[1:]:
        seen = X[:, mask].reshape(len(y), -1)
        scores.append(LogisticRegression().fit(seen[rows], y[rows]).predict_proba(seen)[:, 1])
    parts = [summary(s[None].astype(np.float32), study, 1) for s in scores]
    parts[0]["threshold"].loc[{"rule": "prevalence"}] = np.nan  # selected at random, at the matched rate
    return xr.concat(parts, pd.Index(names, name="subset"), coords="minimal", compat="override")
