import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as skm

from mmlib.measure import calibration, metrics


@pytest.fixture
def study():
    """300 samples, scores with many ties, integer weights, four groups of which the last is empty."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    scores = np.round(np.clip(rng.normal(0.45 + 0.15 * y, 0.2, (3, 300)), 0.01, 0.99), 2)
    patient_weights = np.vstack([np.ones(300), rng.multinomial(300, np.full(300, 1 / 300), 5)]).astype(np.float32)
    kind = rng.integers(0, 2, 300)
    groups = np.array([np.ones(300, bool), kind == 0, kind == 1, np.zeros(300, bool)])
    return y, scores, patient_weights, groups


def each(patient_weights, scores, groups):
    """Every (resample, vector, group) with members."""
    for b, w in enumerate(patient_weights):
        for k, s in enumerate(scores):
            for g, group in enumerate(groups[:3]):
                yield (b, k, g), w[group].astype(float), s[group], group


def test_rates_equal_scikit_learn_with_sample_weights(study):
    y, scores, patient_weights, groups = study
    ours = metrics.rates(y, scores >= 0.5, patient_weights, groups)
    for at, w, s, group in each(patient_weights, scores, groups):
        truth, decision = y[group], s >= 0.5
        tpr = skm.recall_score(truth, decision, sample_weight=w)
        expected = {
            "selection_rate": fm.selection_rate(truth, decision, sample_weight=w),
            "tpr": tpr,
            "fpr": fm.false_positive_rate(truth, decision, sample_weight=w),
            "ppv": skm.precision_score(truth, decision, sample_weight=w),
            "fnr": fm.false_negative_rate(truth, decision, sample_weight=w),
            "accuracy": skm.accuracy_score(truth, decision, sample_weight=w),
            "balanced_accuracy": skm.balanced_accuracy_score(truth, decision, sample_weight=w),
            "f1": skm.f1_score(truth, decision, sample_weight=w),
        }
        assert set(ours) == set(expected) == set(metrics.RATES)
        for name, value in expected.items():
            assert ours[name][at] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("decimals", [8, 2, 1, 0])
def test_ranking_metrics_equal_scikit_learn_with_ties(study, decimals):
    y, scores, patient_weights, groups = study
    scores = np.round(scores, decimals)
    area = metrics.auroc(y, scores, patient_weights, groups)
    precision = metrics.average_precision(y, scores, patient_weights, groups)
    for at, w, s, group in each(patient_weights, scores, groups):
        assert area[at] == pytest.approx(skm.roc_auc_score(y[group], s, sample_weight=w), abs=1e-12)
        expected = skm.average_precision_score(y[group], s, sample_weight=w)
        assert precision[at] == pytest.approx(expected, abs=1e-12)


def test_ranking_of_separated_reversed_and_constant_scores():
    y, one = np.repeat([0, 1], 5), np.ones((1, 10))
    scores = np.array([np.arange(10), -np.arange(10), np.zeros(10)])
    assert metrics.auroc(y, scores, one, one)[0, :, 0] == pytest.approx([1, 0, 0.5])
    expected = [skm.average_precision_score(y, s) for s in scores]
    assert metrics.average_precision(y, scores, one, one)[0, :, 0] == pytest.approx(expected)


def test_empty_denominators_are_nan_everywhere(study):
    y, scores, patient_weights, groups = study
    results = metrics.rates(y, scores >= 0.5, patient_weights, groups)
    results["auroc"] = metrics.auroc(y, scores, patient_weights, groups)
    results["average_precision"] = metrics.average_precision(y, scores, patient_weights, groups)
    results["observed_expected"] = calibration.observed_expected(y, scores, patient_weights, groups)
    for name, values in results.items():
        assert np.isnan(values[..., 3]).all() and np.isfinite(values[..., :3]).all(), name
    only_negatives = metrics.rates(np.zeros(4), np.zeros(4), np.ones((1, 4)), np.ones((1, 4)))
    undefined = {name for name, value in only_negatives.items() if np.isnan(value).all()}
    assert undefined == {"tpr", "fnr", "ppv", "balanced_accuracy", "f1"}
    for ranking in (metrics.auroc, metrics.average_precision):
        assert np.isnan(ranking(np.zeros(4), np.arange(4), np.ones((1, 4)), np.ones((1, 4)))).all()


def test_fractional_selection_is_the_mean_over_all_draws():
    rng = np.random.default_rng(2)
    y, q = np.array([0, 1, 1, 0, 1, 0]), rng.random(6)
    group = np.ones((1, 6), bool)
    outcomes = (np.arange(64)[:, None] >> np.arange(6)) & 1
    chance = np.prod(np.where(outcomes, q, 1 - q), axis=1)
    drawn = metrics.rates(y, outcomes, np.ones((1, 6)), group)
    expected = metrics.rates(y, q, np.ones((1, 6)), group)
    for name in ("selection_rate", "tpr", "fpr", "fnr", "accuracy", "balanced_accuracy"):
        assert expected[name].item() == pytest.approx(chance @ drawn[name][0, :, 0], abs=1e-12), name


def test_operating_point_selects_the_prevalence():
    rng = np.random.default_rng(3)
    y, scores = (rng.random(400) < 0.3).astype(int), rng.random(400)
    threshold = metrics.operating_point(y, scores, "prevalence")
    assert (scores >= threshold).sum() == y.sum() and threshold in scores
    coarse = np.round(scores, 1)
    selected = (coarse >= metrics.operating_point(y, coarse, "prevalence")).sum()
    assert abs(selected - y.sum()) == min(abs((coarse >= t).sum() - y.sum()) for t in [*coarse, 2])
    assert metrics.operating_point([0, 0, 0, 1], [0.4] * 4, "prevalence") == np.inf
    assert metrics.operating_point(y, scores, "half") == 0.5


def test_operating_point_maximises_f1():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 200)
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1), 2)
    best = max(skm.f1_score(y, scores >= t) for t in scores)
    assert skm.f1_score(y, scores >= metrics.operating_point(y, scores, "f1")) == pytest.approx(best)


def test_group_masks_of_attributes_and_intersections():
    frame = pd.DataFrame({"race": ["White", "Black", None, "White"], "sex": ["F", "M", "F", "M"]})
    masks = metrics.group_masks(frame, ["race", "race+sex"])
    names, groups = masks["race"]
    assert names == ["all", "Black", "White"]
    assert groups.tolist() == [[True] * 4, [False, True, False, False], [True, False, False, True]]
    names, groups = masks["race+sex"]
    assert names == ["all", "Black, M", "White, F", "White, M"]
    assert groups[1:].sum() == 3
    n, n_positive = metrics.sizes([1, 0, 1, 1], groups)
    assert n.tolist() == [4, 1, 1, 1] and n_positive.tolist() == [3, 0, 1, 1]
    part = metrics.group_masks(frame.astype({"sex": "category"}).iloc[[0, 2]], ["sex"])["sex"]
    assert part[0] == ["all", "F", "M"] and part[1].sum(axis=1).tolist() == [2, 2, 0]


def test_described_table_agrees_with_the_arrays():
    rng = np.random.default_rng(7)
    y, scores = rng.integers(0, 2, 300), np.round(rng.random(300), 2)
    frame = pd.DataFrame({"sex": rng.choice(["Female", "Male"], 300), "site": "A"})
    frame.loc[:4, "site"] = "B"
    y[:5] = 0
    decisions = scores >= 0.5
    for attribute in ("sex", "site", "sex+site"):
        table = metrics.metrics_by_group(y, scores, decisions, frame, attribute)
        names, groups = metrics.group_masks(frame, [attribute])[attribute]
        assert table.index.tolist() == names
        arrays = metrics.rates(y, decisions, np.ones((1, 300)), groups)
        arrays["auroc"] = metrics.auroc(y, scores, np.ones((1, 300)), groups)
        arrays["average_precision"] = metrics.average_precision(y, scores, np.ones((1, 300)), groups)
        for column in set(table) - {"n", "n_positive"}:
            assert table[column].to_numpy() == pytest.approx(arrays[column][0, 0], nan_ok=True), column
        assert [table.n.tolist(), table.n_positive.tolist()] == [a.tolist() for a in metrics.sizes(y, groups)]


def test_paper_gaps_leave_out_groups_without_a_rate():
    rng = np.random.default_rng(8)
    y, decisions = rng.integers(0, 2, 200), rng.integers(0, 2, 200)
    frame = pd.DataFrame({"race": rng.choice(["A", "B", "C"], 200)})
    rates = metrics.metrics_by_group(y, decisions, decisions, frame, "race").drop("all")
    gaps = metrics.paper_gaps(y, decisions, frame, "race")
    assert gaps["demographic_parity_difference"] == pytest.approx(np.ptp(rates.selection_rate))
    assert gaps["equalized_odds_difference"] == pytest.approx(max(np.ptp(rates.tpr), np.ptp(rates.fpr)))
    y[frame.race == "C"] = 0
    kept = metrics.metrics_by_group(y, decisions, decisions, frame, "race").loc[["A", "B"]]
    gap = metrics.paper_gaps(y, decisions, frame, "race")["equalized_odds_difference"]
    assert gap == pytest.approx(max(np.ptp(kept.tpr), np.ptp(kept.fpr)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.operating_point([0, 1], [0.1, 0.2], "youden"), "rule is 'youden'"),
        (lambda: metrics.operating_point([0, 1], [0.1]), "vectors of one length"),
        (lambda: metrics.group_masks(pd.DataFrame({"sex": ["F"]}), ["race"]), "'race' is not a column"),
        (lambda: metrics.rates([0, 1], [0.1, 1.2], np.ones((1, 2)), np.ones((1, 2))), "q lies in"),
        (lambda: metrics.rates([0, 2], [0.1, 0.2], np.ones((1, 2)), np.ones((1, 2))), "only 0 and 1"),
        (lambda: metrics.auroc([0, 1], [0.1, 0.2], np.ones((1, 3)), np.ones((1, 2))), "weights has shape"),
        (lambda: metrics.auroc([0, 1], [0.1, np.nan], np.ones((1, 2)), np.ones((1, 2))), "not finite"),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
