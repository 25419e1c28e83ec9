import numpy as np
import pytest

from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.groups import Groups
from mmlib.models.study import prepare
from mmlib.questions import decoding
from tests.models.test_study import cohort_and_embeddings


def test_a_group_is_read_from_the_modality_that_holds_it_and_from_no_other():
    cohort, embeddings = cohort_and_embeddings()
    rng = np.random.default_rng(1)
    cohort["sex"] = np.where(rng.random(len(cohort)) < 0.5, "f", "m")
    cohort.loc[:4, "sex"] = None  # belongs to no group
    embeddings.embedding[:, 0, 0] += 3 * (cohort.sex == "f").to_numpy()
    study = prepare(cohort, embeddings, dimensions=6)
    patient_weights = resample_patients(cohort.patient_id, 50)
    table = decoding.decode_groups(study, Groups({"sex": "m"}), patient_weights).set_index(["subset", "group"])
    assert table.loc[("a", "f"), "low"] > 0.75
    assert table.estimate["a", "f"] == pytest.approx(table.estimate["a", "m"])
    assert table.low["c", "f"] < 0.5 < table.high["c", "f"]
    there = study.present[:, 1].numpy() & cohort.sex.notna().to_numpy()
    assert table.loc[("b", "m"), ["n", "n_positive"]].tolist() == [
        there.sum(),
        (there & (cohort.sex == "m")).sum(),
    ]


def test_groups_that_are_too_small_are_left_out():
    cohort, embeddings = cohort_and_embeddings()
    cohort["race"] = np.where(np.arange(300) < 10, "x", np.where(np.arange(300) % 2, "y", "z"))
    study = prepare(cohort, embeddings, dimensions=4)
    groups, patient_weights = Groups({"race": "y"}), resample_patients(cohort.patient_id, 20)
    assert set(decoding.decode_groups(study, groups, patient_weights).group) == {"y", "z"}
    nothing = decoding.decode_groups(study, groups, patient_weights, minimum=1000)
    assert nothing.empty and {"subset", "group", "estimate"} <= set(nothing.columns)
