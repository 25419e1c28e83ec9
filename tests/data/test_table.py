import pandas as pd
import pytest

from mmlib.data.cohorts import load_cohort
from mmlib.data.table import age_groups
from mmlib.text.notes import write_notes
from tests.sentences import one_sentence

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


@pytest.mark.bad_input
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
        (lambda d: d, {"modalities": {"labs": {"albumin": "g/dL"}}}, "'albumin' .* option 'g/dL'"),
        (
            lambda d: d,
            {"modalities": {"labs": {"albumin": {"kind": "nubmer"}}}},
            "kind 'nubmer'; expected number",
        ),
        (
            lambda d: d,
            {"modalities": {"labs": {"albumin": {"decimals": "1"}}}},
            "'labs.albumin' has decimals '1'",
        ),
        (lambda d: d, {"modalities": {"labs": ["albumin", "albumin"]}}, "'labs.albumin' is listed twice"),
        (lambda d: d, {"modalities": {"labs": "albumin"}}, "Modality 'labs' is 'albumin'; expected a list"),
        (lambda d: d, {"modalities": {"labs": []}}, r"Modality 'labs' is \[\]"),
        (lambda d: d, {"modalities": ["albumin"]}, "modalities is .*expected a mapping"),
        (lambda d: d, {"modalities": {"a+b": ["albumin"]}}, r"called 'a\+b'"),
        (lambda d: d, {"protected": "sex"}, "protected is 'sex'; expected a list"),
        (lambda d: d, {"protected": ["gender"]}, "lacks the column.* gender; it has visit"),
        (lambda d: d, {"patient_id": "person"}, "lacks the column.* person"),
        (lambda d: d, {"positive": "yes"}, "no value of 'died' equals positive='yes'; found .*0"),
        (lambda d: d.assign(died=None), {}, "no value of 'died' equals positive=1"),
        (lambda d: d.iloc[:0], {}, "no value of 'died' equals positive=1"),
        (
            lambda d: d.assign(died=[0, 1, 2, 0, 1, 2]),
            {},
            r"label 'died' has 3 values \(0, 1, 2\); expected two, or",
        ),
        (lambda d: d.assign(albumin="2,9"), {}, "'albumin' holds '2,9' in row 0 among numbers; expected"),
        (
            lambda d: d.assign(sodium=["1", "-", "2", "3", "4", "5"]),
            {},
            "'sodium' holds '-' in row 1 among numbers",
        ),
        (
            lambda d: d.assign(sodium=[1, 2, float("inf"), 3, 4, 5]),
            {},
            "'sodium' holds inf in row 2; expected numbers",
        ),
        (
            lambda d: d.assign(smoker="2020-03-01 10:00"),
            {},
            "'smoker' holds dates such as '2020-03-01 10:00'",
        ),
        (
            lambda d: d.assign(smoker=pd.Timestamp("2020-03-01")),
            {},
            "'smoker' holds dates such as '2020-03-01",
        ),
        (lambda d: d.assign(triage="a\0b"), {}, "column 'triage' holds a NUL byte"),
        (
            lambda d: d,
            {"modalities": {"labs": ["albumin", "patient"]}},
            "the patient_id 'patient' is also listed",
        ),
        (lambda d: d, {"modalities": {"labs": ["albumin", "visit"]}}, "the sample_id 'visit' is also listed"),
        (lambda d: d, {"modalities": {"noise": ["albumin"]}}, "called 'noise'; expected a name"),
        (
            lambda d: d,
            {"modalities": {f"m{i}": ["albumin"] for i in range(21)}},
            "21 modalities, so 2,097,151 subsets",
        ),
        (lambda d: d, {"protected": ["sex", "sex"]}, "protected lists 'sex'; expected each column once"),
        (
            lambda d: d.assign(fold=1),
            {"protected": ["fold"]},
            "attribute is called 'fold'; expected another name",
        ),
    ],
)
def test_bad_tables_are_one_sentence(write, change, options, message):
    table = change(frame())
    given = OPTIONS | options
    if "low" in table.get("albumin", pd.Series()).tolist():
        given["modalities"] = {"labs": {"albumin": {"kind": "number"}}}
    with one_sentence(message):
        load_cohort("table", write(table), **given)


@pytest.mark.bad_input
@pytest.mark.parametrize("option", ["label", "modalities", "protected"])
def test_an_option_that_is_not_given_is_named(write, option):
    given = {name: value for name, value in OPTIONS.items() if name != option}
    with one_sentence(f"cohort 'table' needs the option '{option}'"):
        load_cohort("table", write(frame()), **given)


def test_values_become_numbers_categories_and_text(write):
    table = frame().assign(smoker=[1, 0, None, 1, 0, 0], ward=7, empty=None)
    modalities = {
        "labs": {"albumin": {"unit": "g/dL"}, "sodium": None, "empty": {"kind": "number"}},
        "history": {"smoker": {"words": {0: "no", 1: "yes"}}, "ward": {"kind": "category"}},
        "note": {"triage": {"kind": "text"}},
    }
    cohort = load_cohort("table", write(table), **OPTIONS | {"modalities": modalities})
    values = cohort.values
    assert values["labs.albumin"].dropna().tolist() == [2.9, 3.5, 4.0, 3.1]
    assert (
        values["history.smoker"].tolist()[:2] == ["yes", "no"] and values["history.smoker"].isna().sum() == 1
    )
    assert isinstance(values["history.ward"].dtype, pd.CategoricalDtype)
    assert values["note.triage"].dropna().tolist() == ["chest pain", "fall ", "cough"]
    assert [f.decimals for f in cohort.fields[:2]] == [1, 0]
    sentences = write_notes(cohort).sentence
    assert "Albumin: 2.9 g/dL." in set(sentences) and not sentences.str.contains("Empty").any()


def test_names_may_be_numbers_and_whole_numbers_stay_whole_where_one_is_missing(write):
    table = frame().assign(sex=[1, 0, None, 1, 0, 1], **{"2019": range(6)})
    cohort = load_cohort("table", write(table), **OPTIONS | {"modalities": {7: [2019], "labs": ["albumin"]}})
    assert cohort.modalities == ("7", "labs") and cohort.values["7.2019"].tolist() == [0, 1, 2, 3, 4]
    assert cohort.samples.sex.tolist() == ["1", "0", "Unknown", "1", "0"]


def test_other_labels_than_the_positive_one_are_negative_if_it_is_given_and_counted(write):
    table = frame().assign(died=["MI", "NORM", "MI", "CD", None, "NORM"])
    cohort = load_cohort("table", write(table), **OPTIONS | {"positive": "MI"})
    assert cohort.samples.label.tolist() == [1, 0, 1, 0, 0]
    assert cohort.counts["rows whose died is not MI, of 2 kinds: all negative"] == 3


def test_what_is_said_to_be_a_category_may_look_like_a_number_or_a_date(write):
    columns = {"sodium": {"kind": "category"}, "smoker": {"words": {"2,0": "two"}}}
    table = frame().assign(sodium="2020-03-01", smoker="2,0")
    values = load_cohort("table", write(table), **OPTIONS | {"modalities": {"labs": columns}}).values
    assert set(values["labs.sodium"]) == {"2020-03-01"} and set(values["labs.smoker"]) == {"two"}


def test_samples_are_their_own_patients_unless_a_column_says_otherwise(write):
    given = {name: OPTIONS[name] for name in ("label", "modalities", "protected")}
    samples = load_cohort("table", write(frame()), **given).samples
    assert samples.sample_id.tolist() == samples.patient_id.tolist() == list("01234")


def test_a_file_that_is_absent_or_no_table_is_named(tmp_path, write):
    with pytest.raises(FileNotFoundError, match="nowhere.csv.*not a file"):
        load_cohort("table", tmp_path / "nowhere.csv", **OPTIONS)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match="broken.parquet cannot be read"):
        load_cohort("table", broken, **OPTIONS)
    for name in ("half.csv.gz", "half.parquet"):
        file = write(frame(), name)
        file.write_bytes(file.read_bytes()[:-30])
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a table") as error:
            load_cohort("table", file, **OPTIONS)
        assert "\n" not in str(error.value)
    for name, content in (("empty.csv", b""), ("binary.csv", bytes(range(128, 256)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a table"):
            load_cohort("table", tmp_path / name, **OPTIONS)
    with pytest.raises(FileNotFoundError, match="root is 'None', which is not a file"):
        load_cohort("table", **OPTIONS)
    (tmp_path / "data.xlsx").write_bytes(b"")
    with pytest.raises(ValueError, match="suffix '.xlsx'; expected .csv"):
        load_cohort("table", tmp_path / "data.xlsx", **OPTIONS)


def test_an_age_group_begins_with_its_first_year():
    age = pd.Series([17.9, 18, 39.9, 40, 64, 65, 120, None])
    expected = ["under 18", "18-39", "18-39", "40-64", "40-64", "65 and over", "65 and over", "Unknown"]
    assert age_groups(age, (18, 40, 65)).tolist() == expected
    assert age_groups(pd.Series([0, 49, 50]), (0, 50)).tolist() == ["0-49", "0-49", "50 and over"]
