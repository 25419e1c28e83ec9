import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import t as student
from sklearn.metrics import average_precision_score, recall_score, roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from mmlib.core.schema import RESULTS
from mmlib.core.subsets import subset_masks
from mmlib.measure import evaluation, expectation
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.groups import Groups

RNG = np.random.default_rng(0)
N = 200
COHORT = pd.DataFrame(
    {
        "patient_id": np.arange(N).astype(str),
        "label": RNG.integers(0, 2, N),
        "fold": RNG.integers(0, 3, N),
        "sex": RNG.choice(["f", "m"], N),
    }
)
SCORE = xr.DataArray(
    RNG.random((2, 3, N)),
    {"seed": [0, 1], "variant": list("uvw"), "sample": range(N)},
    ("seed", "variant", "sample"),
)
CUT = xr.DataArray(
    RNG.random((2, 3, 3)), {"seed": [0, 1], "variant": list("uvw")}, ("seed", "variant", "fold")
)
WEIGHTS = resample_patients(COHORT.patient_id, 50)
SEX = Groups({"sex": "m"}, {"sex": "f"})


def test_metrics_are_those_of_scikit_learn_averaged_over_seeds():
    result = evaluation.evaluate(SCORE, CUT, COHORT, WEIGHTS, groups=SEX, ranking={"auroc": ["sex"]})
    female = (COHORT.sex == "f").to_numpy()
    for k, name in enumerate("uvw"):
        tpr, area = [], []
        for s in range(2):
            score = SCORE.values[s, k]
            chosen = score >= CUT.values[s, k][COHORT.fold]
            tpr.append(recall_score(COHORT.label[female], chosen[female]))
            area.append(roc_auc_score(COHORT.label[female], score[female]))
        assert float(result.metric("tpr", "sex").sel(variant=name, group="f")) == pytest.approx(np.mean(tpr))
        assert float(result.metric("auroc", "sex").sel(variant=name, group="f")) == pytest.approx(np.mean(area))
        assert result.labels[k] == name
    frame = result.difference("tpr", "sex").frame()
    by_group = result.metric("tpr", "sex")
    np.testing.assert_allclose(frame.estimate, by_group.sel(group="f").value - by_group.sel(group="m").value)
    assert (frame.group + frame.reference).tolist() == ["fm"] * 3
    assert frame.se_retrain.notna().all() and (frame.low < frame.estimate).all()
    assert result.metric("auroc").values.shape == (51, 3)


def test_resamples_are_those_of_scikit_learn_with_sample_weights():
    result = evaluation.evaluate(
        SCORE, CUT, COHORT, WEIGHTS, groups=SEX, ranking={"auroc": ["sex"], "average_precision": []}
    )
    male = (COHORT.sex == "m").to_numpy()
    y, w = COHORT.label.to_numpy(), WEIGHTS[7].astype(float)
    score = SCORE.values[:, 2]
    chosen = [s >= CUT.values[i, 2][COHORT.fold] for i, s in enumerate(score)]
    fpr = [1 - recall_score(1 - y[male], 1 - c[male], sample_weight=w[male]) for c in chosen]
    area = [roc_auc_score(y[male], s[male], sample_weight=w[male]) for s in score]
    precision = [average_precision_score(y, s, sample_weight=w) for s in score]
    assert result.metric("fpr", "sex").sel(variant="w", group="m").values[7] == pytest.approx(np.mean(fpr))
    assert result.metric("auroc", "sex").sel(variant="w", group="m").values[7] == pytest.approx(np.mean(area))
    assert result.metric("average_precision").sel(variant="w").values[7] == pytest.approx(np.mean(precision))
    assert set(result.values) == {
        (m, "sex") for m in ("selection_rate", "tpr", "fpr", "auroc", "average_precision")
    }


def test_tidy_rows_keep_the_contract_and_add_the_spread_of_retraining():
    ranking = {"auroc": ["sex"], "average_precision": []}
    result = evaluation.evaluate(SCORE, CUT, COHORT, WEIGHTS, groups=SEX, ranking=ranking)
    for metric, attribute, rows in (("tpr", "sex", 6), ("auroc", None, 3), ("average_precision", None, 3)):
        frame = RESULTS.validate(result.metric(metric, attribute).frame().assign(run="toy"))
        assert len(frame) == rows and (frame[frame.group == "all"].n == N).all()
    with pytest.raises(ValueError, match="average_precision was evaluated over all samples only"):
        result.metric("average_precision", "sex")
    with pytest.raises(ValueError, match="f1 by sex was not evaluated; there are selection_rate by sex"):
        result.metric("f1", "sex")
    frame = result.difference("auroc", "sex").frame()

    def spread_of(k):
        female, male = COHORT.sex == "f", COHORT.sex == "m"
        by_seed = [[roc_auc_score(COHORT.label[g], s[g]) for g in (female, male)] for s in SCORE.values[:, k]]
        return np.std(np.diff(by_seed)[:, 0], ddof=1)

    row = frame.iloc[0]
    spread = np.sqrt(np.mean([spread_of(k) ** 2 for k in range(3)]))  # pooled over the three variants
    assert row.se_retrain == pytest.approx(spread / np.sqrt(2))
    realisations = result.difference("auroc", "sex").sel(variant="u", group="f").values.values[1:]
    assert row.se_patients == pytest.approx(realisations.std(ddof=1))
    low, high = np.quantile(realisations, [0.025, 0.975])
    extra = student.ppf(0.975, 3) * spread / np.sqrt(2)
    assert row.low == pytest.approx(row.estimate - np.hypot(row.estimate - low, extra), abs=1e-6)
    assert row.high == pytest.approx(row.estimate + np.hypot(high - row.estimate, extra), abs=1e-6)


def test_certain_drops_leave_the_empty_pattern():
    score = xr.DataArray(RNG.random((1, 4, N)), {"seed": [0]}, ("seed", "pattern", "sample"))
    cut = xr.DataArray(np.full((1, 3), 0.4), dims=("seed", "fold"))
    _, masks = subset_masks(["a", "b"])
    chance = expectation.pattern_probabilities(np.ones((1, N, 2)), masks)
    masked = evaluation.evaluate_masked(score, cut, chance, [1], COHORT, WEIGHTS[:1], groups=SEX)
    assert float(masked.metric("tpr").sel(rate=1)) == pytest.approx(recall_score(COHORT.label, score[0, 0] >= 0.4))
    assert float(masked.metric("auroc").sel(rate=1)) == pytest.approx(roc_auc_score(COHORT.label, score[0, 0]))


def test_an_unknown_attribute_is_named():
    with pytest.raises(ValueError, match="'race' is not a column; expected one of"):
        evaluation.evaluate(SCORE, CUT, COHORT, WEIGHTS, groups=Groups({"race": "A"}))


def test_a_missing_threshold_selects_at_random():
    cut = CUT.copy()
    cut[:, 0] = np.nan
    chosen = evaluation.select(SCORE, cut, COHORT.fold)
    np.testing.assert_array_equal(chosen.sel(variant="u"), SCORE.sel(variant="u"))
    assert set(np.unique(chosen.sel(variant="v"))) == {0, 1}


def test_masked_expectations_without_drops_are_the_full_model():
    _, masks = subset_masks(["a", "b"])
    score = xr.DataArray(RNG.random((2, 4, N)), {"seed": [0, 1]}, ("seed", "pattern", "sample"))
    cut = xr.DataArray(RNG.random((2, 3)), dims=("seed", "fold"))
    chance = expectation.pattern_probabilities(np.multiply.outer([0.0, 0.3], np.ones((N, 2))), masks)
    masked = evaluation.evaluate_masked(score, cut, chance, [0, 0.3], COHORT, WEIGHTS, groups=SEX)
    full = evaluation.evaluate(
        score.isel(pattern=[3]), cut, COHORT, WEIGHTS, groups=SEX, ranking={"auroc": []}
    )
    for metric in ("tpr", "selection_rate"):
        np.testing.assert_allclose(masked.values[metric, "sex"][:, :1], full.values[metric, "sex"], atol=1e-9)
    np.testing.assert_allclose(masked.metric("auroc").values[:, :1], full.metric("auroc").values, atol=1e-9)
    assert masked.key == "rate" and masked.labels == [0, 0.3]


def test_models_are_compared_on_the_same_patients():
    scores = {"one": SCORE.values[:, 0], "same": SCORE.values[:, 0], "other": SCORE.values[0, 1]}
    areas = evaluation.compare_auroc(scores, COHORT, WEIGHTS)
    assert (areas.name, areas.n, areas.n_positive, areas.seeds) == ("auroc", N, COHORT.label.sum(), 2)
    change = areas - areas.sel(variant="one")
    assert change.labels("variant") == list(scores)
    assert float(change.sel(variant="same")) == change.sel(variant="same").values.std() == 0
    assert (areas.freedom, change.freedom) == (2, 2)  # two models have two seeds each; the third was trained once
    assert areas.s_retrain.values.tolist()[2] == 0 and areas.s_retrain.values[0] == areas.s_retrain.values[1]
    by_seed = [roc_auc_score(COHORT.label, s) for s in scores["one"]]
    other = roc_auc_score(COHORT.label, scores["other"])
    assert float(change.sel(variant="other")) == pytest.approx(other - np.mean(by_seed))
    assert float(areas.sel(variant="one").s_retrain) == pytest.approx(np.std(by_seed, ddof=1))
    assert float(areas.sel(variant="other").s_retrain) == 0
    # the one-sided 95 % bound
    alone = evaluation.compare_auroc({k: s[:1] if s.ndim > 1 else s for k, s in scores.items()}, COHORT, WEIGHTS)
    bound = (alone.sel(variant="other") - alone.sel(variant="one")).interval(level=0.9)[0]
    draws = alone.values.sel(variant="other") - alone.values.sel(variant="one")
    assert float(bound) == pytest.approx(np.quantile(draws[1:], 0.05))


def test_models_of_differently_many_seeds_cannot_be_compared():
    scores = {"one": SCORE.values[:, 0], "other": np.tile(SCORE.values[:1, 0], (3, 1))}
    with pytest.raises(ValueError, match="scores hold 2 and 3 seeds"):
        evaluation.compare_auroc(scores, COHORT, WEIGHTS)


def test_changes_are_paired_and_carry_the_spread_of_their_own():
    result = evaluation.evaluate(
        SCORE, CUT, COHORT, WEIGHTS, groups=SEX, ranking={"auroc": ["sex"], "observed_expected": ["sex"]}
    )
    changes = result.changes([("u", "w"), ("u", "v")])
    whole = result.metric("auroc", "sex").sel(group="f").values.values
    changed = changes.metric("auroc", "sex").sel(group="f").values
    np.testing.assert_array_equal(changed, whole[:, [2, 1]] - whole[:, [0, 0]])
    frame = RESULTS.validate(changes.difference("tpr", "sex").frame().assign(run="toy"))
    assert frame.variant.tolist() == ["w", "v"] and frame.versus.tolist() == ["u", "u"]
    contrast = result.difference("tpr", "sex").sel(group="f").values.values
    np.testing.assert_allclose(frame.estimate, contrast[0, [2, 1]] - contrast[0, 0])
    np.testing.assert_allclose(frame.se_patients, (contrast[1:, [2, 1]] - contrast[1:, [0]]).std(axis=0, ddof=1))
    female = (COHORT.sex == "f").to_numpy()
    ratio = COHORT.label[female].sum() / SCORE.values[:, 0][:, female].sum(axis=1)
    assert float(result.metric("observed_expected", "sex").sel(variant="u", group="f")) == pytest.approx(ratio.mean())


def test_the_contrasts_shown_carry_the_size_of_their_group():
    result = evaluation.evaluate(SCORE, CUT, COHORT, WEIGHTS, groups=SEX)
    n, positive = (COHORT.sex == "f").sum(), COHORT.label[COHORT.sex == "f"].sum()
    ((label, shown),) = result.contrasts("tpr").items()
    assert label == f"f minus m (n={n}, {positive} positive)"
    np.testing.assert_array_equal(shown.values, result.difference("tpr", "sex").sel(group="f").values)
    absent = evaluation.evaluate(SCORE, CUT, COHORT, WEIGHTS, groups=Groups({"sex": "x"}))
    with pytest.raises(ValueError, match="Reference group 'x' is not in the cohort; expected one of"):
        absent.difference("tpr", "sex")


def test_few_events_are_counted_and_get_the_interval_of_their_counts():
    y = np.r_[np.ones(60), np.zeros(60)].astype(int)
    cohort = pd.DataFrame({"patient_id": np.arange(120).astype(str), "label": y, "fold": 0, "sex": ["f", "m"] * 60})
    found = np.zeros(120)
    found[[0, 2]] = 1  # 2 of 30 women, 25 of 30 men
    found[1:51:2] = 1
    score = xr.DataArray(found[None, None], {"subset": ["a"]}, ("seed", "subset", "sample"))
    cut = xr.DataArray(np.full((1, 1), 0.5), dims=("seed", "fold"))
    result = evaluation.evaluate(score, cut, cohort, resample_patients(cohort.patient_id, 50), groups=SEX)
    rows = result.metric("tpr", "sex").frame().set_index("group")
    assert rows.loc["f", ["events", "total", "small"]].tolist() == [2, 30, True]
    assert rows.loc["f", ["low", "high"]].tolist() == pytest.approx(proportion_confint(2, 30, method="beta"))
    assert rows.loc["m", "small"]  # 25 found, 5 not
    difference = result.difference("tpr", "sex").frame().iloc[0]
    wanted = confint_proportions_2indep(2, 30, 25, 30, method="newcomb")
    assert [difference.low, difference.high] == pytest.approx(wanted)
    both = evaluation.evaluate(
        xr.concat([score, score.assign_coords(subset=["b"])], "subset"), cut, cohort,
        resample_patients(cohort.patient_id, 50), groups=SEX,
    )
    change = both.changes([("a", "b")]).difference("tpr", "sex").frame().iloc[0]
    assert change.small and np.isnan(change.low)
    assert not result.metric("selection_rate").frame().small.any()
