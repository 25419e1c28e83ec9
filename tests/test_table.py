import pandas as pd
import pytest

from mmlib.cohorts import load_cohort

OPTIONS = {
    "label": "died",
    "protected": ["sex"],
    "sample_id": "visit",
    "patient_id": "patient",
    "modalities": {
        "labs": {"albumin": {"label": "serum albumin", "unit": "g/dL", "decimals": 1}, "sodium": {}},
        "history": ["smoker"],
        "note": {"triage": {"kind": "text"}},
    },
}


def frame():
    return pd.DataFrame(
        {
            "visit": range(6),
            "patient": [1, 1, 2, 3, 4, 5],
            "died": [0, 1, 0, 1, 0, None],
            "sex": ["f", "m", None, "f", "m", "f"],
            "albumin": [2.9, None, 3.5, 4.0, 3.1, 3.3],
            "sodium": [140, 141, 139, 138, None, 137],
            "smoker": ["yes", "no", None, "yes", "no", "no"],
            "triage": ["chest pain", None, "fall ", "  ", "cough", "x"],
        }
    )


@pytest.fixture
def write(tmp_path):
    def save(table, name="data.csv"):
        path = tmp_path / name
        table.to_parquet(path) if name.endswith("parquet") else table.to_csv(path, index=False)
        return path

    return save


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.parquet"])
def test_a_table_becomes_a_cohort(write, name):
    cohort = load_cohort("table", write(frame(), name), **OPTIONS)
    assert cohort.modalities == ("labs", "history", "note")
    assert cohort.samples.label.tolist() == [0, 1, 0, 1, 0]
    assert cohort.samples.sex.tolist() == ["f", "m", "Unknown", "f", "m"]
    assert cohort.samples.patient_id.nunique() == 4
    assert cohort.present()["note"].tolist() == [True, False, True, False, True]
    assert cohort.counts["rows without a label, dropped"] == 1


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda d: d.drop(columns="albumin"), {}, "lacks the column.* albumin"),
        (lambda d: d.drop(columns="died"), {}, "lacks the column.* died"),
        (lambda d: d.assign(visit=1), {}, "sample ids occur twice .*'visit'"),
        (lambda d: d.assign(visit=[0, 1, 2, 3, None, 5]), {}, "identifier 'visit' are missing"),
        (lambda d: d.assign(died=0), {}, "no value of 'died' equals positive=1"),
        (lambda d: d.assign(died=1), {}, "label has one class \\(all positive\\)"),
        (
            lambda d: d.assign(albumin=["low"] * 6),
            {},
            "column 'albumin' holds 'low' in row 0; expected numbers",
        ),
        (
            lambda d: d,
            {"modalities": {"labs": ["albumin", "died"]}},
            "label 'died' is also listed as an input",
        ),
        (lambda d: d, {"modalities": {"labs": {"albumin": {"units": "g"}}}}, "'albumin' .* option 'units'"),
    ],
)
def test_bad_tables_are_one_sentence(write, change, options, message):
    table = change(frame())
    given = OPTIONS | options
    if "albumin" in table and table.albumin.dtype == object or "low" in str(table.get("albumin")):
        given["modalities"] = {"labs": {"albumin": {"kind": "number"}}}
    with pytest.raises(ValueError, match=message):
        load_cohort("table", write(table), **given)


def test_a_file_that_is_absent_or_no_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.csv.*not a file"):
        load_cohort("table", tmp_path / "nowhere.csv", **OPTIONS)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match="broken.parquet cannot be read"):
        load_cohort("table", broken, **OPTIONS)
    (tmp_path / "data.xlsx").write_bytes(b"")
    with pytest.raises(ValueError, match="suffix '.xlsx'; expected .csv"):
        load_cohort("table", tmp_path / "data.xlsx", **OPTIONS)
