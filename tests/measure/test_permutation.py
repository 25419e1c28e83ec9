import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as skm

from mmlib.measure import permutation


def test_permutation_keeps_strata_units_and_group_sizes():
    rng = np.random.default_rng(8)
    patient = rng.integers(0, 80, 200)
    y, race = rng.integers(0, 2, 200), rng.integers(0, 3, 80)[patient]
    groups = np.array([race == g for g in range(3)])
    kind = {p: tuple(sorted(set(y[patient == p]))) for p in patient}
    for metric, used in (("tpr", y == 1), ("fpr", y == 0), ("auroc", y >= 0), ("selection_rate", y >= 0)):
        permuted = permutation.permuted_groups(y, groups, patient, metric, 50)
        assert (permuted[0, used] == race[used]).all() and (permuted[:, ~used] == -1).all()
        assert (permuted[1:, used] != race[used]).any()
        for row in permuted[:3]:
            of_patient = pd.DataFrame(
                {"p": patient[used], "g": row[used], "kind": [kind[p] for p in patient[used]]}
            )
            assert of_patient.groupby("p").g.nunique().max() == 1
            by = ["kind", "g"] if metric == "auroc" else ["g"]
            observed = of_patient.assign(g=race[used]).drop_duplicates("p").groupby(by).size()
            assert of_patient.drop_duplicates("p").groupby(by).size().equals(observed)
    with pytest.raises(ValueError, match="overlap"):
        permutation.permuted_groups(y, np.ones((2, 200)), patient, "tpr", 5)


def test_null_mean_of_a_gap_is_the_one_known_for_groups_of_fifty():
    """At TPR .5 without a difference: about .08, the mean sqrt(2/pi) SE of a folded normal."""
    rng = np.random.default_rng(9)
    y, q = np.ones(100, int), np.array([rng.permutation(np.repeat([0, 1], 50)) for _ in range(3)])
    groups = np.arange(100) // 50 == np.arange(2)[:, None]
    gap, null = permutation.max_min_gap(y, q, groups, np.arange(100), "tpr", permutations=4000)
    assert gap == pytest.approx(np.abs(q[:, :50].mean(axis=1) - q[:, 50:].mean(axis=1)))
    assert null == pytest.approx(np.sqrt(2 / np.pi) * np.sqrt(0.25 * 2 / 50 * 100 / 99), rel=0.05)


def test_gaps_equal_those_of_fairlearn_and_scikit_learn():
    rng = np.random.default_rng(10)
    y, scores, race = rng.integers(0, 2, 300), rng.random(300), rng.integers(0, 3, 300)
    groups, d = race == np.arange(3)[:, None], (scores > 0.4).astype(int)
    gap = {
        m: permutation.max_min_gap(
            y, scores if m == "auroc" else d, groups, np.arange(300), m, permutations=2
        )[0]
        for m in permutation.WITHIN
    }
    expected = {
        "selection_rate": fm.demographic_parity_difference(y, d, sensitive_features=race),
        "equalized_odds": fm.equalized_odds_difference(y, d, sensitive_features=race),
        "tpr": fm.true_positive_rate_difference(y, d, sensitive_features=race),
        "fpr": fm.false_positive_rate_difference(y, d, sensitive_features=race),
        "auroc": np.ptp([skm.roc_auc_score(y[race == g], scores[race == g]) for g in range(3)]),
    }
    assert {m: v.item() for m, v in gap.items()} == pytest.approx(expected)
    y[race == 2] = 0
    kept = permutation.max_min_gap(y, d, groups, np.arange(300), "tpr", permutations=2)[0]
    two = permutation.max_min_gap(y, d, groups[:2], np.arange(300), "tpr", permutations=2)[0]
    assert kept == two
    assert np.isnan(permutation.max_min_gap(y, d, groups[1:], np.arange(300), "tpr", permutations=2)[0])
