from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import NONE, members, subset_masks
from mmlib.measure.bootstrap import simultaneous_interval
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.questions import additions

NAMES, MASKS = subset_masks(["a", "b", "c", "d"])
RNG = np.random.default_rng(0)
VALUES, SEEDS = RNG.normal(size=(40, 16)), RNG.normal(size=(3, 16))
LEVELS = estimate(VALUES, {"subset": NAMES}, spread=SEEDS, name="auroc", n=90, n_positive=40)
GROUPS = Groups({"sex": "Male"}, {"sex": "Female"})
QUICK = {"resamples": 20, "seed": 1}


def planted(auroc, difference, names, contrasts=None):
    """An evaluation of a power set with known AUROC and known TPR and selection rate differences of the sexes."""
    noise = 1e-6 * np.random.default_rng(1).normal(size=(60, len(names), 1))
    noise[0] = 0
    sexes = np.stack([np.zeros(len(names)), difference, np.zeros(len(names))], axis=1)
    values = {("auroc", "sex"): np.asarray(auroc, float)[None, :, None] + noise}
    values |= {(m, "sex"): sexes + noise * [0, 1, 0] for m in ("tpr", "selection_rate")}
    sizes = {"sex": (["all", "Female", "Male"], np.array([90, 50, 40]), np.array([70, 40, 30]))}
    groups = Groups({"sex": "Male"}, {"sex": "Female"} if contrasts is None else contrasts)
    return Evaluation(values, {k: v[:1] for k, v in values.items()}, "subset", list(names), groups, sizes)


def test_shapley_values_are_the_mean_gain_over_all_orders():
    shares = additions.shapley(LEVELS)
    gains = dict.fromkeys("abcd", 0)
    for order in permutations("abcd"):
        path = additions.addition_path(NAMES, order)
        for m, before, after in zip(order, path, path[1:], strict=False):
            gains[m] = gains[m] + VALUES[:, NAMES.index(after)] - VALUES[:, NAMES.index(before)]
    assert shares.dims == ("modality",) and shares.name == "shapley_auroc" and (shares.n, shares.seeds) == (90, 3)
    for m, gain in gains.items():
        np.testing.assert_allclose(shares.sel(modality=m).values, gain / 24, atol=1e-12)
    np.testing.assert_allclose(shares.values.sum("modality"), VALUES[:, -1] - VALUES[:, 0], atol=1e-12)
    np.testing.assert_allclose(shares.spread.sum("modality"), SEEDS[:, -1] - SEEDS[:, 0], atol=1e-12)


@pytest.mark.parametrize("modalities", [["a"], ["age group", "labs"]])
def test_one_and_two_modalities(modalities):
    names, _ = subset_masks(modalities)
    values = VALUES[:, : len(names)]
    levels = estimate(values, {"subset": names}, name="auroc")
    expected = values[:, 1] - values[:, 0]
    if len(modalities) == 2:
        expected = (expected + values[:, 3] - values[:, 2]) / 2
    np.testing.assert_allclose(additions.shapley(levels).sel(modality=modalities[0]).values, expected)
    assert len(additions.single_additions(names)) == len(modalities) * 2 ** (len(modalities) - 1)
    assert additions.interactions(levels).value.size == len(modalities) - 1
    assert additions.addition_path(names)[-1] == names[-1]


def test_a_share_of_a_difference_says_so():
    result = planted(np.zeros(16), np.arange(16), NAMES)
    share = additions.shapley(result.difference("tpr", "sex").sel(group="Female"))
    rows = share.frame()
    assert rows[["metric", "group", "reference"]].drop_duplicates().values.tolist() == [
        ["shapley_tpr_difference", "Female", "Male"]
    ]
    assert rows.estimate.tolist() == pytest.approx([1, 2, 4, 8])  # the number of a subset is binary


def test_every_addition_adds_one_modality():
    steps = additions.single_additions(NAMES)
    assert len(steps) == 4 * 2**3
    for s in steps.itertuples():
        assert set(members(s.after)) - {s.modality} == set(members(s.before))
        assert s.size == len(members(s.before))


def test_changes_are_what_is_after_minus_what_is_before_with_pooled_retraining():
    changes, steps = additions.addition_changes(LEVELS), additions.single_additions(NAMES)
    before, after = ([NAMES.index(s) for s in steps[end]] for end in ("before", "after"))
    np.testing.assert_allclose(changes.values, VALUES[:, after] - VALUES[:, before])
    rows = changes.frame(simultaneous=True)
    assert rows[["versus", "subset"]].values.tolist() == steps[["before", "after"]].values.tolist()
    pooled = np.sqrt((SEEDS[:, after] - SEEDS[:, before]).var(axis=0, ddof=1).mean() / 3)
    heavier = t.ppf(0.975, (3 - 1) * len(NAMES)) / norm.ppf(0.975)
    low, high = simultaneous_interval(VALUES[:, after] - VALUES[:, before], se_retrain=heavier * pooled)
    np.testing.assert_allclose(rows[["low", "high"]], np.stack([low, high], axis=1))
    np.testing.assert_allclose(rows.se_retrain, pooled)


def test_effects_follow_the_contract_whatever_the_size_of_a_difference():
    level = RNG.normal(size=16)
    counted = additions.count_additions(planted(level, level, NAMES))
    assert counted.metric.tolist() == ["tpr", "selection_rate"] and (counted.additions == 28).all()
    assert (counted.contrast == "Female minus Male (n=50, 40 positive)").all()
    value = dict(zip(NAMES, level, strict=True))
    steps = [(value[t.before], value[t.after]) for t in additions.single_additions(NAMES).itertuples() if t.size]
    reversed_ = sum(a * b < 0 for a, b in steps)
    wider = sum(a * b > 0 and abs(b) > abs(a) for a, b in steps)
    expected = [reversed_, wider, 28 - reversed_ - wider, 0]
    assert 0 < reversed_ < 28 and wider
    assert counted[list(additions.EFFECTS)].values.tolist() == [expected, expected]


def evaluated(difference, noise, names, groups=("Female", "Male"), small=()):
    """A power set whose TPR differences to men vary by their own noise, subset by subset and group by group."""
    rng, n = np.random.default_rng(5), len(groups)
    draws = np.concatenate([np.zeros((1, len(names), n)), rng.normal(size=(400, len(names), n))])
    values = np.zeros((401, len(names), n + 1))
    values[..., 1:] = 0.5 + difference + noise * draws * [*np.ones(n - 1), 0]
    sizes = {"sex": (["all", *groups], np.full(n + 1, 90), np.full(n + 1, 40))}
    few = np.zeros((len(names), n + 1), bool)
    few[:, [n_ + 1 for n_, g in enumerate(groups) if g in small]] = True
    about = {"cells": {}, "small": {("tpr", "sex"): few}}
    return Evaluation(
        {("tpr", "sex"): values}, {("tpr", "sex"): values[:1]}, "subset", list(names),
        Groups({"sex": "Male"}, {"sex": "Female"}), sizes, **about
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (-0.2, 0.2, "reverses"),  # of one size: the old count saw noise here
        (-0.1, 0.3, "reverses"),  # larger and on the other side: the old count called it wider
        (0.1, 0.3, "widens"),
        (-0.3, -0.1, "narrows"),
        (0.005, -0.3, "widens"),  # nothing before that could be reversed
        (0.3, 0.0, "narrows"),
        (0.0, 0.0, "unclear"),
        (0.1, 0.11, "unclear"),
        (0.1, -0.105, "reverses"),
        (0.01, -0.012, "unclear"),
    ],
)
def test_an_addition_reverses_widens_or_narrows_a_difference_only_if_intervals_say_so(before, after, effect):
    names = ["none", "a", "b", "a+b"]
    difference = np.array([0, before, before, after])[:, None] * [1, 0]
    counted = additions.count_additions(evaluated(difference, 0.01, names), ["tpr"]).iloc[0]
    assert counted.additions == 2 and counted[effect] == 2  # those to the empty set are not counted
    assert counted[list(additions.EFFECTS)].sum() == 2


def test_intervals_of_effects_hold_for_all_groups_and_additions_of_an_attribute():
    names = ["none", "a", "b", "a+b"]
    alone = np.array([0, 0.0, 0.0, 0.036])[:, None]  # 2.5 SE of a change: enough for one group, not for ten
    many = [f"group {i}" for i in range(9)]
    one = evaluated(alone * [1, 0], 0.01, names)
    ten = evaluated(alone * [1, *np.zeros(10)], 0.01, names, ("Female", *many, "Male"))
    few = evaluated(alone * [1, *np.zeros(10)], 0.01, names, ("Female", *many, "Male"), small=many)
    wide = [additions.count_additions(e, ["tpr"]).unclear[0] for e in (one, ten, few)]
    assert wide == [0, 2, 0]  # groups with few events do not widen the intervals of others
    nothing = evaluated(np.array([0, 0.1, 0.1, 0.4])[:, None] * [1, 0], 0.01, names, small=["Female"])
    assert additions.count_additions(nothing, ["tpr"]).unclear[0] == 2


def test_retraining_can_drown_every_addition():
    result = planted(np.zeros(16), RNG.normal(size=16), NAMES)
    loud = {k: v + 100 * RNG.normal(size=(2, *v.shape[1:])) for k, v in result.spread.items()}
    counted = additions.count_additions(Evaluation(**{**vars(result), "spread": loud}))
    assert (counted.unclear == 28).all()


def test_without_contrasts_or_a_second_modality_nothing_is_counted():
    result = planted(np.arange(16), np.zeros(16), NAMES, contrasts={})
    assert additions.count_additions(result).empty
    assert list(additions.shapley_shares(result)) == ["AUROC"]
    one = additions.count_additions(planted([0.5, 0.7], [0, 0.1], ["none", "a"]))
    assert (one.additions == 0).all() and (one.unclear == 0).all()


def test_an_order_must_name_every_modality_once():
    assert additions.addition_path(NAMES) == ["none", "a", "a+b", "a+b+c", "a+b+c+d"]
    assert additions.addition_path(NAMES, ["d", "b", "a", "c"])[:3] == ["none", "d", "b+d"]
    with pytest.raises(ValueError, match="expected each of"):
        additions.addition_path(NAMES, ["a", "b"])
    with pytest.raises(ValueError, match="order is .*'vitals'.*expected each of .*'d'"):
        additions.addition_path(NAMES, ["a", "b", "c", "vitals"])
    with pytest.raises(ValueError, match="expected each of"):
        additions.addition_path(NAMES, ["a", "b", "c", "d", "d"])


def test_interactions_are_the_joint_gain_over_all_orders_of_a_pair_taken_as_one():
    found = additions.interactions(LEVELS)
    where = {frozenset(members(n)): i for i, n in enumerate(NAMES)}
    for a, b in combinations("abcd", 2):
        joint = []
        for order in permutations([a + b, *(m for m in "abcd" if m not in (a, b))]):
            before = frozenset(order[: order.index(a + b)])
            v = [VALUES[:, where[before | set(added)]] for added in (a + b, a, b, "")]
            joint.append(v[0] - v[1] - v[2] + v[3])
        np.testing.assert_allclose(found.sel(pair=f"{a}+{b}").values, np.mean(joint, axis=0), atol=1e-12)


def test_additive_quantities_have_no_interactions():
    additive = MASKS @ np.array([1.0, 2.0, 3.0, 4.0])
    levels = estimate(np.stack([additive, additive + MASKS[:, 0] * MASKS[:, 1]]), {"subset": NAMES})
    found = additions.interactions(levels).values
    np.testing.assert_allclose(found[0], 0, atol=1e-12)
    np.testing.assert_allclose(found[1], [1, 0, 0, 0, 0, 0], atol=1e-12)


def test_every_operating_point_is_evaluated_with_its_own_thresholds(small_powerset):
    powerset, cohort = small_powerset
    powerset = powerset.copy(deep=True)
    powerset.threshold.loc[{"rule": "half"}] = 2.0  # nobody is selected
    rules = additions.evaluate_rules(powerset, cohort, GROUPS, **QUICK)
    assert list(rules) == ["prevalence", "f1", "half"]
    assert not rules["half"].metric("selection_rate").value.any()
    assert rules["f1"].metric("tpr", "sex").value.sel(subset="a+b").all()


def test_single_modalities_and_all_are_evaluated_once(small_powerset):
    powerset, cohort = small_powerset
    alone = additions.evaluate_singles(powerset, cohort, GROUPS, **QUICK)
    assert alone.labels == ["a", "b", "c", "a+b+c"]
    part = powerset.sel(subset=["none", "a"])
    assert additions.evaluate_singles(part, cohort, GROUPS, **QUICK).labels == ["a"]


def test_groups_that_are_too_small_have_no_shapley_value():
    result = planted(np.arange(16), np.arange(16), NAMES)
    few = {"sex": (["all", "Female", "Male"], np.array([90, 50, 40]), np.array([69, 40, 29]))}
    shares = additions.shapley_by_group(Evaluation(**{**vars(result), "sizes": few}))
    assert list(shares) == ["AUROC, overall", "TPR, Female (40 positives)"]


def test_the_table_holds_every_metric_gain_change_and_addition(small_powerset):
    powerset, cohort = small_powerset
    result = additions.evaluate_subsets(powerset, cohort, GROUPS, **QUICK)
    ranked = {"ranking": {"auroc": GROUPS.attributes}}
    by_group = additions.evaluate_subsets(powerset, cohort, GROUPS, subsets=["a+b+c"], **ranked, **QUICK)
    auroc = result.metric("auroc")
    table = additions.addition_table(result, by_group, "b", ["c"], {"more": auroc.sel(subset=["a"]).frame()})
    levels = table[table.kind == "level"]
    counted = levels[levels.reference.isna()].value_counts("metric")
    assert counted.to_dict() == {"selection_rate": 24, "tpr": 24, "fpr": 24, "auroc": 8 + 3}
    assert (levels[levels.reference.notna()].value_counts("metric") == 8).all()
    effects = table[table.kind == "effect"].set_index("part")
    counted = additions.count_additions(result, ["tpr"]).iloc[0]
    assert effects.estimate.to_dict() == {effect: counted[effect] for effect in additions.EFFECTS}
    assert (effects.total == counted.additions).all() and (effects.group == "Female").all() and (effects.n > 0).all()
    steps = table[table.kind == "addition"]
    assert len(steps) == 12 and steps.metric.eq("auroc").all() and (steps.versus == NONE).sum() == 3
    headline = table[table.kind == "headline"]
    assert (headline.subset == "a+b+c").all() and headline.versus.notna().all()
    gained = headline[headline.metric == "auroc"]
    assert gained.versus.tolist() == ["a", "b", "c"] and gained.primary.sum() == 1
    least = additions.smallest_gain(additions.against_each(auroc))
    primary = gained[gained.primary].iloc[0]
    assert primary.versus == least.value["versus"].item() and primary.low == pytest.approx(float(least.interval()[0]))
    changed = headline[headline.reference.notna()]
    assert (changed.versus == "b").all() and changed.set_index("metric").primary.to_dict() == {
        "selection_rate": True, "tpr": True, "fpr": False
    }  # fmt: skip
    difference = result.difference("tpr", "sex").value.sel(group="Female")
    assert changed.estimate[changed.metric == "tpr"].item() == pytest.approx(
        float(difference.sel(subset="a+b+c") - difference.sel(subset="b"))
    )
    assert not table.astype(str).apply(lambda column: column.str.contains("best single")).any().any()
    assert table.kind.iloc[-1] == "more" and table.primary.sum() == 3
    without = table[table.kind == "without unresolved"]
    assert without.versus.tolist() == ["a", "b"] and (without.subset == "a+b").all()
    assert not without.primary.any()
    for few in ((), ["b", "c"]):
        assert "without unresolved" not in set(additions.addition_table(result, by_group, "b", few).kind)


def test_one_modality_has_no_headline():
    names = ["none", "a"]
    result = planted([0.5, 0.7], [0, 0.1], names)
    fpr = {("fpr", "sex"): result.values["tpr", "sex"]}
    whole = Evaluation(**{**vars(result), "values": result.values | fpr, "spread": result.spread | fpr})
    by_group = whole.part([1], ["a"])
    by_group.values["auroc", "sex"] = by_group.values["tpr", "sex"]
    by_group.spread["auroc", "sex"] = by_group.spread["tpr", "sex"]
    assert not additions.addition_table(whole, by_group, "a").kind.eq("headline").any()


def test_a_baseline_that_differs_by_fold_can_be_weaker_than_what_it_could_have_picked():
    """Validation of each fold names another modality; pooled, their scores rank poorly and flatter every gain."""
    rng, n, folds = np.random.default_rng(0), 1200, 3
    y, fold = rng.integers(0, 2, n), np.arange(n) % folds
    logit = {m: rng.normal(size=n) + 0.8 * y for m in "abc"}
    names, _ = subset_masks("abc")
    logit = {s: logit.get(s, 1.2 * y + rng.normal(size=n)) for s in names}
    shift = {"a": 0.0, "b": 1.5, "c": -1.5}  # each on a scale of its own, as models with other calibrations are
    score = np.stack([1 / (1 + np.exp(-logit[s] - shift.get(s, 0))) for s in logit])
    held = np.full((8, 1, folds, n), np.nan)
    for f, lucky in enumerate("abc"):
        for at, name in enumerate(logit):
            rows = (fold == (f + 1) % folds) & (rng.random(n) < 0.5)
            held[at, 0, f, rows] = score[at, rows] + 0.3 * y[rows] * (name == lucky)
    cohort = pd.DataFrame({"label": y, "fold": fold, "patient_id": np.arange(n).astype(str), "sex": "Male"})
    powerset = xr.Dataset(
        {
            "score": (("subset", "seed", "sample"), score[:, None]),
            "threshold": (("subset", "seed", "fold", "rule"), np.full((8, 1, folds, 1), 0.5)),
            "validation_score": (("subset", "seed", "fold", "sample"), held),
        },
        {"subset": names, "rule": ["prevalence"]},
    )
    alone = [names.index(m) for m in "abc"]
    picked = [
        "abc"[int(np.argmax([roc_auc_score(y[k], v[k]) for v in held[alone, 0, f] for k in [~np.isnan(v)]]))]
        for f in range(folds)
    ]
    assert picked == ["a", "b", "c"]
    composite = roc_auc_score(y, np.choose(fold, score[alone]))
    singles = [roc_auc_score(y, s) for s in score[alone]]
    assert composite < min(singles) - 0.02
    result = additions.evaluate_subsets(powerset, cohort, Groups({"sex": "Male"}), **QUICK)
    least = additions.smallest_gain(additions.against_each(result.metric("auroc")))
    whole = roc_auc_score(y, score[-1])
    assert float(least) in [pytest.approx(whole - single) for single in singles]
    assert float(least) < whole - composite - 0.02
    baseline = additions.strongest_single(powerset, cohort)
    assert baseline in "abc"
    by_group = additions.evaluate_subsets(
        powerset, cohort, Groups({"sex": "Male"}), subsets=["a+b+c"], ranking={"auroc": ["sex"]}, **QUICK
    )
    table = additions.addition_table(result, by_group, baseline)
    told = table[(table.metric == "auroc") & table.primary]
    assert told.estimate.tolist() == [pytest.approx(float(least))] and told.versus.item() in "abc"


def test_a_change_keeps_the_range_of_its_quantity_and_the_pooled_spread(small_powerset):
    powerset, cohort = small_powerset
    result = additions.evaluate_subsets(powerset, cohort, GROUPS, **QUICK)
    change = additions.change_between(result.metric("tpr"), "a", "a+b+c")
    assert change.bounds == (-1, 1) and change.freedom == 7  # trained models, the empty set aside
    assert additions.against_each(result.metric("auroc")).bounds == (-1, 1)
    difference = additions.change_between(result.difference("tpr", "sex"), "a", "a+b+c")
    assert difference.bounds == (-2, 2) and difference.frame().versus.tolist() == ["a"]


def test_a_power_set_without_some_modalities_is_that_of_the_others():
    part = additions.without_modalities(LEVELS, ["c", "d"])
    assert part.labels("subset") == ["none", "a", "b", "a+b"]
    assert additions.against_each(part).labels("versus") == ["a", "b"]


def test_the_baseline_is_one_modality_for_all_folds_chosen_on_validation_samples_of_all():
    y = np.tile([0, 1], 20)
    strong = np.where(np.arange(40) < 20, y, 0.5 + 0.01 * y)  # ranks within each fold, and over both less well
    steady = y * 0.6 + np.where(np.arange(40) % 8 == 0, 0.7, 0.2)
    held = np.full((3, 1, 2, 40), np.nan)
    for at, score in enumerate((strong, steady, np.zeros(40))):
        held[at, 0, 0, :20], held[at, 0, 1, 20:] = score[:20], score[20:]
    names = {"subset": ["a", "b", "a+b"]}
    powerset = xr.Dataset({"validation_score": (("subset", "seed", "fold", "sample"), held)}, names)
    area = {name: roc_auc_score(y, s) for name, s in (("a", strong), ("b", steady))}
    assert additions.strongest_single(powerset, pd.DataFrame({"label": y})) == max(area, key=area.get)


def test_all_modalities_must_beat_each_single_one():
    gains = additions.against_each(LEVELS)
    assert gains.labels("versus") == ["a", "b", "c", "d"]
    full, singles = LEVELS.sel(subset="a+b+c+d"), [LEVELS.sel(subset=m) for m in "abcd"]
    lowest = min(float((full - single).interval()[0]) for single in singles)
    least = additions.smallest_gain(gains)
    assert float(least.interval()[0]) == pytest.approx(lowest) and least.dims == ()
