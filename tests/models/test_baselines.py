from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.models import baselines
from mmlib.models.study import prepare
from tests.models.test_study import cohort_and_embeddings


@pytest.fixture(scope="module")
def study():
    return prepare(*cohort_and_embeddings(), dimensions=4)


def test_boosting_is_out_of_fold_and_better_than_chance(study, monkeypatch):
    monkeypatch.setattr(baselines, "BOOSTING_GRID", ({"min_samples_leaf": 10},))
    _, embeddings = cohort_and_embeddings()
    fields = pd.DataFrame(embeddings.embedding.values[:, :2].reshape(len(study.y), -1)).add_prefix("a.f")
    fields["sample_id"] = list(study.samples)
    scores = baselines.boosting(fields, study)
    assert roc_auc_score(study.y, scores) > 0.65
    changed = fields.copy()
    changed.loc[study.fold == 0, fields.columns != "sample_id"] = 0.0
    # what fold 0 holds moves the models of the others, never its own
    same = baselines.boosting(changed, study)
    assert len(np.unique(same[study.fold == 0])) == 1
    assert not np.allclose(same[study.fold == 1], scores[study.fold == 1])


def test_boosting_is_stopped_and_chosen_on_validation_rows_and_refitted_on_both(study, monkeypatch):
    grid = ({"min_samples_leaf": 90}, {"min_samples_leaf": 10})
    monkeypatch.setattr(baselines, "BOOSTING_GRID", grid)
    _, embeddings = cohort_and_embeddings()
    fields = (
        pd.DataFrame(embeddings.embedding.values[:, 0])
        .add_prefix("a.f")
        .assign(sample_id=list(study.samples))
    )
    fields["a.kind"] = pd.Categorical(np.where(fields["a.f0"] > 0, "high", "low"))
    scores = baselines.boosting(fields.assign(**{"a.text": "free"}), study)
    y, x = study.y.numpy().astype(int), fields.drop(columns="sample_id")
    training, held, test = study.training[1].numpy(), study.validation[1].numpy(), study.tested[1]
    common = {"learning_rate": 0.06, "categorical_features": "from_dtype", "random_state": 0}
    models = [
        HistGradientBoostingClassifier(
            **common, **g, max_iter=400, early_stopping=True, n_iter_no_change=20
        ).fit(x[training], y[training], X_val=x[held], y_val=y[held])
        for g in grid
    ]
    quality = [roc_auc_score(y[held], m.predict_proba(x[held])[:, 1]) for m in models]
    best = int(np.argmax(quality))
    refit = HistGradientBoostingClassifier(
        **common, **grid[best], max_iter=models[best].n_iter_, early_stopping=False
    ).fit(x[training | held], y[training | held])
    np.testing.assert_allclose(scores[test], refit.predict_proba(x[test])[:, 1])


def test_counted_words_read_text_kinds_and_numbers_and_never_their_own_fold(study):
    y, rng = study.y.numpy().astype(int), np.random.default_rng(0)
    said = np.where(rng.random(len(y)) < 0.85, y, 1 - y)
    fields = pd.DataFrame(
        {"sample_id": list(study.samples), "t.note": np.array(["poor fit", "lovely cut"])[said]}
    )
    fields.loc[:9, "t.note"] = None
    assert baselines.free_text(fields) == ["t.note"]
    assert roc_auc_score(y, baselines.counted_words(fields, study)) > 0.75
    more = fields.assign(
        **{"a.x": np.where(said, np.nan, 1.0), "a.kind": pd.Categorical(rng.choice(["u", "v"], len(y)))}
    )
    scores = baselines.counted_words(more, study)
    changed = replace(study, y=torch.where(torch.from_numpy(study.tested[0]), 1 - study.y, study.y))
    same = baselines.counted_words(more, changed)
    np.testing.assert_array_equal(scores[study.fold == 0], same[study.fold == 0])
    with pytest.raises(ValueError, match="No field is free text"):
        baselines.counted_words(more.drop(columns="t.note"), study)


def test_late_fusion_by_hand_on_one_fold(study):
    scores = baselines.late_fusion(study, C=0.5)
    y, present = study.y.numpy().astype(int), study.present.numpy()
    training, held, test = study.training[2].numpy(), study.validation[2].numpy(), study.tested[2]
    evidence = np.zeros((len(y), 3))
    for m in range(3):
        x, rows = study.X[2, :, m].numpy(), training & present[:, m]
        one = LogisticRegression(C=0.5, max_iter=1000).fit(x[rows], y[rows]).predict_proba(x)[:, 1]
        odds, base = one / (1 - one), y[rows].sum() / (1 - y[rows]).sum()
        evidence[present[:, m], m] = np.log(odds / base)[present[:, m]]
    both = LogisticRegression(solver="newton-cholesky", tol=1e-10).fit(evidence[held], y[held])
    np.testing.assert_allclose(scores[test], both.predict_proba(evidence[test])[:, 1], atol=1e-6)


def test_late_fusion_never_sees_the_labels_it_predicts(study):
    changed = replace(study, y=torch.where(torch.from_numpy(study.tested[0]), 1 - study.y, study.y))
    one, two = (baselines.late_fusion(s) for s in (study, changed))
    np.testing.assert_array_equal(one[study.fold == 0], two[study.fold == 0])
    assert not np.allclose(one[study.fold == 1], two[study.fold == 1])


def test_late_fusion_of_one_modality_is_a_recalibrated_logistic_regression(study):
    alone = study.columns(["a"])
    scores = baselines.late_fusion(alone)
    test, rows = alone.fold == 0, alone.training[0].numpy() & alone.present[:, 0].numpy()
    x, y = alone.X[0, :, 0].numpy(), alone.y.numpy().astype(int)
    by_hand = LogisticRegression(C=0.1, max_iter=1000).fit(x[rows], y[rows]).decision_function(x)
    order = np.argsort(by_hand[test])
    assert (np.diff(scores[test][order]) >= 0).all()
    assert ((scores > 0) & (scores < 1)).all()


def test_late_fusion_uses_only_what_is_left(study):
    masks = subset_masks("abc")[1]
    scores = baselines.late_patterns(study, masks)
    noisy = replace(study, X=study.X.clone())
    noisy.X[:, :, 2] = torch.randn(noisy.X[:, :, 2].shape)
    again, without = baselines.late_patterns(noisy, masks), ~masks[:, 2]
    np.testing.assert_array_equal(scores[:, without], again[:, without])
    assert np.nanmax(np.abs(scores[:, ~without] - again[:, ~without])) > 0.01
    y, tested = study.y.numpy(), scores[study.fold, 7, np.arange(300)]
    assert roc_auc_score(y, tested) > 0.7
    assert (tested == baselines.late_fusion(study)).all()
    assert np.unique(scores[0, 0, ~np.isnan(scores[0, 0])]).size == 1


def test_late_fusion_of_nothing_is_the_share_of_positives(study):
    scores = baselines.late_patterns(study, np.zeros((1, 3), bool))[0]
    held = study.validation[0].numpy()
    assert (scores[0, held | study.tested[0]] == study.y.numpy()[held].mean()).all()
    assert np.isnan(scores[0, ~(held | study.tested[0])]).all()
