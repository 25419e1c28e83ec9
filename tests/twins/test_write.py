"""Twins are checked by what they are for: real layouts, known truth, and loaders that find it again."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mmlib.data.cohorts import load_cohort
from mmlib.data.ecg import LEADS
from mmlib.twins import ed as twins_ed
from mmlib.twins import write as twins
from mmlib.twins.causal import draw
from mmlib.twins.drawings import draw_ecgs, draw_xray, outline_xray
from mmlib.twins.write import main, report_of, write_twin

PATIENTS = 60


@pytest.fixture(scope="module")
def eye(tmp_path_factory):
    return write_twin("mimic_eye", tmp_path_factory.mktemp("twins") / "eye", patients=PATIENTS, seed=1)


@pytest.fixture(scope="module")
def ed(tmp_path_factory):
    return write_twin("mimic_iv_ed", tmp_path_factory.mktemp("twins") / "ed", patients=PATIENTS, seed=1)


def test_the_layout_is_that_of_mimic_eye(eye):
    patients = list(eye.glob("patient_*"))
    assert len(patients) == PATIENTS
    assert all((p / "ED" / "edstays.csv").is_file() for p in patients)
    found = {"/".join(f.relative_to(eye).parts[1:-1]) or f.name for f in eye.rglob("*.csv")}
    assert found == {"ED", "Hosp", "ICU", "CXR-JPG", "cxr_meta_with_stay_id_only.csv"}
    stays = pd.read_csv(patients[0] / "ED" / "edstays.csv")
    assert stays.columns.tolist() == [
        *("subject_id", "hadm_id", "stay_id", "intime", "outtime", "gender", "race"),
        *("arrival_transport", "disposition"),
    ]
    assert stays.subject_id.eq(int(patients[0].name.removeprefix("patient_"))).all()
    images = list(eye.rglob("*.jpg"))
    assert len(images) > PATIENTS / 4
    with Image.open(images[0]) as image:
        assert image.format == "JPEG" and image.mode == "L"
    assert all((i.parents[2] / "CXR-DICOM" / f"{i.parent.name}.txt").is_file() for i in images)


def test_the_layout_is_that_of_mimic_iv_ed(ed):
    names = {str(f.relative_to(ed)) for f in ed.rglob("*.csv.gz")}
    assert names == {
        *(f"ed/{t}.csv.gz" for t in ("edstays", "triage", "vitalsign", "medrecon", "pyxis", "diagnosis")),
        *("hosp/admissions.csv.gz", "hosp/patients.csv.gz", "icu/icustays.csv.gz"),
    }
    triage = pd.read_csv(ed / "ed" / "triage.csv.gz")
    assert triage.columns.tolist() == [
        *("subject_id", "stay_id", "temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp"),
        *("pain", "acuity", "chiefcomplaint"),
    ]


def test_both_layouts_hold_the_same_stays(eye, ed):
    one, other = (load_cohort(n, r).samples for n, r in (("mimic_eye", eye), ("mimic_iv_ed", ed)))
    columns = ["sample_id", "patient_id", "label", "race", "sex", "age_group"]
    one, other = (f.sort_values("sample_id", ignore_index=True)[columns] for f in (one, other))
    pd.testing.assert_frame_equal(one, other)


def test_the_truth_is_what_the_loader_finds(ed):
    cohort = load_cohort("mimic_iv_ed", ed)
    truth = (
        pd.read_parquet(ed / "truth.parquet").set_index("stay_id").loc[cohort.samples.sample_id.astype(int)]
    )
    assert (truth.decided.to_numpy() == (cohort.samples.label == 1)).all()
    assert (truth.race.to_numpy() == cohort.samples.race).all()
    assert (truth.sex.to_numpy() == cohort.samples.sex).all()
    about = json.loads((ed / "twin.json").read_text())
    assert about["seed"] == 1 and about["knobs"]["leak"] is True


def test_vital_signs_and_acuity_look_like_published_ones():
    made = twins_ed.tables(draw(4000, twins_ed.KNOBS, 3), mess=0)
    triage = made["triage"]
    shares = triage.acuity.value_counts(normalize=True)
    assert shares[3] == pytest.approx(0.53, abs=0.05) and shares[2] == pytest.approx(0.33, abs=0.05)
    assert triage.heartrate.mean() == pytest.approx(85, abs=4)
    assert triage.o2sat.between(60, 100).mean() > 0.9
    assert triage.temperature.dropna().between(92, 106).all()
    stays = made["edstays"]
    assert stays.hadm_id.notna()[stays.disposition == "ADMITTED"].all()
    assert stays.hadm_id.notna()[stays.disposition == "HOME"].mean() < 0.05
    assert not stays.stay_id.duplicated().any() and (stays.outtime > stays.intime).all()


def test_a_knob_reaches_the_files(tmp_path, capsys):
    command = ["mimic_iv_ed", "--patients", "300", "--mess", "0", "--seed", "2"]
    assert main([*command[:1], str(tmp_path / "off"), *command[1:]]) == 0
    knob = ["--knob", "error", "{vitals.o2sat: {Black: -1.5}}"]
    assert main([*command[:1], str(tmp_path / "on"), *command[1:], *knob]) == 0
    off, on = (pd.read_csv(tmp_path / t / "ed" / "vitalsign.csv.gz") for t in ("off", "on"))
    black = (
        off.stay_id.map(pd.read_parquet(tmp_path / "on" / "truth.parquet").set_index("stay_id").race)
        == "Black"
    )
    assert (on.o2sat - off.o2sat)[black].mean() > 0.7
    assert (on.o2sat == off.o2sat)[~black].all() and on.heartrate.equals(off.heartrate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--knob", "signl", "1"], "There is no knob 'signl'; expected one of another_stay"),
        (["--knob", "missingness", "{ct: 0.1}"], "The knob missingness names 'ct'"),
        (["--knob", "fields", "{triage: 2}"], "other modalities or fields than the twin of mimic_eye"),
        (["--patients", "0"], "patients is 0"),
        (["--mess", "2"], "mess 2.0; expected"),
    ],
)
def test_bad_requests_write_nothing(tmp_path, capsys, arguments, message):
    assert main(["mimic_eye", str(tmp_path / "twin"), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_twin_leaves_nothing_and_no_folder_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(twins, "draw_xray", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_twin("mimic_eye", tmp_path / "twin", patients=10)
    assert not list(tmp_path.iterdir())
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "mine.txt").touch()
    with pytest.raises(FileExistsError, match="twin exists; remove it"):
        write_twin("mimic_eye", tmp_path / "twin", patients=10)


def test_findings_are_drawn_where_they_are_asked_for():
    clear = draw_xray(opacity=0, heart=0.45, effusion=0, seed=1).astype(float)
    assert clear.shape == (224, 224) and (clear == draw_xray(opacity=0, heart=0.45, effusion=0, seed=1)).all()
    for finding in ({"opacity": 0.8}, {"heart": 0.65}, {"effusion": 0.4}):
        drawn = draw_xray(**({"opacity": 0, "heart": 0.45, "effusion": 0} | finding), seed=1).astype(float)
        assert (drawn - clear > 40).mean() > 0.01, finding
    assert "No acute" in report_of(0, 0.45, 0) and "effusion" in report_of(0, 0.45, 0.4)


def test_a_disturbed_x_ray_is_another_picture_of_the_same_chest():
    chest = {"opacity": 0.6, "heart": 0.5, "effusion": 0}
    angles = []
    for seed in range(40):
        ideal = draw_xray(**chest, seed=seed, disturbance=0)
        taken = draw_xray(**chest, seed=seed)
        assert (taken != ideal).any() and taken.std() > 15
        right, left = outline_xray(heart=0.5, seed=seed)
        assert not (right & left).any() and 0.04 < right.mean() < 0.25 and 0.04 < left.mean() < 0.25
        inside, around = taken[left].mean(), taken[~(left | right)]
        assert inside < np.quantile(around, 0.9)
        angles.append(np.nonzero(right)[0].mean() - np.nonzero(left)[0].mean())
    assert np.std(angles) > 2  # pixels: some are turned
    for mask in outline_xray(heart=0.5, disturbance=0):
        assert draw_xray(opacity=0, heart=0.5, effusion=0, disturbance=0)[mask].mean() < 100


def test_ecgs_have_the_rate_axis_and_elevation_asked_for():
    settings = {"pr": [160, 160], "qrs": [95, 95], "qt": [380, 380], "st": [0, 0.3], "irregular": [False] * 2}
    ecgs = draw_ecgs(rate=[60, 90], axis=[60, -30], **settings)
    assert ecgs.shape == (2, 1000, 12) and np.isfinite(ecgs).all()
    lead = {name: ecgs[..., i] for i, name in enumerate(LEADS)}
    np.testing.assert_allclose(lead["II"], lead["I"] + lead["III"], atol=1e-5)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0, atol=1e-5)
    for i, beats in enumerate((10, 15)):
        tall = lead["V5"][i] > 0.6
        assert (np.diff(tall.astype(int)) == 1).sum() == pytest.approx(beats, abs=1)
    assert lead["aVF"][0].max() > 0.6 and lead["aVF"][1].min() < -0.3
    raised, normal = (np.quantile(lead["V2"][i], 0.75) for i in (1, 0))
    assert raised - normal > 0.1


def test_mds_ed_has_its_columns_its_memmap_and_wfdb_records(tmp_path):
    folder = write_twin("mds_ed", tmp_path / "mds", patients=25, seed=1, wfdb=True)
    table = pd.read_csv(folder / "mds_ed.csv")
    assert {c.split("_")[0] for c in table} == {
        *("general", "demographics", "biometrics", "vitals", "labvalues", "deterioration", "diagnoses"),
    }
    assert sum(c.startswith("deterioration_") for c in table) == 15
    assert sum(c.endswith("_rate_change") for c in table) == 51
    with np.load(folder / "memmap_meta.npz") as meta:
        assert (meta["length"] == 1000).all() and meta["shape"].tolist() == [[1000 * len(table), 12]]
    raw = np.memmap(folder / "memmap.npy", np.float32, "r").reshape(-1, 12)
    assert len(raw) == 1000 * len(table)
    import wfdb  # the writer has imported it, quietly

    record = wfdb.rdrecord(str(folder / table.general_file_name[0]))
    assert record.fs == 500 and record.p_signal.shape == (5000, 12) and record.sig_name == list(LEADS)


@pytest.mark.slow
def test_every_modality_of_a_twin_tells_something_of_the_label(tmp_path):
    cohort = load_cohort("mimic_iv_ed", write_twin("mimic_iv_ed", tmp_path / "t", patients=800, seed=5))
    for modality in cohort.modalities:
        columns = [f.column for f in cohort.fields if f.modality == modality and f.kind == "number"]
        X = cohort.values[columns]
        there = X.notna().any(axis=1)
        X, y = X[there].fillna(X.mean()), cohort.samples.label[there]
        scores = (
            LogisticRegression(max_iter=500)
            .fit((X - X.mean()) / X.std(), y)
            .decision_function((X - X.mean()) / X.std())
        )
        assert 0.53 < roc_auc_score(y, scores) < 0.9, modality
