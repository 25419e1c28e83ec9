"""Models of every subset of modalities, with out-of-fold scores and thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import xarray as xr
from sklearn.linear_model import LogisticRegression

from mmlib.core.compute import map_parallel
from mmlib.core.subsets import NONE, members, subset_masks
from mmlib.core.words import RULES
from mmlib.measure.metrics import operating_point
from mmlib.models.fusion import Architecture, Models, logits, train
from mmlib.models.study import Study

FLATTEST = 1e-3  # smallest slope of the recalibration


def fit(study: Study, architecture: Architecture, *, seeds: Sequence[int], key: int = 0, **changes) -> Models:
    """One calibrated model per fold and seed, trained on all modalities of the study.

    Parameters
    ----------
    study : Study
    architecture : mmlib.models.fusion.Architecture
    seeds : sequence of int
    key : int
        Stream of random numbers; the power set uses the number of the subset.
    **changes
        What else a training regime changes: ``drop`` or ``weight`` of `mmlib.models.fusion.train`.

    Returns
    -------
    mmlib.models.fusion.Models
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
            # a lower slope would flatten or reverse the ranking: such a model predicts the base rate
            prevalence = float(study.y[r].mean())
            slope, shift = FLATTEST, np.log(prevalence / (1 - prevalence)) - FLATTEST * z[: len(r)].mean()
        platt.append([slope, shift])
    return replace(models, parameters=models.parameters | {"platt": torch.tensor(platt, dtype=torch.float32)})


def probabilities(
    models: Models, study: Study, patterns: np.ndarray | None = None, *, where: np.ndarray | None = None
) -> np.ndarray:
    """Scores of samples by the models of every fold and seed.

    Parameters
    ----------
    models : mmlib.models.fusion.Models
    study : Study
    patterns : array of bool, shape (P, n_modalities), optional
        Modalities that may be seen; absent ones stay absent.
    where : array of bool, shape (n_folds, n_samples), optional
        Samples that a fold's models score, by default those it tests.

    Returns
    -------
    numpy.ndarray of shape (n_models, n_samples), float32, or (n_models, P, n_samples) with patterns
        NaN where a model does not score a sample.
    """
    where = study.tested if where is None else where
    rows = [torch.from_numpy(np.flatnonzero(where[f])) for f in models.fold]
    every = np.ones((1, len(study.modalities)), bool) if patterns is None else patterns
    raw = logits(models, study.X, study.present, _padded(rows), patterns=every)
    slope, shift = models.parameters["platt"][:, :, None, None].unbind(1)
    scores = torch.sigmoid(raw * slope + shift).numpy()
    full = np.full((*raw.shape[:2], len(study.y)), np.nan, np.float32)
    for lines, r, s in zip(full, rows, scores, strict=True):
        lines[:, r] = s[:, : len(r)]
    return full[:, 0] if patterns is None else full


def train_powerset(
    study: Study,
    architecture: Architecture,
    *,
    seeds: int = 1,
    subsets: Sequence[str] | None = None,
) -> tuple[xr.Dataset, Models]:
    """Scores of models of every subset of modalities over folds and seeds, and the models of the full set.

    The score of the empty set is the training prevalence.

    Parameters
    ----------
    study : Study
    architecture : mmlib.models.fusion.Architecture
    seeds : int
        Number of retrainings, seeded 0, 1, ...
    subsets : sequence of str, optional
        Names to train, by default all.

    Returns
    -------
    xarray.Dataset
        The artefact ``powerset``.
    mmlib.models.fusion.Models
        The models of the full set.

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
    >>> from mmlib.models.study import prepare
    >>> study = prepare(cohort, vectors, dimensions=2)
    >>> powerset, full = train_powerset(study, Architecture(width=4, heads=1, epochs=1))
    >>> powerset.subset.values.tolist()
    ['none', 'vitals', 'labs', 'vitals+labs']
    """
    masks = dict(zip(*subset_masks(study.modalities), strict=True))
    names = list(subsets or masks)
    if unknown := [s for s in names if s not in masks]:
        raise ValueError(f"There is no subset {unknown[0]!r}; expected some of {', '.join(masks)}.")
    # the largest first, so that no core is left alone with the slowest one at the end
    order = sorted((s for s in names if s != NONE), key=lambda s: -masks[s].sum())

    def learn(name):
        part = study.columns(members(name))
        models = fit(part, architecture, seeds=range(seeds), key=list(masks).index(name))
        return outcome(models, part, seeds), models if masks[name].all() else None

    found = map_parallel(learn, order, "subsets")
    full = next((models for _, models in found if models), None)
    parts = {name: one for name, (one, _) in zip(order, found, strict=True)}
    if NONE in names:
        y = study.y.numpy()
        # one constant for all folds: with one prevalence per fold, the AUROC would not be one half
        prior = np.full((len(study.training), len(y)), y[study.training.numpy().any(axis=0)].mean(), np.float32)
        parts[NONE] = summary(np.tile(prior, (seeds, 1)), study, seeds)
        parts[NONE]["threshold"].loc[{"rule": "prevalence"}] = (
            np.nan
        )  # selected at random, at the matched rate
    return xr.concat(
        [parts[n] for n in names], pd.Index(names, name="subset"), coords="minimal", compat="override"
    ), full


def load_models(run) -> Models:
    """Models of all modalities that chapter 3 of a run trained.

    Parameters
    ----------
    run : mmlib.runs.run.Run

    Returns
    -------
    mmlib.models.fusion.Models
        Ordered by seed, then fold.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> stored = {"seeds": 1, "architecture": vars(Architecture(width=4, heads=1))}
    >>> parameters = {"project": torch.zeros(5, 2, 3, 4)}
    >>> run = SimpleNamespace(read=lambda name: parameters, settings=lambda notebook: stored)  # a `Run` that holds them
    >>> load_models(run).fold
    (0, 1, 2, 3, 4)
    """
    parameters, stored = run.read("models"), run.settings("03_rq1_addition")
    folds = len(parameters["project"]) // stored["seeds"]
    pairs = [(f, s) for s in range(stored["seeds"]) for f in range(folds)]
    architecture = Architecture(**stored["architecture"])
    return Models(parameters, tuple(f for f, _ in pairs), tuple(s for _, s in pairs), architecture)


def train_variants(variants: Mapping[str, tuple[Study, Architecture]], *, seeds: int = 1) -> xr.Dataset:
    """Scores and thresholds of models that differ in inputs or architecture, on the same folds.

    Parameters
    ----------
    variants : mapping of str to (Study, Architecture)
    seeds : int

    Returns
    -------
    xarray.Dataset
        ``score`` (variant, seed, sample) and ``threshold`` (variant, seed, fold, rule).
    """
    # random numbers of the full set, so that the unchanged variant is the model of the power set
    def learn(name):
        study, a = variants[name]
        return outcome(fit(study, a, seeds=range(seeds), key=2 ** len(study.modalities) - 1), study, seeds)

    parts = map_parallel(learn, list(variants), "variants")
    joined = xr.concat(parts, pd.Index(list(variants), name="variant"), coords="minimal", compat="override")
    return joined.drop_vars("validation_score")


def summary(scores: np.ndarray, study: Study, seeds: int) -> xr.Dataset:
    """Out-of-fold score of each sample, validation scores, and the thresholds that these give.

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
    """Score of each sample by the model that never saw its patient: ``score`` (seed, sample)."""
    by_seed = scores.reshape(seeds, len(study.training), -1)
    chosen = by_seed[:, study.fold, np.arange(len(study.y))]
    return xr.DataArray(
        chosen, {"seed": range(seeds), "sample": np.asarray(study.samples, dtype=object)}, ("seed", "sample")
    )


def outcome(models: Models, study: Study, seeds: int) -> xr.Dataset:
    """Scores and thresholds from the models of all folds and seeds; see `summary`."""
    return summary(probabilities(models, study, where=study.tested | study.validation.numpy()), study, seeds)


def _padded(rows):
    width = max(len(r) for r in rows)
    return torch.stack([torch.nn.functional.pad(r, (0, width - len(r)), value=int(r[0])) for r in rows])
