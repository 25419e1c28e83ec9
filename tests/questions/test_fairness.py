import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm
from sklearn.metrics import recall_score, roc_auc_score

from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.groups import Groups
from mmlib.questions import fairness

RNG = np.random.default_rng(0)
N, SEEDS = 600, 2
COHORT = pd.DataFrame(
    {
        "patient_id": np.arange(N).astype(str),
        "label": RNG.integers(0, 2, N),
        "fold": np.arange(N) % 2,
        "sex": RNG.choice(["Female", "Male"], N),
        "race": RNG.choice(["A", "B", "C"], N, p=[0.55, 0.4, 0.05]),
    }
)
Y = COHORT.label.to_numpy()
RETRAINED = RNG.normal(0, 0.01, (2, SEEDS, N))
SCORE = np.clip(0.35 + 0.3 * Y + RNG.normal(0, 0.2, (2, 1, N)) + RETRAINED, 0.01, 0.99)
SCORE[1][:, (COHORT.sex == "Female") & (Y == 1)] -= 0.15  # positives of one group are missed
POWERSET = xr.Dataset(
    {
        "score": (("subset", "seed", "sample"), SCORE),
        "threshold": (("subset", "seed", "fold", "rule"), np.full((2, SEEDS, 2, 1), 0.5)),
    },
    {"subset": ["none", "labs"], "rule": ["prevalence"]},
)
FULL = SCORE[1]
GROUPS = Groups({"race": "A", "sex": "Male"}, {"sex": "Female"}, {"race+sex": "A, Male"})
WEIGHTS = resample_patients(COHORT.patient_id, 100)


@pytest.fixture(scope="module")
def full():
    return fairness.evaluate_full_model(POWERSET, COHORT, WEIGHTS, GROUPS)


def tpr(rows):
    return np.mean([recall_score(Y[rows], FULL[s, rows] >= 0.5) for s in range(SEEDS)])


def member(attribute, group):
    return (COHORT[attribute] == group).to_numpy()


def test_levels_are_those_of_scikit_learn_for_all_samples_and_every_group(full):
    levels = fairness.group_levels(full, ["tpr", "auroc"])
    tprs = levels[levels.metric == "tpr"].set_index(["attribute", "group"])
    assert tprs.index.get_level_values("attribute").unique().tolist() == ["race", "sex", "race+sex"]
    for attribute in GROUPS.attributes:  # all samples stand in every attribute
        assert tprs.estimate[attribute, "all"] == pytest.approx(tpr(np.ones(N, bool)))
    assert tprs.estimate["sex", "Female"] == pytest.approx(tpr(member("sex", "Female")))
    both = member("race", "B") & member("sex", "Male")
    assert tprs.estimate["race+sex", "B, Male"] == pytest.approx(tpr(both))
    area = levels[levels.metric == "auroc"].set_index(["attribute", "group"]).estimate["race", "B"]
    b = member("race", "B")
    assert area == pytest.approx(np.mean([roc_auc_score(Y[b], s[b]) for s in FULL]))
    wide = fairness.group_levels(full, ["tpr"], ["race"], simultaneous=True).set_index("group")
    narrow = fairness.group_levels(full, ["tpr"], ["race"]).set_index("group")
    reach = (wide.high - wide.low) - (narrow.high - narrow.low)
    assert (reach[["A", "B"]] > 0).all() and reach["all"] == 0
    assert wide.small["C"] and reach["C"] == 0  # an exact interval is that of one group


def test_signed_differences_hold_for_all_groups_of_an_attribute(full):
    rows = fairness.signed_differences(full)
    assert rows.metric.unique().tolist() == list(fairness.SIGNED)
    assert not ((rows.group == rows.reference) | (rows.group == "all")).any()
    row = rows[(rows.metric == "tpr") & (rows.group == "Female")].iloc[0]
    assert row.estimate == pytest.approx(tpr(member("sex", "Female")) - tpr(member("sex", "Male")))
    low, high = full.difference("tpr", "race").interval(simultaneous="group")
    race = rows[(rows.metric == "tpr") & (rows.attribute == "race")]
    assert race.low.tolist() == low.values.ravel().tolist() and race.high.tolist() == high.values.ravel().tolist()


NOTHING = pd.DataFrame(columns=["question", "metric", "attribute", "group", "reference", "detectable", "low", "high"])


def detectable(result, judged=NOTHING):
    rows = fairness.signed_differences(result, judged.assign(verdict="undecided"))
    return fairness.detectable_differences(rows, judged).set_index("group")


def test_groups_with_enough_events_stand_beside_what_could_be_detected(full):
    found = detectable(full)
    assert list(found.index) == ["B", "Female"]  # C has few events, crossed groups have a table of their own
    assert set(found.verdict) == {"described"}
    error = np.hypot(found.se_patients, found.se_retrain)
    np.testing.assert_allclose(found.detectable, (norm.isf(0.025) + norm.isf(0.2)) * error)
    assert detectable(fairness.evaluate_full_model(POWERSET, COHORT, WEIGHTS, Groups({"race": "C"}))).empty


def test_a_declared_difference_keeps_its_interval_and_its_detectable_difference(full):
    own = {"question": "gap", "metric": "tpr", "attribute": "sex", "group": "Female", "reference": "Male"}
    found = detectable(full, pd.DataFrame([own | {"detectable": 0.4, "low": -0.5, "high": 0.5}]))
    assert found.loc["Female", ["low", "high", "detectable", "verdict"]].tolist() == [-0.5, 0.5, 0.4, "undecided"]
    assert found.verdict["B"] == "described"


def test_bonferroni_counts_the_groups_of_an_attribute():
    four = COHORT.assign(race=np.array(["A", "B", "C", "D"])[np.arange(N) % 4])
    found = detectable(fairness.evaluate_full_model(POWERSET, four, WEIGHTS, Groups({"race": "A"})))
    error = np.hypot(found.se_patients, found.se_retrain)
    np.testing.assert_allclose(found.detectable, (norm.isf(0.025 / 3) + norm.isf(0.2)) * error)


@pytest.fixture(scope="module")
def missed():
    """Planted: 2 of 55 positives of group "20-39" are found, most of the others."""
    cohort = COHORT.assign(race=np.where(np.arange(N) % 2, "20-39", "40-59"))
    young = np.flatnonzero((cohort.race == "20-39") & (Y == 1))
    cohort.loc[young[55:], "race"] = "40-59"
    score = SCORE.copy()
    score[1][:, Y == 1] = np.where(np.arange((Y == 1).sum()) % 10, 0.9, 0.1)
    score[1][:, young[:55]] = np.where(np.arange(55) < 2, 0.9, 0.1)
    powerset = POWERSET.assign(score=(POWERSET.score.dims, score))
    return fairness.evaluate_full_model(powerset, cohort, WEIGHTS, Groups({"race": "40-59", "sex": "Male"}))


def test_a_group_whose_positives_are_missed_is_found_with_its_count(missed):
    (low,) = fairness.lowest_group(missed).itertuples()
    assert (low.attribute, low.group, low.events, low.n_positive) == ("race", "20-39", 2, 55)
    assert (round(low.low, 3), round(low.high, 3)) == (0.004, 0.125) and low.high < low.overall
    listed = fairness.small_groups(missed)
    assert listed.group[0] == "20-39" and listed.few[0] and listed.below[0]
    assert listed.overall.nunique() == 1 and (listed.few | listed.below).all()


def test_large_groups_far_below_the_overall_rate_are_listed_too(full):
    listed = fairness.small_groups(full).set_index("group")
    assert listed.below["Female"] and not listed.few["Female"]
    assert listed.few["C"] and "Male" not in listed.index


def test_the_worst_group_is_large_and_stands_beside_the_overall_value(full):
    worst = fairness.worst_groups(full).set_index(["attribute", "metric"])
    assert worst.group["sex", "tpr"] == "Female" and worst.overall["sex", "tpr"] == pytest.approx(tpr(np.ones(N, bool)))
    assert "C" not in set(worst.group)
    levels = fairness.group_levels(full, ["fpr"], ["race"]).set_index("group").estimate
    assert worst.group["race", "fpr"] == levels[["A", "B"]].idxmax()  # here the highest is the worst
    alone = fairness.evaluate_full_model(POWERSET, COHORT.assign(sex="Male"), WEIGHTS, Groups({"sex": "Male"}))
    assert fairness.worst_groups(alone).empty
    assert fairness.signed_differences(alone).empty and fairness.lowest_group(alone).empty


def test_the_first_seed_is_described_all_samples_first():
    described = fairness.describe_groups(POWERSET, COHORT, GROUPS)
    assert described.group.tolist() == ["all", "A", "B", "C", "Female", "Male"]
    assert described.attribute.tolist() == ["", "race", "race", "race", "sex", "sex"]
    assert described.auroc[0] == pytest.approx(roc_auc_score(Y, FULL[0]))
    female = member("sex", "Female")
    assert described.n_effective.tolist() == described.n.tolist()
    twice = fairness.describe_groups(POWERSET, COHORT.assign(patient_id=(np.arange(N) // 2).astype(str)), GROUPS)
    assert twice.n_effective[0] == N // 2 and (twice.n_effective <= twice.n).all()
    assert described.tpr[4] == pytest.approx(recall_score(Y[female], FULL[0, female] >= 0.5))


def test_max_min_gaps_stand_beside_chance_and_fairlearn():
    gaps = fairness.max_min_gaps(POWERSET, COHORT, GROUPS, permutations=50).set_index(["attribute", "metric"])
    first = {g: recall_score(Y[member("sex", g)], FULL[0, member("sex", g)] >= 0.5) for g in ("Female", "Male")}
    assert gaps.gap["sex", "tpr"] == pytest.approx(first["Male"] - first["Female"])
    assert 0 < gaps.null["sex", "tpr"] < gaps.gap["sex", "tpr"]
    assert gaps.fairlearn["sex", "selection_rate"] == pytest.approx(gaps.gap["sex", "selection_rate"])
    assert np.isnan(gaps.fairlearn["sex", "tpr"]) and len(gaps) == 3 * len(fairness.GAPS)


def test_calibration_is_told_once_for_all_samples_and_bins_for_large_groups_only():
    calibrated = fairness.calibrate_groups(POWERSET, COHORT, GROUPS)
    assert calibrated.group.tolist() == ["all", "A", "B", "C", "Female", "Male"]
    assert calibrated.attribute.tolist() == ["", "race", "race", "race", "sex", "sex"]
    assert calibrated.observed_expected[0] == pytest.approx(Y.sum() / FULL[0].sum())
    bins = fairness.reliability_bins(POWERSET, COHORT, GROUPS)
    assert bins.groupby(["attribute", "group"], sort=False).size().to_dict() == {
        ("race", "A"): 5,
        ("race", "B"): 5,
        ("sex", "Female"): 5,
        ("sex", "Male"): 5,
    }


def test_a_moving_threshold_selects_what_was_asked():
    swept = fairness.sweep_thresholds(POWERSET, COHORT, WEIGHTS, GROUPS, shares=[0.1, 0.5])
    share = swept.metric("selection_rate").value
    np.testing.assert_allclose(share, [0.1, 0.5], atol=1 / N)
    (difference,) = swept.contrasts("tpr").values()
    female, male = ((Y == 1) & member("sex", g) for g in ("Female", "Male"))
    expected = np.mean([chosen[female].mean() - chosen[male].mean() for chosen in (s >= np.median(s) for s in FULL)])
    assert float(difference.sel(selected=0.5)) == pytest.approx(expected)
    assert set(swept.groups.attributes) == {"race", "sex"} and difference.seeds == 1


def test_decision_curves_follow_their_formula():
    curves = fairness.decision_curves(POWERSET, COHORT, WEIGHTS, GROUPS, prices=[0.2, 0.6])
    assert {panel: list(lines) for panel, lines in curves.items()} == {
        "all": ["model", "act on all"],
        "sex": ["Female", "Male"],
    }
    odds, prevalence = 0.2 / 0.8, Y.mean()
    act = curves["all"]["act on all"]
    assert float(act.sel(threshold=0.2)) == pytest.approx(1 - odds * (1 - prevalence) / prevalence)
    assert np.isnan(act.s_retrain).all() and act.seeds == 1  # two seeds of one model say too little of retraining
    female = member("sex", "Female")
    hits, alarms = ([(s >= 0.2)[female & (label == Y)].sum() for s in FULL] for label in (1, 0))
    expected = np.mean(np.array(hits) - odds * np.array(alarms)) / Y[female].sum()
    found = curves["sex"]["Female"]
    assert float(found.sel(threshold=0.2)) == pytest.approx(expected)
    assert (int(found.n), int(found.n_positive)) == (female.sum(), Y[female].sum())
    low, high = found.interval()
    assert (low < found.value).all() and (found.value < high).all()


def test_runs_without_contrasts_and_with_unknown_groups():
    plain = Groups({"sex": "Male"})
    assert list(fairness.decision_curves(POWERSET, COHORT, WEIGHTS, plain)) == ["all"]
    assert fairness.sweep_thresholds(POWERSET, COHORT, WEIGHTS, plain).contrasts("tpr") == {}
    unknown = Groups({"sex": "Male"}, {"sex": "Other"})
    with pytest.raises(ValueError, match="There is no group 'Other'"):
        fairness.decision_curves(POWERSET, COHORT, WEIGHTS, unknown)
