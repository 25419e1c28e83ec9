"""How time and memory grow with samples, modalities and models: one process per size, so that its peak is its own."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mmlib.core.subsets import subset_masks
from mmlib.measure.expectation import expected_auroc, pattern_probabilities
from mmlib.measure.metrics import auroc, rates
from mmlib.models.fusion import Architecture, train
from mmlib.models.powerset import train_powerset
from mmlib.models.study import Study

SAMPLES, MODALITIES, MODELS = (1_000, 10_000, 100_000), (2, 3, 4, 5, 6, 7, 10), (1, 5, 10, 25)


def synthetic(n: int, modalities: int, folds: int = 1) -> Study:
    """Draw inputs of 64 numbers a modality, one of which tells of the label; half train, a quarter validates."""
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.normal(size=(folds, modalities, n, 64)).astype(np.float32)).transpose(1, 2)
    y = torch.from_numpy((rng.random(n) < 1 / (1 + np.exp(-X[0, :, 0, 0].numpy()))).astype(np.float32))
    part, names = np.arange(n) % 4, tuple(f"m{i}" for i in range(modalities))
    training, held = (torch.from_numpy(np.tile(w, (folds, 1))) for w in (part < 2, part == 2))
    present = torch.from_numpy(rng.random((n, modalities)) < 0.9)
    samples = tuple(map(str, range(n)))
    return Study(X, present, y, training, held, np.zeros(n, int), samples, names, np.ones((folds, modalities)))


def training(n: int, models: int):
    """Two epochs of models of four modalities."""
    study, a = synthetic(n, 4), Architecture(epochs=2)
    rest = study.present, study.y, study.training, study.validation
    return lambda: train(study.X, *rest, models=[(0, s) for s in range(models)], architecture=a)


def everything(modalities: int):
    """One epoch of the whole power set on 2,000 samples."""
    study = synthetic(2000, modalities)
    return lambda: train_powerset(study, Architecture(epochs=1))


def masking(n: int, modalities: int):
    """Expected AUROC at one drop rate."""
    study, (_, masks) = synthetic(n, modalities), subset_masks([f"m{i}" for i in range(modalities)])
    scores = np.random.default_rng(0).random((len(masks), n))
    p = pattern_probabilities(0.2, masks, study.present.numpy())
    one = np.ones((1, n))
    return lambda: expected_auroc(study.y.numpy(), scores, p, one, one.astype(bool))


def bootstrap(n: int):
    """Rates of four groups and AUROC in 200 resamples."""
    rng = np.random.default_rng(0)
    y, score, group = rng.integers(0, 2, n), rng.random(n), np.arange(n) % 4 == np.arange(4)[:, None]
    patient_weights = rng.poisson(1, (201, n)).astype(np.float32)
    return lambda: (rates(y, score > 0.5, patient_weights, group), auroc(y, score, patient_weights, group[:1]))


#: what -> (what grows, sizes, work of a size)
FAMILIES = {
    "training, 1 model": ("samples", SAMPLES, lambda n: training(n, 1)),
    "exact masking, 5 modalities": ("samples", SAMPLES, lambda n: masking(n, 5)),
    "bootstrap, 200 resamples": ("samples", SAMPLES, bootstrap),
    "training, 4,000 samples": ("models", MODELS, lambda k: training(4000, k)),
    "power set, 2,000 samples": ("modalities", MODALITIES, everything),
    "exact masking, 2,000 samples": ("modalities", MODALITIES, lambda m: masking(2000, m)),
}


def measure(family: str, size: int, threads: int, pipe) -> None:
    """Send the median time of one to five runs, in seconds, and the MiB that the work added to the peak."""
    torch.set_num_threads(threads)
    make = FAMILIES[family][2]
    make(min(FAMILIES[family][1]))()  # what is loaded once is not counted
    work = make(size)
    if (peak := Path("/proc/self/clear_refs")).exists():
        peak.write_text("5")  # forget the peak of making the inputs
    before, seconds = _memory("VmRSS"), []
    while sum(seconds) < 1 and len(seconds) < 5:
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    pipe.send((float(np.median(seconds)), _memory("VmHWM") - before))


def _memory(name: str) -> float:
    """Read what Linux says of this process, in MiB; its own usage call would count the parent's peak too."""
    file = Path("/proc/self/status")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), float("nan"))


def growth() -> pd.DataFrame:
    """Measure every family; the slope is that of log time on log size, for modalities on log of their subsets."""
    context, lines = multiprocessing.get_context("spawn"), []
    for family, (grows, sizes, _) in FAMILIES.items():
        found = []
        for size in sizes:
            ours, theirs = context.Pipe()
            process = context.Process(target=measure, args=(family, size, torch.get_num_threads(), theirs))
            process.start()
            theirs.close()
            found.append(ours.recv())
            process.join()
        seconds, memory = np.array(found).T
        x = np.log([2**s for s in sizes] if grows == "modalities" else sizes)
        line = {"what": family, "grows": grows, "sizes": " ".join(map(str, sizes))}
        line |= {"seconds": " ".join(f"{s:.2g}" for s in seconds), "MiB more": " ".join(f"{m:.0f}" for m in memory)}
        lines.append(line | {"slope": float(np.polyfit(x, np.log(seconds), 1)[0])})
        print(family, line["seconds"], flush=True)
    return pd.DataFrame(lines)
