import json

import numpy as np
import pytest

from mmlib.text.delineation import delineate
from mmlib.text.rhythm import COEFFICIENTS, FEATURES, judge_rhythm, rhythm_features
from tests.drawings import draw_ecg


def judged(data, frequency=500):
    return judge_rhythm(delineate(data, frequency))


def with_extra_beats(data, times, frequency=500):
    """Let the beats after some times (s) come 0.3 s too early: a piece without waves is cut out before them."""
    keep = np.ones(data.shape[1], bool)
    for time in times:
        start = round(time * frequency)
        keep[start : start + round(0.3 * frequency)] = False
    return data[:, keep]


@pytest.mark.parametrize("rate", [50, 75, 110])
def test_a_steady_rhythm_is_regular(rate):
    rhythm, probability = judged(draw_ecg(rate=rate, qt=330))
    assert rhythm == "regular" and probability < 0.05


def test_extra_beats_do_not_make_a_rhythm_irregular():
    # at 50 a minute beats begin at 0.35 + 1.2 k: P 160 ms before, T over 380 ms after
    data = with_extra_beats(draw_ecg(rate=50), [0.35 + 1.2 * k + 0.5 for k in (2, 5)])
    rhythm, probability = judged(data)
    assert rhythm == "extra beats" and probability < 0.2


@pytest.mark.parametrize("frequency", [100, 500])
def test_no_p_waves_and_no_two_intervals_alike_are_irregular(frequency):
    data = draw_ecg(p=0, irregular=0.3, rate=90, qt=320, frequency=frequency)
    rhythm, probability = judged(data, frequency)
    assert rhythm == "irregular" and probability > 0.3


def test_features_are_finite_even_without_p_waves():
    data = draw_ecg(p=0)
    features = rhythm_features(delineate(data, 500))
    assert features.shape == (len(FEATURES),) and np.isfinite(features).all()


def test_coefficients_belong_to_these_features():
    model = json.loads(COEFFICIENTS.read_text())
    assert tuple(model["features"]) == FEATURES and len(model["coefficients"]) == len(FEATURES)
