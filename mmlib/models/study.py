"""Training data of all models of a run: splits by patient, and inputs reduced on each fold's training rows.

Every sample is scored by the models that never saw its patient. What is fitted (reduction, network,
calibration, threshold) is fitted on the training and validation patients of that fold alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.data.splits import hold_out
from mmlib.models.reduction import principal_components, scaled_columns

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Study:
    """Inputs, labels and splits that all models of a run share.

    Parameters
    ----------
    X : torch.Tensor of shape (n_folds, n_samples, n_modalities, n_features)
        Inputs as reduced on each fold's training rows, zero where absent.
    present : torch.Tensor of shape (n_samples, n_modalities), bool
    y : torch.Tensor of shape (n_samples,), float
    training, validation : torch.Tensor of shape (n_folds, n_samples), bool
    fold : numpy.ndarray of shape (n_samples,)
        The fold in which a sample is tested.
    samples, modalities : tuple of str
    kept : numpy.ndarray of shape (n_folds, n_modalities)
        Share of variance that the reduction kept.
    cohort : pandas.DataFrame, optional
        The artefact ``cohort``: a row per sample.
    """

    X: torch.Tensor
    present: torch.Tensor
    y: torch.Tensor
    training: torch.Tensor
    validation: torch.Tensor
    fold: np.ndarray
    samples: tuple[str, ...]
    modalities: tuple[str, ...]
    kept: np.ndarray
    cohort: pd.DataFrame | None = None

    @property
    def tested(self) -> np.ndarray:
        """Bool array (n_folds, n_samples): the samples that each fold tests."""
        return self.fold == np.arange(len(self.training))[:, None]

    def columns(self, subset: Iterable[str]) -> Study:
        """Study restricted to some modalities, in cohort order."""
        chosen = set(subset)
        if unknown := sorted(chosen - set(self.modalities)):
            raise ValueError(
                f"There is no modality {unknown[0]!r}; expected some of {', '.join(self.modalities)}."
            )
        index = [i for i, m in enumerate(self.modalities) if m in chosen]
        names = tuple(self.modalities[i] for i in index)
        if len(index) == len(self.modalities):
            return self
        # the modality comes first in memory, as training reads it
        X = self.X.transpose(1, 2)[:, index].transpose(1, 2)
        return replace(self, X=X, present=self.present[:, index], modalities=names)

    def join(self, other: Study) -> Study:
        """Return the study with the modalities of another one, of the same samples and splits, after its own."""
        import torch

        same = self.samples == other.samples and torch.equal(self.validation, other.validation)
        if not same or set(self.modalities) & set(other.modalities):
            raise ValueError(
                f"The modalities {', '.join(other.modalities)} cannot join {', '.join(self.modalities)}; "
                "expected other names, and the same samples and splits."
            )
        width = max(self.X.shape[3], other.X.shape[3])
        wide = [torch.nn.functional.pad(part.X, (0, width - part.X.shape[3])) for part in (self, other)]
        return replace(
            self,
            X=torch.cat([x.transpose(1, 2) for x in wide], dim=1).transpose(1, 2),
            present=torch.cat([self.present, other.present], dim=1),
            modalities=self.modalities + other.modalities,
            kept=np.concatenate([self.kept, other.kept], axis=1),
        )


def load_study(run, **settings) -> Study:
    """Study of a run: its cohort and embeddings, split and reduced as its models were trained.

    Parameters
    ----------
    run : mmlib.runs.run.Run
    **settings
        ``dimensions``, ``validation`` and ``seed`` of `prepare` where the models are yet to be trained; by default
        those that chapter 3 stored.

    Returns
    -------
    Study

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cohort = pd.DataFrame({"sample_id": [f"s{i}" for i in range(80)], "patient_id": [f"p{i}" for i in range(80)]})
    >>> cohort["label"], cohort["fold"] = np.arange(80, dtype="int8") % 2, np.arange(80, dtype="int8") // 2 % 2
    >>> vectors = xr.Dataset(
    ...     {"embedding": (("sample", "modality", "feature"), rng.normal(size=(80, 2, 4)).astype("float32")),
    ...      "present": (("sample", "modality"), np.ones((80, 2), bool))},
    ...     {"sample": cohort.sample_id.to_numpy(object), "modality": ["vitals", "labs"]},
    ...     {"encoder": "toy", "unit": "field"})
    >>> from types import SimpleNamespace
    >>> artefacts = {"cohort": cohort, "embeddings": vectors}
    >>> run = SimpleNamespace(read=artefacts.get)  # a `Run` that holds these artefacts
    >>> load_study(run, dimensions=2).modalities
    ('vitals', 'labs')
    """
    if not settings:
        stored = run.settings("03_rq1_addition")
        settings = {name: stored[name] for name in ("dimensions", "validation")} | {"seed": stored["split_seed"]}
    return prepare(run.read("cohort"), run.read("embeddings"), **settings)


def prepare(
    cohort: pd.DataFrame,
    embeddings: xr.Dataset,
    *,
    dimensions: int = 64,
    validation: float = 0.15,
    seed: int = 0,
) -> Study:
    """Study of a cohort: validation patients set aside in every fold, inputs reduced on the rest.

    Parameters
    ----------
    cohort : pandas.DataFrame
        The artefact ``cohort``.
    embeddings : xarray.Dataset
        The artefact ``embeddings``, in memory or opened lazily. Text vectors are reduced by a principal component
        analysis per modality and brought to unit variance as a whole; native features are scaled one by one and
        an absent number becomes the training mean.
    dimensions : int
        Components kept per modality.
    validation : float
        Share of the training patients set aside for early stopping, calibration and thresholds.
    seed : int
        Of the validation split.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If the embeddings are of other samples, or a fold is left without positives or negatives.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cohort = pd.DataFrame({"sample_id": [f"s{i}" for i in range(80)], "patient_id": [f"p{i}" for i in range(80)]})
    >>> cohort["label"], cohort["fold"] = np.arange(80, dtype="int8") % 2, np.arange(80, dtype="int8") // 2 % 2
    >>> vectors = xr.Dataset(
    ...     {"embedding": (("sample", "modality", "feature"), rng.normal(size=(80, 2, 4)).astype("float32")),
    ...      "present": (("sample", "modality"), np.ones((80, 2), bool))},
    ...     {"sample": cohort.sample_id.to_numpy(object), "modality": ["vitals", "labs"]},
    ...     {"encoder": "toy", "unit": "field"})
    >>> study = prepare(cohort, vectors, dimensions=2)
    >>> study.modalities, tuple(study.X.shape)
    (('vitals', 'labs'), (2, 80, 2, 2))
    """
    import torch

    if not 0 < validation <= 0.5 or dimensions < 1:
        raise ValueError(
            f"validation is {validation} and dimensions {dimensions}; expected a share up to 0.5, and 1 or more."
        )
    if list(embeddings["sample"].values) != list(cohort["sample_id"]):
        raise ValueError(
            "The samples of embeddings and cohort differ or are in another order; run 02_encoding again."
        )
    fold = cohort["fold"].to_numpy()
    folds = np.unique(fold)
    if not np.array_equal(folds, np.arange(len(folds))):
        raise ValueError(f"fold holds {folds.tolist()}; expected 0, 1, ... with samples in each.")
    held = np.stack([hold_out(cohort, f, share=validation, seed=seed) for f in folds])
    training = (fold != folds[:, None]) & ~held
    present = embeddings["present"].values
    learn = training[:, :, None] & present
    if embeddings.attrs["encoder"] == "native":
        X, kept = scaled_columns(embeddings["embedding"], learn)
    else:
        X, kept = principal_components(embeddings["embedding"], learn, dimensions)
    X[:, ~present] = 0
    return Study(
        torch.from_numpy(X),
        torch.tensor(present),
        torch.from_numpy(cohort["label"].to_numpy(np.float32)),
        torch.from_numpy(training),
        torch.from_numpy(held),
        fold,
        tuple(cohort["sample_id"]),
        tuple(map(str, embeddings["modality"].values)),
        kept,
        cohort,
    )
