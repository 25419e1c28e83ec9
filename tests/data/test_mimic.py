"""Loaders of emergency department records, on twins that were made untidy in known ways."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest

from mmlib.data import mimic_iv_ed
from mmlib.data.cohorts import load_cohort
from mmlib.data.edtables import pain, race_groups
from mmlib.data.splits import assign_folds
from mmlib.measure.bootstrap import resample_patients
from mmlib.questions import audit
from mmlib.text.describers import describe_files
from mmlib.text.encode import native
from mmlib.text.notes import write_notes
from mmlib.twins.write import write_twin

PAPER = ("arrival", "triage", "medrecon", "vitals", "codes", "pyxis", "cxr")
RECORD = {"arrival.insurance", "arrival.language", "arrival.marital_status"}
@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    for name in ("mimic_eye", "mimic_iv_ed"):
        write_twin(name, folder / name, patients=70, seed=3, mess=0)
    return folder


@pytest.fixture
def eye(trees, tmp_path):
    return shutil.copytree(trees / "mimic_eye", tmp_path / "eye")


@pytest.fixture
def ed(trees, tmp_path):
    return shutil.copytree(trees / "mimic_iv_ed", tmp_path / "ed")


def table(root, name, folder="ed"):
    return pd.read_csv(root / folder / f"{name}.csv.gz")


def change(root, name, alter, folder="ed"):
    """Rewrite a table of a MIMIC-IV-ED tree."""
    frame = alter(table(root, name, folder))
    frame.to_csv(root / folder / f"{name}.csv.gz", index=False)


def test_modalities_are_those_of_the_paper(trees):
    cohort = load_cohort("mimic_eye", trees / "mimic_eye")
    assert cohort.modalities == PAPER
    assert load_cohort("mimic_iv_ed", trees / "mimic_iv_ed").modalities == PAPER[:-1]
    assert {f.name for f in cohort.fields if f.modality == "arrival"} == {"age", "transport"}
    assert [f.kind for f in cohort.fields if f.modality == "cxr"] == ["image"]
    images = cohort.values["cxr.image"].dropna()
    assert len(images) > 10 and all(os.path.isfile(i) for i in images)
    assert not {"race", "sex", "gender"} & {f.name for f in cohort.fields}


def test_values_are_those_of_the_tables(trees):
    root = trees / "mimic_iv_ed"
    cohort = load_cohort("mimic_iv_ed", root)
    stays, signs = table(root, "edstays"), table(root, "vitalsign")
    stays = stays[stays.disposition.isin(["HOME", "ADMITTED", "EXPIRED"])]
    assert cohort.samples.sample_id.astype(int).tolist() == stays.stay_id.tolist()
    assert (cohort.samples.label == (stays.disposition != "HOME").astype(int).to_numpy()).all()
    values = cohort.values.set_index(stays.stay_id)
    for stay, rows in signs[signs.stay_id.isin(stays.stay_id)].groupby("stay_id"):
        assert values.loc[stay, "vitals.heartrate_highest"] == rows.heartrate.max()
        assert values.loc[stay, "vitals.o2sat_lowest"] == rows.o2sat.min()
    people = table(root, "patients", "hosp").set_index("subject_id")
    year = pd.to_datetime(stays.intime).dt.year.to_numpy()
    own = people.loc[stays.subject_id]
    assert (values["arrival.age"].to_numpy() == own.anchor_age + year - own.anchor_year).all()
    given = table(root, "pyxis").groupby("stay_id").name.agg(lambda names: len({n.lower() for n in names}))
    np.testing.assert_array_equal(values["pyxis.number"].dropna(), given.reindex(stays.stay_id).dropna())


def test_a_list_has_a_sentence_per_entry(trees):
    cohort = load_cohort("mimic_iv_ed", trees / "mimic_iv_ed")
    notes = write_notes(cohort)
    taken = notes[notes.field == "medication"]
    numbers = cohort.values["medrecon.number"].dropna()
    assert taken.groupby("sample_id").size().to_numpy().sum() == numbers.sum()
    assert taken.sentence.str.match(r"Home medication: [a-z].*\(.*\)\.$").all()
    assert not notes.duplicated(["sample_id", "modality", "field", "sentence"]).any()
    numbers = native(cohort.values.assign(sample_id=cohort.samples.sample_id))
    assert tuple(numbers.modality.values) == PAPER[:-1]  # the number of entries stands in for lists


def test_the_demo_is_fetched_only_where_there_is_no_folder(trees, monkeypatch):
    asked = []

    def fetch(project, files):
        asked.append((project, sorted(files)))
        return trees / "mimic_iv_ed"

    monkeypatch.setattr(mimic_iv_ed, "fetch_files", fetch)
    given = load_cohort("mimic_iv_ed", trees / "mimic_iv_ed", demo=True)
    assert not asked
    fetched = load_cohort("mimic_iv_ed", demo=True)
    names = ("diagnosis", "edstays", "medrecon", "pyxis", "triage", "vitalsign")
    assert asked == [("mimic-iv-ed-demo/2.2", [f"ed/{name}.csv.gz" for name in names])]
    pd.testing.assert_frame_equal(fetched.values, given.values)
    with pytest.raises(FileNotFoundError, match="root is 'None', which is no folder"):
        load_cohort("mimic_iv_ed")


def test_lineage_joins_what_only_admissions_know(trees):
    root = trees / "mimic_iv_ed"
    cohort = load_cohort("mimic_iv_ed", root, arrival_fields="lineage")
    late = {f.column for f in cohort.fields if f.timing == "after" and f.modality == "arrival"}
    assert late == RECORD
    there = cohort.values["arrival.insurance"].notna()
    assert there[cohort.samples.label == 1].all() and there[cohort.samples.label == 0].mean() < 0.1
    admissions = table(root, "admissions", "hosp").set_index("hadm_id").insurance.str.lower()
    stays = table(root, "edstays").set_index("stay_id")
    hadm = stays.hadm_id.loc[cohort.samples.sample_id.astype(int)]
    assert (
        cohort.values["arrival.insurance"][there] == admissions.loc[hadm[there.to_numpy()]].to_numpy()
    ).all()
    without = load_cohort("mimic_iv_ed", root)
    assert not [f for f in without.fields if f.timing == "after" and f.modality != "codes"]


@pytest.mark.parametrize(("arrival_fields", "expected"), [("registration", set()), ("lineage", RECORD)])
def test_the_audit_calls_what_comes_from_the_admission_record_leaks_and_nothing_else(
    trees, arrival_fields, expected
):
    options = {"prediction_time": "disposition", "cxr": "none", "arrival_fields": arrival_fields}
    cohort = load_cohort("mimic_eye", trees / "mimic_eye", **options)
    samples = cohort.samples.assign(fold=assign_folds(cohort.samples, folds=3))
    found = audit.predictiveness(cohort, samples, resample_patients(samples.patient_id, 50), minimum=20)
    verdicts = audit.give_verdicts(cohort, found)
    leaks = set(verdicts.field[verdicts.verdict == "leak"])
    assert leaks & set(cohort.values.columns) == expected
    assert leaks - expected == ({"arrival"} if expected else set())  # the block that holds them
    by_presence = found[(found.metric == "presence_auroc") & (found.low > 0.9)]
    assert set(by_presence.field) == expected


@pytest.mark.parametrize("prediction_time", ["triage", "90min", "disposition"])
def test_what_is_recorded_later_is_dropped(trees, prediction_time):
    root = trees / "mimic_eye"
    cohort = load_cohort("mimic_eye", root, prediction_time=prediction_time)
    assert not (cohort.times > 0).any(axis=None)
    assert "codes" not in cohort.modalities
    assert (cohort.times.notna() == cohort.values[cohort.times.columns].notna()).all(axis=None)
    if prediction_time == "triage":
        assert cohort.modalities == ("arrival", "triage")
        return
    rows = pd.concat(pd.read_csv(f) for f in root.glob("patient_*/ED/vitalsign.csv"))
    stays = pd.concat(
        pd.read_csv(f, parse_dates=["intime", "outtime"]) for f in root.glob("patient_*/ED/edstays.csv")
    )
    rows = rows.merge(stays[["stay_id", "intime", "outtime"]], on="stay_id")
    end = rows.outtime if prediction_time == "disposition" else rows.intime + pd.Timedelta("90min")
    kept = rows[pd.to_datetime(rows.charttime) <= end.where(end < rows.outtime, rows.outtime)]
    lowest = kept.groupby("stay_id").sbp.min().reindex(cohort.samples.sample_id.astype(int)).to_numpy()
    np.testing.assert_array_equal(cohort.values["vitals.sbp_lowest"], lowest)


def test_tasks(trees):
    root = trees / "mimic_iv_ed"
    stays = table(root, "edstays").set_index("stay_id")
    for task, linked in (
        ("icu", set(table(root, "icustays", "icu").hadm_id)),
        ("death", set(table(root, "admissions", "hosp").query("hospital_expire_flag == 1").hadm_id)),
    ):
        try:
            samples = load_cohort("mimic_iv_ed", root, task=task).samples
        except ValueError as error:  # so few patients may have nobody who dies
            assert task == "death" and "one class" in str(error)
            continue
        own = stays.loc[samples.sample_id.astype(int)]
        expected = own.hadm_id.isin(linked) | ((own.disposition == "EXPIRED") & (task == "death"))
        assert (samples.label == expected.to_numpy()).all()


def test_patients_stay_in_one_fold(trees):
    samples = load_cohort("mimic_iv_ed", trees / "mimic_iv_ed").samples
    assert samples.patient_id.duplicated().any()
    folds = assign_folds(samples)
    assert folds.groupby(samples.patient_id).nunique().max() == 1


def test_race_as_recorded_grouped_and_binary():
    words = [
        "WHITE - RUSSIAN",
        "PORTUGUESE",
        "BLACK/CAPE VERDEAN",
        "HISPANIC/LATINO - CUBAN",
        "SOUTH AMERICAN",
    ]
    words = pd.Series([*words, "ASIAN - CHINESE", "MULTIPLE RACE/ETHNICITY", "UNABLE TO OBTAIN", None])
    assert race_groups(words, "grouped").tolist() == [
        *("White", "White", "Black", "Hispanic", "Hispanic", "Asian", "Other", "Unknown", "Unknown")
    ]
    assert race_groups(words, "binary").tolist() == ["White"] * 2 + ["Non-White"] * 7
    assert race_groups(words, "recorded").tolist()[2] == "Black/cape verdean"


def test_pain_is_read_as_people_write_it():
    text = pd.Series(["7", "7/10", " 6-8 ", "10", "unable", "Critical", "13", "2.5", None, ""])
    expected = [
        7,
        7,
        7,
        10,
        np.nan,
        np.nan,
        13,
        2.5,
        np.nan,
        np.nan,
    ]  # 13 is out of bounds, which comes later
    np.testing.assert_array_equal(pain(text), expected)


def test_untidy_values_are_repaired_or_dropped_and_counted(ed):
    def spoil(triage):
        triage = triage.astype({"pain": object})
        triage.loc[0, ["heartrate", "o2sat"]] = [999, 9900]
        triage.loc[1, "temperature"] = 37.0
        triage.loc[2, "pain"] = "unable"
        triage.loc[3, "pain"] = "13"
        return pd.concat([triage, triage.iloc[[5]]])

    change(ed, "edstays", lambda t: t.assign(disposition=np.where(t.index % 3 > 0, "HOME", "ADMITTED")))
    change(ed, "triage", spoil)
    change(ed, "edstays", lambda t: pd.concat([t, t.iloc[[4]]]))
    cohort = load_cohort("mimic_iv_ed", ed)
    first = cohort.values.set_index(cohort.samples.sample_id.astype(int)).loc[table(ed, "triage").stay_id[:4]]
    assert first["triage.heartrate"].isna().iloc[0] and first["triage.o2sat"].isna().iloc[0]
    assert first["triage.temperature"].iloc[1] == pytest.approx(98.6)
    assert first["triage.pain"].iloc[2:4].isna().all()
    for what, number in {
        "stays listed more than once, dropped": 1,
        "triage: heartrate beyond what is possible, dropped": 1,
        "triage: o2sat beyond what is possible, dropped": 1,
        "triage: temperature in degrees Celsius, converted": 1,
        "triage: pain that is no number, dropped": 1,
        "triage: pain beyond what is possible, dropped": 1,
    }.items():
        assert cohort.counts[what] == number, what


def test_dates_out_of_order_and_unreadable_ones_are_counted(ed):
    def spoil(stays):
        stays.loc[0, ["intime", "outtime"]] = stays.loc[0, ["outtime", "intime"]].to_numpy()
        stays.loc[1, "intime"] = "yesterday"
        return stays

    change(ed, "edstays", spoil)
    some = load_cohort("mimic_iv_ed", ed).samples.sample_id.astype(int)
    row = table(ed, "vitalsign").stay_id.isin(some).idxmax()
    change(ed, "vitalsign", lambda t: t.assign(charttime=t.charttime.where(t.index != row, "")))
    counts = load_cohort("mimic_iv_ed", ed, prediction_time="90min").counts
    assert counts["stays that end before they begin, dropped"] == 1
    assert counts["stays without a readable date, dropped"] == 1
    assert counts["rows without a readable charttime"] == 1
    assert counts["rows recorded after the prediction time, dropped"] > 10


def test_plain_csv_another_place_of_mimic_iv_and_absent_tables(ed, tmp_path):
    whole = load_cohort("mimic_iv_ed", ed)
    table(ed, "edstays").to_csv(ed / "ed" / "edstays.csv", index=False)
    (ed / "ed" / "edstays.csv.gz").unlink()
    (tmp_path / "iv").mkdir()
    for folder in ("hosp", "icu"):
        shutil.move(ed / folder, tmp_path / "iv" / folder)
    moved = load_cohort("mimic_iv_ed", ed, mimic_iv=str(tmp_path / "iv"))
    pd.testing.assert_frame_equal(moved.values, whole.values)
    (ed / "ed" / "pyxis.csv.gz").unlink()
    lacking = load_cohort("mimic_iv_ed", ed)
    assert "pyxis" not in lacking.modalities and "age_group" not in lacking.protected
    assert lacking.counts["tables that were not found: pyxis"] == 1
    with pytest.raises(ValueError, match="task 'icu' needs the table icustays, which was not found"):
        load_cohort("mimic_iv_ed", ed, task="icu")
    with pytest.raises(ValueError, match="'lineage' needs the table admissions"):
        load_cohort("mimic_iv_ed", ed, arrival_fields="lineage")


def test_either_spelling_and_absent_folders_of_mimic_eye(eye):
    whole = load_cohort("mimic_eye", eye, arrival_fields="lineage", cxr="none")
    patients = sorted(eye.glob("patient_*"))
    for patient in patients[::2]:
        if (patient / "Hosp").is_dir():
            (patient / "Hosp").rename(patient / "Hsop")
    other = load_cohort("mimic_eye", eye, arrival_fields="lineage", cxr="none")
    assert other.values["arrival.insurance"].notna().sum() == whole.values["arrival.insurance"].notna().sum()
    shutil.rmtree(patients[0] / "ED")
    (patients[1] / "ED" / "triage.csv").unlink(missing_ok=True)
    less = load_cohort("mimic_eye", eye, cxr="none")
    assert less.counts["patients without ED/edstays.csv"] == 1
    subject = patients[1].name.removeprefix("patient_")
    assert not less.present()["triage"][less.samples.patient_id == subject].any()
    assert patients[0].name.removeprefix("patient_") not in set(less.samples.patient_id)


def test_lost_and_damaged_images_are_counted_and_the_sample_kept(eye):
    whole = load_cohort("mimic_eye", eye, limit=35)
    paths = whole.values["cxr.image"].dropna().tolist()
    os.unlink(paths[0])
    os.truncate(paths[1], os.path.getsize(paths[1]) // 2)
    with open(paths[2], "wb") as file:
        file.write(b"not a picture")
    cohort = load_cohort("mimic_eye", eye, limit=35)
    assert cohort.counts["chest X-rays that were not found"] == 1
    assert cohort.counts["chest X-rays that are damaged"] == 2
    assert len(cohort.samples) == len(whole.samples)
    told = describe_files(cohort, most_unmeasured=0.5)
    became = dict(zip(cohort.values["cxr.image"], told.outcomes["cxr.image"], strict=True))
    assert [became[path] for path in paths[:3]] == ["no file", "unreadable", "unreadable"]
    assert not told.present()["cxr"][cohort.values["cxr.image"].isin(paths[:3])].any()


def test_reports_in_place_of_images(eye):
    cohort = load_cohort("mimic_eye", eye, cxr="report")
    report = cohort.values["cxr.report"].dropna()
    assert len(report) > 10 and not report.str.contains("FINDINGS|IMPRESSION").any()
    for file in eye.glob("*/CXR-DICOM/s*.txt"):
        file.write_text("FINDINGS: Clear.\n IMPRESSION:\n\n NOTIFICATION: by phone.")
    other = load_cohort("mimic_eye", eye, cxr="report").values["cxr.report"].dropna()
    assert set(other) == {"Clear."} and other.index.equals(report.index)


def test_an_absent_report_says_why(eye):
    one, two = list(eye.glob("*/CXR-DICOM/s*.txt"))[:2]
    one.unlink()
    two.write_text("INDICATION: cough.")
    cohort = load_cohort("mimic_eye", eye, cxr="report")
    became = cohort.outcomes["cxr.report"]
    assert set(became) == {"no file", "refused", "measured in full"} and (became == "refused").sum() == 1
    assert cohort.values["cxr.report"].notna().equals(became == "measured in full")


def test_a_usable_picture_is_chosen_before_a_later_one_that_is_not(eye):
    before = load_cohort("mimic_eye", eye).values["cxr.image"]
    meta = pd.concat(pd.read_csv(file) for file in eye.glob("patient_*/CXR-JPG/cxr_meta.csv"))
    several = meta[meta.stay_id.isin(meta.stay_id[meta.stay_id.notna() & meta.stay_id.duplicated()])]
    chosen = [path for path in before.dropna() if path.split("/")[-1][:-4] in set(several.dicom_id)]
    os.unlink(chosen[0])
    after = load_cohort("mimic_eye", eye).values["cxr.image"]
    changed = after[before == chosen[0]].item()
    assert changed != chosen[0] and os.path.isfile(changed)


def test_a_limit_draws_the_same_patients_again(trees):
    for name in ("mimic_eye", "mimic_iv_ed"):
        some, again = (load_cohort(name, trees / name, limit=20).samples for _ in range(2))
        assert some.equals(again) and 10 < some.patient_id.nunique() <= 20


def test_a_frontal_view_is_preferred_to_a_later_lateral_one(trees):
    root = trees / "mimic_eye"
    meta = pd.read_csv(root / "spreadsheets" / "cxr_meta_with_stay_id_only.csv").set_index("dicom_id")
    chosen = load_cohort("mimic_eye", root).values["cxr.image"].dropna().map(lambda p: p.split("/")[-1][:-4])
    assert (meta.ViewPosition == "LATERAL").any()
    assert meta.loc[chosen].ViewPosition.isin(["PA", "AP"]).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mimic_eye", {"task": "mortality"}, "task is 'mortality'; expected one of disposition, icu, death"),
        ("mimic_eye", {"prediction_time": "2h"}, "prediction_time is '2h'; expected one of triage, 90min"),
        (
            "mimic_eye",
            {"arrival_fields": "all"},
            "arrival_fields is 'all'; expected one of registration, lineage",
        ),
        ("mimic_iv_ed", {"race": "colour"}, "race is 'colour'; expected one of grouped, recorded, binary"),
        ("mimic_eye", {"cxr": "jpg"}, "cxr is 'jpg'; expected one of image, report, none"),
        ("mimic_eye", {"limit": 0}, "limit is 0; expected a whole number of patients"),
        ("mimic_iv_ed", {"limit": 2.5}, "limit is 2.5; expected a whole number of patients"),
    ],
)
def test_bad_options_are_one_sentence(trees, name, options, message):
    with pytest.raises(ValueError, match=message):
        load_cohort(name, trees / name, **options)


def test_wrong_roots_and_broken_trees_are_one_sentence(trees, ed, eye, tmp_path):
    for name in ("mimic_eye", "mimic_iv_ed"):
        for root in (None, tmp_path / "nowhere", tmp_path):
            with pytest.raises(
                FileNotFoundError, match="expected th.* of MIMIC"
            ):
                load_cohort(name, root)
    change(ed, "triage", lambda t: t.rename(columns={"o2sat": "spo2"}))
    with pytest.raises(
        ValueError, match=r"triage.csv.gz lacks the column\(s\) o2sat; it has subject_id, stay_id"
    ):
        load_cohort("mimic_iv_ed", ed)
    os.truncate(ed / "ed" / "edstays.csv.gz", 300)
    with pytest.raises(ValueError, match="edstays.csv.gz cannot be read as a table"):
        load_cohort("mimic_iv_ed", ed)
    some = next(eye.glob("patient_*/ED/edstays.csv"))
    some.write_text(some.read_text().replace("disposition", "outcome"))
    with pytest.raises(ValueError, match=r"ED/edstays.csv lacks the column\(s\) disposition"):
        load_cohort("mimic_eye", eye)
    for file in eye.glob("patient_*/ED/edstays.csv"):
        file.unlink()
    with pytest.raises(
        FileNotFoundError, match="No patient folder of .* holds ED/edstays.csv; is the download"
    ):
        load_cohort("mimic_eye", eye)
