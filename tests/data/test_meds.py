import resource
import shutil
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mmlib.data.cohorts import load_cohort
from mmlib.data.splits import assign_folds
from mmlib.runs import artefacts
from mmlib.text.notes import write_notes
from tests.meds_twin import MEDS, SCHEMA, put, table_options, write_meds, write_shard
from tests.sentences import one_sentence


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return write_meds(tmp_path_factory.mktemp("meds"))


@pytest.fixture
def copy(twin, tmp_path):
    """A copy of the dataset that a test may spoil."""
    return shutil.copytree(twin, tmp_path / "meds")


def load(folder, **options):
    return load_cohort("meds", folder, **(MEDS | options))


def shard(folder, number=0):
    return pq.read_table(folder / "data" / f"{number}.parquet").to_pandas()


def test_a_twin_written_as_events_is_the_same_cohort_as_a_table(twin):
    events, table = load(twin), load_cohort("table", twin / "visits.parquet", **table_options(twin))
    columns = ["sample_id", "patient_id", "label", "sex", "race"]
    of_table = table.samples.set_index("sample_id").loc[events.samples.sample_id].reset_index()
    pd.testing.assert_frame_equal(events.samples[columns], of_table[columns], check_dtype=False)
    where = pd.Index(table.samples.sample_id).get_indexer(events.samples.sample_id)
    for field in events.fields:
        np.testing.assert_array_equal(
            events.values[field.column], table.values[f"{field.modality}.{field.column}"].to_numpy()[where]
        )
    said = [write_notes(c)[["sample_id", "modality", "sentence"]] for c in (events, table)]
    said = [notes.sort_values(list(notes), ignore_index=True) for notes in said]
    pd.testing.assert_frame_equal(*said)


def test_an_event_after_the_prediction_is_never_used(copy):
    before = load(copy)
    frame = shard(copy)
    late = frame[frame["time"].notna()].drop_duplicates(["subject_id", "code"], keep="last")
    late = late.assign(time=late["time"] + pd.Timedelta(seconds=1), numeric_value=np.float32(999))
    other = late.assign(code="VITAL//late")
    write_shard(copy, 0, pd.concat([frame, late, other]).sort_values(["subject_id", "time"], na_position="first"))
    for statistic in ("last", "first", "min", "max", "count", "present"):
        modalities = {"vitals": [{"codes": "VITAL//sign_*", "window": 240, "statistic": statistic}]}
        clean, planted = (load(f, modalities=modalities) for f in (copy, copy))
        assert not (planted.values == 999).any().any()
        pd.testing.assert_frame_equal(clean.values, planted.values)
    last = load(copy, modalities={"vitals": [{"codes": "VITAL//*", "window": 240}]})
    assert (last.times <= 0).to_numpy()[last.times.notna()].all()
    pd.testing.assert_frame_equal(
        last.values[before.values.filter(like="VITAL").columns], before.values.filter(like="VITAL")
    )
    assert last.values["vitals.VITAL//late"].isna().mean() > 0.5  # only from an earlier stay


def test_windows_and_statistics_take_what_they_say(copy):
    times = pd.Timestamp("2150-01-01") - pd.to_timedelta([30, 5, 2, 0], unit="h")
    code, values = "VITAL//sign_1", np.float32([1, 4, 2, 3])
    for number in range(3):
        frame = shard(copy, number)
        frame = frame[frame["code"] != code]
        own = [
            pd.DataFrame({"subject_id": s, "time": times, "code": code, "numeric_value": values})
            for s in range(300)
            if s % 3 == number
        ]
        write_shard(copy, number, pd.concat([frame, *own]).sort_values(["subject_id", "time"], na_position="first"))
    expected = {"last": 3, "first": 4, "min": 2, "max": 4, "count": 3, "present": "yes"}
    for statistic, value in expected.items():
        entry = {"codes": code, "window": 24, "statistic": statistic}
        cohort = load(copy, modalities={"vitals": [entry]})
        first = cohort.samples.sample_id.str.endswith("-0")
        assert set(cohort.values.iloc[:, 0][first]) == {value}, statistic
    assert load(copy, modalities={"vitals": [{"codes": code, "statistic": "first"}]}).values.iloc[0, 0] == 1


def test_static_codes_count_only_where_they_are_named_and_their_time_is_unknown(twin):
    cohort = load(twin, modalities={"vitals": ["VITAL//*"], "who": ["GENDER//*"]})
    timing = {f.name: f.timing for f in cohort.fields}
    assert timing["VITAL//sign_1"] == "before" and timing["GENDER//Male"] == "unknown"
    male = cohort.samples.sex == "Male"
    assert (cohort.values["who.GENDER//Male"].notna() == male).all()
    assert not any("GENDER" in f.name for f in load(twin).fields)


def test_splits_are_kept_or_drawn_anew(twin):
    kept, anew = load(twin, splits="keep"), load(twin)
    folds = assign_folds(kept.samples, folds=3)
    assert (kept.samples.patient_id.astype(int) % 3).groupby(folds).nunique().max() == 1
    assert "split_fold" not in anew.samples


def test_ages_come_from_birth(copy):
    for number in range(3):
        frame = shard(copy, number)
        born = frame.drop_duplicates("subject_id").assign(code="MEDS_BIRTH", time=pd.Timestamp("2100-06-01"))
        write_shard(copy, number, pd.concat([frame, born]).sort_values(["subject_id", "time"], na_position="first"))
    samples = load(copy, protected={"age": {"ages": [18, 50]}}).samples
    # born on 1 June 2100: 49 on 1 January 2150, and 50 from the visit of 30 June on
    visit = samples.sample_id.str.rpartition("-")[2].astype(int)
    assert set(samples.age[visit < 3]) == {"18-49"} and set(samples.age[visit > 2]) == {"50 and over"}


def spoil(name, change):
    """Change one file of a dataset."""

    def spoiled(folder):
        file = folder / name
        frame = pq.read_table(file).to_pandas()
        change(frame).to_parquet(file, index=False)
        return {}

    return spoiled


def remove(name):
    def removed(folder):
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
        return {}

    return removed


def damage(folder):
    file = folder / "data" / "1.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    return {}


def in_two_shards(folder):
    write_shard(folder, 7, shard(folder).head(40))
    return {}


def no_code(folder):
    frame = shard(folder)
    put(
        folder / "data" / "0.parquet",
        frame.assign(code=frame["code"].where(frame.index > 0)).reindex(columns=SCHEMA.names),
        SCHEMA,
    )
    return {}


WRONG = {
    "no data": (remove("data"), "data holds no Parquet file"),
    "no labels": (remove("tasks"), "matches no file in"),
    "a damaged shard": (damage, "1.parquet cannot be read as Parquet"),
    "data without code": (
        spoil("data/0.parquet", lambda d: d.drop(columns="code")),
        "0.parquet does not keep the DataSchema of MEDS: .*code",
    ),
    "an event without code": (no_code, "An event of the dataset has no code"),
    "a subject in two shards": (in_two_shards, "7.parquet and .*0.parquet have events of subject"),
    "labels without time": (
        lambda f: spoil_labels(f, lambda d: d.drop(columns="prediction_time")),
        "LabelSchema of MEDS",
    ),
    "labels with another column": (
        lambda f: spoil_labels(f, lambda d: d.assign(more=1)),
        "LabelSchema of MEDS: .*more",
    ),
    "labels that are no truth": (
        lambda f: spoil_labels(f, lambda d: d.assign(boolean_value="dead")),
        "LabelSchema of MEDS",
    ),
    "no boolean label": (
        lambda f: spoil_labels(f, lambda d: d.rename(columns={"boolean_value": "float_value"})),
        "LabelSchema|has no boolean_value",
    ),
    "two labels at once": (lambda f: spoil_labels(f, lambda d: pd.concat([d, d.head(1)])), "has two labels at 2150"),
    "one label": (lambda f: spoil_labels(f, lambda d: d.assign(boolean_value=True)), "label has one class"),
    "codes without code": (
        spoil("metadata/codes.parquet", lambda d: d.drop(columns="code")),
        "CodeMetadataSchema of MEDS",
    ),
    "no splits": (
        lambda f: remove("metadata/subject_splits.parquet")(f) | {"splits": "keep"},
        "which splits: keep needs",
    ),
    "splits of few": (
        lambda f: spoil("metadata/subject_splits.parquet", lambda d: d.head(5))(f) | {"splits": "keep"},
        "lacks .* samples' subjects",
    ),
    "splits of a word": (lambda f: {"splits": "official"}, "splits is 'official'; expected refold or keep"),
    "a pattern of nothing": (
        lambda f: {"modalities": {"x": ["XRAY//*"]}},
        "pattern 'XRAY//.' of modality 'x' matches no code",
    ),
    "no list of patterns": (lambda f: {"modalities": {"x": "LAB//*"}}, "Modality 'x' is 'LAB//.'; expected a list"),
    "no modalities": (lambda f: {"modalities": {}}, "modalities is {}; expected a mapping"),
    "an option": (
        lambda f: {"modalities": {"x": [{"codes": "LAB//*", "hours": 3}]}},
        "has the option 'hours'; expected",
    ),
    "a statistic": (
        lambda f: {"modalities": {"x": [{"codes": "LAB//*", "statistic": "mean"}]}},
        "statistic 'mean'; expected one",
    ),
    "a window": (
        lambda f: {"modalities": {"x": [{"codes": "LAB//*", "window": -1}]}},
        "window -1; expected hours above 0",
    ),
    "no codes": (lambda f: {"modalities": {"x": [{"window": 3}]}}, "expected a pattern, or a mapping with codes"),
    "twice": (lambda f: {"modalities": {"x": ["LAB//*", "LAB//sign_1"]}}, "takes 'x.LAB//sign_1' twice"),
    "no attribute": (lambda f: {"protected": {}}, "protected is {}; expected a mapping"),
    "a column": (
        lambda f: {"protected": {"race": {"column": "ethnicity"}}},
        "has no column 'ethnicity'; it has subject_id",
    ),
    "an attribute of nothing": (lambda f: {"protected": {"race": "RACE//*"}}, "of attribute 'race' matches no code"),
    "an odd attribute": (
        lambda f: {"protected": {"race": {"from": "x"}}},
        "protected has race: {'from': 'x'}; expected",
    ),
    "no labels named": (lambda f: {"labels": "nowhere/*.parquet"}, "labels is 'nowhere/.*', which matches no file"),
}


def spoil_labels(folder, change):
    file = folder / "tasks" / "admission" / "0.parquet"
    change(pq.read_table(file).to_pandas()).to_parquet(file, index=False)
    return {}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_dataset_is_one_sentence(copy, name):
    change, message = WRONG[name]
    options = change(copy)
    with one_sentence(message):
        load(copy, **options)


@pytest.mark.slow
def test_five_million_events_become_cohort_and_notes_in_three_minutes_and_four_gib(tmp_path):
    write_meds(tmp_path, 20_000, repeats=39, shards=8)
    assert sum(pq.read_metadata(file).num_rows for file in (tmp_path / "data").iterdir()) > 5_000_000
    start = time.monotonic()
    cohort = load(tmp_path)
    notes = write_notes(cohort)
    artefacts.write(notes, "big", "notes", root=tmp_path)
    assert len(cohort.samples) > 20_000 and time.monotonic() - start < 180
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 < 4  # of this process, in GiB
