import numpy as np
import pytest
from scipy.stats import binom
from sklearn.calibration import calibration_curve
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools import add_constant

from mmlib.measure import calibration


def test_observed_expected_and_its_exact_interval():
    rng = np.random.default_rng(5)
    scores = rng.random(500)
    y = (rng.random(500) < scores).astype(int)
    group = np.ones((1, 500), bool)
    table = calibration.calibration_by_group(y, scores, group, ["all"]).iloc[0]
    assert table.observed_expected == pytest.approx(y.sum() / scores.sum())
    ratio = calibration.observed_expected(y, scores, np.ones((1, 500)), group)
    assert ratio.item() == pytest.approx(table.observed_expected)
    # Clopper and Pearson's defining property: each end leaves 2.5 % beyond the observed count.
    low, high = (np.array([table.low, table.high]) * scores.sum()) / 500
    assert binom.sf(y.sum() - 1, 500, low) == pytest.approx(0.025)
    assert binom.cdf(y.sum(), 500, high) == pytest.approx(0.025)


def test_calibration_finds_a_known_miscalibration():
    rng = np.random.default_rng(6)
    logit = rng.normal(0, 1.5, 100_000)
    y = (rng.random(100_000) < 1 / (1 + np.exp(-logit))).astype(int)
    overconfident, shifted = 1 / (1 + np.exp(-2 * logit)), 1 / (1 + np.exp(-(logit + 0.7)))
    group = np.ones((1, 100_000), bool)
    slope = calibration.calibration_by_group(y, overconfident, group, ["all"]).slope.item()
    intercept = calibration.calibration_by_group(y, shifted, group, ["all"]).intercept.item()
    assert slope == pytest.approx(0.5, abs=0.02) and intercept == pytest.approx(-0.7, abs=0.03)
    logistic = Logit(y, add_constant(2 * logit)).fit(disp=0)
    assert slope == pytest.approx(logistic.params[1], abs=1e-4)


def test_calibration_without_a_fit_is_nan():
    y, scores = np.array([0, 0, 1, 1, 0, 0]), np.array([0.1, 0.2, 0.8, 0.9, 0.3, 0.3])
    groups = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1], [0] * 6], bool)
    table = calibration.calibration_by_group(y, scores, groups, ["separated", "no events", "empty"])
    assert np.isnan(table.slope).all()
    assert np.isfinite(table.observed_expected[:2]).all() and np.isnan(table.observed_expected[2])


def test_wald_intervals_are_those_of_the_logistic_fit():
    rng = np.random.default_rng(7)
    scores = rng.uniform(0.1, 0.9, 400)
    y = (rng.random(400) < scores).astype(int)
    row = calibration.calibration_by_group(y, scores, np.ones((1, 400), bool), ["all"]).iloc[0]
    fit = Logit(y, add_constant(np.log(scores / (1 - scores)))).fit(disp=0)
    assert [row.slope_low, row.slope_high] == pytest.approx(fit.conf_int()[1], abs=1e-4)
    assert row.intercept_low < row.intercept < row.intercept_high


def test_reliability_bins_are_those_of_scikit_learn_and_small_groups_have_none():
    rng = np.random.default_rng(8)
    scores = rng.random(1000)
    y = (rng.random(1000) < scores).astype(int)
    few = np.zeros(1000, bool)
    few[np.flatnonzero(y == 1)[:99]] = True
    table = calibration.reliability(y, scores, [np.ones(1000, bool), few], ["all", "few"])
    observed, predicted = calibration_curve(y, scores, n_bins=5, strategy="quantile")
    assert (table.group == "all").all() and table.n.tolist() == [200] * 5
    assert table.observed.to_numpy() == pytest.approx(observed)
    assert table.predicted.to_numpy() == pytest.approx(predicted)
    assert (table.low < table.observed).all() and (table.observed < table.high).all()


def test_net_benefit_by_hand():
    rng = np.random.default_rng(9)
    y, scores = rng.integers(0, 2, 200), rng.random(200)
    groups = np.array([np.ones(200, bool), np.arange(200) % 2 == 0])
    patient_weights = np.vstack([np.ones(200), rng.multinomial(200, np.full(200, 1 / 200))])
    found = calibration.net_benefit(y, scores, [0.2, 0.5], patient_weights, groups)
    for g, group in enumerate(groups):
        rows = np.repeat(np.flatnonzero(group), patient_weights[1, group].astype(int))
        acted = scores[rows] >= 0.2
        benefit = np.mean(acted & (y[rows] == 1)) - np.mean(acted & (y[rows] == 0)) * 0.25
        assert found[1, 0, g] == pytest.approx(benefit / y[rows].mean())
    perfect = calibration.net_benefit(y, 0.5 + 0.4 * (y - 0.5), [0.4], patient_weights[:1], groups)
    assert perfect == pytest.approx(1)
    with pytest.raises(ValueError, match="expected inside"):
        calibration.net_benefit(y, scores, [0], patient_weights, groups)
