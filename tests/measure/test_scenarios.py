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
    assert len(declared) == 7 and not [name for name in declared if "from Black" in name]
    assert len(scenarios.default_mechanisms({"race": "Black"})) == 8


@pytest.mark.parametrize("depends_on", ["risk", "label"])
def test_what_follows_risk_or_label_has_its_mirror_at_the_same_rate(depends_on):
    same = [name for name, settings in DECLARED.items() if settings.get("depends_on") == depends_on]
    assert len(same) == 2
    value = RISK if depends_on == "risk" else COHORT.label
    there = PRESENT[:, 1]
    signs = [np.corrcoef(lost(patterns(DECLARED[name]))[there, 1], value[there])[0, 1] for name in same]
    assert signs[0] > 0.9 and signs[1] < -0.9
    assert scenarios.mirror(DECLARED[same[0]])["odds"] == pytest.approx(1 / 4)


def test_mirrors_are_added_to_what_a_run_declares_unless_it_has_them():
    sick = {"depends_on": "risk", "odds": 3.0, "only": ["labs"]}
    named = scenarios.with_mirrors({"sick": sick, "poor": {"depends_on": "race=Black"}})
    assert list(named) == ["sick", "more at lower predicted risk", "poor"]
    assert named["more at lower predicted risk"] == sick | {"odds": pytest.approx(1 / 3)}
    both = {"sick": {"depends_on": "risk"}, "well": {"depends_on": "risk", "odds": 0.25}}
    assert list(scenarios.with_mirrors(both)) == ["sick", "well"]
    twice = scenarios.with_mirrors({"a": {"depends_on": "label"}, "b": {"depends_on": "label", "odds": 9.0}})
    assert list(twice) == ["a", "more from negatives", "b", "b, mirrored"]
    assert scenarios.mirror({"depends_on": "age"}) is None
    assert scenarios.mirror({"depends_on": "risk", "odds": 1}) is None


def test_mechanisms_are_named_by_who_loses_more_and_speak_of_nobody_in_particular():
    for settings, name in (
        ({}, "at random"),
        ({"together": True}, "all at once"),
        ({"depends_on": "race=Black", "odds": 0.5}, "less from Black"),
        ({"depends_on": "age"}, "more at higher age"),
        ({"depends_on": "label", "together": True}, "more from positives, all at once"),
        ({"depends_on": "recorded"}, "as absences are recorded"),
    ):
        assert scenarios.mechanism_name(settings) == name
    assert not [name for name in DECLARED if "patient" in name or "sick" in name]
