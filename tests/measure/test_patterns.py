import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.measure import expectation, metrics, patterns

RNG = np.random.default_rng(0)
N, MODALITIES = 300, 3
MASKS = subset_masks("abc")[1]
Y = RNG.integers(0, 2, N)
PRESENT = RNG.random((N, MODALITIES)) < 0.8
SIGNAL = (0.8 * (Y[:, None] - 0.5) + RNG.normal(size=(N, MODALITIES))) * PRESENT
SCORES = np.round(1 / (1 + np.exp(-(MASKS @ SIGNAL.T))), 2)
THRESHOLD = np.where(np.arange(N) % 2, 0.5, 0.6)
GROUPS = np.array([np.arange(N) % 3 == 0, np.arange(N) % 3 > 0])


def test_any_rates_per_modality_and_group_follow_from_the_tables():
    tables = patterns.pattern_tables(Y, SCORES, THRESHOLD, GROUPS)
    one = np.ones((1, N))
    for _ in range(3):
        rates = RNG.random((2, MODALITIES))
        drop = np.where(GROUPS[0][:, None], rates[0], rates[1])
        chance = expectation.pattern_probabilities(drop, MASKS, PRESENT)
        q = expectation.expected_selection(SCORES, THRESHOLD, chance)
        library = metrics.rates(Y, q, one, GROUPS)
        library["auroc"] = expectation.expected_auroc(Y, SCORES, chance, one, GROUPS)
        for g in range(2):
            w = expectation.pattern_probabilities(rates[g], MASKS)[0]
            for rate in ("tpr", "selection_rate"):
                assert tables[rate][g] @ w == pytest.approx(library[rate][0, 0, g], abs=1e-12)
            assert w @ tables["auroc"][g] @ w == pytest.approx(library["auroc"][0, 0, g], abs=1e-12)


def test_the_diagonal_is_the_auroc_of_everybody_under_one_pattern():
    tables = patterns.pattern_tables(Y, SCORES, 0.5, GROUPS)
    for k, scores in enumerate(SCORES):
        area = roc_auc_score(Y[GROUPS[1]], scores[GROUPS[1]])
        assert tables["auroc"][1, k, k] == pytest.approx(area, abs=1e-12)


def test_a_group_of_one_class_is_named():
    with pytest.raises(ValueError, match="Group 0 has 0 positives"):
        patterns.pattern_tables(Y, SCORES, 0.5, [Y == 0])
