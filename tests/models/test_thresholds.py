import numpy as np
import pytest
import torch

from mmlib.measure.metrics import operating_point
from mmlib.models import powerset, regimes, thresholds
from mmlib.models.study import prepare
from tests.models.test_study import cohort_and_embeddings


@pytest.fixture(scope="module")
def case():
    """Scores that rank women worse, and a pattern without information."""
    cohort, embeddings = cohort_and_embeddings()
    study = prepare(cohort, embeddings, dimensions=4)
    rng = np.random.default_rng(0)
    cohort["sex"] = rng.choice(["f", "m"], len(cohort))
    signal = np.where(cohort.sex == "m", 3, 1) * (cohort.label - 0.5) + rng.normal(size=len(cohort))
    scores = np.stack([np.full(len(cohort), 0.5), 1 / (1 + np.exp(-signal))])
    scores = np.where((study.tested | study.validation.numpy())[:, None], scores, np.nan)
    return scores, powerset.replace(study, cohort=cohort)


def test_thresholds_do_what_they_promise_on_validation(case):
    scores, study = case
    cohort = study.cohort
    # decide for validation samples: those of fold 0 stand in for the tested ones
    held = study.validation[0]
    swapped = powerset.replace(
        study, fold=np.where(held.numpy(), 0, 1 + np.arange(300) % 2), validation=torch.stack([held] * 3)
    )
    filled = np.stack([np.nan_to_num(scores[0], nan=0.5)] * 3)
    ways = thresholds.compare_thresholds(filled, swapped, "sex")
    y, rows = cohort.label.to_numpy(), held.numpy()
    cut = operating_point(y[rows], scores[0, -1, rows])
    assert (ways["one threshold"][-1, rows] == (scores[0, -1, rows] >= cut)).all()
    assert ways["per pattern"][-1, rows].sum() == y[rows].sum()

    def found(way, sex):
        return ways[way][-1, rows & (y == 1) & (cohort.sex == sex).to_numpy()].mean()

    assert found("one threshold", "m") - found("one threshold", "f") > 0.1
    few = (rows & (y == 1) & (cohort.sex == "f").to_numpy()).sum()
    for way in ("per group", "per group and pattern"):
        assert found(way, "m") == pytest.approx(found(way, "f"), abs=1.5 / few)
    assert abs(found("ThresholdOptimizer", "m") - found("ThresholdOptimizer", "f")) < 0.35


def test_where_nothing_is_known_nobody_is_ranked(case):
    ways = thresholds.compare_thresholds(*case, "sex")
    tested = ways["per group and pattern"][0]
    assert (tested == ways["per pattern"][0]).all()


def test_the_seed_fixes_the_optimizer(case):
    one, two, other = (thresholds.compare_thresholds(*case, "sex", seed=s)["ThresholdOptimizer"] for s in (0, 0, 1))
    assert (one == two).all() and one.shape == other.shape == (2, 300)


def test_the_optimizer_takes_groups_of_one_class_together(case):
    """The largest group has no positive, the next no negative, and only a small one both."""
    scores, study = case
    both = np.arange(300) % 3 == 0
    pure = np.where(study.y.numpy() == 1, "all ill", "all well")
    for other in (np.where(both, "both", pure), pure):
        sites = [powerset.replace(study, cohort=study.cohort.assign(site=site)) for site in (other, "one")]
        ways = [thresholds.compare_thresholds(scores, s, "site")["ThresholdOptimizer"] for s in sites]
        assert (ways[0] == ways[1]).all()


def test_groups_with_few_positives_are_one_group(case):
    cohort = case[1].cohort
    small = cohort.assign(sex=np.where(np.arange(300) < 20, "x", cohort.sex))
    assert sorted(regimes.merged_groups(small, "sex").unique()) == ["f", "m", "other"]
