import numpy as np
import pytest

from mmlib.data.ecg import LEADS
from mmlib.text import signals
from mmlib.text.signals import Recording, measure_ecg, read_ecg, wfdb
from tests.drawings import draw_ecg

MIMIC = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]
STORED = ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF"]


def write_memmap(folder, records, order=STORED, **changes):
    """Write records (12, n) end to end, with metadata of which one member is pickled, as published."""
    columns = [LEADS.index(lead) for lead in order]
    rows = np.concatenate([r[columns].T for r in records]).astype(np.float32)
    rows.tofile(folder / "memmap.npy")
    length = np.array([r.shape[1] for r in records])
    meta = {
        "start": np.r_[0, np.cumsum(length)[:-1]],
        "length": length,
        "shape": np.array([rows.shape]),
        "file_idx": np.zeros(len(records), int),
        "filenames": np.array(["memmap.npy"]),
        "dtype": np.array(np.dtype("float32"), dtype=object),
    }
    np.savez(folder / "memmap_meta.npz", **meta | changes)
    signals._memmap.cache_clear()
    return str(folder / "memmap.npy")


@pytest.mark.parametrize("frequency", [100, 250, 500])
@pytest.mark.parametrize(
    "drawn",
    [
        {},
        {"rate": 48},
        {"rate": 110, "qt": 330, "pr": 140},
        {"pr": 240},
        {"qrs": 150},
        {"qt": 460},
        {"axis": -55},
        {"axis": 110},
        {"st": 0.3},
        {"st": -0.2},
        {"noise": 0.04},
    ],
    ids=str,
)
def test_what_was_drawn_is_measured(drawn, frequency):
    truth = {"rate": 75, "pr": 160, "qrs": 96, "qt": 380, "axis": 45, "st": 0.0} | drawn
    found = measure_ecg(Recording(draw_ecg(frequency=frequency, **drawn), frequency))
    assert found["rate"] == pytest.approx(truth["rate"], abs=1)
    assert found["pr"] == pytest.approx(truth["pr"], abs=20)
    assert found["qrs"] == pytest.approx(truth["qrs"], abs=22)  # drawn waves begin and end more softly than real ones
    assert found["qtc"] == pytest.approx(truth["qt"] / np.cbrt(60 / truth["rate"]), abs=35)
    assert found["axis"] == pytest.approx(truth["axis"], abs=5)
    assert found["st_anterior"] == pytest.approx(truth["st"], abs=0.05)
    assert found["st_inferior"] == pytest.approx(0, abs=0.05)
    assert (found["rhythm"], found["p_wave"]) == ("regular", "seen")


def test_without_p_waves_there_is_no_pr_interval_and_the_rhythm_is_irregular():
    found = measure_ecg(Recording(draw_ecg(p=0, irregular=0.3, rate=90, qt=320), 500.0))
    assert found["rhythm"] == "irregular" and found["p_wave"] == "not seen" and np.isnan(found["pr"])


def test_measurements_come_from_the_leads_that_are_there():
    signal = draw_ecg(st=0.3)
    whole = measure_ecg(Recording(signal, 500.0))
    signal[LEADS.index("aVF")] = signal[LEADS.index("V1")] = signal[LEADS.index("II")] = np.nan
    part = measure_ecg(Recording(signal, 500.0))
    assert np.isnan(part["axis"]) and np.isnan(part["voltage"])
    assert (part["rate"], part["qrs"], part["st_anterior"]) == (
        whole["rate"],
        pytest.approx(whole["qrs"], abs=8),
        pytest.approx(whole["st_anterior"], abs=0.04),
    )


@pytest.mark.parametrize(
    "signal", [np.random.default_rng(0).normal(size=(12, 5000)) * 0.02, np.ones((12, 40))]
)
def test_no_beats_no_numbers(signal):
    found = measure_ecg(Recording(signal, 500.0))
    assert np.isnan(found["axis"]) and found["rhythm"] is None
    assert set(found["absent"]) == set(found) - {"absent", "leads"} and found["leads"] == 12


def test_what_is_absent_says_why():
    whole = measure_ecg(Recording(draw_ecg(), 500.0))
    assert not whole["absent"]
    short = measure_ecg(Recording(np.ones((12, 40)), 500.0))
    assert short["absent"]["rate"] == "the recording is shorter than 2 seconds"
    data = draw_ecg(p=0)
    data[LEADS.index("V1")] = np.nan
    absent = measure_ecg(Recording(data, 500.0))["absent"]
    assert absent == {
        "pr": "no P wave before most of the QRS complexes",
        "voltage": "V1, or both V5 and V6, are missing or flat",
        "bundle_branch": "V1, or both I and V6, are missing or flat",
    }


def test_leads_of_a_record_are_found_by_name_and_unit(tmp_path):
    signal = draw_ecg()
    shuffled = [LEADS.index(lead) for lead in MIMIC]
    wfdb.wrsamp(
        "r",
        fs=500,
        units=["uV"] * 12,
        sig_name=[lead.upper() for lead in MIMIC],
        p_signal=1000 * signal[shuffled].T,
        fmt=["16"] * 12,
        write_dir=str(tmp_path),
    )
    np.testing.assert_allclose(read_ecg(tmp_path / "r").signal, signal, atol=1e-3)


@pytest.mark.parametrize("order", [list(LEADS), MIMIC, STORED], ids=["standard", "mimic", "mds-ed"])
def test_the_order_of_unnamed_leads_is_found(tmp_path, order):
    records = [draw_ecg(frequency=100, seed=s, axis=20 * s) for s in range(3)]
    name = write_memmap(tmp_path, records, order)
    for i, record in enumerate(records):
        recording = read_ecg(f"{name}#{i}")
        assert recording.frequency == 100
        np.testing.assert_allclose(recording.signal, record, atol=1e-6)


def test_equal_content_has_one_digest_and_other_content_another(tmp_path):
    one, two = draw_ecg(frequency=100), draw_ecg(frequency=100, seed=1)
    name = write_memmap(tmp_path, [one, two, one])
    digests = [read_ecg(f"{name}#{i}").digest for i in range(3)]
    assert digests[0] == digests[2] != digests[1]


def test_a_memmap_that_does_not_match_its_metadata_gives_no_recording(tmp_path):
    name = write_memmap(tmp_path, [draw_ecg(frequency=100)] * 2, length=np.array([1000, 1001]))
    with pytest.raises(ValueError, match="beyond the 2,000 rows"):
        read_ecg(f"{name}#0")


def test_a_record_that_is_not_there_is_one_sentence(tmp_path):
    name = write_memmap(tmp_path, [draw_ecg(frequency=100)])
    with pytest.raises(ValueError, match="no record '7'; expected a number from 0 to 0"):
        read_ecg(f"{name}#7")
    (tmp_path / "memmap_meta.npz").unlink()
    signals._memmap.cache_clear()
    with pytest.raises(ValueError, match="memmap_meta.npz does not exist"):
        read_ecg(f"{name}#0")
    with pytest.raises(OSError, match="none could not be read as a WFDB record") as error:
        read_ecg(tmp_path / "none")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".hea", ".dat"])
def test_a_damaged_record_is_one_sentence(tmp_path, suffix):
    wfdb.wrsamp(
        "r",
        fs=500,
        units=["mV"] * 12,
        sig_name=list(LEADS),
        p_signal=draw_ecg().T,
        fmt=["16"] * 12,
        write_dir=str(tmp_path),
    )
    file = tmp_path / f"r{suffix}"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(OSError, match="could not be read as a WFDB record") as error:
        read_ecg(tmp_path / "r")
    assert "\n" not in str(error.value)
