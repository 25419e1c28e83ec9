"""Recordings of a whole cohort as one array, for a network that reads signals as they are."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import signal
from tqdm import tqdm

from mmlib.data.ecg import LEADS
from mmlib.text.describers import load_described
from mmlib.text.signals import read_ecg


def load_signals(settings: Mapping, **shape) -> np.ndarray:
    """ECGs of a run as they were recorded, a row per sample.

    Parameters
    ----------
    settings : mapping
        Those of chapter 1, ``run.settings("01_cohort")``.
    **shape
        ``frequency`` and ``seconds`` of `read_signals`.

    Returns
    -------
    numpy.ndarray of shape (n_samples, 12, time)

    Raises
    ------
    ValueError
        If the cohort has no ECG.
    """
    cohort = _loaded(settings)
    columns = [field.column for field in cohort.fields if field.kind == "ecg"]
    if not columns:
        raise ValueError(f"The cohort {cohort.name} has no field of kind ecg; expected recordings.")
    return read_signals(cohort.values[columns[0]], **shape)


def load_labels(settings: Mapping, labels: Sequence[str]) -> pd.DataFrame:
    """Other labels of the samples of a run: a column of 0 and 1 for each value of the loader's option ``label``.

    Parameters
    ----------
    settings : mapping
        Those of chapter 1.
    labels : sequence of str

    Raises
    ------
    ValueError
        If the samples depend on the label, as they do where uncertain ones are dropped.
    """
    cohorts = {label: _loaded(settings, label=label) for label in labels}
    samples = {label: cohort.samples["sample_id"].tolist() for label, cohort in cohorts.items()}
    for label in labels[1:]:
        if samples[label] != samples[labels[0]]:
            raise ValueError(
                f"The labels {labels[0]} and {label} are known of different samples; expected the same, as without a "
                "least likelihood."
            )
    return pd.DataFrame({label: cohort.samples["label"] for label, cohort in cohorts.items()})


def read_signals(paths: Sequence, *, frequency: float = 100.0, seconds: float = 10.0) -> np.ndarray:
    """Recordings of one rate and length.

    Parameters
    ----------
    paths : sequence of path
        As `mmlib.text.signals.read_ecg` takes them; what is missing has no recording.
    frequency : float
        Samples per second; recordings of another rate are resampled.
    seconds : float
        Longer recordings are cut, shorter ones end in zeros.

    Returns
    -------
    numpy.ndarray of shape (n, 12, time), float32
        Millivolts, each lead's median taken off; NaN where there is no recording, it cannot be read, or a lead of it
        is missing.
    """
    out = np.full((len(paths), len(LEADS), round(frequency * seconds)), np.nan, np.float32)
    for row, path in zip(out, tqdm(paths, desc="reading signals", disable=None), strict=True):
        if not isinstance(path, str | Path):
            continue
        try:
            recording = read_ecg(path)
        except OSError:
            continue
        data, step = recording.signal, Fraction(frequency / recording.frequency).limit_denominator(1000)
        if step != 1:
            data = signal.resample_poly(data, step.numerator, step.denominator, axis=1)
        data = data[:, : row.shape[1]]
        row[np.isfinite(data).all(axis=1)] = 0
        row[:, : data.shape[1]] = data - np.median(data, axis=1, keepdims=True)
    return out


def _loaded(settings, **options):
    return load_described({**settings, "cohort_options": settings["cohort_options"] | options}, described=False)
