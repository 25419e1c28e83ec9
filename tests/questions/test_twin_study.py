import numpy as np
import pytest

from mmlib.questions.paradox import Group, add_modality, combine_scores, tpr_gaps
from mmlib.questions.twin_study import compare_with_truth, study_twin

SIZES = {"training": 1500, "validation": 1500, "tested": 2000, "population": 60000}
SIGNAL, RACES = {"labs": 0.6, "oximeter": 0.6}, ["White", "Black"]


@pytest.fixture(scope="module")
def twin():
    return study_twin(SIGNAL, RACES, bias=-0.5, sizes=SIZES, resamples=50)


def test_the_added_modality_helps_both_groups_and_moves_their_difference(twin):
    assert twin.stages == ("labs", "labs+oximeter")
    truth = twin.truth.metric("auroc", "race").value
    rise = truth.sel(stage="labs+oximeter") - truth.sel(stage="labs")
    assert (rise > 0.02).all()
    gap = twin.truth.difference("tpr", "race").value.sel(group="Black")
    assert abs(gap.sel(stage="labs")) < 0.03 and gap.sel(stage="labs+oximeter") < -0.05
    reference, other = twin.measured
    assert (reference.name, other.name) == ("White", "Black") and reference.shift == 0
    assert 0 < twin.correlation < 0.4


def test_a_modality_without_fault_leaves_the_difference_alone(twin):
    fair = study_twin(SIGNAL, RACES, bias=0.0, sizes=SIZES, resamples=2)
    gap = fair.truth.difference("tpr", "race").value.sel(group="Black")
    assert (abs(gap) < 0.03).all() and abs(fair.measured[1].shift) < 0.05
    assert fair.measured[1].shift - twin.measured[1].shift == pytest.approx(0.48, abs=0.01)  # half a unit, in its SD


def test_study_truth_and_formulas_stand_side_by_side(twin):
    compared = compare_with_truth(twin)
    assert compared.metric.tolist() == ["auroc"] * 4 + ["tpr"] * 2
    assert compared.group.tolist() == ["White"] * 2 + ["Black"] * 4
    assert compared.reference.tolist() == [None] * 4 + ["White"] * 2
    study = twin.study.metric("auroc", "race").sel(group="White", stage="labs")
    assert compared.estimate[0] == pytest.approx(float(study))
    assert (compared.low[0], compared.high[0]) == tuple(float(end) for end in study.interval())
    formula = add_modality(twin.measured)
    assert compared.formula[1] == formula.auroc["old + new", "White"]
    assert compared.formula[5] == tpr_gaps(twin.measured).gap["old + new"]
    wrong = abs(compared.formula - compared.truth)[[1, 3]]
    assert (abs(compared.correlated - compared.truth)[[1, 3]] < wrong / 2).all()


def test_correlated_scores_add_less():
    pair = Group("r", 0.7, 0.3, 1.0, 1.0), Group("g", 0.3, 0.3, 1.0, 1.0)
    alone, together = (combine_scores(pair, correlation=r).separation["old + new"] for r in (0.0, 1.0))
    np.testing.assert_allclose(alone, np.sqrt(2))
    np.testing.assert_allclose(together, 1.0)  # the new score repeats the old one
    old = combine_scores(pair, correlation=0.5).separation["old"]
    np.testing.assert_allclose(old, 1.0)


@pytest.mark.parametrize(
    "changed",
    [{"signal": {"labs": 0.5}}, {"groups": ["White"]}, {"sizes": {"training": 10}}],
)
def test_what_a_study_needs_is_named(changed):
    wanted = {"signal": SIGNAL, "groups": RACES, "sizes": SIZES} | changed
    with pytest.raises(ValueError, match=r"expected 2, 2 and \['training', 'validation', 'tested', 'population'\]"):
        study_twin(wanted["signal"], wanted["groups"], bias=0.0, sizes=wanted["sizes"])
