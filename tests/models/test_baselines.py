from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
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


def test_boosting_takes_the_settings_that_are_best_on_validation_rows(study, monkeypatch):
    poor, good = {"min_samples_leaf": 10_000}, {"min_samples_leaf": 10}
    _, embeddings = cohort_and_embeddings()
    fields = pd.DataFrame(embeddings.embedding.values[:, 0]).add_prefix("a.f")
    fields = fields.assign(sample_id=list(study.samples))
    fields["a.kind"] = pd.Categorical(np.where(fields["a.f0"] > 0, "high", "low"))

    def scored(*grid, data=study):
        monkeypatch.setattr(baselines, "BOOSTING_GRID", grid)
        return baselines.boosting(fields.assign(**{"a.text": "free"}), data)

    scores = scored(poor, good)
    np.testing.assert_array_equal(scores, scored(good))
    assert len(np.unique(scored(poor)[study.tested[1]])) == 1
    # the last fit is on validation rows too: without them it is another
    fewer = replace(study, validation=study.validation & (torch.arange(len(study.y)) % 2 == 0))
    assert not np.allclose(scores[study.tested[1]], scored(good, data=fewer)[study.tested[1]])


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
