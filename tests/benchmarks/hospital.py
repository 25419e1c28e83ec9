"""A whole hospital on one machine: 400,000 samples, seven modalities of 768 features on disk, within 12 GiB of memory.

    python -m tests.benchmarks.hospital [--samples 400000]

writes random embeddings that know a little of the label, and tells the time and the peak of each step: inputs reduced
from disk, one split, 127 subsets (RQ1), masking (RQ2), 1,000 resamples of patients. The table of the book is
``book/tables/hospital.csv``. Nine gigabytes of disk are freed at the end.
"""

import argparse
import resource
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
import xarray as xr

from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.expectation import expected_auroc, expected_selection, pattern_probabilities
from mmlib.measure.metrics import auroc, rates
from mmlib.models.fusion import Architecture
from mmlib.models.masking import score_patterns
from mmlib.models.powerset import train_powerset
from mmlib.models.reduction import principal_components
from mmlib.models.study import Study

MODALITIES, FEATURES, RANK = 7, 768, 96
LIMIT = 12  # GiB
CHUNK = 2048  # samples written at once
MODEL = Architecture(batch_size=2048, epochs=3)
BLOCK = 50  # resamples of the masked AUROC at once
STEPS: list[dict] = []


@contextmanager
def step(name: str):
    """Print what a step took and the highest memory until its end."""
    started = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    STEPS.append({"step": name, "seconds": round(time.perf_counter() - started), "peak so far, GiB": round(peak, 1)})
    print(", ".join(f"{key}: {value}" for key, value in STEPS[-1].items()), flush=True)
    assert peak < LIMIT, f"{name} took {peak:.1f} GiB; expected less than {LIMIT}."


def write(path: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Write embeddings a few thousand samples at a time; return labels and which modalities each sample has."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(MODALITIES, RANK, FEATURES)).astype(np.float32) / RANK**0.5
    y, present = (rng.random(n) < 0.2).astype(np.int8), rng.random((n, MODALITIES)) < 0.85
    with h5py.File(path, "w") as file:
        data = file.create_dataset("embedding", (n, MODALITIES, FEATURES), "f4", chunks=(CHUNK, 1, FEATURES))
        for start in range(0, n, CHUNK):
            rows = slice(start, min(start + CHUNK, n))
            latent = rng.normal(size=(MODALITIES, rows.stop - start, RANK)).astype(np.float32)
            latent[:, :, 0] += y[rows]
            x = latent @ mix
            data[rows] = np.where(present[rows][..., None], x.transpose(1, 0, 2), 0)
        for dim, name in enumerate(("sample", "modality", "feature")):
            file[name] = np.arange(data.shape[dim])
            file[name].make_scale(name)
            data.dims[dim].attach_scale(file[name])
    return y, present


def main() -> None:
    """Run the study once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--resamples", type=int, default=1000)
    n, resamples = (options := parser.parse_args()).samples, options.resamples
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.nc"
        with step("embeddings written"):
            y, present = write(path, n)
        part = np.random.default_rng(1).random(n)
        training, held, tested = part < 0.6, (part >= 0.6) & (part < 0.7), part >= 0.7
        with step("inputs reduced"), xr.open_dataset(path, engine="h5netcdf") as data:
            X, kept = principal_components(data["embedding"], (training[:, None] & present)[None], 64)
            X[:, ~present] = 0
    names = tuple(f"m{i}" for i in range(MODALITIES))
    fold = np.where(tested, 0, -1)  # one split: what is not tested has no score
    study = Study(
        torch.from_numpy(X),
        torch.from_numpy(present),
        torch.from_numpy(y.astype(np.float32)),
        torch.from_numpy(training[None]),
        torch.from_numpy(held[None]),
        fold,
        tuple(map(str, range(n))),
        names,
        kept,
    )
    subsets, masks = subset_masks(names)
    with step(f"RQ1: {len(subsets) - 1} subsets trained and scored"):
        powerset, full = train_powerset(study, MODEL)
    with step("RQ2: every pattern scored"):
        masking = score_patterns({"plain": full}, study)
    patterns = masking.score.values[0, 0][:, tested].astype(float)
    scores = powerset.score.values[:, 0, tested].astype(float)
    threshold = powerset.threshold.sel(rule="prevalence").values[:, 0, 0]
    cut, outcome, present = threshold[-1], y[tested].astype(int), present[tested]
    del powerset, masking, X, study
    groups = np.stack([np.ones(tested.sum(), bool), np.arange(tested.sum()) % 5 == 0])
    with step(f"{resamples} resamples drawn"):
        patient_weights = resample_patients(np.flatnonzero(tested) // 2, resamples)
    with step("RQ1: rates and AUROC of all subsets in all resamples"):
        selected = (scores >= np.nan_to_num(threshold, nan=2)[:, None]).astype(float)
        rates(outcome, selected, patient_weights, groups)
        area = auroc(outcome, scores, patient_weights, groups[:1])[:, :, 0]
    with step("RQ2: expected rates and AUROC at one drop rate in all resamples"):
        p = pattern_probabilities(0.2, masks, present)
        rates(outcome, expected_selection(patterns, cut, p), patient_weights, groups)
        blocks = np.array_split(patient_weights, -(-len(patient_weights) // BLOCK))
        masked = np.concatenate([expected_auroc(outcome, patterns, p, w, groups[:1]).ravel() for w in blocks])
    low, high = np.quantile(area[1:, -1], [0.025, 0.975])
    print(
        f"AUROC of all modalities {area[0, -1]:.3f} [{low:.3f}, {high:.3f}], masked {masked[0]:.3f}; "
        f"variance kept {kept.min():.2f}; {time.perf_counter() - started:.0f} s in all"
    )
    if n == 400_000:
        pd.DataFrame(STEPS).to_csv("book/tables/hospital.csv", index=False)


if __name__ == "__main__":
    main()
