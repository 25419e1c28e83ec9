import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn import metrics as skm

from mmlib.measure import bootstrap, metrics


@pytest.fixture
def normals():
    """Resamples (1 + 4000, 2 vectors, 3 groups) of independent normals with different spreads."""
    rng = np.random.default_rng(0)
    centre, spread = rng.normal(size=(2, 3)), np.array([0.1, 1, 10])
    return np.concatenate([centre[None], centre + rng.normal(size=(4000, 2, 3)) * spread]), spread


def test_weights_resample_patients_not_rows():
    patient = np.array(["b", "a", "b", "c", "a", "d"])
    patient_weights = bootstrap.resample_patients(patient, 4000, seed=1)
    assert patient_weights.shape == (4001, 6) and patient_weights.dtype == np.float32
    assert (patient_weights[0] == 1).all()
    assert (patient_weights[:, 0] == patient_weights[:, 2]).all()
    assert (patient_weights[:, 1] == patient_weights[:, 4]).all()
    drawn = patient_weights[1:, [1, 0, 3, 5]]  # one row of each of the four patients
    assert (drawn.sum(axis=1) == 4).all()
    # Multinomial moments: mean 1, variance 1 - 1/4, covariance -1/4, within three Monte Carlo errors.
    assert drawn.mean(axis=0) == pytest.approx(1, abs=3 * np.sqrt(0.75 / 4000))
    assert np.cov(drawn.T) == pytest.approx(np.eye(4) - 0.25, abs=0.06)
    assert (patient_weights == bootstrap.resample_patients(patient, 4000, seed=1)).all()
    assert (patient_weights != bootstrap.resample_patients(patient, 4000, seed=2)).any()


def test_bootstrap_equals_a_plain_loop_over_repeated_rows():
    rng = np.random.default_rng(2)
    y, scores, patient = rng.integers(0, 2, 120), np.round(rng.random(120), 1), rng.integers(0, 60, 120)
    groups = np.array([np.ones(120, bool), np.arange(120) % 3 == 0])
    patient_weights = bootstrap.resample_patients(patient, 30)
    tpr = metrics.rates(y, scores >= 0.5, patient_weights, groups)["tpr"]
    area = metrics.auroc(y, scores, patient_weights, groups)
    for b, w in enumerate(patient_weights.astype(int)):
        for g, group in enumerate(groups):
            rows = np.repeat(np.flatnonzero(group), w[group])
            assert tpr[b, 0, g] == pytest.approx(skm.recall_score(y[rows], scores[rows] >= 0.5), abs=1e-12)
            assert area[b, 0, g] == pytest.approx(skm.roc_auc_score(y[rows], scores[rows]), abs=1e-12)


@pytest.mark.parametrize("draws", [100, pytest.param(5000, marks=pytest.mark.slow)])
def test_endpoints_agree_with_the_row_bootstrap_of_fairlearn(draws):
    rng = np.random.default_rng(3)
    y, select, sex = rng.integers(0, 2, 150), rng.integers(0, 2, 150), rng.choice(["F", "M"], 150)
    ends = [0.025, 0.975]
    theirs = fm.MetricFrame(
        metrics=fm.selection_rate,
        y_true=y,
        y_pred=select,
        sensitive_features=sex,
        n_boot=draws,
        ci_quantiles=ends,
        random_state=1,
    ).by_group_ci
    names, groups = metrics.group_masks(pd.DataFrame({"sex": sex}), ["sex"])["sex"]
    patient_weights = bootstrap.resample_patients(np.arange(150), 5000)
    values = metrics.rates(y, select, patient_weights, groups)["selection_rate"][:, 0]
    interval = bootstrap.percentile_interval(values)
    # Monte Carlo error of a normal quantile, theirs and ours, and one step of a discrete rate.
    density = norm.pdf(norm.ppf(0.025)) / bootstrap.standard_error(values)
    error = np.sqrt(0.025 * 0.975 * (1 / draws + 1 / 5000)) / density
    for their, our in zip(theirs, interval, strict=True):
        for g in (1, 2):
            assert abs(their[names[g]] - our[g]) <= 3 * error[g] + 1 / groups[g].sum()


def test_intervals_of_normal_resamples_have_their_closed_form(normals):
    values, spread = normals
    assert bootstrap.standard_error(values) == pytest.approx(np.tile(spread, (2, 1)), rel=0.05)
    low, high = bootstrap.percentile_interval(values)
    assert (high - low) / spread == pytest.approx(2 * norm.ppf(0.975), rel=0.06)
    low, high = bootstrap.simultaneous_interval(values)
    # Three independent groups are all covered with probability .95 when each is with .95 ** (1/3).
    reach = norm.ppf((1 + 0.95 ** (1 / 3)) / 2)
    assert (high - low) / 2 / bootstrap.standard_error(values) == pytest.approx(reach, rel=0.03)
    covered = ((low <= values[1:]) & (values[1:] <= high)).all(axis=-1).mean(axis=0)
    assert covered == pytest.approx(0.95, abs=0.001)


@pytest.mark.slow
def test_simultaneous_intervals_cover_all_group_means_at_once():
    rng = np.random.default_rng(4)
    studies, n, covered = 1000, 40, 0
    group = np.repeat(np.arange(4), n)
    patient_weights = bootstrap.resample_patients(np.arange(4 * n), 300)
    for _ in range(studies):
        x = rng.normal(size=4 * n)
        total = np.stack([patient_weights[:, group == g] @ x[group == g] for g in range(4)], axis=-1)
        count = np.stack([patient_weights[:, group == g].sum(axis=1) for g in range(4)], axis=-1)
        low, high = bootstrap.simultaneous_interval(total / count)
        covered += ((low <= 0) & (high >= 0)).all()
    assert covered / studies == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / studies))


def test_undefined_resamples_are_dropped_or_refused():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(1001, 4))
    values[1:41, 1] = np.nan  # 4 %
    values[1:61, 2] = np.nan  # 6 %
    values[0, 3] = np.nan
    se, (low, high) = bootstrap.standard_error(values), bootstrap.percentile_interval(values)
    assert se[1] == pytest.approx(values[41:, 1].std(ddof=1))
    assert [low[1], high[1]] == pytest.approx(np.quantile(values[41:, 1], [0.025, 0.975]))
    for result in (se, low, high, *bootstrap.simultaneous_interval(values)):
        assert np.isfinite(result[:2]).all() and np.isnan(result[2:]).all()


def test_contrast_is_group_minus_reference():
    values = np.arange(24.0).reshape(2, 3, 4) ** 2
    difference = bootstrap.contrast(values, ["all", "A", "B", "C"], "B")
    assert (difference[..., 3] == values[..., 3] - values[..., 2]).all() and (difference[..., 2] == 0).all()
    with pytest.raises(ValueError, match="'D' is not in the cohort"):
        bootstrap.contrast(values, ["all", "A", "B", "C"], "D")


def test_retraining_variance_is_added_in_quadrature():
    rng = np.random.default_rng(6)
    seeds = rng.normal(size=(4, 11, 2, 3))
    mean, s_retrain = bootstrap.average_seeds(seeds)
    assert mean == pytest.approx(seeds.sum(axis=0) / 4)
    assert s_retrain[1, 2] == pytest.approx(np.sqrt(np.var(seeds[:, 0, 1, 2]) * 4 / 3))
    assert np.isnan(bootstrap.average_seeds(seeds[:1])[1]).all()
    z = norm.ppf(0.975)
    assert bootstrap.widen(10, 10 - 3 * z, 10 + 3 * z, 8.0, 4) == pytest.approx((10 - 5 * z, 10 + 5 * z))
    assert bootstrap.widen(10, 8, 13, np.nan, 1) == (8, 13)
    low, high = bootstrap.widen(10, 8, 13, 1.0, 4)
    assert low < 8 and high > 13 and high - 13 < 8 - low  # the shorter arm grows more


def test_total_error_covers_the_truth_when_models_are_retrained():
    """With SD 1 over patients and 2 over seeds, of which there are four."""
    rng = np.random.default_rng(7)
    studies, z = 4000, norm.ppf(0.975)
    estimate = rng.normal(size=studies) + 2 * rng.normal(size=(4, studies)).mean(axis=0)
    low, high = bootstrap.widen(estimate, estimate - z, estimate + z, np.full(studies, 2.0), 4)
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(0.95, abs=0.012)
    assert (np.abs(estimate) <= z).mean() < 0.9
