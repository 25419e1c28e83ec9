import numpy as np
import pandas as pd
import pytest

from mmlib.measure.bootstrap import resample_patients
from mmlib.models.fusion import Architecture
from mmlib.models.study import prepare
from mmlib.questions.elsewhere import (
    ELSEWHERE,
    MEAN,
    OTHERS,
    WITHIN,
    assign_places,
    change_elsewhere,
    compare_elsewhere,
    elsewhere_table,
    train_elsewhere,
)
from mmlib.show.elsewhere import elsewhere_in_short, places_table
from tests.models.test_study import cohort_and_embeddings


def at_places(names=("north", "south", "small")):
    """300 samples of 200 patients at three places, the last one small; one patient moved."""
    cohort, embeddings = cohort_and_embeddings()
    patient = cohort.patient_id.astype(int)
    cohort["site"] = np.select([patient < 95, patient < 190], names[:2], names[2])
    moved = cohort[cohort.site == names[0]].groupby("patient_id").filter(lambda rows: len(rows) > 1)
    cohort.loc[moved.index[0], "site"] = names[1]
    return cohort, embeddings, moved.patient_id.iloc[0]


def test_places_are_large_or_joined_and_no_patient_is_at_two():
    cohort, _, moved = at_places()
    samples = assign_places(cohort, "site", minimum=30)
    assert set(samples.place) == {"north", "south"} and moved not in set(samples.patient_id)
    assert len(samples) == (cohort.site != "small").sum() - (cohort.patient_id == moved).sum()
    few = assign_places(cohort.assign(site=cohort.site.where(cohort.site != "small")), "site", minimum=1)
    assert set(few.place) == {"north", "south", OTHERS}


def test_a_column_or_place_that_does_not_fit_is_one_sentence():
    cohort, _, _ = at_places()
    with pytest.raises(ValueError, match="has no column 'device'; expected one of sample_id"):
        assign_places(cohort, "device")
    with pytest.raises(ValueError, match="'site' has 0 places with 500 positives and 500 negatives"):
        assign_places(cohort, "site", minimum=500)


def test_a_rule_that_holds_at_one_place_only_is_lost_elsewhere():
    cohort, embeddings, _ = at_places()
    first = embeddings.embedding.values[:, 0]
    south = (cohort.site == "south").to_numpy()
    cohort["label"] = ((first[:, 0] > 0) ^ south).astype("int8")  # the other way round in the south
    first[:, 1] = 3 * south  # the place can be seen
    samples = assign_places(cohort, "site", minimum=30)
    scores, sizes = train_elsewhere(samples, embeddings, Architecture(epochs=20), dimensions=6)
    auroc = compare_elsewhere(scores, samples, resample_patients(samples.patient_id, 100, 0))
    within, elsewhere = (auroc.sel(variant=way).value for way in (WITHIN, ELSEWHERE))
    assert (within > elsewhere + 0.2).all() and (elsewhere < 0.35).all()
    count = samples.place.value_counts()
    sizes = sizes.set_index("place")
    assert sizes.loc["north", ELSEWHERE] == count["south"] and sizes.loc["south", ELSEWHERE] == count["north"]
    change = change_elsewhere(auroc)
    assert float(change.sel(place=MEAN)) == pytest.approx(change.sel(place=["north", "south"]).value.mean())
    assert change.frame().n.tolist() == [*count[auroc.labels("place")], len(samples)]
    assert "AUROC is lower" in elsewhere_in_short(auroc, change, "site").data
    assert len(places_table(auroc, change, sizes.reset_index()).data) == 3
    assert elsewhere_table(auroc, change).metric.tolist() == ["auroc"] * 4 + ["auroc_difference"] * 3


def test_nothing_of_the_tested_place_is_learnt():
    cohort, embeddings, _ = at_places()
    samples = assign_places(cohort, "site", minimum=30)
    other = samples.assign(label=np.where(samples.place == "north", 1 - samples.label, samples.label).astype("int8"))
    (scores, _), (changed, _) = (
        train_elsewhere(s, embeddings, Architecture(epochs=3), dimensions=4) for s in (samples, other)
    )
    north = (samples.place == "north").to_numpy()
    np.testing.assert_array_equal(scores[ELSEWHERE][:, north], changed[ELSEWHERE][:, north])
    assert (scores[WITHIN][:, north] != changed[WITHIN][:, north]).any()
    folds = prepare(samples, embeddings.sel(sample=samples.sample_id.to_numpy(object)), dimensions=4)
    assert len(folds.training) == 3 and pd.unique(samples.fold).size == 3
