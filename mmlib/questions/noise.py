"""What a modality that says nothing seems to add: the control for every gain that a study reports."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.subsets import NONE
from mmlib.measure.estimates import Estimate, estimate
from mmlib.measure.ranking import auroc
from mmlib.models.fusion import Architecture
from mmlib.models.powerset import train_powerset
from mmlib.models.study import Study, prepare
from mmlib.text.encoder import load_encoder
from mmlib.text.noise import noise_embeddings


def noise_study(study: Study, encoding: Mapping, *, like: str, **prepared) -> Study:
    """Study of the same samples and splits with one modality, ``noise``: sentences that say nothing.

    Parameters
    ----------
    study : mmlib.models.study.Study
        With the modalities of the run.
    encoding : mapping
        Settings of chapter 2: the encoder that the modalities were encoded by.
    like : str
        A modality that as many samples have; which ones is drawn at random.
    **prepared
        ``dimensions``, ``validation`` and ``seed`` of `mmlib.models.study.prepare`, as for ``study``.

    Returns
    -------
    mmlib.models.study.Study
    """
    settings = {name: encoding[name] for name in ("pooling", "max_length", "precision", "device")}
    encoder = load_encoder(encoding["encoder"], **settings)
    there = xr.Dataset(
        {"present": (("sample", "modality"), study.present.numpy())},
        {"sample": np.array(study.samples, dtype=object), "modality": list(study.modalities)},
        {"encoder": encoding["encoder"], "unit": encoding["unit"]},
    )
    return prepare(study.cohort, noise_embeddings(there, encoder, like=like), **prepared)


def train_noise(study: Study, noise: Study, architecture: Architecture, *, seeds: int = 1) -> xr.Dataset:
    """Train the noise alone, with each single modality, and with all.

    Parameters
    ----------
    study : mmlib.models.study.Study
        With the modalities of the run.
    noise : mmlib.models.study.Study
        From `noise_study`: the same samples and splits with the one modality ``noise``.
    architecture : mmlib.models.fusion.Architecture
    seeds : int
        Retrainings of each.

    Returns
    -------
    xarray.Dataset
        As the artefact ``powerset``, with the subsets of `noise_subsets`.
    """
    joined = study.join(noise)
    wanted = list(noise_subsets(study.modalities).values())
    return train_powerset(joined, architecture, seeds=seeds, subsets=wanted)[0]


def noise_subsets(modalities: Sequence[str]) -> dict[str, str]:
    """Names of the subsets that get the noise, and of what they become.

    Examples
    --------
    >>> noise_subsets(["vitals", "labs"])
    {'none': 'noise', 'vitals': 'vitals+noise', 'labs': 'labs+noise', 'vitals+labs': 'vitals+labs+noise'}
    """
    named = {"none": "noise"} | {m: f"{m}+noise" for m in modalities}
    whole = "+".join(modalities)
    return named | {whole: f"{whole}+noise"}


def noise_gains(
    powerset: xr.Dataset, noisy: xr.Dataset, cohort: pd.DataFrame, patient_weights: np.ndarray
) -> Estimate:
    """Gain in AUROC from adding noise to nothing, to each single modality, and to all.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact: models without noise.
    noisy : xarray.Dataset
        From `train_noise`, of the same samples and seeds.
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)

    Returns
    -------
    Estimate
        With the dimension ``subset``, to which noise was added; retraining variance is pooled over it. Whether noise
        raises AUROC is read off ``interval(simultaneous=True)``, as for any addition.
    """
    with_noise = [str(s) for s in noisy["subset"].values]
    names = [s.removesuffix("noise").removesuffix("+") or "none" for s in with_noise]
    if powerset.sizes["seed"] != noisy.sizes["seed"]:
        raise ValueError(
            f"powerset has {powerset.sizes['seed']} seeds and noisy {noisy.sizes['seed']}; expected as many."
        )
    y, all_samples = cohort["label"].to_numpy(), np.ones((1, len(cohort)), bool)

    def areas(scores, subsets):
        by_seed = scores.sel(subset=subsets).transpose("seed", "subset", "sample").values
        return np.stack([auroc(y, s, patient_weights, all_samples)[..., 0] for s in by_seed])

    change = areas(noisy["score"], with_noise) - areas(powerset["score"], names)
    return estimate(
        change.mean(axis=0),
        {"subset": names},
        spread=change[:, 0],
        n=len(y),
        n_positive=int(y.sum()),
        name="auroc",
        attribute="overall",
        reference="without noise",
        bounds=(-1.0, 1.0),
    ).pool("subset")


def noise_rows(gains: Estimate) -> pd.DataFrame:
    """Tidy rows of what noise adds, for the table of chapter 3; intervals are simultaneous over all.

    Parameters
    ----------
    gains : Estimate
        From `noise_gains`.

    Returns
    -------
    pandas.DataFrame
        ``subset`` is what there is with the noise, ``versus`` without it.
    """
    rows = gains.frame(simultaneous=True)
    joined = ["noise" if name == NONE else f"{name}+noise" for name in rows["subset"]]
    return rows.assign(versus=rows["subset"], subset=joined, reference=None)
