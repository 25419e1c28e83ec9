import numpy as np
import pandas as pd
import pytest

from mmlib.core.subsets import subset_masks
from mmlib.measure import expectation, scenarios
from mmlib.measure.estimates import estimate

MODALITIES = ["vitals", "labs", "notes"]
RNG = np.random.default_rng(0)
N = 400
COHORT = pd.DataFrame({"race": RNG.choice(["White", "Black", None], N), "label": RNG.integers(0, 2, N)})
COHORT["age"] = RNG.normal(60, 10, N)
for name in MODALITIES:
    COHORT[f"present_{name}"] = RNG.random(N) < np.where(COHORT.race == "Black", 0.6, 0.9)
PRESENT = COHORT[[f"present_{m}" for m in MODALITIES]].to_numpy()
RISK = RNG.random(N)
MASKS = subset_masks(MODALITIES)[1]
DECLARED = scenarios.default_mechanisms({"race": "Black", "sex": "Female"})
DECLARED |= {"older, in one block": {"depends_on": "age", "together": True, "only": ["vitals", "notes"]}}


def patterns(settings, rate=0.3):
    return scenarios.distribution(settings, COHORT, MODALITIES, rate, risk=RISK, attributes=["race"])


def lost(distribution):
    """Probability (n, M) of losing each modality."""
    return distribution @ ~MASKS


@pytest.mark.parametrize("name", DECLARED)
def test_every_mechanism_takes_the_same_share_of_what_is_there_and_nothing_else(name):
    gone = lost(patterns(DECLARED[name]))
    assert (gone[~PRESENT] == 0).all()
    together = DECLARED[name].get("together")
    for m, can_go in enumerate([True, not DECLARED[name].get("only"), True]):
        mean = gone[PRESENT[:, m], m].mean()
        assert mean == pytest.approx(0.3 * can_go, abs=0.02 if together else 1e-9)
    assert (patterns(DECLARED[name], 0)[:, -1] == 1).all()


def test_the_dependence_is_the_one_declared():
    member = (COHORT.race == "Black").to_numpy()
    gone = lost(patterns({"depends_on": "race=Black", "odds": 9}))
    odds = [
        (gone[rows & PRESENT[:, 0], 0] / (1 - gone[rows & PRESENT[:, 0], 0])).mean()
        for rows in (member, ~member)
    ]
    assert odds[0] / odds[1] == pytest.approx(9)
    for depends_on, value in (("label", COHORT.label), ("risk", RISK), ("age", COHORT.age)):
        gone = lost(patterns({"depends_on": depends_on}))[PRESENT[:, 1], 1]
        assert np.corrcoef(gone, value[PRESENT[:, 1]])[0, 1] > 0.9
    gone = lost(patterns({"depends_on": "recorded"}))
    assert gone[member & PRESENT[:, 0], 0].min() > gone[~member & PRESENT[:, 0], 0].max()
    everything = patterns({"together": True})
    assert ((everything > 0).sum(axis=1) <= 2).all()
    assert patterns({}) == pytest.approx(expectation.pattern_probabilities(0.3 * PRESENT, MASKS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depends": "label"}, "setting 'depends'; expected some of depends_on"),
        ({"depends_on": "sex=Female"}, "depends on 'sex=Female'; expected label, risk"),
        ({"depends_on": "race"}, "depends on 'race'"),
        ({"odds": 0}, "odds is 0"),
        ({"only": ["ecg"]}, "'ecg', which is no modality"),
    ],
)
def test_bad_settings_are_one_sentence(settings, message):
    with pytest.raises(ValueError, match=message):
        patterns(settings)


def test_rate_structure_and_interaction_add_up_to_the_whole_step():
    labels = {"mechanism": [scenarios.AT_RANDOM, "x", "y", "z"], "rate": [0.2, 0.5]}
    values = RNG.normal(size=(7, 4, 2))
    parts = scenarios.decompose(estimate(values, labels, spread=values[:2]))
    whole = parts["rate"] + parts["structure"] + parts["interaction"]
    np.testing.assert_allclose(whole.values, values[:, 1:, 1] - values[:, :1, 0])
    np.testing.assert_allclose(whole.spread, whole.values[:2])
    additive = np.tile(np.add.outer(np.arange(4), [0, 10]), (3, 1, 1))
    parts = scenarios.decompose(estimate(additive, labels))
    assert (parts["rate"].value == 10).all() and (parts["interaction"].value == 0).all()
    assert parts["structure"].value.values.tolist() == [1, 2, 3]
    assert parts["structure"].labels("mechanism") == ["x", "y", "z"]


def test_without_a_group_shown_no_mechanism_takes_more_from_one():
    declared = scenarios.default_mechanisms({})
    assert len(declared) == 5 and not [name for name in declared if "from a" in name]
