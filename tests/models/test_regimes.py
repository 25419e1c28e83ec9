from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.measure import expectation
from mmlib.measure.metrics import operating_point
from mmlib.models import powerset, regimes
from mmlib.models.study import prepare
from tests.models.test_powerset import SMALL
from tests.models.test_study import cohort_and_embeddings

MASKS = subset_masks("abc")[1]


@pytest.fixture(scope="module")
def study():
    return prepare(*cohort_and_embeddings(), dimensions=4)


@pytest.fixture(scope="module")
def trained(study):
    return powerset.train_powerset(study, SMALL, seeds=1)


@pytest.fixture(scope="module")
def plain(study, trained):
    return regimes.pattern_scores({"plain": trained[1]}, study)["plain"]


def test_scores_are_there_for_tested_and_validation_samples_under_every_pattern(study, trained, plain):
    assert plain.shape == (3, 8, 300)
    there = study.tested | study.validation.numpy()
    assert (~np.isnan(plain) == there[:, None]).all()
    full = regimes.specialist_scores(trained[0], study)
    assert np.isnan(full).sum() == np.isnan(plain).sum()
    np.testing.assert_array_equal(full[:, -1], plain[:, -1])
    score = trained[0].score.sel(subset="a+c", seed=0).values
    np.testing.assert_array_equal(full[study.fold, 5, np.arange(300)], score)


def test_a_power_set_of_another_split_is_refused(study, trained):
    other = replace(study, validation=study.training, training=study.validation)
    with pytest.raises(ValueError, match="other validation patients"):
        regimes.specialist_scores(trained[0], other)


def test_regimes_that_change_nothing_are_the_plain_model(study, trained):
    kept = np.zeros((300, 8))
    kept[:, -1] = 1
    alike = replace(study, cohort=study.cohort.assign(sex="all"))
    models = regimes.train_regimes(alike, trained[1], kept, attribute="sex", rates=[0.3])
    for same, other in ((regimes.LOST_IN_TRAINING, regimes.BASE), ("dropout, group weights", regimes.VARIED)):
        torch.testing.assert_close(models[same].parameters, models[other].parameters)
    distinct = {name: m.parameters["head"].sum().item() for name, m in models.items()}
    assert len(models) == 12 and len(set(distinct.values())) == 10
    assert all(m.seed == (0, 0, 0) and m.fold == (0, 1, 2) for m in models.values())


def test_groups_count_alike_within_each_label_and_small_ones_together():
    rng = np.random.default_rng(0)
    cohort = pd.DataFrame({"race": rng.choice(["a", "b", "c", None], 2000, p=[0.6, 0.34, 0.03, 0.03])})
    cohort["label"] = rng.integers(0, 2, 2000)
    weight = regimes.group_weights(cohort, "race")
    assert weight.mean() == pytest.approx(1) and weight.max() <= 10.0001 * weight.min()
    group = regimes.merged_groups(cohort, "race")
    assert sorted(group.unique()) == ["a", "b", "c", "other"] or sorted(group.unique()) == ["a", "b", "other"]
    for label in (0, 1):
        total = pd.Series(weight)[cohort.label == label].groupby(group[cohort.label == label]).sum()
        assert total["a"] == pytest.approx(total["b"])
    rare = cohort.assign(race=np.where(np.arange(2000) < 80, "few", "many"))
    assert regimes.group_weights(rare, "race").max() == pytest.approx(
        10 * regimes.group_weights(rare, "race").min()
    )


def test_recalibration_keeps_the_ranking_and_learns_the_share_of_positives(study, plain):
    again, y = regimes.recalibrate({"plain": plain}, study)["plain"], study.y.numpy()
    for f, held in enumerate(study.validation.numpy()):
        there = ~np.isnan(plain[f, 0])
        assert again[f][:, held].mean(axis=1) == pytest.approx(y[held].mean(), abs=0.01)
        assert np.ptp(again[f, 0, there]) == 0 and again[f, 0, there][0] == pytest.approx(y[held].mean())
        for before, after in zip(plain[f][:, there], again[f][:, there], strict=True):
            constant = np.ptp(after) == 0  # nothing learnt: one score for all
            assert constant or (np.diff(after[np.argsort(before)]) >= 0).all()
    assert np.isnan(again).sum() == np.isnan(plain).sum()


def test_imputation_is_ridge_regression(study, trained):
    rng = np.random.default_rng(1)
    mix = torch.from_numpy(rng.normal(size=(8, 4)).astype(np.float32))
    X = study.X.clone()
    X[:, :, 1] = torch.randn(X[:, :, 1].shape)
    X[:, :, 2] = X[:, :, :2].flatten(2) @ mix + 0.1 * torch.randn(X[:, :, 2].shape)
    whole = replace(study, X=X, present=torch.ones_like(study.present))
    ours = regimes.imputed_scores(trained[1], whole, ridge=0.05)
    filled = X.clone()
    for f, rows in enumerate(study.training):
        known, gone = X[f, :, :2].flatten(1).numpy(), X[f, :, 2].numpy()
        model = Ridge(alpha=0.05 * int(rows.sum()), fit_intercept=False).fit(known[rows], gone[rows])
        filled[f, :, 2] = torch.from_numpy(model.predict(known).astype(np.float32))
    where = study.tested | study.validation.numpy()
    expected = powerset.probabilities(trained[1], replace(whole, X=filled), where=where)
    np.testing.assert_allclose(ours[:, 3], expected, atol=1e-4)
    np.testing.assert_allclose(ours[:, 7], powerset.probabilities(trained[1], whole, where=where), atol=1e-6)


def test_what_is_collected_is_tested_and_thresholds_are_from_complete_validation_inputs(study, plain):
    data = regimes.collect({"plain": plain}, study)
    own = data.score.sel(regime="plain", seed=0).values
    np.testing.assert_allclose(own, plain[study.fold, :, np.arange(300)].T)
    held = study.validation[1].numpy()
    cut = operating_point(study.y.numpy()[held].astype(int), plain[1, -1, held], "f1")
    assert float(data.threshold.sel(regime="plain", seed=0, fold=1, rule="f1")) == cut


def test_validation_auroc_is_the_mean_over_folds(study, plain):
    chance = expectation.pattern_probabilities(np.zeros((1, 1, 3)), MASKS).repeat(300, axis=1)
    found = regimes.validation_auroc(plain, study, chance)
    areas = [
        roc_auc_score(study.y[held], plain[f, -1, held]) for f, held in enumerate(study.validation.numpy())
    ]
    assert found == pytest.approx([np.mean(areas)])


def test_every_regime_is_scored_and_only_those_trained_with_drops_are_recalibrated(study, trained, plain):
    models = {name: trained[1] for name in (regimes.BASE, regimes.LOST_IN_TRAINING, "dropout 0.2")}
    specialists = regimes.specialist_scores(trained[0], study)
    scores = regimes.score_regimes(models, study, specialists)
    extra = ["plain, recalibrated", "plain, imputed", "late fusion", regimes.SPECIALISTS]
    assert list(scores) == [*models, *extra]
    np.testing.assert_array_equal(scores[regimes.LOST_IN_TRAINING], plain)
    np.testing.assert_array_equal(scores["dropout 0.2"], scores["plain, recalibrated"])
    assert not np.array_equal(scores["dropout 0.2"], plain, equal_nan=True)
    assert all(s.shape == plain.shape for s in scores.values())
    assert "dropout 0.2/head" in regimes.joined_parameters(models)
