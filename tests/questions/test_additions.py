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


def test_counts_are_of_what_happens_to_the_size_of_a_gap():
    level = RNG.normal(size=16)
    counted = additions.count_additions(planted(level, level, NAMES))
    assert counted.metric.tolist() == ["auroc", "tpr", "selection_rate"] and (counted.additions == 32).all()
    assert counted.contrast.tolist() == ["", *["Female minus Male (n=50, 40 positive)"] * 2]
    value = dict(zip(NAMES, level, strict=True))
    steps = [(value[t.before], value[t.after]) for t in additions.single_additions(NAMES).itertuples()]
    up, wider = (sum(change) for change in ([b > a for a, b in steps], [abs(b) > abs(a) for a, b in steps]))
    assert counted.up.tolist() == counted.clear_up.tolist() == [up, wider, wider]
    assert counted.clear_down.tolist() == [32 - up, 32 - wider, 32 - wider]


def test_retraining_can_drown_every_addition():
    result = planted(RNG.normal(size=16), np.zeros(16), NAMES)
    loud = {k: v + 100 * RNG.normal(size=(2, *v.shape[1:])) for k, v in result.spread.items()}
    counted = additions.count_additions(Evaluation(**{**vars(result), "spread": loud}))
    assert counted[["clear_up", "clear_down"]].sum().sum() == 0


def test_without_contrasts_auroc_alone_is_counted():
    result = planted(np.arange(16), np.zeros(16), NAMES, contrasts={})
    assert additions.count_additions(result).metric.tolist() == ["auroc"]
    assert list(additions.shapley_shares(result)) == ["AUROC"]


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


def test_the_best_single_modality_is_chosen_on_validation_patients():
    rng = np.random.default_rng(3)
    y, fold = rng.integers(0, 2, 60), np.arange(60) % 2
    cohort = pd.DataFrame({"label": y, "fold": fold})
    names, _ = subset_masks(["a", "b"])
    validation = rng.random((4, 2, 2, 60))
    validation[:, :, 0, fold == 0] = validation[:, :, 1, fold == 1] = np.nan
    # fold 0 of seed 0 sees b do well, all others a; what is tested would say otherwise
    validation[1] += y
    validation[1, 0, 0] -= 2 * y
    validation[2, 0, 0] += 2 * y
    powerset = xr.Dataset(
        {
            "score": (("subset", "seed", "sample"), rng.random((4, 2, 60))),
            "threshold": (("subset", "seed", "fold", "rule"), rng.random((4, 2, 2, 1))),
            "validation_score": (("subset", "seed", "fold", "sample"), validation),
        },
        {"subset": names, "rule": ["half"]},
    )
    found = additions.best_single(powerset, cohort)
    assert found.chosen.values.tolist() == [["b", "a"], ["a", "a"]]
    score = powerset.score.values
    expected = np.stack([np.where(fold == 0, score[2, 0], score[1, 0]), score[1, 1]])
    np.testing.assert_array_equal(found.score.transpose("seed", "sample"), expected)
    cut = found.threshold.transpose("seed", "fold", "rule").values
    whole = powerset.threshold.values[..., 0]
    assert cut[..., 0].tolist() == [[whole[2, 0, 0], whole[1, 0, 1]], whole[1, 1].tolist()]


def test_the_best_single_modality_stands_beside_all(small_powerset):
    powerset, cohort = small_powerset
    moved = additions.evaluate_best_single(powerset, cohort, GROUPS, **QUICK)
    assert moved.labels == [additions.BEST_SINGLE, "a+b+c"]
    single = additions.best_single(powerset, cohort)
    area = np.mean([roc_auc_score(cohort.label, s) for s in single.score.transpose("seed", "sample").values])
    assert float(moved.metric("auroc").sel(subset=additions.BEST_SINGLE)) == pytest.approx(area)


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


def test_the_table_holds_every_metric_change_and_addition(small_powerset):
    powerset, cohort = small_powerset
    result = additions.evaluate_subsets(powerset, cohort, GROUPS, **QUICK)
    moved = additions.evaluate_best_single(powerset, cohort, GROUPS, **QUICK)
    ranked = {"ranking": {"auroc": GROUPS.attributes}}
    by_group = additions.evaluate_subsets(powerset, cohort, GROUPS, subsets=["a+b+c"], **ranked, **QUICK)
    table = additions.addition_table(result, moved, by_group)
    levels = table[table.reference.isna() & table.versus.isna()].value_counts("metric")
    assert levels.to_dict() == {"selection_rate": 24, "tpr": 24, "fpr": 24, "auroc": 8 + 3 + 1}
    assert (table[table.reference.notna()].value_counts("metric") == 8 + 1 + 1).all()
    steps = table[table.versus.notna() & (table.versus != additions.BEST_SINGLE)]
    assert len(steps) == 12 and steps.metric.eq("auroc").all() and (steps.versus == NONE).sum() == 3
    gained = table[(table.versus == additions.BEST_SINGLE) & (table.metric == "auroc")].iloc[0]
    auroc = moved.metric("auroc")
    assert gained.estimate == pytest.approx(float(auroc.sel(subset="a+b+c")) - float(auroc.sel(subset="best single")))


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
