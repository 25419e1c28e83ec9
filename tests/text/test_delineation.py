from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from mmlib.data.ecg import LEADS
from mmlib.text.delineation import FREQUENCY, WEIGHTS, delineate, segments
from mmlib.text.signals import read_ecg
from tests.benchmarks.train_delineation import global_marks, read_marks
from tests.drawings import draw_ecg

LUDB = Path(__file__).parents[3] / "shared" / "data" / "ludb"


def intervals(data, frequency=500):
    """PR, QRS and QT in ms, medians over beats."""
    waves = delineate(data, frequency)
    onset, end = waves.qrs.T
    return [1000 * np.nanmedian(x) for x in (onset - waves.p[:, 0], end - onset, waves.t[:, 1] - onset)]


def test_each_beat_gets_its_own_waves():
    waves = delineate(draw_ecg(rate=60), 500)
    assert 9 <= len(waves.qrs) <= 11
    assert waves.p.shape == waves.t.shape == waves.qrs.shape
    inner = slice(1, -1)
    assert (waves.p[inner, 1] < waves.qrs[inner, 1]).all() and (waves.t[inner, 1] > waves.qrs[inner, 1]).all()
    np.testing.assert_allclose(np.diff(waves.qrs[:, 0]), 1, atol=0.03)


def test_unit_and_order_of_the_leads_do_not_matter():
    data = draw_ecg()
    whole = intervals(data)
    assert intervals(1000 * data) == pytest.approx(whole, abs=0.5)
    assert intervals(data[::-1]) == pytest.approx(whole, abs=0.5)


@pytest.mark.parametrize("without", [["V1"], ["II", "V2", "V5"], list(LEADS[3:])], ids=str)
def test_a_missing_lead_is_simply_not_there(without):
    data = draw_ecg()
    whole = intervals(data)
    data[[LEADS.index(lead) for lead in without]] = np.nan
    assert intervals(data) == pytest.approx(whole, abs=20)


def test_recordings_of_100_and_500_samples_per_second_agree():
    assert intervals(draw_ecg(frequency=100), 100) == pytest.approx(intervals(draw_ecg()), abs=10)


def test_a_segment_that_the_recording_cuts_off_has_no_bound():
    probability = np.zeros(100)
    probability[:20] = probability[40:60] = probability[90:] = 1
    found = segments(probability, 0.03) * FREQUENCY
    np.testing.assert_allclose(found, [[np.nan, 20], [40, 60], [90, np.nan]])


def test_global_marks_are_the_second_earliest_and_the_second_latest():
    leads = {str(i): np.array([[1 + i / 100, 1.1 + i / 100], [2, 2.1]]) for i in range(5)}
    np.testing.assert_allclose(global_marks(leads), [[1.01, 1.13], [2, 2.1]])
    # with one lead its own marks count, and with many a wave that was marked in a single one does not
    np.testing.assert_allclose(global_marks({"II": np.array([[1, 1.1]])}), [[1, 1.1]])
    leads["0"] = np.array([[3, 3.1]])
    assert global_marks(leads).shape == (2, 2)


def test_weights_are_small_and_say_where_they_come_from():
    assert WEIGHTS.stat().st_size < 2e6
    with safe_open(WEIGHTS, framework="numpy") as content:
        assert "Open Data Commons Attribution" in content.metadata()["licence"]


@pytest.mark.skipif(not LUDB.is_dir(), reason="the Lobachevsky University database is not in ../shared/data/ludb")
def test_marks_of_cardiologists_are_found_in_records_that_were_fitted():
    for record in (1, 2, 3):
        marks = read_marks(LUDB, record)
        recording = read_ecg(LUDB / "data" / str(record))
        onset = delineate(recording.signal, recording.frequency).qrs[:, 0]
        for mark, _ in global_marks(marks["qrs"]):
            assert np.abs(onset - mark).min() < 0.03
