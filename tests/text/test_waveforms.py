import numpy as np
import pytest

from mmlib.text.waveforms import load_labels, load_signals, read_signals
from tests.data.test_ptb_xl import published, write_record, write_tree  # noqa: F401  (a fixture)
from tests.drawings import LEADS, draw_ecg


def settings(root, **options):
    common = {"cohort": "ptb_xl", "root": str(root), "protected_inputs": "none", "drop_fields": []}
    return common | {"cohort_options": options}


def test_recordings_of_any_rate_and_length_become_one_array(tmp_path):
    slow, fast = draw_ecg(frequency=100, seed=1), draw_ecg(frequency=500, seed=1)
    fast[LEADS.index("V3")] = np.nan
    write_record(tmp_path, "slow", slow, 100)
    write_record(tmp_path, "fast", np.nan_to_num(fast)[:, :2500], 500)
    signals = read_signals([tmp_path / "slow", None, tmp_path / "fast", "nowhere"])
    assert signals.shape == (4, 12, 1000)
    np.testing.assert_allclose(signals[0], slow - np.median(slow, axis=1, keepdims=True), atol=0.01)
    assert np.isnan(signals[[1, 3]]).all()
    assert np.isnan(signals[2, LEADS.index("V3")]).all() and (signals[2, 0, 500:] == 0).all()
    assert np.corrcoef(signals[2, 1, :450], signals[0, 1, :450])[0, 1] > 0.95


def test_signals_and_labels_are_those_of_the_run(published):  # noqa: F811
    run = settings(published, ecg_ids=[1, 2, 3, 4])
    assert load_signals(run).shape == (4, 12, 1000)
    assert load_labels(run, ["MI", "CD"]).to_numpy().T.tolist() == [[0, 1, 1, 0], [0, 0, 1, 0]]
    with pytest.raises(ValueError, match="The labels MI and CD are known of different samples"):
        load_labels(settings(published, likelihood=50), ["MI", "CD"])


def test_a_cohort_without_recordings_is_one_sentence(tmp_path):
    (tmp_path / "t.csv").write_text("pulse,sex,ill\n80,Male,0\n110,Female,1\n")
    options = {"label": "ill", "protected": ["sex"], "modalities": {"vitals": ["pulse"]}}
    with pytest.raises(ValueError, match="The cohort t has no field of kind ecg; expected recordings"):
        load_signals(settings(tmp_path / "t.csv", **options) | {"cohort": "table"})
