from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from mmlib.core.schema import Cohort, Field
from mmlib.data.cohorts import load_cohort
from mmlib.data.splits import assign_folds
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.groups import Groups
from mmlib.questions import audit
from tests.benchmarks import audit_characteristics
from tests.data.test_ptb_xl import REAL

SEX = Groups({"sex": "m"})
SAMPLES = pd.DataFrame({"label": [1, 0, 0, 1, 1, 0], "sex": ["f", "f", "f", "m", "m", "m"]})
RECORDED = pd.DataFrame({"labs": [True, True, False, False, False, True], "age": [True] * 6})


def cohort_of(fields, times=None, n=900, seed=0):
    """Make a cohort from field -> values(y, rng), with presence as the values have it."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype("int8")
    samples = pd.DataFrame({"sample_id": np.arange(n).astype(str), "label": y})
    samples["patient_id"] = samples.sample_id
    values = pd.DataFrame({f.column: make(y, rng) for f, make in fields.items()})
    return Cohort("made", "outcome", samples, values, tuple(fields), (), times=times)


def audited(cohort, **options):
    samples = cohort.samples.assign(fold=assign_folds(cohort.samples))
    patient_weights = resample_patients(samples.patient_id, 100)
    found = audit.predictiveness(cohort, samples, patient_weights)
    return found, audit.give_verdicts(cohort, found, **options).set_index("field")


def noise(y, rng):
    return rng.normal(size=len(y))


def sometimes(more, base=0.3):
    return lambda y, rng: np.where(rng.random(len(y)) < base + more * y, rng.normal(size=len(y)), np.nan)


def test_groups_are_counted_with_wilsons_interval():
    sizes = audit.group_sizes(SAMPLES, SEX).set_index("group")
    assert sizes.loc["all", ["n", "n_positive"]].tolist() == [6, 3]
    assert sizes.loc["m", ["n", "n_positive"]].tolist() == [3, 2]
    assert (sizes.loc["m", "low"], sizes.loc["m", "high"]) == proportion_confint(2, 3, method="wilson")


def test_presence_by_group():
    shares = audit.presence_shares(RECORDED, SAMPLES, SEX).set_index(["name", "group"])
    assert shares.rate["labs", "f"] == pytest.approx(2 / 3)
    assert shares.rate["age", "m"] == 1
    assert ((shares.low <= shares.rate) & (shares.rate <= shares.high)).all()


def test_presence_is_compared_between_groups():
    samples = SAMPLES.loc[np.repeat(np.arange(6), 20)].reset_index(drop=True).assign(fold=0)
    recorded = RECORDED.loc[np.repeat(np.arange(6), 20)].reset_index(drop=True)
    patient_weights = resample_patients(np.arange(120), 200)
    table = audit.presence_differences(recorded, samples, SEX, patient_weights).set_index("field")
    assert set(table.metric) == {"recorded"} and table.n.tolist() == [60, 60]
    assert table.loc["labs", "estimate"] == pytest.approx(2 / 3 - 1 / 3)
    assert table.loc["labs", "low"] > 0 and table.loc["labs", ["group", "reference"]].tolist() == ["f", "m"]
    age = table.loc["age"]  # recorded for everybody: no resample differs, but the exact interval says how sure that is
    assert age.small and age.estimate == 0
    assert [age.low, age.high] == pytest.approx(confint_proportions_2indep(60, 60, 60, 60, method="newcomb"))


def test_presence_and_value_are_scored_as_scikit_learn_does():
    number, kind = Field("a", "number", "n"), Field("a", "kind", "k", kind="category")
    cohort = cohort_of(
        {
            number: lambda y, rng: np.where(
                rng.random(len(y)) < 0.4 + 0.3 * y, np.abs(y * 2 + noise(y, rng)), np.nan
            ),
            kind: lambda y, rng: pd.Categorical(np.where(rng.random(len(y)) < 0.2 + 0.5 * y, "x", "z")),
        }
    )
    found, _ = audited(cohort)
    found = found.set_index(["metric", "field"])
    y, there = cohort.samples.label, cohort.values["a.number"].notna()
    assert found.estimate["presence_auroc", "a.number"] == pytest.approx(roc_auc_score(y, there))
    assert ("presence_auroc", "a.kind") not in found.index and ("presence_auroc", "a") not in found.index
    by_hand = roc_auc_score(y, cohort.values["a.kind"] == "x")  # two values: any model ranks them so
    assert found.estimate["value_auroc", "a.kind"] == pytest.approx(by_hand, abs=0.03)
    assert found.loc[("value_auroc", "a.number"), ["n", "n_positive"]].tolist() == [
        there.sum(),
        y[there].sum(),
    ]
    assert found.estimate["value_auroc", "a.number"] > 0.7


def test_a_value_is_scored_by_models_that_never_saw_it():
    cohort = cohort_of({Field("a", "id", "running number"): lambda y, rng: rng.permutation(len(y))})
    found, verdicts = audited(cohort)
    assert abs(found.estimate[0] - 0.5) < 0.06
    assert verdicts.verdict["a.id"] == "fine"


def test_free_text_alone_is_judged_by_its_words():
    words = np.array(["poor fit", "lovely cut"])
    field = Field("t", "review", "review", kind="text", timing="before")
    cohort = cohort_of({field: lambda y, rng: words[np.where(rng.random(len(y)) < 0.9, y, 1 - y)]})
    found, _ = audited(cohort)
    assert found.estimate[0] == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(
    ("timing", "make", "verdict", "reason"),
    [
        ("after", noise, "leak", "documented as after the prediction"),
        ("unknown", sometimes(0.4), "unresolved", "presence predicts .*when it is fixed is not documented"),
        ("unknown", lambda y, rng: y + noise(y, rng), "unresolved", "the value predicts"),
        ("unknown", sometimes(0), "fine", "no sign; when it is fixed is not documented"),
        ("before", sometimes(0.4), "informative presence", "presence predicts .*documented as before"),
        ("before", lambda y, rng: y + noise(y, rng), "fine", "documented as before"),
        ("before", lambda y, rng: y * 9 + noise(y, rng), "unresolved", "better than an early field should"),
        (
            "before",
            lambda y, rng: np.where(y, 1.0, np.nan),
            "unresolved",
            r"presence predicts \(AUROC 1.00\)",
        ),
    ],
)
def test_the_verdict_follows_from_time_first_and_prediction_second(timing, make, verdict, reason):
    _, verdicts = audited(cohort_of({Field("a", "x", "x", timing=timing): make}))
    assert verdicts.verdict["a.x"] == verdict
    assert pd.Series([verdicts.reason["a.x"]]).str.contains(reason).all(), verdicts.reason["a.x"]


def test_recording_times_overrule_what_is_documented():
    field, other = Field("a", "x", "x", timing="before"), Field("a", "z", "z")
    cohort = cohort_of({field: noise, other: lambda y, rng: y + noise(y, rng)})
    hours = pd.DataFrame({"a.x": np.full(900, -1.0), "a.z": -2.0})
    _, early = audited(replace(cohort, times=hours))
    assert early.verdict.tolist() == ["fine", "fine", "fine"]
    hours.loc[:2, "a.x"] = [0.5, 26.0, np.nan]
    _, late = audited(replace(cohort, times=hours))
    assert late.verdict["a.x"] == late.verdict["a"] == "leak"
    assert late.reason["a.x"] == "2 of 899 recorded after the prediction, up to 26.0 hours"


def test_what_too_few_samples_have_is_not_judged():
    field = Field("a", "x", "x")
    cohort = cohort_of(
        {field: lambda y, rng: np.where(np.arange(len(y)) < 20, y, np.nan), Field("a", "z", "z"): noise}
    )
    found, verdicts = audited(cohort)
    assert "a.x" not in found.field.tolist()
    assert verdicts.verdict["a.x"] == "not judged" and verdicts.loc["a.x", ["n_present", "n_absent"]].tolist() == [
        20,
        880,
    ]


def test_a_cohort_in_which_nothing_can_be_judged_has_no_rows_and_no_fine_field():
    found, verdicts = audited(cohort_of({Field("a", "x", "x"): noise}, n=60))
    assert found.empty and list(found.columns[:6]) == ["metric", "attribute", "group", "reference", "field", "estimate"]
    assert verdicts.verdict.tolist() == ["not judged"]


@pytest.mark.slow
def test_planted_leaks_are_caught_and_clean_cohorts_left_alone():
    table = audit_characteristics.measure(4, resamples=60).set_index("planted")
    assert table.alarms["clean"] <= 1
    assert (table.alarms.drop("clean") >= 3).all()


def test_outcomes_of_files_are_shares_of_each_group():
    became = ["no file", "refused", "measured in full", "measured in full"]
    samples = pd.DataFrame({"label": [0, 1, 0, 1], "sex": list("ffmm")})
    cohort = Cohort("drawn", "none", samples, pd.DataFrame(index=range(4)), (), ("sex",))
    assert audit.outcome_shares(cohort, samples, Groups({"sex": "m"})).empty
    told = replace(cohort, outcomes=pd.DataFrame({"cxr.picture": became}))
    shares = audit.outcome_shares(told, samples, Groups({"sex": "m"})).set_index(["group", "outcome"]).rate
    assert shares["f", "no file"] == shares["f", "refused"] == 0.5 and shares["m", "measured in full"] == 1
    assert shares.loc["all"].sum() == 1 and shares["all", "unreadable"] == 0


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the sample of PTB-XL is not in {REAL.parent.name}/{REAL.name}")
def test_the_report_of_a_real_ecg_is_named_a_leak():
    signal = [f"{m}.ecg" for m in ("rhythm", "conduction", "repolarisation")]
    cohort = load_cohort("ptb_xl", REAL, ecg_ids="sample", report=True, drop_fields=signal)
    found, verdicts = audited(cohort)
    assert verdicts.loc["report.text", "verdict"] == "leak"
    assert "the reading itself" in verdicts.loc["report.text", "source"]
    assert set(verdicts.verdict.drop("report.text")) <= {"fine", "informative presence"}
    assert found.loc[found.field == "report.text", "estimate"].item() > 0.9
    without = load_cohort("ptb_xl", REAL, ecg_ids="sample", drop_fields=signal)
    assert not [c for c in [*without.values, *without.samples] if "report" in c]
