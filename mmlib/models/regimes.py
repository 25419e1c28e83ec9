"""Ways to prepare a model for missing modalities, each scored under every pattern of what remains.

Scores are arrays ``(n_folds, P, n)``: the probability that the models of a fold give to each sample under each
pattern, nan for samples that the fold neither tests nor validates on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy.special import expit, logit
from tqdm import tqdm

from mmlib.core.compute import map_parallel
from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import subset_masks
from mmlib.core.words import RULES
from mmlib.measure.expectation import expected_auroc, simulate
from mmlib.measure.metrics import operating_point
from mmlib.models.baselines import late_patterns
from mmlib.models.fusion import Models
from mmlib.models.logistic import fit_many, log_odds
from mmlib.models.names import BASE, LOST_IN_TRAINING, MATCHED, SPECIALISTS, VARIED
from mmlib.models.powerset import fit, probabilities
from mmlib.models.study import Study

#: Regimes whose scores are read as they are: what was trained with drops is recalibrated for every pattern.
AS_TRAINED = (BASE, LOST_IN_TRAINING, "concat, plain", "sequential, plain")


def train_regimes(
    study: Study,
    trained: Models,
    mechanism: np.ndarray,
    *,
    attribute: str,
    rates: Sequence[float] = (0.2,),
) -> dict[str, Models]:
    """Models of every regime that changes the training, one per fold; one seed.

    Parameters
    ----------
    study : Study
    trained : mmlib.models.fusion.Models
        The plain models of the full set, of which the first seed is taken.
    mechanism : array of shape (n_samples, P)
        Distribution over patterns that an expected mechanism gives each sample: dropout is matched to it, and one
        draw of it makes training patients who have lost modalities for good.
    attribute : str
        Protected attribute whose groups are weighted, see `group_weights`.
    rates : sequence of float
        Fixed drop rates of modality dropout [Neverova2016]_.

    Returns
    -------
    dict of str to mmlib.models.fusion.Models
        Plain models first. *Varied* means that each sample draws its drop rate anew from 0 to 1; ``token``,
        ``indicators`` [Feng2023]_ and the other families are trained so too.
    """
    plain = trained.select([i for i, s in enumerate(trained.seed) if s == 0])
    base, masks = plain.architecture, subset_masks(study.modalities)[1]
    mechanism = np.asarray(mechanism)
    drawn = simulate(np.tile(np.arange(len(masks))[:, None], len(study.y)), mechanism, 1)[0]
    left = replace(study, present=study.present & torch.as_tensor(masks[drawn]))
    drop = torch.as_tensor(mechanism @ ~masks, dtype=torch.float32)
    weight = torch.as_tensor(group_weights(study.cohort, attribute), dtype=torch.float32)
    varied = replace(base, modality_dropout=0.5, drop_rate="varied")
    plans = {f"dropout {r:g}": (study, replace(base, modality_dropout=r), {}) for r in rates}
    plans |= {
        VARIED: (study, varied, {}),
        "dropout, token": (study, replace(varied, absent="token"), {}),
        "dropout, indicators": (study, replace(varied, absent="indicator"), {}),
        "dropout, group weights": (study, varied, {"weight": weight}),
        MATCHED: (study, base, {"drop": drop}),
        LOST_IN_TRAINING: (left, base, {}),
    }
    for family in ("concat", "sequential"):
        plans[f"{family}, plain"] = (study, replace(base, family=family), {})
        plans[f"{family}, dropout"] = (study, replace(varied, family=family), {})

    def learn(name):
        data, architecture, changes = plans[name]
        return fit(data, architecture, seeds=[0], key=len(masks) - 1, **changes)

    return {BASE: plain} | dict(zip(plans, map_parallel(learn, list(plans), "regimes"), strict=True))


def score_regimes(models: Mapping[str, Models], study: Study, specialists: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of every regime under every pattern: trained, recalibrated, imputed, fused late, specialists.

    Parameters
    ----------
    models : mapping of str to mmlib.models.fusion.Models
        From `train_regimes`.
    study : Study
    specialists : array of shape (n_folds, P, n_samples)
        From `specialist_scores`.

    Returns
    -------
    dict of str to numpy.ndarray of shape (n_folds, P, n_samples)
        The plain model first, specialists last.
    """
    scores = pattern_scores(models, study)
    absent = {name: s for name, s in scores.items() if name not in AS_TRAINED}
    absent["plain, recalibrated"] = scores[BASE]
    absent["plain, imputed"] = imputed_scores(models[BASE], study)
    scores |= recalibrate(absent, study)
    scores["late fusion"] = late_patterns(study, subset_masks(study.modalities)[1])
    return scores | {SPECIALISTS: specialists}


def joined_parameters(models: Mapping[str, Models]) -> dict[str, torch.Tensor]:
    """Parameters of all regimes in one mapping, named ``regime/parameter``: the artefact ``mitigation_models``."""
    return {f"{name}/{key}": t for name, fitted in models.items() for key, t in fitted.parameters.items()}


def group_weights(cohort: pd.DataFrame, attribute: str) -> np.ndarray:
    """Weights of samples, mean 1, with which every group counts alike within each label.

    Groups with fewer than 30 positives, or no recorded group, are one group together; no weight exceeds ten
    times the smallest.
    """
    group = merged_groups(cohort, attribute)
    count = cohort.groupby([group, cohort["label"]])["label"].transform("size").to_numpy()
    total = cohort.groupby("label")["label"].transform("size").to_numpy()
    weight = total / count
    weight = np.minimum(weight, 10 * weight.min())
    return weight / weight.mean()


def merged_groups(cohort: pd.DataFrame, attribute: str) -> pd.Series:
    """Each sample's group; those with fewer than 30 positives, and missing values, are ``other``."""
    group = cohort[attribute].astype(object).where(cohort[attribute].notna(), "other")
    positives = cohort["label"].groupby(group).transform("sum")
    return group.where(positives >= MINIMUM, "other")


def pattern_scores(models: Mapping[str, Models], study: Study) -> dict[str, np.ndarray]:
    """Scores of tested and validation samples under every pattern, by regime; models hold one seed."""
    where, (_, masks) = study.tested | study.validation.numpy(), subset_masks(study.modalities)

    def score(name):
        return probabilities(models[name], study, masks, where=where)

    return dict(zip(models, map_parallel(score, list(models), "scores"), strict=True))


def specialist_scores(powerset: xr.Dataset, study: Study) -> np.ndarray:
    """Scores of the specialists, first seed: under each pattern, the model trained on exactly those modalities."""
    names, _ = subset_masks(study.modalities)
    one = powerset.sel(subset=names).isel(seed=0)
    tested = one.score.transpose("subset", "sample").values
    held = one.validation_score.transpose("fold", "subset", "sample").values
    if np.isnan(held[:, -1][study.validation.numpy()]).any():
        raise ValueError(
            "powerset holds scores of other validation patients than this study; run 03_rq1_addition again."
        )
    return np.where(study.tested[:, None], tested, held)


def recalibrate(scores: Mapping[str, np.ndarray], study: Study) -> dict[str, np.ndarray]:
    """Recalibrate models pattern by pattern on validation patients [Platt1999]_; they then know what is missing.

    Where a pattern gives all samples one score, or ranks them the wrong way round, they get the share of
    positives.
    """
    y = study.y.numpy().astype(int)

    def straighten(name):
        out = []
        for held, patterns in zip(study.validation.numpy(), scores[name], strict=True):
            z = logit(np.clip(patterns.astype(float), 1e-6, 1 - 1e-6))[..., None]
            fitted = fit_many(z[:, held], y[held])
            learnt = (np.ptp(z[:, held, 0], axis=1) > 1e-6) & (fitted[:, 0] > 0)
            base = np.where(np.isnan(patterns), np.nan, y[held].mean())
            out.append(np.where(learnt[:, None], expit(log_odds(z, fitted)), base))
        return np.array(out, np.float32)

    return {name: straighten(name) for name in tqdm(scores, desc="recalibrated", disable=None)}


def imputed_scores(models: Models, study: Study, *, ridge: float = 0.1) -> np.ndarray:
    """Score with absent embeddings filled in by ridge regression on those that are there.

    Parameters
    ----------
    models : mmlib.models.fusion.Models
        One seed.
    study : Study
    ridge : float
        Penalty, in units of a feature's mean variance. Covariances are those of the training samples that
        have both modalities.

    Returns
    -------
    numpy.ndarray of shape (n_folds, P, n)
    """
    where, (_, masks) = study.tested | study.validation.numpy(), subset_masks(study.modalities)
    present, (_, _, m, d) = study.present.numpy(), study.X.shape
    bits, maps = 1 << np.arange(m), {}
    covariance = [
        _covariance(x[rows], study.present[rows]) for x, rows in zip(study.X, study.training, strict=True)
    ]

    def score(mask):
        left, filled = present & mask, study.X.clone()
        for f, rows in enumerate(where):
            for code in np.unique(left[rows] @ bits):
                kept = (code & bits) > 0
                if kept.all():
                    continue
                known, gone = (np.flatnonzero(np.repeat(side, d)) for side in (kept, ~kept))
                if (f, code) not in maps:
                    block = covariance[f][np.ix_(known, known)] + ridge * np.eye(len(known))
                    maps[f, code] = np.linalg.solve(block, covariance[f][np.ix_(known, gone)]).astype("f4")
                at = np.flatnonzero(rows & (left @ bits == code))
                guess = filled[f, at].reshape(len(at), -1).numpy()[:, known] @ maps[f, code]
                filled[f, at[:, None], np.flatnonzero(~kept)] = torch.from_numpy(
                    guess.reshape(len(at), -1, d)
                )
        complete = replace(study, X=filled, present=torch.ones_like(study.present))
        return probabilities(models, complete, where=where)

    return np.stack(map_parallel(score, masks, "imputed patterns"), axis=1)


def collect(scores: Mapping[str, np.ndarray], study: Study) -> xr.Dataset:
    """Each sample's score by the fold that tests it, and thresholds from complete validation inputs.

    Returns
    -------
    xarray.Dataset
        The artefact ``mitigation``: as ``masking``, with one seed.
    """
    names, y = subset_masks(study.modalities)[0], study.y.numpy().astype(int)
    score = np.stack([s[study.fold, :, np.arange(len(y))].T for s in scores.values()])
    threshold = [
        [
            [operating_point(y[held], full[held], rule) for rule in RULES]
            for full, held in zip(s[:, -1], study.validation.numpy(), strict=True)
        ]
        for s in scores.values()
    ]
    return xr.Dataset(
        {
            "score": (("regime", "seed", "pattern", "sample"), score[:, None].astype(np.float32)),
            "threshold": (("regime", "seed", "fold", "rule"), np.array(threshold, float)[:, None]),
        },
        {
            "regime": list(scores),
            "seed": [0],
            "pattern": names,
            "sample": np.asarray(study.samples, dtype=object),
            "fold": range(len(study.training)),
            "rule": list(RULES),
        },
    )


def validation_auroc(scores: np.ndarray, study: Study, patterns: np.ndarray) -> np.ndarray:
    """Expected AUROC on validation patients, averaged over folds, in R scenarios (R, n, P)."""
    y, values = study.y.numpy().astype(int), []
    for s, held in zip(scores, study.validation.numpy(), strict=True):
        one = np.ones((1, held.sum()))
        values.append(expected_auroc(y[held], s[:, held], patterns[:, held], one, one > 0)[0, :, 0])
    return np.mean(values, axis=0)


def _covariance(x, present):
    """Covariance of all features, each pair over the samples that have both."""
    n, m, d = x.shape
    flat, there = x.reshape(n, m * d).double().numpy(), present.double().numpy()
    return flat.T @ flat / np.maximum(there.T @ there, 1).repeat(d, 0).repeat(d, 1)
