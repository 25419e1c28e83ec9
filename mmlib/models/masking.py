"""The models of all modalities where some are missing: what stands in for them, and the score of every pattern."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import xarray as xr

from mmlib.core.compute import map_parallel
from mmlib.core.schema import PLAIN
from mmlib.core.subsets import subset_masks
from mmlib.models.fusion import Models, join
from mmlib.models.names import DROPOUT
from mmlib.models.powerset import fit, outcome, probabilities, tested_scores
from mmlib.models.study import Study


def train_masking_regimes(
    study: Study, trained: Models, *, dropout: float = 0.3, seeds: int = 3
) -> dict[str, Models]:
    """Models of the five masking regimes: what stands in for an absent modality, and dropout in training or not.

    Parameters
    ----------
    study : Study
    trained : mmlib.models.fusion.Models
        The plain models of the full set; missing seeds are trained as chapter 3 would.
    dropout : float
        Probability of dropping a modality in training.
    seeds : int
        Retrainings of every regime.

    Returns
    -------
    dict of str to mmlib.models.fusion.Models
        ``PLAIN``; ``plain, zero`` and ``plain, mean`` (the same weights, absent modalities as a zero token or
        the training mean); ``DROPOUT``; ``dropout, token`` (a learned token).
    """
    architecture, key = trained.architecture, 2 ** len(study.modalities) - 1
    there = max(trained.seed) + 1
    if seeds > there:
        plain = join([trained, fit(study, architecture, seeds=range(there, seeds), key=key)])
    else:
        plain = trained.select([i for i, s in enumerate(trained.seed) if s < seeds])
    stand_ins = {PLAIN: "mask", "plain, zero": "zero", "plain, mean": "mean"}
    regimes = {
        name: replace(plain, architecture=replace(architecture, absent=absent)) for name, absent in stand_ins.items()
    }

    def learn(absent):
        changed = replace(architecture, absent=absent, modality_dropout=dropout)
        return fit(study, changed, seeds=range(seeds), key=key)

    learnt = {DROPOUT: "mask", "dropout, token": "token"}
    found = map_parallel(learn, list(learnt.values()), "regimes")
    return regimes | dict(zip(learnt, found, strict=True))


def score_patterns(models: Mapping[str, Models], study: Study) -> xr.Dataset:
    """Scores of every sample under every pattern of remaining modalities, and thresholds of the full input.

    Parameters
    ----------
    models : mapping of str to mmlib.models.fusion.Models
        Regime -> models of all modalities, every seed of every fold.
    study : Study

    Returns
    -------
    xarray.Dataset
        The artefact ``masking``.
    """
    names, masks = subset_masks(study.modalities)
    regimes = []
    for fitted in models.values():
        seeds = len(set(fitted.seed))
        threshold = outcome(fitted, study, seeds)["threshold"]
        scores = probabilities(fitted, study, masks).transpose(1, 0, 2)
        score = xr.concat([tested_scores(one, study, seeds) for one in scores], pd.Index(names, name="pattern"))
        score = score.transpose("seed", "pattern", "sample")
        regimes.append(xr.Dataset({"score": score, "threshold": threshold}))
    return xr.concat(regimes, pd.Index(list(models), name="regime"), coords="minimal", compat="override")
