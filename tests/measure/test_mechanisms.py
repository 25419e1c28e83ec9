import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit

from mmlib.measure import mechanisms

COHORT = pd.DataFrame({"race": ["White", "Black", "White", "Asian"], "label": [0, 1, 1, 0]})
MODALITIES = ["vitals", "labs"]


def test_mcar_is_one_rate_or_one_per_modality():
    assert (mechanisms.mcar(COHORT, MODALITIES, 0.2) == np.full((4, 2), 0.2)).all()
    assert (mechanisms.mcar(COHORT, MODALITIES, {"labs": 0.3}) == np.tile([0, 0.3], (4, 1))).all()


def test_groups_and_labels_have_their_own_rates():
    rates = {"White": 0.1, "Black": 0.4, "Asian": 0.2}
    drop = mechanisms.by_group(COHORT, MODALITIES, rates, attribute="race")
    assert drop.tolist() == [[0.1] * 2, [0.4] * 2, [0.1] * 2, [0.2] * 2]
    drop = mechanisms.by_label(COHORT, MODALITIES, {0: 0.1, 1: 0.5}, only=["labs"])
    assert drop.tolist() == [[0, 0.1], [0, 0.5], [0, 0.5], [0, 0.1]]


def test_value_dependent_drops_have_the_rate_and_the_slope_asked_for():
    rng = np.random.default_rng(0)
    age = rng.gamma(4, 10, 20_000)
    for rate in (0.002, 0.1, 0.5):
        for slope in (0.0, 1.0, -3.0):
            drop = mechanisms.by_value(age, MODALITIES, rate, slope=slope)
            assert drop.mean(axis=0) == pytest.approx([rate, rate], abs=1e-9)
    dropped = rng.random(20_000) < mechanisms.by_value(age, MODALITIES, 0.3, slope=1.0)[:, 0]
    fit = sm.Logit(dropped, sm.add_constant((age - age.mean()) / age.std())).fit(disp=0)
    assert abs(fit.params[1] - 1) < 3 * fit.bse[1]


def test_a_missing_value_counts_as_the_mean():
    values = np.array([1.0, 2, 3, np.nan])
    drop = mechanisms.by_value(values, MODALITIES, 0.3, slope=2.0)[:, 0]
    assert drop[3] == pytest.approx(drop[1]) and drop[0] < drop[1] < drop[2]
    assert mechanisms.by_value(values, MODALITIES, 0, slope=2.0).max() == 0


def test_tilted_drops_have_the_rate_over_those_who_can_lose_and_the_odds():
    rng = np.random.default_rng(0)
    present, member = rng.random((5000, 2)) < 0.7, rng.random(5000) < 0.3
    drop = mechanisms.tilted(np.log(4) * np.repeat(member[:, None], 2, 1), 0.2, present)
    for m in range(2):
        assert drop[present[:, m], m].mean() == pytest.approx(0.2, abs=1e-9)
        odds = drop[:, m] / (1 - drop[:, m])
        assert odds[member].mean() / odds[~member].mean() == pytest.approx(4)
    assert (mechanisms.tilted(np.zeros((3, 2)), 0.2) == pytest.approx(0.2)) and (
        mechanisms.tilted(np.ones((3, 2)), 1) == 1
    ).all()


def test_a_block_goes_as_one():
    patterns = mechanisms.together([0.2, 0.5], ["a", "b", "c"], ["a", "c"])
    assert patterns[0].tolist() == [0, 0, 0.2, 0, 0, 0, 0, 0.8]
    assert patterns[1, 2] == patterns[1, 7] == 0.5
    # who has no c loses a, and c counts as kept: it was not the block that took it
    patterns = mechanisms.together([0.2], ["a", "b", "c"], ["a", "c"], [[True, True, False]])
    assert patterns[0].tolist() == [0, 0, 0, 0, 0, 0, 0.2, 0.8]


def test_recorded_absence_is_the_logistic_regression_of_statsmodels():
    rng = np.random.default_rng(0)
    covariates = pd.DataFrame({"age": rng.normal(60, 15, 20_000), "sex": rng.choice(["f", "m"], 20_000)})
    truth = expit(-1 + 0.05 * (covariates.age - 60) + 0.7 * (covariates.sex == "f"))
    present = np.column_stack([rng.random(20_000) >= truth, np.ones(20_000, bool), np.arange(20_000) > 9])
    absence = mechanisms.recorded(present, covariates)
    X = sm.add_constant(np.column_stack([covariates.age, covariates.sex == "f"]).astype(float))
    fitted = sm.Logit(~present[:, 0], X).fit(disp=0).predict(X)
    assert absence[:, 0] == pytest.approx(fitted, abs=2e-3)
    assert (absence[:, 1] == 0).all() and (absence[:, 2] == 10 / 20_000).all()


def test_recorded_patterns_are_the_frequencies_in_the_group():
    present = np.array([[1, 1], [1, 0], [1, 1], [0, 0], [1, 1]], bool)
    shares = mechanisms.recorded_patterns(present, ["x", "x", "y", None, "x"])
    assert shares[0].tolist() == shares[4].tolist() == [0, pytest.approx(1 / 3), 0, pytest.approx(2 / 3)]
    assert shares[2].tolist() == [0, 0, 0, 1] and shares[3].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mechanisms.mcar(COHORT, MODALITIES, -0.1), "rate lies in"),
        (lambda: mechanisms.mcar(COHORT, MODALITIES, {"ecg": 0.1}), "'ecg', which is no modality"),
        (lambda: mechanisms.by_label(COHORT, MODALITIES, {0: 0.1, 1: 2}), "rates lies in"),
        (lambda: mechanisms.by_label(COHORT, MODALITIES, {0: 0.1}), "no entry for label = 1"),
        (lambda: mechanisms.by_label(COHORT, MODALITIES, {0: 0, 1: 1}, only=["ecg"]), "'ecg', which is no"),
        (lambda: mechanisms.by_group(COHORT, MODALITIES, {}, attribute="sex"), "'sex' is no column"),
        (lambda: mechanisms.tilted([[np.nan]], 0.1), "1 values that are not finite"),
        (lambda: mechanisms.together([0.1], MODALITIES, ["ecg"]), "'ecg', which is no modality"),
        (lambda: mechanisms.recorded(np.ones((3, 2)), COHORT), "covariates have 4 rows; expected 3"),
        (lambda: mechanisms.by_value(np.ones(4), MODALITIES, 0.1, slope=1), "standard deviation 0"),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
