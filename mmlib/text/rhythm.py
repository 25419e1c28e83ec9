"""Regular, with extra beats, or irregular as in atrial fibrillation: a small logistic model of what a reader looks at.

Its coefficients lie in ``rhythm.json``; ``tests.benchmarks.train_rhythm`` fitted them to folds 1 to 5 of PTB-XL
[Wagner2020]_.
A few premature beats leave most intervals as they are, and each P wave in its place: that is what tells them from
fibrillation, in which no interval repeats and nothing in the pause before a beat does either.
"""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from mmlib.text.delineation import FREQUENCY, REACH, WAVES, Delineation

COEFFICIENTS = Path(__file__).with_name("rhythm.json")
NEAR = 0.1  # intervals that differ by less than this share are alike
EARLY = 0.8  # a beat is premature if the interval before it is shorter than this share of the median
FEATURES = ("jump", "typical_jump", "alike", "p_share", "p_probability", "pr_spread", "before", "rate")


def rhythm_features(waves: Delineation) -> np.ndarray:
    """Numbers that tell fibrillation from other rhythms, in the order of ``FEATURES``.

    Parameters
    ----------
    waves : mmlib.text.delineation.Delineation
        Of a recording with three beats or more.

    Returns
    -------
    numpy.ndarray of shape (8,)
        Log of the root mean square and of the median difference of successive intervals, over the median interval;
        largest share of intervals that are alike; share of beats with a P wave; mean over beats of the largest
        probability of a P wave before it; median deviation of PR in units of 10 ms; correlation over beats of what
        goes before a beat; log of the median interval in seconds.
    """
    onset = waves.qrs[:, 0]
    intervals = np.diff(onset)
    typical = np.median(intervals)
    jumps = np.abs(np.diff(intervals)) / typical
    alike = max((np.abs(intervals / interval - 1) < NEAR).mean() for interval in intervals)
    pr = onset - waves.p[:, 0]
    pr = pr[np.isfinite(pr)]
    spread = np.median(np.abs(pr - np.median(pr))) if len(pr) > 2 else 0.03
    p = waves.probability[WAVES.index("p")]
    windows = [
        p[max(round((o - REACH) * FREQUENCY), 0) : max(round((o - 0.03) * FREQUENCY), 1)] for o in onset[1:]
    ]
    return np.array(
        [
            np.log(np.sqrt(np.mean(jumps**2)) + 0.005),
            np.log(np.median(jumps) + 0.005),
            alike,
            np.isfinite(waves.p[1:, 0]).mean(),
            np.mean([w.max() for w in windows]),
            min(spread, 0.05) * 100,
            _before_beats(waves.leads, onset),
            np.log(typical),
        ]
    )


def _before_beats(data, onset):
    """Mean correlation of the 240 ms before each beat with those before all beats, over leads."""
    long, gap = round(0.24 * FREQUENCY), round(0.02 * FREQUENCY)
    ends = np.round(onset * FREQUENCY).astype(int) - gap
    parts = np.stack([data[:, e - long : e] for e in ends if e >= long])
    parts = parts - parts.mean(axis=2, keepdims=True)
    rest = (parts.sum(axis=0) - parts) / max(len(parts) - 1, 1)
    together = (parts * rest).sum(axis=(1, 2))
    return float(np.mean(together / np.sqrt((parts**2).sum(axis=(1, 2)) * (rest**2).sum(axis=(1, 2)) + 1e-9)))


@lru_cache(maxsize=1)
def _model() -> dict:
    return json.loads(COEFFICIENTS.read_text(encoding="utf-8"))


def judge_rhythm(waves: Delineation) -> tuple[str, float]:
    """Rhythm ("regular", "extra beats", "irregular") and probability of atrial fibrillation.

    Parameters
    ----------
    waves
        As of :func:`rhythm_features`.
    """
    model = _model()
    logit = model["intercept"] + rhythm_features(waves) @ np.array(model["coefficients"])
    probability = float(1 / (1 + np.exp(-logit)))
    if probability > model["threshold"]:
        return "irregular", round(probability, 4)
    intervals = np.diff(waves.qrs[:, 0])
    early = (intervals < EARLY * np.median(intervals)).any()
    return "extra beats" if early else "regular", round(probability, 4)
