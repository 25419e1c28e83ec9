import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mmlib import baselines, powerset
from tests.test_powerset import cohort_and_embeddings


@pytest.fixture(scope="module")
def study():
    return powerset.prepare(*cohort_and_embeddings(), dimensions=4)


def test_boosting_is_out_of_fold_and_better_than_chance(study, monkeypatch):
    monkeypatch.setattr(baselines, "BOOSTING_GRID", ({"max_iter": 20, "min_samples_leaf": 10},))
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


def test_late_fusion_of_one_modality_is_a_recalibrated_logistic_regression(study):
    alone = study.columns(["a"])
    scores = baselines.late_fusion(alone)
    test, rows = alone.fold == 0, alone.training[0].numpy() & alone.present[:, 0].numpy()
    x, y = alone.X[0, :, 0].numpy(), alone.y.numpy().astype(int)
    by_hand = LogisticRegression(C=0.1, max_iter=1000).fit(x[rows], y[rows]).decision_function(x)
    order = np.argsort(by_hand[test])
    assert (np.diff(scores[test][order]) >= 0).all()
    assert ((scores > 0) & (scores < 1)).all()
