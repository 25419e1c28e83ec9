from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups
from mmlib.questions import choose
from mmlib.questions.additions import evaluate_subsets

NAMES, _ = subset_masks(["a", "b", "c"])
GROUPS = Groups({"sex": "Male"}, {"sex": "Female"})
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


def differences(draws):
    """Differences (1 + B, subsets, differences) by name."""
    return {str(c): estimate(draws[..., c], {"subset": ["a", "b"]}) for c in range(draws.shape[2])}


def test_limits_hold_for_all_differences_at_once_and_are_infinite_when_unknown():
    draws = np.random.default_rng(2).normal(0.2, 0.05, (4001, 2, 3))
    draws[0] = 0.2
    alone, every = choose.upper_limit(differences(draws[..., :1])), choose.upper_limit(differences(draws))
    np.testing.assert_allclose(alone, 0.2 + 1.96 * 0.05, atol=0.004)
    assert (every > alone + 0.01).all()
    np.testing.assert_allclose(choose.upper_limit(differences(-draws)), every)
    draws[:, 1, 0] = np.nan
    limit = choose.upper_limit(differences(draws))
    assert np.isinf(limit["b"]) and np.isfinite(limit["a"])


def test_every_way_to_choose_does_what_it_says():
    #         none  a    b    ab   c    ac   bc   abc
    auroc = [0.5, 0.7, 0.6, 0.72, 0.65, 0.74, 0.80, 0.795]
    limit = [0.0, 0.3, 0.05, 0.2, 0.3, 0.09, 0.25, 0.3]
    chosen = choose.choose_by_rule(auroc, limit, NAMES, **SETTINGS)
    # greedy starts with a, then c, then b: it never sees b+c
    assert list(chosen.values()) == ["a+b+c", "a", "b+c", "a+b+c", "b+c", "a+c"]
    near = choose.choose_by_rule(auroc, limit, NAMES, margin=0.1, tolerance=0.06, costs={"b": 2})
    assert near["cheapest"] == "a+c" and near["best AUROC"] == "b+c"
    dear = choose.choose_by_rule(auroc, limit, NAMES, margin=0.1, tolerance=0.06, costs={"a": 9.0, "c": 0.5})
    assert dear["cheapest"] == "b+c" and dear["greedy"] == "b+c"
    strict = choose.choose_by_rule(auroc, limit, NAMES, margin=0.01, tolerance=0.0, costs={})
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
        choose.choose_by_rule(np.arange(8), np.zeros(8), NAMES, **SETTINGS | settings)


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
    chosen = choose.choose_subsets(powerset, cohort, GROUPS, resamples=30)
    turned = cohort.assign(label=np.where(cohort.fold == 1, 1 - cohort.label, cohort.label).astype("int8"))
    other = choose.choose_subsets(powerset, turned, GROUPS, resamples=30)
    changed = {way for way in choose.RULES if chosen.by_fold[way][1] != other.by_fold[way][1]}
    assert not changed
    assert not np.array_equal(chosen.auroc.value, other.auroc.value)
    score, rows = choose.validation_rows(powerset, cohort)
    area = roc_auc_score(rows.label, score.sel(subset="a+b", seed=0))
    assert float(chosen.auroc.sel(subset="a+b")) == pytest.approx(area)
    assert chosen.overall["best AUROC"] == NAMES[int(np.argmax(chosen.auroc.value.values))]
    assert "c" not in chosen.overall["constrained"]  # c lowers the scores of women
    assert chosen.kept == [s for s in NAMES[1:] if chosen.limit[s] <= 0.1] and chosen.subsets == NAMES[1:]


def test_without_differences_the_constrained_choice_is_the_best(small_powerset):
    powerset, cohort = small_powerset
    chosen = choose.choose_subsets(powerset, cohort, Groups({"sex": "Male"}), resamples=10)
    assert chosen.overall["constrained"] == chosen.overall["best AUROC"] and chosen.kept == NAMES[1:]
    result = evaluate_subsets(powerset, cohort, Groups({"sex": "Male"}), resamples=10)
    assert choose.front_points(chosen, result).empty


def test_chosen_scores_are_those_of_the_subset_of_each_fold(small_powerset):
    powerset, cohort = small_powerset
    by_fold = {"mixed": ["a", "b", "a+b"], "one": ["a+c"] * 3}
    mixed = choose.chosen_scores(powerset, by_fold, cohort)
    for f, name in enumerate(by_fold["mixed"]):
        rows = (cohort.fold == f).to_numpy()
        expected = powerset.score.sel(subset=name).values[:, rows]
        np.testing.assert_array_equal(mixed.score.sel(choice="mixed").values[:, rows], expected)
    settings = {"groups": GROUPS, "ranking": {"auroc": []}}
    weights = np.ones((1, len(cohort)))
    one = evaluate(mixed.score, mixed.threshold.sel(rule="f1"), cohort, weights, **settings)
    same = evaluate(powerset.score, powerset.threshold.sel(rule="f1"), cohort, weights, **settings)
    for metric in ("auroc", "tpr"):
        here, there = one.metric(metric).sel(choice="one"), same.metric(metric).sel(subset="a+c")
        assert float(here) == pytest.approx(float(there))


@pytest.fixture(scope="module")
def chosen(small_powerset):
    powerset, cohort = small_powerset
    choices = choose.choose_subsets(powerset, cohort, GROUPS, resamples=30)
    return choices, choose.evaluate_choices(powerset, choices, cohort, GROUPS, resamples=30)


def test_what_is_given_up_is_relative_to_all_modalities(chosen):
    _, outcome = chosen
    change, auroc = choose.auroc_given_up(outcome), outcome.metric("auroc")
    assert change.labels("choice") == list(choose.RULES) and float(change.sel(choice="all")) == 0
    expected = float(auroc.sel(choice="best single")) - float(auroc.sel(choice="all"))
    assert float(change.sel(choice="best single")) == pytest.approx(expected)


def test_the_lowest_rate_is_of_groups_with_enough_positives(chosen):
    _, outcome = chosen
    tpr = outcome.metric("tpr", "sex")
    lowest = choose.lowest_rates(outcome)
    np.testing.assert_allclose(lowest, tpr.value.min("group"))
    names, n, positive = outcome.sizes["sex"]
    for few, expected in (([9, 5, 4], lowest * np.nan), ([99, 5, 94], tpr.sel(group="Male").value)):
        part = replace(outcome, sizes={"sex": (names, n, np.array(few))})
        np.testing.assert_allclose(choose.lowest_rates(part), expected)


def test_points_of_the_front_stand_on_tested_patients(chosen, small_powerset):
    powerset, cohort = small_powerset
    result = evaluate_subsets(powerset, cohort, GROUPS, resamples=30)
    points = choose.front_points(chosen[0], result)
    assert points.subset.tolist() == NAMES[1:] and points.membership.between(0, 1).all()
    np.testing.assert_allclose(points.auroc, result.metric("auroc").sel(subset=NAMES[1:]).value)
    difference = chosen[0].differences["sex"].sel(subset=NAMES[1:]).value.values
    expected = choose.pareto(chosen[0].auroc.sel(subset=NAMES[1:]).value.values, np.abs(difference))
    assert points.front.tolist() == expected.tolist()
    assert points.still.tolist() == choose.pareto(points.auroc, points.estimate.abs()).tolist()


def test_the_table_holds_choices_shares_and_interactions(chosen, small_powerset):
    powerset, cohort = small_powerset
    result = evaluate_subsets(powerset, cohort, GROUPS, resamples=30)
    table = choose.selection_table(result, chosen[1])
    counts = {"auroc": 6, "tpr": 6, "shapley_auroc": 3, "interaction_auroc": 3, "shapley_tpr_difference": 3}
    assert table.value_counts("metric").to_dict() == counts
    assert table[table.metric.str.startswith("shapley")].se_retrain.notna().all()
    assert table.choice.dropna().tolist() == [*choose.RULES, *choose.RULES]
