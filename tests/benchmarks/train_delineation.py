"""Fit the network of ``delineation`` to LUDB: ``python -m tests.benchmarks.train_delineation --ludb FOLDER``.

Records 1 to 100 alone are read, 101 to 200 are for the table of "Do the descriptors measure?". Every fifth of the
hundred is kept back: its errors are printed, and its bias is written beside the weights, to be taken off.
"""

import argparse
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from mmlib.data.ecg import LEADS
from mmlib.text.delineation import FEW, FREQUENCY, WAVES, WEIGHTS, Delineator, prepare, segments
from mmlib.text.signals import wfdb

SYMBOL = {"p": "p", "N": "qrs", "t": "t"}
FINE = 5  # marks are drawn at this multiple of FREQUENCY, then averaged: a sample half inside counts half
MARGIN = 0.05  # s around what was marked that is still fitted; beats at the ends of a record are unmarked
CROP = 1024
DRAWN = 0.1  # share of the examples that are drawn
LONGER = 0.15  # s: the most by which PR is made longer, since few people of the database have an atrioventricular block
LICENCE = (
    "Fitted by tests/benchmarks/train_delineation.py to records 1 to 100 of the Lobachevsky University "
    "Electrocardiography Database 1.0.1 (Kalyakulina et al., PhysioNet, doi 10.13026/eegm-h675), which is made "
    "available under the Open Data Commons Attribution License (ODC-By) v1.0. The weights: MIT, as the package."
)


def read_marks(folder: Path, record: int) -> dict[str, dict[str, np.ndarray]]:
    """Cardiologists' marks of one record: wave -> lead -> (n, 2) beginnings and ends in seconds."""
    marks = {wave: {} for wave in WAVES}
    for lead in LEADS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = wfdb.rdann(str(folder / "data" / str(record)), lead.lower())
        symbols, at = "".join(found.symbol), np.asarray(found.sample) / 500
        for symbol, wave in SYMBOL.items():
            spans = [(at[m.start()], at[m.end() - 1]) for m in re.finditer(rf"\({symbol}\)", symbols)]
            marks[wave][lead] = np.array(spans, float).reshape(-1, 2)
    return marks


def global_marks(by_lead: dict[str, np.ndarray], together: float = 0.15) -> np.ndarray:
    """Global marks of a wave (n, 2): second earliest beginning to second latest end over the leads.

    Marks of different leads whose middles are no further apart than ``together`` seconds are of one beat. With three
    leads or fewer the earliest and the latest count; with more, a wave marked in one lead alone is left out.
    """
    spans = np.concatenate(list(by_lead.values()))
    if not len(spans):
        return spans
    spans = spans[np.argsort(spans.mean(axis=1))]
    beats = np.split(spans, np.flatnonzero(np.diff(spans.mean(axis=1)) > together) + 1)
    few = len(by_lead) <= FEW
    out = [
        (beat[:, 0].min(), beat[:, 1].max()) if few else (np.sort(beat[:, 0])[1], np.sort(beat[:, 1])[-2])
        for beat in beats
        if few or len(beat) > 1
    ]
    return np.array(out, float).reshape(-1, 2)


def draw_target(marks: dict, leads, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of each sample inside each wave (3, length), and which samples lie where waves were marked."""
    target = np.zeros((len(WAVES), length * FINE), np.float32)
    ends = []
    for row, wave in zip(target, WAVES, strict=True):
        spans = global_marks({lead: marks[wave][lead] for lead in leads})
        for onset, end in spans:
            row[max(round(onset * FREQUENCY * FINE), 0) : round(end * FREQUENCY * FINE)] = 1
        ends += [spans.min(), spans.max()] if len(spans) else []
    known = np.zeros(length, np.float32)
    if ends:
        known[max(round((min(ends) - MARGIN) * FREQUENCY), 0) : round((max(ends) + MARGIN) * FREQUENCY)] = 1
    return target.reshape(len(WAVES), length, FINE).mean(axis=2), known


def _between(marks, length: int) -> np.ndarray:
    """Of each sample the length of the PR segment that it lies in, in samples; 0 for all others."""
    out = np.zeros(length)
    ends, onsets = (global_marks(marks[wave])[:, side] for wave, side in (("p", 1), ("qrs", 0)))
    for end in ends:
        near = onsets[(onsets > end) & (onsets < end + 0.2)]
        if len(near):
            first, last = round(end * FREQUENCY), round(near[0] * FREQUENCY)
            out[first:last] = last - first
    return out


def draw_example(data, marks, rng):
    """One augmented example: some leads, perhaps upside down, stretched in time, with noise; fixed length."""
    count = 12 if rng.random() < 0.5 else (1 if rng.random() < 0.4 else int(rng.integers(2, 12)))
    rows = rng.permutation(12)[:count]
    target, known = draw_target(marks, [LEADS[i] for i in rows], data.shape[1])
    # how long each sample of the record becomes: stretched in all, and P waves moved away from their QRS complexes
    long = np.full(data.shape[1], rng.uniform(0.8, 1.25))
    between = _between(marks, data.shape[1])
    if rng.random() < 0.3 and between.any():
        long[between > 0] *= 1 + rng.uniform(0, LONGER) * FREQUENCY / max(np.median(between[between > 0]), 2)
    ends = np.cumsum(long)
    grid = np.arange(data.shape[1])
    at = np.interp(rng.uniform(0, ends[-1] - CROP) + np.arange(CROP), ends, grid)
    x = np.stack([np.interp(at, grid, data[i]) for i in rows])
    y = np.stack([np.interp(at, grid, row) for row in target])
    x *= rng.choice([-1, 1], size=(count, 1), p=[0.2, 0.8]) * np.exp(rng.normal(0, 0.3))
    noise = rng.normal(size=x.shape) * rng.uniform(0, 0.03)
    wander = np.sin(2 * np.pi * (at / FREQUENCY * rng.uniform(0.1, 0.7) + rng.random((count, 1))))
    x = x + noise + wander * rng.uniform(0, 0.1)
    # the first layers see each lead alone: repeating leads leaves the mean and the largest nearly as they are
    x = x[np.arange(12) % count]
    return x, y, (np.interp(at, grid, known) > 0.5)


def draw_beats(rng):
    """One drawn example: beats of known intervals in 12 leads, from bells with a beginning and an end.

    They hold PR intervals that few people of the database have, and keep drawn ECGs measurable.
    """
    time = np.arange(CROP) / FREQUENCY
    fine = (np.arange(CROP * FINE) + 0.5) / (FREQUENCY * FINE)
    gap = 60 / rng.uniform(45, 130)
    qrs, qt = rng.uniform(0.07, 0.17), 0.39 * np.cbrt(gap) * rng.uniform(0.85, 1.15)
    pr = rng.uniform(0.1, max(min(0.32, gap - qt - 0.05), 0.11))
    fibrillates, gaussian = rng.random() < 0.2, rng.random() < 0.5
    p, t = min(rng.uniform(0.08, 0.11), pr - 0.01), rng.uniform(0.16, 0.22)
    x, target = np.zeros((12, CROP)), np.zeros((len(WAVES), CROP * FINE))
    #: wave -> its parts: beginning and end in the beat, typical height and spread of heights over leads
    parts = {
        "p": [] if fibrillates else [(-pr, p - pr, 0.1, 0.06)],
        "qrs": [
            (0, 0.35 * qrs, 0.0, 0.12),
            (0.1 * qrs, 0.8 * qrs, 0.5, 0.6),
            (0.45 * qrs, qrs, -0.3, 0.3),
        ],
        "t": [(qt - t, qt, 0.25, 0.15)],
    }
    heights = {wave: [rng.normal(h, s, 12) for *_, h, s in own] for wave, own in parts.items()}
    onset = rng.uniform(-1, 0)
    while onset < time[-1] + 1:
        for row, (wave, own) in zip(target, parts.items(), strict=True):
            for (first, last, *_), height in zip(own, heights[wave], strict=True):
                middle, half = onset + (first + last) / 2, (last - first) / 2
                since = (time - middle) / half
                inside = np.abs(since) < 1
                bell = (
                    np.exp(-((since * 2.2) ** 2) / 2)
                    if gaussian
                    else inside * (1 + np.cos(np.pi * since)) / 2
                )
                x += height[:, None] * bell
            if own:
                row[(fine >= onset + own[0][0]) & (fine < onset + own[-1][1])] = 1
        onset += gap * (1 + rng.uniform(-0.3, 0.3) * fibrillates)
    x = prepare(x + rng.normal(size=x.shape) * rng.uniform(0.005, 0.03), FREQUENCY)
    return x, target.reshape(len(WAVES), CROP, FINE).mean(axis=2), np.ones(CROP, bool)


def fit(records: dict, *, steps: int, seed: int = 0, batch: int = 16, rate: float = 3e-3) -> Delineator:
    """Fit a network: binary cross-entropy per wave and instant, AdamW, a cosine schedule."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Delineator()
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-2)
    names = list(records)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, step / 100) * (1 + np.cos(np.pi * step / steps)) / 2
        examples = [
            draw_beats(rng) if rng.random() < DRAWN else draw_example(*records[names[i]], rng)
            for i in rng.integers(0, len(names), batch)
        ]
        x, y, known = (
            torch.from_numpy(np.stack(part).astype(np.float32)) for part in zip(*examples, strict=True)
        )
        losses = nn.functional.binary_cross_entropy_with_logits(network(x), y, reduction="none")
        loss = (losses * known[:, None]).sum() / known.sum() / len(WAVES)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} of {steps}, loss {loss.item():.4f}", flush=True)
    return network.eval()


def errors(network, records, leads=LEADS) -> dict[str, np.ndarray]:
    """Found minus marked in ms for each wave, (records, 2): medians over the beats of beginnings and of ends."""
    found = {wave: [] for wave in WAVES}
    for data, marks in records.values():
        x = torch.from_numpy(data[[LEADS.index(lead) for lead in leads]])[None]
        x = nn.functional.pad(x, (0, -x.shape[2] % 16))
        with torch.inference_mode():
            probability = torch.sigmoid(network(x))[0, :, : data.shape[1]].double().numpy()
        for row, wave in zip(probability, WAVES, strict=True):
            spans = segments(row, 0.03)
            gaps = [
                [_nearest(spans[:, side] - mark[side]) for side in (0, 1)]
                for mark in global_marks({lead: marks[wave][lead] for lead in leads})
            ]
            gaps = np.array(gaps or [[np.nan, np.nan]])
            there = np.isfinite(gaps).any(axis=0)
            found[wave].append(
                [1000 * np.nanmedian(g) if t else np.nan for g, t in zip(gaps.T, there, strict=True)]
            )
    return {wave: np.array(values) for wave, values in found.items()}


def _nearest(gaps: np.ndarray) -> float:
    """Difference to the nearest one within 0.15 s; NaN if there is none."""
    gaps = gaps[np.abs(gaps) < 0.15]
    return gaps[np.abs(gaps).argmin()] if len(gaps) else np.nan


def main():
    """Read, fit to four of five records, measure the bias in the others, and write weights and bias."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ludb", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=700)
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = {}
    for record in range(1, 101):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = wfdb.rdrecord(str(options.ludb / "data" / str(record)))
        order = [[name.lower() for name in read.sig_name].index(lead.lower()) for lead in LEADS]
        records[record] = prepare(read.p_signal.T[order], read.fs), read_marks(options.ludb, record)
    held = {i: r for i, r in records.items() if i % 5 == 0}
    network = fit({i: r for i, r in records.items() if i not in held}, steps=options.steps)
    print(sum(p.numel() for p in network.parameters()), "weights")
    for leads in (LEADS, ("II",)):
        for wave, gaps in errors(network, held, leads).items():
            print(
                f"{len(leads)} leads, {wave}: bias {np.nanmean(gaps, axis=0).round(1)} ms, "
                f"mean absolute {np.nanmean(np.abs(gaps), axis=0).round(1)} ms, n {np.isfinite(gaps).sum(axis=0)}"
            )
    bias = np.stack([np.nanmean(gaps, axis=0) for gaps in errors(network, held).values()]) / 1000
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    state["bias"] = torch.from_numpy(bias).float()
    save_file(state, WEIGHTS, metadata={"licence": LICENCE})


if __name__ == "__main__":
    main()
