from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluate import evaluate
from mmlib.questions import choose

NAMES, _ = subset_masks(["a", "b", "c"])
SETTINGS = {"margin": 0.1, "tolerance": 0.0, "costs": {}}


def test_the_front_is_what_brute_force_finds():
    rng = np.random.default_rng(1)
    quality, harm = rng.integers(0, 5, (4, 12)).astype(float), rng.integers(0, 5, (4, 12)).astype(float)
    quality[0, 3] = np.nan
    front = choose.pareto(quality, harm)
    for r, k in product(range(4), range(12)):
        beaten = any(
            quality[r, j] >= quality[r, k]
            and harm[r, j] <= harm[r, k]
            and (quality[r, j], -harm[r, j]) != (quality[r, k], -harm[r, k])
            for j in range(12)
        )
        assert front[r, k] == (not beaten and not np.isnan(quality[r, k]))


def test_limits_hold_for_all_contrasts_at_once_and_are_infinite_when_unknown():
    draws = np.random.default_rng(2).normal(0.2, 0.05, (4001, 2, 3))
    draws[0] = 0.2
    alone = choose.upper_limit(draws[..., :1])
    np.testing.assert_allclose(alone, 0.2 + 1.96 * 0.05, atol=0.004)
    assert (choose.upper_limit(draws) > alone + 0.01).all()
    draws[:, 1, 0] = np.nan
    assert np.isinf(choose.upper_limit(draws)[1]) and np.isfinite(choose.upper_limit(draws)[0])
    np.testing.assert_allclose(choose.upper_limit(-draws[:, :1]), choose.upper_limit(draws[:, :1]))


def test_every_way_to_choose_does_what_it_says():
    #         none  a    b    ab   c    ac   bc   abc
    auroc = [0.5, 0.7, 0.6, 0.72, 0.65, 0.74, 0.80, 0.795]
    limit = [0.0, 0.3, 0.05, 0.2, 0.3, 0.09, 0.25, 0.3]
    chosen = choose.choose(auroc, limit, NAMES, **SETTINGS)
    # greedy starts with a, then c, then b: it never sees b+c
    assert list(chosen.values()) == ["a+b+c", "a", "b+c", "a+b+c", "b+c", "a+c"]
    near = choose.choose(auroc, limit, NAMES, margin=0.1, tolerance=0.06, costs={"b": 2})
    assert near["cheapest"] == "a+c" and near["best AUROC"] == "b+c"
    dear = choose.choose(auroc, limit, NAMES, margin=0.1, tolerance=0.06, costs={"a": 9.0, "c": 0.5})
    assert dear["cheapest"] == "b+c" and dear["greedy"] == "b+c"
    strict = choose.choose(auroc, limit, NAMES, margin=0.01, tolerance=0.0, costs={})
    assert strict["constrained"] == "b"  # nothing keeps the margin: the nearest, never the empty set


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"costs": {"d": 1}}, "costs names 'd'; expected some of"),
        ({"costs": {"a": 0}}, "costs gives 'a' 0; expected a number above 0"),
        ({"margin": 0}, "margin is 0"),
        ({"tolerance": -1}, "and tolerance -1;"),
    ],
)
def test_bad_settings_end_in_one_sentence(settings, message):
    with pytest.raises(ValueError, match=message):
        choose.choose(np.arange(8), np.zeros(8), NAMES, **SETTINGS | settings)


def test_validation_rows_are_the_scores_of_held_out_patients(small_powerset):
    powerset, cohort = small_powerset
    score, rows = choose.validation_rows(powerset, cohort)
    assert len(rows) == int(powerset.validation_score[0, 0].notnull().sum())
    assert (rows.fold != rows.tested).all() and (rows.tested == cohort.fold.to_numpy()[rows.position]).all()
    for i in (0, 17, len(rows) - 1):
        there = powerset.validation_score.sel(subset="a+b", seed=1, fold=rows.fold[i]).values[
            rows.position[i]
        ]
        assert score.sel(subset="a+b", seed=1).values[i] == there


def test_a_fold_is_chosen_for_without_its_own_patients(small_powerset):
    powerset, cohort = small_powerset
    patient_weights = resample_patients(cohort.patient_id, 30)
    contrasts = {"sex": ("Female", "Male")}
    chosen = choose.choose_subsets(powerset, cohort, patient_weights, contrasts=contrasts)
    turned = cohort.assign(label=np.where(cohort.fold == 1, 1 - cohort.label, cohort.label).astype("int8"))
    other = choose.choose_subsets(powerset, turned, patient_weights, contrasts=contrasts)
    changed = {way for way in choose.RULES if chosen.by_fold[way][1] != other.by_fold[way][1]}
    assert not changed
    np.testing.assert_raises(AssertionError, np.testing.assert_array_equal, chosen.auroc[0], other.auroc[0])
    score, rows = choose.validation_rows(powerset, cohort)
    np.testing.assert_allclose(chosen.auroc[0, 3], roc_auc_score(rows.label, score.values[3, 0]))
    assert chosen.overall["best AUROC"] == NAMES[int(np.argmax(chosen.auroc[0]))]
    assert "c" not in chosen.overall["constrained"]  # c lowers the scores of women


def test_chosen_scores_are_those_of_the_subset_of_each_fold(small_powerset):
    powerset, cohort = small_powerset
    by_fold = {"mixed": ["a", "b", "a+b"], "one": ["a+c"] * 3}
    mixed = choose.chosen_scores(powerset, by_fold, cohort)
    for f, name in enumerate(by_fold["mixed"]):
        rows = (cohort.fold == f).to_numpy()
        expected = powerset.score.sel(subset=name).values[:, rows]
        np.testing.assert_array_equal(mixed.score.sel(choice="mixed").values[:, rows], expected)
    patient_weights = resample_patients(cohort.patient_id, 5)
    settings = {"attributes": ["sex"], "ranking": {"auroc": []}}
    one = evaluate(mixed.score, mixed.threshold.sel(rule="f1"), cohort, patient_weights, **settings)
    same = evaluate(powerset.score, powerset.threshold.sel(rule="f1"), cohort, patient_weights, **settings)
    for metric in ("auroc", "tpr"):
        np.testing.assert_allclose(one.overall(metric)[:, 1], same.overall(metric)[:, NAMES.index("a+c")])
