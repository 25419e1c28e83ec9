import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlib.core.schema import Cohort, Field
from mmlib.core.storage import cache_folder
from mmlib.text import describers as module
from mmlib.text import radiograph, signals
from mmlib.text.describers import describe_files, load_described
from mmlib.text.encode import native
from mmlib.text.notes import write_notes
from mmlib.text.signals import wfdb
from tests.drawings import LEADS, draw_ecg, draw_xray

pytestmark = pytest.mark.usefixtures("own_cache")


def write_record(folder, name, signal, frequency=500):
    wfdb.wrsamp(
        name,
        fs=frequency,
        units=["mV"] * len(signal),
        sig_name=list(LEADS[: len(signal)]),
        p_signal=signal.T,
        fmt=["16"] * len(signal),
        write_dir=str(folder),
    )
    return str(folder / name)


@pytest.fixture
def files(tmp_path):
    """Two X-rays and two ECGs, of which the second is ill."""
    for name, options in (("well", {}), ("ill", {"heart": 0.6, "opacity": {"right_lower": 1}})):
        Image.fromarray(draw_xray(**options)).save(tmp_path / f"{name}.jpg", quality=90)
    return {
        "xray": [str(tmp_path / "well.jpg"), str(tmp_path / "ill.jpg")],
        "ecg": [
            write_record(tmp_path, "well", draw_ecg()),
            write_record(tmp_path, "ill", draw_ecg(rate=120, qrs=140, irregular=0.3, p=0)),
        ],
    }


def cohort_of(xray, ecg, **changes):
    """A sample per row; the sex is an ordinary field before the picture."""
    n = len(xray)
    fields = (
        Field("person", "sex", "sex", words={0: "male"}),
        Field("cxr", "picture", "chest X-ray", kind="image", timing="before", source="drawn"),
        Field("ecg", "trace", "ECG", kind="ecg", timing="unknown"),
    )
    samples = pd.DataFrame({"sample_id": [str(i) for i in range(n)]})
    values = pd.DataFrame({"person.sex": 0, "cxr.picture": xray, "ecg.trace": ecg}, index=range(n))
    return replace(Cohort("drawn", "none", samples, values, fields, ()), **changes)


def test_a_cohort_without_files_is_returned_as_it_is():
    cohort = cohort_of([None], [None])
    cohort = replace(cohort, fields=cohort.fields[:1], values=cohort.values[["person.sex"]])
    assert describe_files(cohort) is cohort


def test_the_settings_of_chapter_1_give_the_cohort_again():
    settings = {
        "cohort": "support2",
        "root": "",
        "cohort_options": {"limit": 50},
        "drop_fields": ["adlp"],
        "protected_inputs": "none",
        "describers": {"image": "measured"},
        "folds": 5,
    }
    cohort = load_described(settings)
    assert 40 < len(cohort.samples) < 60 and "protected" not in cohort.modalities
    assert "adlp" not in [f.name for f in cohort.fields]
    assert load_described(settings, protected_inputs="modality").modalities == (*cohort.modalities, "protected")


def test_measured_fields_tell_the_ill_from_the_well(files):
    cohort = cohort_of([*files["xray"], None], [*files["ecg"], files["ecg"][0]])
    told = describe_files(cohort)
    assert told.modalities == ("person", "cxr", "ecg")
    assert [f.column for f in told.fields] == list(told.values.columns)
    assert told.values["ecg.trace_rate"].tolist()[::2] == [75, 75]
    assert told.values["ecg.trace_rhythm"].tolist() == ["regular", "irregular", "regular"]
    assert told.values["cxr.picture_ratio"][1] > told.values["cxr.picture_ratio"][0]
    assert told.present().to_numpy().tolist() == [[True] * 3, [True] * 3, [True, False, True]]
    picture = [f for f in told.fields if f.modality == "cxr"]
    assert {(f.timing, f.source) for f in picture} == {("before", "drawn")}
    notes = write_notes(told)
    ill = " ".join(notes[notes.sample_id == "1"].sentence)
    assert "QRS duration: " in ill and "ms, very high." in ill and "Rhythm: irregular." in ill
    assert "P wave: not seen." in ill and "PR interval" not in ill
    assert "Density of the right lower lung zone: " in ill
    # equal content makes equal sentences, and the native encoding takes the same numbers
    first, third = (notes[(notes.sample_id == i) & (notes.modality == "ecg")].sentence for i in ("0", "2"))
    assert first.tolist() == third.tolist()
    embedded = native(told.values.assign(sample_id=told.samples.sample_id))
    assert embedded.present.values.tolist() == told.present().to_numpy().tolist()


def test_a_field_tells_the_measurements_that_it_asks_for(files):
    cohort = cohort_of(files["xray"], files["ecg"])
    fields = (*cohort.fields[:2], replace(cohort.fields[2], measures=("rate", "qrs")))
    told = describe_files(replace(cohort, fields=fields))
    assert [f.name for f in told.fields if f.modality == "ecg"] == ["trace_rate", "trace_qrs"]
    fields = (*cohort.fields[:2], replace(cohort.fields[2], measures=("rate", "mood")))
    with pytest.raises(ValueError, match="ecg.trace asks for the measurement 'mood'; expected some of rate, "):
        describe_files(replace(cohort, fields=fields))


def test_recording_times_stay_with_what_was_measured(files):
    cohort = cohort_of(files["xray"], files["ecg"])
    told = describe_files(replace(cohort, times=pd.DataFrame({"cxr.picture": [-1.0, 2.0]})))
    assert told.times["cxr.picture_ratio"].tolist() == [-1, 2]
    assert set(told.times) == {f.column for f in told.fields if f.modality == "cxr"}


def test_each_content_is_measured_once_and_kept(files, monkeypatch, tmp_path):
    calls = []
    measure = signals.measure_ecg
    monkeypatch.setattr(signals, "measure_ecg", lambda r: calls.append(1) or measure(r))
    copy = write_record(tmp_path, "copy", signals.read_ecg(files["ecg"][0]).signal)
    cohort = cohort_of([*files["xray"], None], [*files["ecg"], copy])
    first = describe_files(cohort)
    assert len(calls) == 2
    pd.testing.assert_frame_equal(describe_files(cohort).values, first.values)
    assert len(calls) == 2
    for file in (cache_folder() / "descriptions").rglob("*.json"):
        file.write_text(file.read_text()[:-5])
    pd.testing.assert_frame_equal(describe_files(cohort).values, first.values)
    assert len(calls) == 4
    for file in (cache_folder() / "descriptions").rglob("*.json"):  # still JSON, with another number
        file.write_text(file.read_text().translate(str.maketrans("123456", "654321")))
    pd.testing.assert_frame_equal(describe_files(cohort).values, first.values)
    assert len(calls) == 6


def test_what_could_not_be_read_is_tried_again(files, monkeypatch):
    read = radiograph.read_image

    def refuse_the_first(path):
        if path == files["xray"][0]:
            raise OSError("too many open files")
        return read(path)

    monkeypatch.setattr(radiograph, "read_image", refuse_the_first)
    cohort = cohort_of(files["xray"], files["ecg"])
    assert describe_files(cohort, most_unmeasured=1).present()["cxr"].tolist() == [False, True]
    monkeypatch.setattr(radiograph, "read_image", read)
    assert describe_files(cohort).present()["cxr"].all()


def test_a_kill_costs_only_what_was_not_saved(files, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 1)
    measure, calls = signals.measure_ecg, []

    def killed(recording):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(recording)

    monkeypatch.setattr(signals, "measure_ecg", killed)
    cohort = cohort_of(files["xray"], files["ecg"])
    with pytest.raises(KeyboardInterrupt):
        describe_files(cohort)
    describe_files(cohort)
    assert len(calls) == 3
    saved = [json.loads(f.read_text()) for f in (cache_folder() / "descriptions").rglob("*.json")]
    assert all(len(part) == 1 for part in saved)


def test_what_cannot_be_read_is_absent_and_counted(files, tmp_path):
    whole = (tmp_path / "well.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no picture")
    ecg = draw_ecg()
    ecg[3] = 0
    flat_lead = write_record(tmp_path, "flat_lead", ecg)
    silent = write_record(tmp_path, "silent", np.zeros((12, 5000)))
    cohort = cohort_of(
        [files["xray"][0], str(tmp_path / "cut.jpg"), str(tmp_path / "text.jpg"), str(tmp_path / "none.jpg")],
        [files["ecg"][0], flat_lead, silent, str(tmp_path / "none")],
        counts={"earlier": 7},
    )
    told = describe_files(cohort, most_unmeasured=1)
    assert told.counts == {
        "earlier": 7,
        "chest X-ray (cxr.picture): unreadable": 2,
        "ECG (ecg.trace): unreadable": 1,
        "ECG (ecg.trace): a lead is missing or flat": 1,
    }
    assert told.present()["cxr"].tolist() == [True, False, False, False]
    assert told.present()["ecg"].tolist() == [True, True, False, False]
    assert told.outcomes["cxr.picture"].tolist() == ["measured in full", "unreadable", "unreadable", "no file"]
    assert told.outcomes["ecg.trace"].tolist()[2:] == ["unreadable", "no file"]


def test_what_is_refused_is_told_from_what_is_measured_in_part(files, tmp_path):
    Image.fromarray(np.full((300, 300), 90, np.uint8)).save(tmp_path / "grey.jpg")
    noise = np.random.default_rng(0).normal(0, 0.1, (12, 5000))
    no_v1 = draw_ecg()
    no_v1[6] = 0
    recordings = [files["ecg"][0], write_record(tmp_path, "noise", noise), write_record(tmp_path, "no_v1", no_v1)]
    cohort = cohort_of([files["xray"][0], str(tmp_path / "grey.jpg"), None], recordings)
    told = describe_files(cohort, most_unmeasured=0.5)
    assert told.outcomes["cxr.picture"].tolist() == ["measured in full", "refused", "no file"]
    assert told.outcomes["ecg.trace"].tolist() == ["measured in full", "refused", "measured in part"]
    assert told.counts["chest X-ray (cxr.picture): refused (no contrast)"] == 1
    # what a field does not ask for cannot be missing from it
    asked = replace(cohort, fields=(*cohort.fields[:2], replace(cohort.fields[2], measures=("rate", "pr"))))
    told = describe_files(asked, most_unmeasured=0.5)
    assert told.outcomes["ecg.trace"].tolist() == ["measured in full", "refused", "measured in full"]


def test_an_interval_that_does_not_exist_is_not_one_that_was_missed(tmp_path):
    without_p = write_record(tmp_path, "af", draw_ecg(rate=120, irregular=0.3, p=0))
    told = describe_files(cohort_of([None], [without_p]))
    assert told.values["ecg.trace_p_wave"].tolist() == ["not seen"] and told.values["ecg.trace_pr"].isna().all()
    assert told.outcomes["ecg.trace"].tolist() == ["measured in full"]


def test_too_many_unmeasured_files_stop_the_run_unless_it_accepts_them(files, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    Image.fromarray(np.full((300, 300), 90, np.uint8)).save(tmp_path / "grey.jpg")
    pictures = [*files["xray"], str(tmp_path / "text.jpg"), str(tmp_path / "grey.jpg"), str(tmp_path / "none.jpg")]
    cohort = cohort_of(pictures, [None] * 5)
    message = (
        r"2 of the 4 files of cxr.picture could not be measured, most often .*; expected at most 10%, so look at them, "
        r"or accept more by `most_unmeasured` in the parameter `describers`\."
    )
    with pytest.raises(ValueError, match=message):
        describe_files(cohort)
    with pytest.raises(ValueError, match="expected at most 49%"):
        describe_files(cohort, most_unmeasured=0.49)
    assert describe_files(cohort, most_unmeasured=0.5).present()["cxr"].sum() == 2
    with pytest.raises(ValueError, match="most_unmeasured is 10; expected a share from 0 to 1"):
        describe_files(cohort, most_unmeasured=10)


def test_if_nothing_can_be_read_the_first_file_says_why(files, tmp_path):
    gone = [str(tmp_path / f"{i}.jpg") for i in range(2)]
    with pytest.raises(
        ValueError, match=r"None of the 2 files of cxr.picture could be read; the first: .*0.jpg"
    ):
        describe_files(cohort_of(gone, files["ecg"]))
    told = describe_files(cohort_of([None, None], files["ecg"]))
    assert not told.present()["cxr"].any()
