"""Train every subset of modalities, out of fold: splits, inputs reduced per fold, the power set, and masked patterns.

Every sample is scored by the models that never saw its patient. What is fitted (reduction, network,
calibration, threshold) is fitted on the training and validation patients of that fold alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
import xarray as xr
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from mmlib.fusion import Architecture, Models, join, logits, train
from mmlib.metrics import operating_point
from mmlib.parallel import side_by_side
from mmlib.reduction import principal_components, scaled_columns
from mmlib.schema import subset_masks

RULES = ("prevalence", "f1", "half")
FLATTEST = 1e-3  # smallest slope of the recalibration


@dataclass(frozen=True)
class Study:
    """What every model of a run is trained on.

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

    @property
    def tested(self) -> np.ndarray:
        """Bool array (n_folds, n_samples): the samples that each fold tests."""
        return self.fold == np.arange(len(self.training))[:, None]

    def columns(self, subset: Iterable[str]) -> "Study":
        """Return the study restricted to some modalities, in cohort order."""
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


def prepare(
    cohort: pd.DataFrame,
    embeddings: xr.Dataset,
    *,
    dimensions: int = 64,
    validation: float = 0.15,
    seed: int = 0,
) -> Study:
    """Split off validation patients in every fold and reduce the inputs on what remains.

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
    """
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
    held = np.stack([_hold_out(cohort, f, validation, seed) for f in folds])
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
        tuple(embeddings["modality"].values),
        kept,
    )


def fit(study: Study, architecture: Architecture, *, seeds: Sequence[int], key: int = 0, **changes) -> Models:
    """Train one calibrated model per fold and seed on all modalities of the study.

    Parameters
    ----------
    study : Study
    architecture : mmlib.fusion.Architecture
    seeds : sequence of int
    key : int
        Stream of random numbers; the power set uses the number of the subset.
    **changes
        What else a training regime changes: ``drop`` or ``weight`` of `mmlib.fusion.train`.

    Returns
    -------
    mmlib.fusion.Models
        Ordered by seed, then fold, with ``platt`` among the parameters: slope and intercept, fitted on
        validation rows, that turn logits into probabilities.
    """
    pairs = [(f, s) for s in seeds for f in range(len(study.training))]
    models = train(
        study.X,
        study.present,
        study.y,
        study.training,
        study.validation,
        models=pairs,
        architecture=architecture,
        key=key,
        **changes,
    )
    rows = [torch.nonzero(study.validation[f]).ravel() for f, _ in pairs]
    raw = logits(models, study.X, study.present, _padded(rows)).numpy()
    platt = []
    for r, z in zip(rows, raw, strict=True):
        line = LogisticRegression(C=np.inf).fit(z[: len(r), None], study.y[r].numpy())
        slope, shift = line.coef_[0, 0], line.intercept_[0]
        if slope < FLATTEST:
            # it would turn the ranking round: such a model knows nothing and predicts the base rate
            prevalence = float(study.y[r].mean())
            slope, shift = FLATTEST, np.log(prevalence / (1 - prevalence)) - FLATTEST * z[: len(r)].mean()
        platt.append([slope, shift])
    return replace(models, parameters=models.parameters | {"platt": torch.tensor(platt, dtype=torch.float32)})


def probabilities(
    models: Models, study: Study, visible: np.ndarray | None = None, *, where: np.ndarray | None = None
) -> np.ndarray:
    """Score samples with the models of every fold and seed.

    Parameters
    ----------
    models : mmlib.fusion.Models
    study : Study
    visible : array of bool, shape (n_modalities,) or (n_samples, n_modalities), optional
        Modalities that may be seen; absent ones stay absent.
    where : array of bool, shape (n_folds, n_samples), optional
        Samples that a fold's models score, by default those it tests.

    Returns
    -------
    numpy.ndarray of shape (n_models, n_samples), float32
        NaN where a model does not score a sample.
    """
    where = study.tested if where is None else where
    rows = [torch.from_numpy(np.flatnonzero(where[f])) for f in models.fold]
    present = study.present if visible is None else study.present & torch.as_tensor(visible)
    platt = models.parameters["platt"]
    scores = torch.sigmoid(
        logits(models, study.X, present, _padded(rows)) * platt[:, :1] + platt[:, 1:]
    ).numpy()
    full = np.full((len(rows), len(study.y)), np.nan, np.float32)
    for line, r, s in zip(full, rows, scores, strict=True):
        line[r] = s[: len(r)]
    return full


def train_powerset(
    study: Study,
    architecture: Architecture,
    *,
    seeds: int = 1,
    subsets: Sequence[str] | None = None,
) -> tuple[xr.Dataset, Models]:
    """Train every non-empty subset of modalities over folds and seeds; the empty set is the training prevalence.

    Parameters
    ----------
    study : Study
    architecture : mmlib.fusion.Architecture
    seeds : int
        Number of retrainings, seeded 0, 1, ...
    subsets : sequence of str, optional
        Names to train, by default all.

    Returns
    -------
    xarray.Dataset
        The artefact ``powerset``.
    mmlib.fusion.Models
        The models of the full set.
    """
    masks = dict(zip(*subset_masks(study.modalities), strict=True))
    names = list(subsets or masks)
    if unknown := [s for s in names if s not in masks]:
        raise ValueError(f"There is no subset {unknown[0]!r}; expected some of {', '.join(masks)}.")
    # the largest first: whoever waits sees the slow part at once, and no core ends with it alone
    order = sorted((s for s in names if s != "none"), key=lambda s: -masks[s].sum())

    def learn(name):
        part = study.columns(name.split("+"))
        models = fit(part, architecture, seeds=range(seeds), key=list(masks).index(name))
        return _outcome(models, part, seeds), models if masks[name].all() else None

    found = side_by_side(learn, order, "subsets")
    full = next((models for _, models in found if models), None)
    parts = {name: outcome for name, (outcome, _) in zip(order, found, strict=True)}
    if "none" in names:
        y = study.y.numpy()
        # one constant for all folds: with a prevalence of its own each, the AUROC would not be one half
        prior = np.full((len(study.training), len(y)), y[study.training.numpy().any(axis=0)].mean(), np.float32)
        parts["none"] = summary(np.tile(prior, (seeds, 1)), study, seeds)
        parts["none"]["threshold"].loc[{"rule": "prevalence"}] = (
            np.nan
        )  # selected at random, at the matched rate
    return xr.concat(
        [parts[n] for n in names], pd.Index(names, name="subset"), coords="minimal", compat="override"
    ), full


def restore(parameters: Mapping[str, torch.Tensor], study: Study, architecture: Architecture) -> Models:
    """Rebuild the models of the full set from the artefact ``models``.

    Raises
    ------
    ValueError
        If they were trained with another width, on other modalities or folds.
    """
    folds, width = len(study.training), architecture.width
    count, modalities, features, stored = parameters["project"].shape
    if (modalities, features, stored) != (len(study.modalities), study.X.shape[3], width) or count % folds:
        raise ValueError(
            f"models hold {count} models of {modalities} modalities, {features} features and width {stored}; expected "
            f"{len(study.modalities)}, {study.X.shape[3]} and {width} over {folds} folds: run 03_rq1_addition again."
        )
    pairs = [(f, s) for s in range(count // folds) for f in range(folds)]
    return Models(dict(parameters), tuple(f for f, _ in pairs), tuple(s for _, s in pairs), architecture)


def masking_regimes(
    study: Study, trained: Models, *, modality_dropout: float = 0.3, seeds: int = 3
) -> dict[str, Models]:
    """Set side by side what can stand in for an absent modality, with and without modality dropout in training.

    Parameters
    ----------
    study : Study
    trained : mmlib.fusion.Models
        The plain models of the full set; missing seeds are trained as chapter 3 would.
    modality_dropout : float
        Probability of dropping a modality in training.
    seeds : int
        Retrainings of every regime.

    Returns
    -------
    dict of str to mmlib.fusion.Models
        ``plain, mask``; ``plain, zero`` and ``plain, mean`` (the same weights, absent modalities as a zero
        token or the training mean); ``dropout, mask``; ``dropout, token`` (a learned token).
    """
    architecture, key = trained.architecture, 2 ** len(study.modalities) - 1
    there = max(trained.seed) + 1
    if seeds > there:
        plain = join([trained, fit(study, architecture, seeds=range(there, seeds), key=key)])
    else:
        plain = trained.select([i for i, s in enumerate(trained.seed) if s < seeds])
    regimes = {
        f"plain, {m}": replace(plain, architecture=replace(architecture, missing=m))
        for m in ("mask", "zero", "mean")
    }
    for missing in ("mask", "token"):
        changed = replace(architecture, missing=missing, modality_dropout=modality_dropout)
        regimes[f"dropout, {missing}"] = fit(study, changed, seeds=range(seeds), key=key)
    return regimes


def train_variants(variants: Mapping[str, tuple[Study, Architecture]], *, seeds: int = 1) -> xr.Dataset:
    """Train models of all modalities that differ in their inputs or architecture, on the same folds.

    Parameters
    ----------
    variants : mapping of str to (Study, Architecture)
    seeds : int

    Returns
    -------
    xarray.Dataset
        ``score`` (variant, seed, sample) and ``threshold`` (variant, seed, fold, rule).
    """
    # the stream of the full set, so that the unchanged variant is the model of the power set
    def learn(name):
        study, a = variants[name]
        return _outcome(fit(study, a, seeds=range(seeds), key=2 ** len(study.modalities) - 1), study, seeds)

    parts = side_by_side(learn, list(variants), "variants")
    joined = xr.concat(parts, pd.Index(list(variants), name="variant"), coords="minimal", compat="override")
    return joined.drop_vars("validation_score")


def score_patterns(models: Mapping[str, Models], study: Study, *, seeds: int) -> xr.Dataset:
    """Score every sample under every pattern of remaining modalities, thresholds staying those of the full input.

    Parameters
    ----------
    models : mapping of str to mmlib.fusion.Models
        Regime -> models of all modalities.
    study : Study
    seeds : int

    Returns
    -------
    xarray.Dataset
        The artefact ``masking``.
    """
    masks = dict(zip(*subset_masks(study.modalities), strict=True))
    regimes = []
    for fitted in models.values():
        threshold = _outcome(fitted, study, seeds)["threshold"]
        scores = [tested_scores(probabilities(fitted, study, mask), study, seeds) for mask in masks.values()]
        score = xr.concat(scores, pd.Index(list(masks), name="pattern")).transpose(
            "seed", "pattern", "sample"
        )
        regimes.append(xr.Dataset({"score": score, "threshold": threshold}))
    return xr.concat(regimes, pd.Index(list(models), name="regime"), coords="minimal", compat="override")


def summary(scores: np.ndarray, study: Study, seeds: int) -> xr.Dataset:
    """Keep the out-of-fold score of each sample, the validation scores, and the thresholds they give.

    Parameters
    ----------
    scores : numpy.ndarray of shape (seeds * n_folds, n_samples)
        Ordered by seed, then fold.
    study : Study
    seeds : int

    Returns
    -------
    xarray.Dataset
        ``score`` (seed, sample), ``threshold`` (seed, fold, rule), ``validation_score`` (seed, fold, sample).
    """
    by_seed = scores.reshape(seeds, len(study.training), -1)
    y, held = study.y.numpy().astype(int), study.validation.numpy()
    threshold = [
        [[operating_point(y[h], s[h], rule) for rule in RULES] for s, h in zip(f, held, strict=True)]
        for f in by_seed
    ]
    return xr.Dataset(
        {
            "score": tested_scores(scores, study, seeds),
            "threshold": (("seed", "fold", "rule"), np.array(threshold, float)),
            "validation_score": (
                ("seed", "fold", "sample"),
                np.where(held, by_seed, np.nan).astype(np.float32),
            ),
        },
        {"fold": range(len(by_seed[0])), "rule": list(RULES)},
    )


def tested_scores(scores: np.ndarray, study: Study, seeds: int) -> xr.DataArray:
    """Pick, for each sample and seed, the score by the model that never saw its patient: ``score`` (seed, sample)."""
    by_seed = scores.reshape(seeds, len(study.training), -1)
    chosen = by_seed[:, study.fold, np.arange(len(study.y))]
    return xr.DataArray(
        chosen, {"seed": range(seeds), "sample": np.asarray(study.samples, dtype=object)}, ("seed", "sample")
    )


def _outcome(models, study, seeds):
    return summary(probabilities(models, study, where=study.tested | study.validation.numpy()), study, seeds)


def _padded(rows):
    width = max(len(r) for r in rows)
    return torch.stack([torch.nn.functional.pad(r, (0, width - len(r)), value=int(r[0])) for r in rows])


def _hold_out(cohort, fold, share, seed):
    """Draw validation patients among those that a fold does not test, stratified by whether they have a positive."""
    rest = cohort["fold"].to_numpy() != fold
    y = cohort["label"].to_numpy()
    positive = cohort[rest].groupby("patient_id", sort=False)["label"].max()
    rarer = min(positive.sum(), (1 - positive).sum())
    if rarer < 2:  # nearly every patient has a positive, or none has
        positive[:] = 0
    splits = max(2, min(round(1 / share), rarer if rarer > 1 else len(positive)))
    splitter = StratifiedKFold(splits, shuffle=True, random_state=seed)
    _, chosen = next(splitter.split(positive, positive))
    held = rest & cohort["patient_id"].isin(positive.index[chosen]).to_numpy()
    if len(np.unique(y[held])) < 2 or len(np.unique(y[rest & ~held])) < 2:
        rarest = min(np.bincount(y[rest], minlength=2))
        raise ValueError(
            f"Fold {fold} has {rarest} training samples of the rarer label, too few to set some aside for "
            f"validation; use more samples or fewer folds."
        )
    return held
