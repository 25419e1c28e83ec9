import numpy as np
import pytest

from mmlib.data.ecg import LEADS
from mmlib.text.ecg_page import MARGIN, PIXELS, PULSE, ROW, draw_page
from mmlib.text.signals import Recording
from tests.drawings import draw_ecg

LEFT = round((MARGIN + PULSE) * PIXELS)


def ink(recording):
    """True where the trace is; the grid is pale."""
    return np.asarray(draw_page(recording)).max(axis=2) < 100


def strip(page, row):
    return page[round((MARGIN + row * ROW + 6) * PIXELS) : round((MARGIN + (row + 1) * ROW) * PIXELS)]


def steps(seconds, height, frequency=500.0):
    """Twelve leads that jump by ``height`` mV for 0.2 s every second."""
    t = np.arange(round(seconds * frequency)) / frequency
    return Recording(np.tile(height * ((t % 1 >= 0.4) & (t % 1 < 0.6)), (12, 1)), frequency)


@pytest.mark.parametrize("frequency", [100.0, 500.0])
def test_a_second_is_25_millimetres(frequency):
    rhythm = strip(ink(steps(10, 1, frequency)), 3)[:, LEFT:]
    high = np.flatnonzero(rhythm[: rhythm.shape[0] // 2].sum(axis=0) > 20)  # the upright flanks
    starts = high[np.flatnonzero(np.diff(high, prepend=-99) > 5)]
    assert len(starts) == 20
    np.testing.assert_allclose(np.diff(starts[::2]), 25 * PIXELS, atol=2)
    np.testing.assert_allclose(starts[1::2] - starts[::2], 5 * PIXELS, atol=0.03 * 25 * PIXELS)


@pytest.mark.parametrize("height", [0.4, 0.7, 1.0])
def test_a_millivolt_is_10_millimetres(height):
    rhythm = strip(ink(steps(10, height)), 3)[:, LEFT:]
    rows = np.flatnonzero(rhythm.sum(axis=1) > 100)  # the level and the plateau of the jumps
    assert np.ptp(rows) == pytest.approx(height * 10 * PIXELS, abs=2)


def test_calibration_pulses_stand_before_each_row():
    page = ink(Recording(np.zeros((12, 5000)), 500.0))
    for row in range(4):
        rows = np.flatnonzero(strip(page, row)[:, :LEFT].any(axis=1))
        assert np.ptp(rows[rows < 0.7 * ROW * PIXELS]) == pytest.approx(10 * PIXELS, abs=3)


def test_each_lead_has_its_place_and_a_missing_one_leaves_it_empty():
    full, level = Recording(draw_ecg(), 500.0), round(2.5 * 25 * PIXELS)
    for lead, (row, column) in {"I": (0, 0), "aVL": (1, 1), "V3": (2, 2), "V6": (2, 3)}.items():
        signal = full.signal.copy()
        signal[LEADS.index(lead)] = np.nan
        changed = ink(full) != ink(Recording(signal, 500.0))
        rows, columns = np.nonzero(changed)
        assert (rows // (ROW * PIXELS) >= row).all() and rows.max() < (MARGIN + (row + 1.1) * ROW) * PIXELS
        assert columns.min() >= LEFT + column * level - 2 and columns.max() <= LEFT + (column + 1) * level + 2
    signal = full.signal.copy()
    signal[LEADS.index("II")] = np.nan
    assert strip(ink(Recording(signal, 500.0)), 3)[:, LEFT:].sum() == 0


def test_a_short_recording_is_drawn_as_far_as_it_goes():
    page = strip(ink(Recording(draw_ecg(seconds=4), 500.0)), 3)
    end = np.flatnonzero(page.any(axis=0)).max()
    assert end == pytest.approx(LEFT + 4 * 25 * PIXELS, abs=3)
