import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import test_proportions_2indep as two_proportions
from statsmodels.stats.weightstats import ztost

from mmlib.measure import bootstrap, significance

NAMES = ["all", "A", "B"]


def masks(is_b):
    return np.array([np.ones(len(is_b), bool), ~is_b, is_b])


def p_of(y, q, is_b, metric, patient=None, **options):
    patient = np.arange(len(y)) if patient is None else patient
    table = significance.gap_test(y, q, NAMES, masks(is_b), patient, metric, reference="A", **options)
    return table.iloc[0]


def within_null(rejections, studies, level=0.05):
    """Whether a count of rejections is what a test of that level gives, at 4 Monte Carlo standard errors."""
    return abs(rejections / studies - level) < 4 * np.sqrt(level * (1 - level) / studies)


def test_statistic_is_the_unpooled_z_of_two_proportions():
    rng = np.random.default_rng(0)
    y, is_b = rng.integers(0, 2, 400), rng.random(400) < 0.3
    d = (rng.random(400) < 0.5 + 0.2 * is_b).astype(int)
    for metric, used in (("tpr", y == 1), ("fpr", y == 0), ("selection_rate", y >= 0)):
        row = p_of(y, d, is_b, metric, permutations=9)
        count, n = [d[used & g].sum() for g in (is_b, ~is_b)], [(used & g).sum() for g in (is_b, ~is_b)]
        theirs = two_proportions(count[0], n[0], count[1], n[1], method="wald", compare="diff")
        assert row.statistic == pytest.approx(theirs.statistic)
        assert row.estimate == pytest.approx(count[0] / n[0] - count[1] / n[1])


def test_statistic_of_clustered_rows_is_that_of_cluster_robust_regression():
    rng = np.random.default_rng(1)
    patient = rng.integers(0, 150, 500)
    is_b = (rng.random(150) < 0.4)[patient]
    y = np.ones(500, int)
    q = np.clip(rng.random(150)[patient] + 0.1 * rng.normal(size=500), 0, 1)
    fit = OLS(q, np.column_stack([is_b, ~is_b]).astype(float)).fit(
        cov_type="cluster", cov_kwds={"groups": patient, "use_correction": False}
    )
    z = fit.t_test([1, -1])
    row = p_of(y, q, is_b, "tpr", patient, permutations=9)
    assert row.statistic == pytest.approx(z.tvalue.item())
    assert row.estimate == pytest.approx(z.effect.item())


def delong_variance(y, s):
    """By definition: placements of each positive and each negative, from percentile ranks of scipy."""
    pos, neg = s[y == 1], s[y == 0]
    above = np.array([stats.percentileofscore(neg, v, "mean") for v in pos]) / 100
    below = 1 - np.array([stats.percentileofscore(pos, v, "mean") for v in neg]) / 100
    return above.var() / len(pos) + below.var() / len(neg)


@pytest.mark.parametrize("decimals", [6, 1])
def test_auroc_statistic_is_that_of_delong(decimals):
    rng = np.random.default_rng(2)
    y, is_b = rng.integers(0, 2, 300), rng.random(300) < 0.4
    s = np.round(rng.normal(0.5 * y, 1), decimals)
    row = p_of(y, s, is_b, "auroc", permutations=9)
    areas = [roc_auc_score(y[g], s[g]) for g in (is_b, ~is_b)]
    variance = sum(delong_variance(y[g], s[g]) for g in (is_b, ~is_b))
    assert row.estimate == pytest.approx(areas[0] - areas[1])
    assert row.statistic == pytest.approx((areas[0] - areas[1]) / np.sqrt(variance))


def test_auroc_of_patients_recorded_three_times_is_as_sure_as_recorded_once():
    rng = np.random.default_rng(13)
    y, is_b, s = rng.integers(0, 2, 200), rng.random(200) < 0.4, np.round(rng.normal(size=200), 1)
    once = p_of(y, s, is_b, "auroc", permutations=9)
    again = rng.permutation(np.repeat(np.arange(200), 3))
    thrice = p_of(y[again], s[again], is_b[again], "auroc", again, permutations=9)
    assert thrice.statistic == pytest.approx(once.statistic)
    assert p_of(y[again], s[again], is_b[again], "auroc", permutations=9).statistic == pytest.approx(
        np.sqrt(3) * once.statistic
    )


def test_p_value_is_that_of_the_permutation_test_of_scipy():
    rng = np.random.default_rng(3)
    a, b = rng.random(9) * 0.8, rng.random(7)

    def welch(x, z, axis):
        return np.abs(x.mean(axis) - z.mean(axis)) / np.sqrt(
            x.var(axis) / x.shape[axis] + z.var(axis) / z.shape[axis]
        )

    theirs = stats.permutation_test((a, b), welch, vectorized=True, n_resamples=np.inf, alternative="greater")
    q, is_b = np.r_[a, b], np.repeat([False, True], [9, 7])
    ours = p_of(np.ones(16, int), q, is_b, "tpr", permutations=20_000, minimum=5)
    assert ours.p == pytest.approx(theirs.pvalue, abs=4 * np.sqrt(theirs.pvalue / 20_000))
    assert abs(ours.statistic) == pytest.approx(theirs.statistic)


def test_a_conditional_test_looks_at_its_own_label_alone():
    rng = np.random.default_rng(4)
    is_b, y = np.arange(400) >= 250, (rng.random(400) < 0.5).astype(int)
    d = rng.random(400) < 0.6
    for metric, label in (("tpr", 1), ("fpr", 0)):
        other = np.where(y == label, d, rng.random(400) < 0.5)
        before, after = (p_of(y, decided, is_b, metric, permutations=99) for decided in (d, other))
        assert (before.p, before.statistic) == (after.p, after.statistic)
    # base rates differ as much as can be, and both groups find the same share: nothing is left
    rare = np.repeat([1, 0, 1, 0], [60, 140, 140, 60])
    found = np.where(rare, np.arange(400) % 10 < 7, np.arange(400) % 10 < 2)
    of_b = np.arange(400) >= 200
    assert p_of(rare, found, of_b, "tpr", permutations=99).p == p_of(rare, found, of_b, "fpr", permutations=99).p == 1
    assert p_of(rare, found, of_b, "selection_rate", permutations=99).p == 0.01


@pytest.mark.slow
def test_conditional_tests_keep_their_level_when_base_rates_differ():
    """Equal TPR and FPR, but 20 % against 60 % positives: conditioning on the label leaves no difference."""
    rng = np.random.default_rng(4)
    studies, rejected = 400, {"tpr": 0, "fpr": 0, "equalized_odds": 0, "selection_rate": 0}
    for study in range(studies):
        is_b = np.arange(400) >= 250
        y = (rng.random(400) < np.where(is_b, 0.6, 0.2)).astype(int)
        d = rng.random(400) < np.where(y, 0.7, 0.2)
        for metric in rejected:
            rejected[metric] += p_of(y, d, is_b, metric, permutations=99, seed=study).p <= 0.05
    for metric in ("tpr", "fpr", "equalized_odds"):
        assert within_null(rejected[metric], studies), (metric, rejected)
    assert rejected["selection_rate"] > 0.9 * studies  # a real difference, and it is found


def test_metrics_are_averaged_over_training_seeds():
    rng = np.random.default_rng(14)
    y, is_b = rng.integers(0, 2, 300), rng.random(300) < 0.4
    s = np.round(rng.normal(0.5 * y, 1, (3, 300)), 1)
    area = [roc_auc_score(y[is_b], row[is_b]) - roc_auc_score(y[~is_b], row[~is_b]) for row in s]
    together = p_of(y, s, is_b, "auroc", permutations=99)
    assert together.estimate == pytest.approx(np.mean(area))
    once = p_of(y, s[0], is_b, "auroc", permutations=99)
    assert p_of(y, s[[0, 0]], is_b, "auroc", permutations=99).statistic == pytest.approx(once.statistic)
    alone = [p_of(y, row, is_b, "auroc", permutations=9) for row in s]
    # the mean of three unlike models varies less than each of them does
    assert abs(together.estimate / together.statistic) < min(abs(a.estimate / a.statistic) for a in alone)
    rate = p_of(y, s > 0, is_b, "tpr", permutations=9).estimate
    assert rate == pytest.approx(np.mean([p_of(y, r > 0, is_b, "tpr", permutations=9).estimate for r in s]))


@pytest.mark.slow
def test_auroc_test_keeps_its_level_when_base_rates_and_spreads_differ():
    rng = np.random.default_rng(5)
    studies, rejected = 300, 0
    for study in range(studies):
        is_b = np.arange(260) >= 160
        y = (rng.random(260) < np.where(is_b, 0.6, 0.35)).astype(int)
        s = np.round((1 + is_b) * rng.normal(0.8 * y, 1), 1)
        rejected += p_of(y, s, is_b, "auroc", permutations=99, seed=study).p <= 0.05
    assert within_null(rejected, studies), rejected


@pytest.mark.slow
def test_patients_with_several_rows_are_the_units():
    rng = np.random.default_rng(6)
    studies, rejected, rows_as_units = 300, 0, 0
    for study in range(studies):
        patient = np.repeat(np.arange(150), rng.integers(1, 6, 150))
        is_b = (rng.random(150) < 0.4)[patient]
        d = (rng.random(150) < 0.6)[patient]  # all rows of a patient agree
        y = np.ones(len(patient), int)
        rejected += p_of(y, d, is_b, "tpr", patient, permutations=99, seed=study).p <= 0.05
        rows_as_units += p_of(y, d, is_b, "tpr", permutations=99, seed=study).p <= 0.05
    assert within_null(rejected, studies), rejected
    assert rows_as_units > 0.15 * studies


def test_small_groups_are_refused_with_a_reason():
    y, patient = np.repeat([1, 0], [100, 100]), np.arange(200)
    is_b = np.isin(np.arange(200), [*range(29), *range(100, 140)])
    row = p_of(y, y, is_b, "tpr")
    assert row.refused == "B has 29 of the 30 patients with a positive label that a test of tpr needs."
    assert np.isnan(row.p) and np.isnan(row.statistic)
    assert p_of(y, y, is_b, "fpr", permutations=9).refused == ""
    assert "29 of the 30 patients with a positive" in p_of(y, y, is_b, "auroc").refused
    assert p_of(y, y, ~is_b, "tpr").refused.startswith("A has 29")
    same_patient = np.where(np.arange(200) < 100, 0, patient)
    assert "has 1 of the 30 patients" in p_of(y, y, ~is_b, "tpr", same_patient).refused
    assert "with a positive label that a test of selection_rate" in p_of(y, y, is_b, "selection_rate").refused


def test_equal_groups_are_no_evidence():
    y, is_b = np.ones(80, int), np.arange(80) % 2 == 0
    assert p_of(y, np.full(80, 0.4), is_b, "tpr", permutations=99).p == 1


def test_change_p_value_is_the_normal_one_and_agrees_with_the_interval():
    rng = np.random.default_rng(7)
    estimate = np.array([0.0, 1.0, 2.0, 3.0])
    values = np.vstack([estimate, estimate + rng.normal(size=(20_000, 4))])
    p, exact = significance.change_p(values), 2 * stats.norm.sf(estimate)
    assert p == pytest.approx(exact, abs=0.03) and p[2] == pytest.approx(exact[2], rel=0.15)
    shifts = np.linspace(-4, 4, 200)
    many = shifts + values[:, :1]
    low, high = bootstrap.percentile_interval(many)
    assert (((low > 0) | (high < 0)) == (significance.change_p(many) < 0.05)).mean() > 0.99
    retrained = significance.change_p(values, np.array([2.0] * 4), 4)
    assert retrained == pytest.approx(2 * stats.norm.sf(estimate / np.sqrt(2)), abs=0.03)


def test_change_p_value_of_undefined_resamples():
    rng = np.random.default_rng(8)
    values = rng.normal(2, 1, (1001, 3))
    values[1:41, 1], values[1:101, 2] = np.nan, np.nan
    p = significance.change_p(values)
    assert p[1] == pytest.approx(significance.change_p(values[41:, 1][np.r_[0, 0 : len(values) - 41]]))
    assert np.isnan(p[2])
    assert significance.change_p(np.full((1001, 1), 5.0)) == pytest.approx(2 / 1001)
    assert significance.change_p(np.zeros((1001, 1))) == 1
    assert (significance.change_p(values, np.full(3, np.nan)) == p)[:2].all()  # one seed smooths nothing


def test_paired_bootstrap_test_keeps_its_level():
    """Two models with the same TPR, right and wrong on different patients: the change is zero in truth."""
    rng = np.random.default_rng(9)
    studies, n = 400, 150
    patient_weights = bootstrap.resample_patients(np.arange(n), 400)
    d = rng.random((2, studies, n)) < 0.7
    rate = (patient_weights @ (d[0].astype(float) - d[1]).T) / patient_weights.sum(axis=1, keepdims=True)
    assert within_null((significance.change_p(rate) <= 0.05).sum(), studies)


def test_holm_is_that_of_statsmodels_and_skips_refused_tests():
    p = np.array([0.01, np.nan, 0.04, 0.03, np.nan])
    adjusted = significance.holm(p)
    assert adjusted[[0, 2, 3]] == pytest.approx(multipletests([0.01, 0.04, 0.03], method="holm")[1])
    assert adjusted[[0, 2, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(adjusted[[1, 4]]).all() and np.isnan(significance.holm([np.nan])).all()


def test_equivalence_is_that_of_statsmodels():
    x = np.random.default_rng(10).normal(0.05, 1, 400)
    ours = significance.equivalence(x.mean(), x.std(ddof=1) / 20, 0.2)
    assert ours.p == pytest.approx(ztost(x, -0.2, 0.2)[0])
    assert ours.equivalent == (max(-ours.low, ours.high) < 0.2)
    assert ours.attainable and not significance.equivalence(0, 1, 2.8).attainable


def test_attainable_margin_gives_eighty_percent_power():
    """Where there is no difference, 80 % of studies estimate one within 1.28 standard errors; 2.9 is 2.93, rounded."""
    inside, outside = (
        significance.equivalence(e, 1, significance.ATTAINABLE).equivalent for e in stats.norm.ppf([0.895, 0.901])
    )
    assert inside and not outside


def test_the_smallest_detectable_change_knows_its_family():
    se = significance.minimal_detectable_change([0.1, 0.2], comparisons=1)
    assert se == pytest.approx([0.2802, 0.5603], abs=1e-4)
    assert significance.minimal_detectable_change(1, comparisons=10) == pytest.approx(
        stats.norm.isf(0.0025) + stats.norm.isf(0.2)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p_of(np.ones(9), np.ones(9), np.arange(9) > 4, "f1"), "metric is 'f1'"),
        (lambda: significance.equivalence(0, 1, -1), "margin is -1"),
        (
            lambda: significance.gap_test([1], [1], ["all"], [[1]], ["p"], "tpr", reference="White"),
            "'White' is not in the cohort",
        ),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_few_retrainings_make_a_change_less_certain():
    rng = np.random.default_rng(10)
    values = np.r_[2.5, rng.normal(2.5, 0.1, 4000)][:, None]
    normal, two_seeds = (significance.change_p(values, np.ones(1), 1, freedom) for freedom in (np.inf, 1))
    assert normal == pytest.approx(2 * stats.norm.sf(2.5 / np.hypot(1, 0.1)), abs=0.002)
    assert two_seeds == pytest.approx(2 * stats.t.sf(2.5, 1), abs=0.01)


def test_patients_decide_unless_retraining_is_too_variable():
    def times(*se):
        return float(significance.samples_to_decide(0.05, *se, comparisons=1))

    allowed = 0.05 / (stats.norm.isf(0.025) + stats.norm.isf(0.1))
    assert times(0.04, 0) == pytest.approx((0.04 / allowed) ** 2)
    assert times(0.04, 0.01) == pytest.approx(0.04**2 / (allowed**2 - 0.01**2))
    assert times(0.001, 0) == 1 and np.isinf(times(0.001, 0.02))
    assert np.isnan(significance.samples_to_decide(np.nan, 0.1, 0, comparisons=1))
