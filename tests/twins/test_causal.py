import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mmlib.twins.causal import RACES, SEXES, Knobs, draw

N = 40000


def same(a, b, *parts):
    return all(np.array_equal(getattr(a, p), getattr(b, p)) for p in parts)


def test_at_rest_groups_differ_in_nothing():
    population = draw(N, Knobs(another_stay=0.5, noise=0.3), seed=1)
    assert len(population.patient) / N == pytest.approx(2, abs=0.03)
    assert population.severity.std() == pytest.approx(1, abs=0.02)
    assert population.decided.mean() == pytest.approx(0.37, abs=0.01)
    assert (population.needed == population.decided).all()
    for attribute, shares in (("race", RACES), ("sex", SEXES)):
        frame = pd.DataFrame(
            {"g": getattr(population, attribute), "z": population.severity, "y": population.decided}
        )
        groups = frame.groupby("g").agg(n=("z", "size"), z=("z", "mean"), y=("y", "mean"))
        assert (groups.n / len(frame)).to_dict() == pytest.approx(shares, abs=0.012)
        assert (groups.z.abs() * np.sqrt(groups.n) < 5).all()
        assert ((groups.y - frame.y.mean()).abs() * np.sqrt(groups.n) < 3).all()


def test_signs_follow_severity_as_the_knob_says():
    knobs = Knobs(signal={"weak": 0.2, "strong": 0.8}, fields={"weak": 2, "strong": ["o2sat"]}, noise=0.5)
    population = draw(N, knobs, seed=2)
    for m, correlation in knobs.signal.items():
        assert population.signs[m].std(0) == pytest.approx(1, abs=0.02)
        for column in population.signs[m].T:
            assert np.corrcoef(column, population.severity)[0, 1] == pytest.approx(correlation, abs=0.02)
        assert (population.measured[m] - population.signs[m]).std() == pytest.approx(0.5, abs=0.01)


def test_a_shift_of_a_measurement_or_of_the_label_moves_that_alone():
    rest = draw(N, Knobs(), seed=3)
    error = {"vitals": {"Black": -0.5}, "labs.sign_2": {"Female": 1.0}}
    shifted = draw(N, Knobs(error=error, label_bias={"Female": -0.4}), seed=3)
    assert same(rest, shifted, "race", "sex", "age", "severity", "needed", "linked")
    black, female = rest.race == "Black", rest.sex == "Female"
    moved = shifted.measured["vitals"] - rest.measured["vitals"]
    assert moved == pytest.approx(np.where(black, -0.5, 0.0)[:, None] * np.ones(3), abs=1e-5)
    moved = shifted.measured["labs"] - rest.measured["labs"]
    assert moved == pytest.approx(np.outer(female, [0, 1, 0]), abs=1e-5)
    assert (shifted.signs["labs"] == rest.signs["labs"]).all()
    assert (shifted.decided == shifted.needed)[~female].all()
    least = norm.isf(0.37) * np.hypot(1, 0.5)
    assert shifted.decided[female].mean() == pytest.approx(
        norm.sf((least + 0.4) / np.hypot(1, 0.5)), abs=0.01
    )


def test_base_rates_and_missingness_differ_by_group_as_asked():
    knobs = Knobs(
        base_rate={"Black": 0.5},
        missingness={"labs": 0.2, "imaging": 0.5},
        missing_by_group={"labs": {"Black": 1.0}},
        missing_by_severity=-0.8,
    )
    population = draw(N, knobs, seed=4)
    black = population.race == "Black"
    assert population.severity[black].mean() - population.severity[~black].mean() == pytest.approx(
        0.5, abs=0.03
    )
    at_rest = np.abs(population.severity) < 0.1
    for group, odds in ((black, 0.25 * np.e), (~black, 0.25)):
        assert 1 - population.present["labs"][group & at_rest].mean() == pytest.approx(
            odds / (1 + odds), abs=0.05
        )
    assert population.severity[population.present["imaging"]].mean() > 0.2
    assert population.present["vitals"].all()


def test_the_leak_is_a_record_that_only_the_admitted_have():
    off, on = (draw(5000, Knobs(leak=leak), seed=5) for leak in (False, True))
    assert off.linked.all() and on.linked[on.decided].all()
    assert on.linked[~on.decided].mean() == pytest.approx(0.02, abs=0.01)
    assert set(on.social) == {"insurance", "language", "marital_status"}


def test_seeds_repeat_and_differ():
    first, again, other = (draw(300, seed=s) for s in (0, 0, 1))
    assert same(first, again, "race", "age", "severity", "decided")
    assert (again.measured["labs"] == first.measured["labs"]).all() and not same(first, other, "severity")


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"missingness": {"ct": 0.1}}, "The knob missingness names 'ct'; expected one of triage, vitals"),
        ({"error": {"vitals.o2": {}}}, "The knob error names 'vitals.o2'"),
        ({"base_rate": {"black": 1}}, "The knob base_rate names 'black'; expected one of White, Black"),
        ({"error": {"labs": {"Men": 1}}}, "The knob error of labs names 'Men'"),
        ({"signal": {"labs": 1.5}}, "The knob signal is {'labs': 1.5}; expected a correlation"),
        ({"missingness": {"labs": 1}}, "expected shares below 1"),
        ({"noise": -1}, "noise and decision_noise are -1 and 0.5"),
    ],
)
def test_impossible_knobs_are_one_sentence(knobs, message):
    with pytest.raises(ValueError, match=message):
        Knobs(**knobs)
