"""Where the waves of an ECG begin and end: P, QRS and T of each beat, over all leads at once.

A small network (one-dimensional U-Net [Ronneberger2015]_) reads any number of leads. Its first layers look at each lead
alone, so that a missing lead is simply not there; then the leads are pooled. ``tests.benchmarks.train_delineation``
fitted it to cardiologists' marks: the first 100 people of the Lobachevsky University database [Kalyakulina2020]_
(ODC-By 1.0). The weights lie in ``delineation.safetensors``.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from mmlib.text.signals import filter_leads

FREQUENCY = 200  # samples per second that the network reads
BAND = (0.5, 40)  # Hz: what a recording of 100 Hz holds, so that all recordings look alike
WAVES = ("p", "qrs", "t")
WEIGHTS = Path(__file__).with_name("delineation.safetensors")
#: Shortest wave that is believed, in seconds.
SHORTEST = {"p": 0.03, "qrs": 0.03, "t": 0.05}
FEW = 3  # with more leads, marks are the second earliest and the second latest over the leads
APART = 0.2  # s: two ventricular complexes cannot begin closer together
REACH = 0.4  # s: a P wave begins at most this long before its QRS complex


class Delineator(nn.Module):
    """A U-Net over time whose first layers see each lead alone: (n, leads, time) -> logits (n, 3, time)."""

    def __init__(self, stem: int = 16, widths: tuple[int, ...] = (32, 40, 48, 56, 64)):
        super().__init__()
        self.lead = nn.Sequential(
            nn.Conv1d(1, stem, 9, padding=4), nn.GELU(), nn.Conv1d(stem, stem, 9, padding=4), nn.GELU()
        )
        before = (2 * stem, *widths[:-1])
        self.down = nn.ModuleList(_block(a, b) for a, b in zip(before, widths, strict=True))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))[::-1]
        self.up = nn.ModuleList(_block(a + b, a) for a, b in pairs)
        self.head = nn.Conv1d(widths[0], len(WAVES), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of each wave at each instant; the length must be a multiple of 16."""
        n, leads, time = x.shape
        x = self.lead(x.reshape(n * leads, 1, time)).reshape(n, leads, -1, time)
        x = torch.cat([x.mean(1), x.amax(1)], 1)
        passed = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool1d(x, 2))
            passed.append(x)
        for block, skip in zip(self.up, passed[-2::-1], strict=True):
            x = nn.functional.interpolate(x, scale_factor=2, mode="linear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        return self.head(x)


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(before, after, 5, padding=2), nn.BatchNorm1d(after), nn.GELU())


@dataclass(frozen=True)
class Delineation:
    """Where waves begin and end.

    Parameters
    ----------
    qrs, p, t : numpy.ndarray of shape (n, 2)
        Beginning and end in seconds, a row per beat; NaN where a beat has no such wave, or where the recording
        cuts it off.
    probability : numpy.ndarray of shape (3, time)
        Of P, QRS and T at each instant, ``FREQUENCY`` samples per second.
    leads : numpy.ndarray of shape (leads, time)
        As the network read them: those without a missing value, as of `prepare`.
    """

    qrs: np.ndarray
    p: np.ndarray
    t: np.ndarray
    probability: np.ndarray
    leads: np.ndarray


def prepare(data: np.ndarray, frequency: float) -> np.ndarray:
    """Leads as the network reads them: at ``FREQUENCY``, without wander and mains hum, scaled by their common size.

    Parameters
    ----------
    data : numpy.ndarray of shape (leads, n)
        Without missing values, in any unit.
    frequency : float
        Samples per second.
    """
    data = filter_leads(data, frequency, FREQUENCY, BAND, padtype="line")
    size = np.median(np.quantile(data, 0.99, axis=1) - np.quantile(data, 0.01, axis=1))
    return (data / max(size, 1e-6)).astype(np.float32)


def delineate(data: np.ndarray, frequency: float) -> Delineation:
    """Boundaries of P, QRS and T of each beat, from all leads that carry a signal.

    Parameters
    ----------
    data : numpy.ndarray of shape (leads, n)
        One lead or more, in any unit and order; a lead with a missing value is left out.
    frequency : float
        Samples per second.
    """
    data = data[np.isfinite(data).all(axis=1)]
    leads = prepare(data, frequency)
    time = leads.shape[1]
    network, bias = _network()
    ready = nn.functional.pad(torch.from_numpy(leads)[None], (0, -time % 16), mode="replicate")
    with torch.inference_mode():
        probability = torch.sigmoid(network(ready))[0, :, :time].double().numpy()
    return Delineation(*_beats(probability, bias if len(data) > FEW else 0 * bias), probability, leads)


@lru_cache(maxsize=1)
def _network() -> tuple[Delineator, np.ndarray]:
    """The network, and its bias in seconds (3, 2): wave by beginning and end, as found in records kept from fitting."""
    state = load_file(WEIGHTS)
    bias = state.pop("bias").double().numpy()
    network = Delineator()
    network.load_state_dict(state)
    return network.eval(), bias


def segments(probability: np.ndarray, shortest: float) -> np.ndarray:
    """Beginnings and ends in seconds (n, 2) of what is more likely than not; NaN where the recording cuts it off."""
    above = np.r_[False, probability > 0.5, False].astype(int)
    edge = np.flatnonzero(np.diff(above)).reshape(-1, 2)  # first sample inside, first one behind
    out = np.full(edge.shape, np.nan)
    for row, (first, behind) in zip(out, edge, strict=True):
        if first > 0:
            low, high = probability[first - 1], probability[first]
            row[0] = first - (high - 0.5) / (high - low)
        if behind < len(probability):
            high, low = probability[behind - 1], probability[behind]
            row[1] = behind - 1 + (high - 0.5) / (high - low)
    length = (edge[:, 1] - edge[:, 0]) / FREQUENCY
    return (out[length >= shortest] + 0.5) / FREQUENCY  # output i is the share of i to i + 1 inside the wave


def _beats(probability: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each QRS complex the P wave before it and the T wave behind it."""
    found = {
        wave: segments(p, SHORTEST[wave]) - off for wave, p, off in zip(WAVES, probability, bias, strict=True)
    }
    whole = found["qrs"][np.isfinite(found["qrs"]).all(axis=1)]
    keep = np.r_[True, np.diff(whole[:, 0]) > APART][: len(whole)]
    qrs = whole[keep]
    p, t = np.full_like(qrs, np.nan), np.full_like(qrs, np.nan)
    for i, (onset, end) in enumerate(qrs):
        before = qrs[i - 1, 1] if i else -np.inf
        after = qrs[i + 1, 0] if i + 1 < len(qrs) else np.inf
        wave = found["p"]
        own = (wave[:, 0] > max(before, onset - REACH)) & (wave[:, 0] < onset - 0.04)
        if own.any():
            p[i] = wave[own][-1]
        wave = found["t"]
        own = (wave[:, 1] > end + 0.04) & (wave[:, 1] < after + 0.02) & ~(wave[:, 0] < onset)
        if own.any():
            t[i] = wave[own][0][0], wave[own][-1][1]
    return qrs, p, t
