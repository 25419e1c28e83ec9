from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.core.schema import RESULTS
from mmlib.core.subsets import subset_masks
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups
from mmlib.questions import choose
from mmlib.questions.additions import evaluate_subsets, strongest_single

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
    assert strict["bounded"] is None  # nothing keeps the margin: neither the nearest nor the empty set is an answer


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
    score, rows = choose.validation_rows(powerset, cohort, GROUPS)
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
    score, rows = choose.validation_rows(powerset, cohort, GROUPS)
    area = roc_auc_score(rows.label, score.sel(subset="a+b", seed=0))
    assert float(chosen.auroc.sel(subset="a+b")) == pytest.approx(area)
    assert chosen.overall["best AUROC"] == NAMES[int(np.argmax(chosen.auroc.value.values))]
    assert chosen.overall["one modality"] == strongest_single(powerset, cohort)
    assert chosen.kept == [] and chosen.overall["bounded"] is None  # with 150 of a sex nothing can be shown within 0.1
    wide = choose.choose_subsets(powerset, cohort, GROUPS, margin=0.5, resamples=30)
    assert wide.kept and "c" not in wide.overall["bounded"]  # c lowers the scores of women
    assert chosen.kept == [s for s in NAMES[1:] if chosen.limit[s] <= 0.1] and chosen.subsets == NAMES[1:]


def test_a_group_of_which_nobody_is_set_aside_is_bounded_by_nothing(small_powerset):
    powerset, cohort = small_powerset
    held = powerset.validation_score[0, 0].notnull().any("fold").values
    third = cohort.assign(sex=np.where(~held & (np.arange(len(cohort)) % 9 == 0), "Other", cohort.sex))
    assert (third.sex == "Other").any()
    for groups in (Groups({"sex": "Male"}, {"sex": "Other"}), Groups({"sex": "Other"}, {"sex": "Male"})):
        chosen = choose.choose_subsets(powerset, third, groups, resamples=20)
        assert np.isinf(chosen.limit[chosen.subsets]).all() and chosen.overall["bounded"] is None


def test_without_differences_the_bounded_choice_is_the_best(small_powerset):
    powerset, cohort = small_powerset
    chosen = choose.choose_subsets(powerset, cohort, Groups({"sex": "Male"}), resamples=10)
    assert chosen.overall["bounded"] == chosen.overall["best AUROC"] and chosen.kept == NAMES[1:]
    assert chosen.settled and chosen.smallest_margins.empty
    result = evaluate_subsets(powerset, cohort, Groups({"sex": "Male"}), resamples=10)
    assert choose.front_points(chosen, result).empty


def test_chosen_scores_are_those_of_the_subset_of_each_fold(small_powerset):
    powerset, cohort = small_powerset
    by_fold = {"mixed": ["a", "b", "a+b"], "one": ["a+c"] * 3}
    mixed = choose.chosen_scores(powerset, by_fold, cohort)
    for f, name in enumerate(by_fold["mixed"]):
        rows = (cohort.fold == f).to_numpy()
        expected = powerset.score.sel(subset=name).values[:, rows]
        np.testing.assert_array_equal(mixed.score.sel(way="mixed").values[:, rows], expected)
    settings = {"groups": GROUPS, "ranking": {"auroc": []}}
    weights = np.ones((1, len(cohort)))
    one = evaluate(mixed.score, mixed.threshold.sel(rule="f1"), cohort, weights, **settings)
    same = evaluate(powerset.score, powerset.threshold.sel(rule="f1"), cohort, weights, **settings)
    for metric in ("auroc", "tpr"):
        here, there = one.metric(metric).sel(way="one"), same.metric(metric).sel(subset="a+c")
        assert float(here) == pytest.approx(float(there))


@pytest.fixture(scope="module")
def chosen(small_powerset):
    powerset, cohort = small_powerset
    choices = choose.choose_subsets(powerset, cohort, GROUPS, margin=0.5, resamples=30)
    return choices, choose.evaluate_choices(powerset, choices, cohort, GROUPS, resamples=30)


def levelled(female, male, folds=4):
    """Perfect patients, 200 a sex and a label: a finds these shares of women and men, b what c does not say."""
    names, _ = subset_masks(["a", "b"])
    cohort = pd.DataFrame(product(["Female", "Male"], [0, 1], range(200)), columns=["sex", "label", "number"])
    cohort = cohort.assign(fold=(cohort["number"] % folds).astype("int8"))
    cohort["sample_id"] = cohort["patient_id"] = [f"p{i}" for i in range(len(cohort))]
    y, sex = cohort["label"].to_numpy(), cohort["sex"].to_numpy()
    found = {}
    for name in names[1:]:
        share = np.where(sex == "Female", female[name], male[name])
        hit = (y == 1) & (cohort["number"] // folds < share * 200 / folds)
        found[name] = np.where(hit, 0.9, 0.1) - 0.01 * (y == 0)  # negatives below all positives: thresholds are exact
    score = np.stack([np.full(len(y), 0.5), *found.values()])[:, None]
    held = np.stack([cohort["fold"] == (f + 1) % folds for f in range(folds)])
    threshold = np.full((len(names), 1, folds, 1), 0.5)
    threshold[0] = np.nan
    powerset = xr.Dataset(
        {
            "score": (("subset", "seed", "sample"), score),
            "threshold": (("subset", "seed", "fold", "rule"), threshold),
            "validation_score": (("subset", "seed", "fold", "sample"), np.where(held, score[:, :, None], np.nan)),
        },
        {"subset": names, "seed": [0], "fold": range(folds), "rule": ["prevalence"]},
    )
    return powerset, cohort


def test_if_no_subset_keeps_the_margin_there_is_no_answer_and_no_result():
    unequal = {"a": 0.3, "b": 0.4, "a+b": 0.5}
    powerset, cohort = levelled(unequal, {name: share + 0.4 for name, share in unequal.items()})
    choices = choose.choose_subsets(powerset, cohort, GROUPS, resamples=400)
    assert choices.kept == [] and choices.overall["bounded"] is None and choices.settled
    assert choices.by_fold["bounded"] == [None] * 4 and "bounded" not in choices.named
    outcome = choose.evaluate_choices(powerset, choices, cohort, GROUPS, resamples=60)
    assert outcome.labels == list(choose.RULES[:-1])
    assert choose.group_changes(outcome) == {}
    # 200 positives of a sex, found to 50 and 90 %: 2.9 sqrt(.5 .5 / 200 + .9 .1 / 200)
    margins = choices.smallest_margins
    assert margins.index.tolist() == ["Female minus Male"] and margins.iloc[0] == pytest.approx(0.120, abs=0.02)
    result = evaluate_subsets(powerset, cohort, GROUPS, resamples=60)
    table = choose.selection_table(result, choices, outcome)
    assert table[table.way == "bounded"].metric.tolist() == ["smallest_margin"]


def test_one_fold_without_an_answer_leaves_the_procedure_without_a_result(chosen, small_powerset):
    powerset, cohort = small_powerset
    folds = {**chosen[0].by_fold, "bounded": ["a", None, "a"]}
    outcome = choose.evaluate_choices(powerset, replace(chosen[0], by_fold=folds), cohort, GROUPS, resamples=30)
    assert "bounded" not in outcome.labels and "cheapest" in outcome.labels


def test_a_bounded_choice_can_lower_everyone_and_its_changes_say_whom():
    female = {"a": 0.4, "b": 0.2, "a+b": 0.5}
    powerset, cohort = levelled(female, {"a": 0.4, "b": 0.6, "a+b": 0.9})
    choices = choose.choose_subsets(powerset, cohort, GROUPS, margin=0.15, resamples=60)
    assert choices.overall["bounded"] == "a" and choices.by_fold["bounded"] == ["a"] * 4
    outcome = choose.evaluate_choices(powerset, choices, cohort, GROUPS, resamples=60)
    change = choose.group_changes(outcome)["sex"]
    np.testing.assert_allclose(change.sel(group=["Female", "Male"]).value, [-0.1, -0.5], atol=1e-6)
    lowest = choose.lowest_groups(outcome)
    assert (lowest.attribute["all"], lowest.group["all"]) == ("sex", "Female")
    assert lowest.estimate[["all", "bounded"]].tolist() == pytest.approx([0.5, 0.4])


def test_the_answer_is_not_settled_within_its_monte_carlo_error():
    female = {"a": 0.45, "b": 0.2, "a+b": 0.5}
    powerset, cohort = levelled(female, {"a": 0.5, "b": 0.6, "a+b": 0.9})
    free = choose.choose_subsets(powerset, cohort, GROUPS, margin=0.9, resamples=60)
    assert free.settled and free.limit_error["a"] > 0
    near = choose.choose_subsets(powerset, cohort, GROUPS, margin=float(free.limit["a"]) + 1e-9, resamples=60)
    assert near.overall["bounded"] == "a" and not near.settled and 0 < near.agreement < 0.95
    assert "bounded" not in near.named and set(near.half_answers) == {"a", None}
    # with more resamples the limit moves less
    more = choose.choose_subsets(powerset, cohort, GROUPS, margin=0.9, resamples=600)
    assert more.limit_error["a"] < free.limit_error["a"]


def test_what_is_given_up_is_relative_to_all_modalities(chosen):
    _, outcome = chosen
    change, auroc = choose.changes_from_all(outcome), outcome.metric("auroc")
    assert change.labels("way") == list(choose.RULES[1:])
    expected = float(auroc.sel(way="one modality")) - float(auroc.sel(way="all"))
    assert float(change.sel(way="one modality")) == pytest.approx(expected)


def test_one_subset_has_its_own_result_and_the_same_models_have_no_difference(chosen, small_powerset):
    powerset, cohort = small_powerset
    result = evaluate_subsets(powerset, cohort, GROUPS, resamples=30)
    choices = replace(chosen[0], overall=chosen[0].overall | {"greedy": "a+b+c", "cheapest": "a+b"})
    own, auroc = choose.own_changes(choices, result), result.metric("auroc")
    expected = float(auroc.sel(subset="a+b")) - float(auroc.sel(subset="a+b+c"))
    assert float(own.sel(way="cheapest")) == pytest.approx(expected)
    assert [float(end) for end in own.sel(way="greedy").interval()] == [0, 0]


def test_the_lowest_rate_is_of_groups_with_enough_positives(chosen):
    _, outcome = chosen
    tpr = outcome.metric("tpr", "sex")
    lowest = choose.lowest_groups(outcome).estimate[outcome.labels]
    np.testing.assert_allclose(lowest, tpr.value.min("group"))
    names, n, positive = outcome.sizes["sex"]
    few = replace(outcome, sizes={"sex": (names, n, np.array([9, 5, 4]))})
    assert choose.lowest_groups(few).empty
    men = choose.lowest_groups(replace(outcome, sizes={"sex": (names, n, np.array([99, 5, 94]))}))
    assert set(men.group) == {"Male"}
    np.testing.assert_allclose(men.estimate[outcome.labels], tpr.sel(group="Male").value)


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
    table = choose.selection_table(result, *chosen)
    counts = {"auroc": 16, "tpr": 8, "shapley_auroc": 3, "interaction_auroc": 3, "shapley_tpr_difference": 3}
    assert table.value_counts("metric").to_dict() == counts | {"smallest_margin": 1}
    RESULTS.validate(table.assign(run="r"))
    assert table[table.metric.str.startswith("shapley")].se_retrain.notna().all()
    procedures = table[table.way.notna() & table.subset.isna()]
    auroc = procedures[procedures.metric == "auroc"]
    assert auroc[auroc.versus.isna()].way.tolist() == list(choose.RULES)
    named = table[table.subset.notna() & (table.metric == "auroc")]
    assert named.set_index("way").subset.to_dict() == chosen[0].named
