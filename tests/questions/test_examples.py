"""What a composed question says that it does, run as it stands in its docstring, gives what the question gives."""

import inspect
import textwrap

import numpy as np
import pytest

from mmlib.core.schema import PLAIN
from mmlib.measure.bootstrap import resample_patients
from mmlib.models import regimes
from mmlib.questions import additions, drops, fairness, mitigation
from tests.questions import test_drops as dropped
from tests.questions import test_mitigation as mitigated

SETTINGS = {"rule": "prevalence", "resamples": 20, "seed": 1}
RATES, SHARES, REGIME, RATE = [0.0, 0.2, 0.5], [0.2, 0.4], "better", "0.5"


def example(function, **names):
    """What the literal block of a docstring leaves under ``found``."""
    _, _, rest = inspect.getdoc(function).partition("to be changed in a cell::\n")
    exec(textwrap.dedent(rest.split("\n\nNotes")[0]), names)
    return names["found"]


def agree(one, other):
    """Whether two evaluations hold the same labels and the same values of the metrics that both have."""
    assert [str(x) for x in one.labels] == [str(x) for x in other.labels]
    both = one.values.keys() & other.values.keys()
    assert len(both) > 1
    return all(np.allclose(one.values[key], other.values[key], equal_nan=True) for key in both)


def test_examples_of_subsets(small_powerset):
    powerset, cohort = small_powerset
    study = dropped.case()[1]
    groups = mitigated.ALONE
    cohort = cohort.assign(sex=cohort.sex.map({"Male": "m", "Female": "f"}))
    weights = resample_patients(cohort["patient_id"], SETTINGS["resamples"], SETTINGS["seed"])
    names = {"powerset": powerset, "cohort": cohort, "study": study, "groups": groups, **SETTINGS}
    for function in (additions.evaluate_subsets, additions.evaluate_singles):
        assert agree(example(function, **names), function(powerset, cohort, groups, **SETTINGS))
    swept = fairness.sweep_thresholds(powerset, cohort, weights, groups, shares=SHARES)
    assert agree(example(fairness.sweep_thresholds, patient_weights=weights, shares=SHARES, **names), swept)


def test_examples_of_drops():
    study, groups, plain = dropped.STUDY, dropped.GROUPS, dropped.SCORES.sel(regime=PLAIN)
    names = {"study": study, "groups": groups, "rates": RATES, "regime": PLAIN, **SETTINGS}
    loss = drops.evaluate_drops(dropped.SCORES, study, groups, rates=RATES, **SETTINGS)[PLAIN]
    assert agree(example(drops.evaluate_drops, scores=dropped.SCORES, **names), loss)
    each = drops.drop_each(plain, study, groups, **SETTINGS).values
    found = example(drops.drop_each, scores=plain, **names).values
    assert each.keys() == found.keys() and all(np.allclose(each[key], found[key]) for key in each)


@pytest.mark.parametrize("function", [mitigation.compare_regimes, mitigation.decide])
def test_examples_of_mitigation(function):
    study, groups, losses = mitigated.STUDY, mitigated.GROUPS, mitigated.LOSSES
    names = {"study": study, "groups": groups, "losses": losses, "regime": REGIME, "rate": RATE, **SETTINGS}
    collected, scores = regimes.collect(mitigated.SCORES, study), mitigated.SCORES[REGIME]
    given, key = (collected, REGIME) if function is mitigation.compare_regimes else (scores, RATE)
    expected = function(given, study, groups, losses, **SETTINGS)[key]
    assert agree(example(function, collected=collected, scores=scores, **names), expected)
