import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlib.data import physionet, ptb_xl
from mmlib.data.cohorts import load_cohort
from mmlib.data.ptb_xl import COLUMNS, MEASURED
from mmlib.data.splits import assign_folds
from mmlib.text.describers import describe_files
from mmlib.text.notes import write_notes
from mmlib.text.signals import read_ecg
from tests.data.test_physionet import serve  # noqa: F401
from tests.drawings import LEADS, draw_ecg

pytestmark = pytest.mark.usefixtures("own_cache")

REAL = Path(__file__).parents[3] / "shared" / "data" / "ptb-xl"
STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class
NORM,normal ECG,1.0,,,NORM
IMI,inferior myocardial infarction,1.0,,,MI
AMI,anterior myocardial infarction,1.0,,,MI
CLBBB,complete left bundle branch block,1.0,,,CD
AFIB,atrial fibrillation,,,1.0,
SR,sinus rhythm,,,1.0,
"""
CODES = [
    "{'NORM': 100.0, 'SR': 0.0}",
    "{'IMI': 35.0, 'SR': 0.0}",
    "{'AMI': 100.0, 'CLBBB': 100.0}",
    "{'AFIB': 0.0}",
]


def write_record(folder, name, signal, frequency, units="mV"):
    """Write a record as published, in microvolts; wfdb takes a hundred times as long."""
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    values = np.where(np.isnan(signal), -32768, np.round(signal * 1000)).astype("<i2").T
    place.with_suffix(".dat").write_bytes(values.tobytes())
    about = f"{place.name}.dat 16 {1000 if units == 'mV' else 1}(0)/{units} 16 0"
    leads = zip(LEADS, values.T, strict=True)
    lines = [f"{about} {lead[0]} {lead.sum() % 65536} 0 {name.upper()}" for name, lead in leads]
    place.with_suffix(".hea").write_text("\n".join([f"{place.name} 12 {frequency} {len(values)}", *lines]) + "\n")


def write_tree(root, n=20, frequencies=(100,)):
    """A folder as published: two ECGs a patient, four kinds of statements in turn."""
    ids = np.arange(1, n + 1)
    frame = pd.DataFrame(dict.fromkeys(COLUMNS, np.nan), index=range(n)).astype(object)
    frame["ecg_id"] = ids
    frame["patient_id"] = (ids - 1) // 2 + 100.0
    frame["age"] = np.where(ids == 1, 300, np.where(ids == 2, 93, 40 + ids))
    frame["sex"] = ids % 2
    frame["weight"] = 70.0
    frame["height"] = [6.0, *[170.0] * (n - 1)]
    frame["site"], frame["device"] = 3.0, "CS-12"
    frame["report"] = "sinusrhythmus, alter infarkt"
    frame["scp_codes"] = [CODES[i % 4] for i in range(n)]
    frame["static_noise"] = [" , I-V1,  ", *[np.nan] * (n - 1)]
    frame["strat_fold"] = (ids - 1) // 2 % 10 + 1
    for frequency, column, suffix in ((100, "filename_lr", "lr"), (500, "filename_hr", "hr")):
        frame[column] = [f"records{frequency}/00000/{i:05d}_{suffix}" for i in ids]
        if frequency in frequencies:
            for i, name in zip(ids, frame[column], strict=True):
                write_record(root, name, draw_ecg(frequency=frequency, seed=int(i), rate=60 + i), frequency)
    frame.to_csv(root / "ptbxl_database.csv", index=False)
    (root / "scp_statements.csv").write_text(STATEMENTS)
    return root


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("ptb"))


@pytest.fixture
def tree(published, tmp_path):
    return shutil.copytree(published, tmp_path / "ptb")


def change(root, alter):
    frame = pd.read_csv(root / "ptbxl_database.csv")
    alter(frame)
    frame.to_csv(root / "ptbxl_database.csv", index=False)


def test_modalities_groups_and_folds(published):
    cohort = load_cohort("ptb_xl", published)
    assert cohort.modalities == ("demographics", "body", "rhythm", "conduction", "repolarisation")
    assert not {"sex", "report", "site"} & {f.name for f in cohort.fields}
    assert cohort.protected == ("sex", "age_group")
    assert cohort.values["demographics.age"].tolist()[:3] == [90, 90, 43]
    assert cohort.samples["age_group"].tolist()[:3] == ["90 or over", "90 or over", "40-64"]
    assert cohort.samples["sex"].tolist()[:2] == ["Female", "Male"]
    assert cohort.samples["split_fold"].tolist() == [i // 2 % 10 + 1 for i in range(20)]
    assert assign_folds(cohort.samples).tolist() == [i // 4 for i in range(20)]
    assert np.isnan(cohort.values["body.height"][0])
    assert cohort.counts["values of height outside 50 to 230, taken as missing"] == 1
    assert cohort.counts["ECGs on which static noise was noted, kept"] == 1
    assert "a part of release 1.0.3" in cohort.caution


def test_the_label_is_a_superclass_or_a_statement(published):
    def labels(**options):
        return load_cohort("ptb_xl", published, **options).samples.label.tolist()

    assert labels() == [0, 1, 1, 0] * 5
    assert labels(label="CD") == [0, 0, 1, 0] * 5
    assert labels(label="AFIB") == [0, 0, 0, 1] * 5
    sure = load_cohort("ptb_xl", published, likelihood=50)
    assert sure.samples.label.tolist() == [0, 1, 0] * 5
    assert sure.counts["ECGs of which MI is stated below the likelihood asked for, dropped"] == 5
    assert load_cohort("ptb_xl", published, label="AFIB").task == "atrial fibrillation on the ECG"


def test_each_modality_tells_its_own_measurements(published):
    cohort = describe_files(load_cohort("ptb_xl", published, ecg_ids=[1, 2, 3, 4]))
    for modality, names in MEASURED.items():
        assert [f.name for f in cohort.fields if f.modality == modality] == [f"ecg_{n}" for n in names]
    assert cohort.values["rhythm.ecg_rate"].tolist() == pytest.approx([61, 62, 63, 64], abs=1)
    notes = write_notes(cohort)
    assert set(notes.modality) == set(cohort.modalities)


def test_site_and_device_are_known_but_no_inputs(published):
    cohort = load_cohort("ptb_xl", published)
    assert set(cohort.samples.site) == {"site 3"} and set(cohort.samples.device) == {"CS-12"}
    assert not {"site", "device"} & ({f.name for f in cohort.fields} | set(cohort.protected))


def test_a_whole_release_is_named(published, monkeypatch):
    monkeypatch.setattr(ptb_xl, "ROWS", {20: "1.0.2"})
    assert "20 rows of release 1.0.2" in load_cohort("ptb_xl", published).caution


def test_report_and_recording_come_on_demand_and_the_report_is_known_to_be_late(published):
    cohort = load_cohort("ptb_xl", published, report=True, recording=True)
    assert cohort.modalities[-2:] == ("recording", "report")
    assert {f.timing for f in cohort.fields if f.modality == "report"} == {"after"}
    assert cohort.values["recording.site"].tolist()[:2] == ["site 3", "site 3"]


def test_patients_are_drawn_whole_and_ecgs_can_be_listed(published, tmp_path):
    assert load_cohort("ptb_xl", published, limit=4).samples.groupby("patient_id").size().tolist() == [2] * 4
    pd.DataFrame({"ecg_id": [2, 3, 4, 99]}).to_csv(tmp_path / "list.csv", index=False)
    cohort = load_cohort("ptb_xl", published, ecg_ids=str(tmp_path / "list.csv"))
    assert cohort.samples.sample_id.tolist() == ["2", "3", "4"]
    assert cohort.counts["ECGs asked for that the database lacks"] == 1


def test_a_whole_recording_is_one_modality(published):
    cohort = load_cohort("ptb_xl", published, view="whole")
    assert cohort.modalities == ("demographics", "body", "ecg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"frequency": 500},
            "frequency is 500, but .* has none of the 20 recordings .*; set frequency to 100",
        ),
        ({"frequency": 250}, "frequency is 250; expected 100 or 500"),
        ({"label": "STROKE"}, "label is 'STROKE'; expected NORM, MI, STTC, CD, HYP, or a statement"),
        ({"likelihood": 101}, "likelihood is 101; expected a percentage"),
        ({"view": "x"}, "view is 'x'; expected one of measured, whole"),
        ({"ecg_ids": "none.csv"}, "ecg_ids is 'none.csv'; expected sample, a CSV file"),
        ({"ecg_ids": [77]}, "has none of the 1 ECGs that ecg_ids names"),
        ({"limit": 0}, "limit is 0"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_one_sentence(published, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        load_cohort("ptb_xl", published, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda f: f.pop("scp_codes"), "lacks the column.s. scp_codes"),
        (lambda f: f.__setitem__("strat_fold", 11), "strat_fold holds 11; expected 1 to 10"),
        (lambda f: f.__setitem__("strat_fold", f["ecg_id"] % 10 + 1), "patients are in two folds"),
        (
            lambda f: f.__setitem__("scp_codes", "{'MI'"),
            "scp_codes of ECG 1 is \"{'MI'\"; expected a dictionary",
        ),
    ],
    ids=["column", "fold", "patients", "codes"],
)
def test_a_database_that_does_not_fit_is_one_sentence(tree, alter, message):
    change(tree, alter)
    with pytest.raises(ValueError, match=message) as error:
        load_cohort("ptb_xl", tree)
    assert "\n" not in str(error.value)


def test_a_folder_without_the_tables_is_one_sentence(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the folder of PTB-XL, with ptbxl_database.csv"):
        load_cohort("ptb_xl", tmp_path)
    (tree / "scp_statements.csv").unlink()
    with pytest.raises(FileNotFoundError, match="scp_statements.csv was not found"):
        load_cohort("ptb_xl", tree)


def test_recordings_that_are_missing_or_damaged_are_absent_and_counted(tree):
    record = tree / "records100" / "00000"
    (record / "00001_lr.hea").unlink()
    header = (record / "00002_lr.hea").read_text()
    (record / "00002_lr.hea").write_text(header.replace("12 100 1000", "12 100 500"))
    content = (record / "00003_lr.dat").read_bytes()
    (record / "00003_lr.dat").write_bytes(content[: len(content) // 2])
    broken = draw_ecg(frequency=100, seed=4)
    broken[LEADS.index("V3")] = 0.2
    write_record(tree, "records100/00000/00004_lr", broken, 100)
    cohort = load_cohort("ptb_xl", tree, ecg_ids=list(range(1, 9)))
    assert cohort.counts["ECGs whose recording was not found"] == 1
    told = describe_files(cohort, most_unmeasured=0.3)
    assert told.values["rhythm.ecg_rate"].isna().tolist() == [True] * 3 + [False] * 5
    assert told.counts["12-lead ECG (rhythm.ecg): unreadable"] == 2
    assert told.outcomes["rhythm.ecg"].tolist()[:4] == ["no file", "unreadable", "unreadable", "measured in full"]
    assert told.counts["12-lead ECG (rhythm.ecg): a lead is missing or flat"] == 1


@pytest.mark.parametrize(("name", "change"), [("long", b"12 100 2000"), ("short", b"12 100 900")])
def test_a_header_of_another_length_is_one_sentence(tmp_path, name, change):
    write_record(tmp_path, name, draw_ecg(frequency=100), 100)
    header = tmp_path / f"{name}.hea"
    header.write_bytes(header.read_bytes().replace(b"12 100 1000", change))
    with pytest.raises(OSError, match="names 900 samples of each lead, but|could not be read") as error:
        read_ecg(tmp_path / name)
    assert "\n" not in str(error.value)


def test_microvolts_are_read_as_such(tmp_path):
    signal = draw_ecg(frequency=100)
    write_record(tmp_path, "r", signal, 100, "uV")
    np.testing.assert_allclose(read_ecg(tmp_path / "r").signal, signal, atol=1e-3)


def test_without_root_only_what_is_needed_is_fetched(published, serve):  # noqa: F811
    content = {str(p.relative_to(published)): p.read_bytes() for p in published.rglob("*.*") if p.is_file()}
    server = serve(content, "ptb-xl/1.0.3")
    cohort = load_cohort("ptb_xl", ecg_ids=[1, 2, 3])
    assert cohort.samples.sample_id.tolist() == ["1", "2", "3"]
    asked = {path.removeprefix("/ptb-xl/1.0.3/") for path, _ in server.asked}
    records = {f"records100/00000/0000{i}_lr.{suffix}" for i in (1, 2, 3) for suffix in ("hea", "dat")}
    assert asked == {"SHA256SUMS.txt", "ptbxl_database.csv", "scp_statements.csv"} | records
    assert read_ecg(cohort.values["rhythm.ecg"][0]).signal.shape == (12, 1000)


def test_an_unreachable_physionet_is_one_sentence(monkeypatch):
    monkeypatch.setattr(physionet, "ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setattr(physionet, "PAUSE", 0)
    with pytest.raises(ConnectionError, match="your own copy as root") as error:
        load_cohort("ptb_xl")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(
    not REAL.is_dir(), reason=f"the sample of PTB-XL is not in {REAL.parent.name}/{REAL.name}"
)
def test_the_sample_of_the_real_data_is_read():
    cohort = load_cohort("ptb_xl", REAL, ecg_ids="sample")
    assert len(cohort.samples) == 1626 and cohort.samples.patient_id.nunique() == 1606
    assert cohort.samples.label.mean() == pytest.approx(0.24, abs=0.02)
    assert cohort.values["body.height"].isna().mean() == pytest.approx(0.67, abs=0.02)
    assert not any("not found" in what or "lacks" in what for what in cohort.counts)
