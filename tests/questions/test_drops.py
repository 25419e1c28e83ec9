from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn.metrics import recall_score, roc_auc_score

from mmlib.core.schema import PLAIN, RESULTS
from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.groups import Groups
from mmlib.measure.scenarios import AT_RANDOM
from mmlib.models.names import DROPOUT
from mmlib.questions import drops
from mmlib.questions.absence import observed_absence

N, SETTINGS = 400, {"resamples": 30, "seed": 3}
GROUPS = Groups({"race": "A", "sex": "m"}, {"sex": "f"})
ALONE = Groups({"race": "A", "sex": "m"})


def case(modalities=("a", "b", "c"), n=N, seeds=2):
    """A study whose modalities all help, some of them absent, and the scores of two regimes."""
    rng = np.random.default_rng(0)
    cohort = pd.DataFrame({"patient_id": np.arange(n).astype(str), "label": rng.integers(0, 2, n)})
    cohort["fold"] = np.arange(n) % 3
    cohort["race"], cohort["sex"] = rng.choice(["A", "B"], n, p=[0.7, 0.3]), rng.choice(["f", "m"], n)
    present = rng.random((n, len(modalities))) < 0.8
    for m, there in zip(modalities, present.T, strict=True):
        cohort[f"present_{m}"] = there
    names, masks = subset_masks(modalities)
    signal = (cohort.label.to_numpy()[:, None] - 0.5 + rng.normal(size=(n, len(modalities)))) * present
    weight = rng.uniform(0.8, 1.2, (2, seeds, 1, len(modalities))) * masks
    score = 1 / (1 + np.exp(-np.einsum("rspm,nm->rspn", weight, signal)))
    data = xr.Dataset(
        {
            "score": (("regime", "seed", "pattern", "sample"), score),
            "threshold": (("regime", "seed", "fold", "rule"), np.full((2, seeds, 3, 1), 0.52)),
        },
        {"regime": [PLAIN, DROPOUT], "seed": range(seeds), "pattern": names, "rule": ["prevalence"]},
    )
    study = SimpleNamespace(
        cohort=cohort,
        modalities=tuple(modalities),
        present=torch.tensor(present),
        y=torch.tensor(cohort.label.to_numpy()),
        fold=cohort.fold.to_numpy(),
    )
    return data, study


SCORES, STUDY = case()
LOSS = drops.evaluate_drops(SCORES, STUDY, GROUPS, rates=[0.5, 0.002, 0.2], **SETTINGS)
ONE = SCORES.sel(regime=PLAIN)


def test_no_drops_are_the_complete_inputs_and_certain_drops_leave_nothing():
    loss = drops.evaluate_drops(SCORES, STUDY, GROUPS, rates=[1.0], resampled=[], **SETTINGS)[PLAIN]
    assert loss.labels == [0.0, 1.0]
    areas = [roc_auc_score(STUDY.cohort.label, s) for s in ONE.score.sel(pattern="a+b+c").values]
    assert float(loss.metric("auroc").sel(rate=0.0)) == pytest.approx(np.mean(areas))
    assert float(loss.metric("auroc").sel(rate=1.0)) == pytest.approx(0.5)
    assert float(loss.metric("selection_rate").sel(rate=1.0)) == 0


def test_only_regimes_that_are_asked_for_have_resamples():
    loss = drops.evaluate_drops(SCORES, STUDY, GROUPS, rates=[0.2], resampled=[DROPOUT], **SETTINGS)
    assert [loss[name].metric("auroc").values.sizes["resample"] for name in (PLAIN, DROPOUT)] == [1, 31]
    expected = LOSS[DROPOUT].metric("auroc").sel(rate=[0.0, 0.2])
    np.testing.assert_array_equal(loss[DROPOUT].metric("auroc").values, expected.values)


def test_a_change_stands_beside_the_noise_of_one_run_and_of_retraining():
    run_sd = drops.one_run(ONE, STUDY, rates=[0.002, 0.2, 0.5], realisations=20)
    spread = run_sd.one_run
    assert spread[0.0] < 1e-12 and spread[0.002] < spread[0.5]
    assert list(run_sd) == ["one_run"]  # each patient has one sample
    table = drops.visibility(LOSS[PLAIN], run_sd, STUDY, rates=[0.002, 0.5], margin=0.01)
    RESULTS.validate(table.assign(run="toy"))
    assert (table.one_run == spread[[0.002, 0.5]].to_numpy()).all() and (table.versus == "0.0").all()
    auroc = LOSS[PLAIN].metric("auroc")
    change = auroc.sel(rate=0.5) - auroc.sel(rate=0.0)
    assert table.estimate[1] == float(change) and table.retrain[1] == pytest.approx(float(change.s_retrain))
    assert table.sampling[0] == float(auroc.sel(rate=0.0).se_patients)
    assert table.touched[1] == pytest.approx((1 - 0.5 ** STUDY.present.numpy().sum(axis=1)).mean())
    np.testing.assert_allclose(table.margin, [0.0002, 0.05])  # what is declared at a rate of 0.1, in proportion
    assert table.beyond[1] == "yes"
    lenient = drops.visibility(LOSS[PLAIN], run_sd, STUDY, rates=[0.002, 0.5], margin=0.5)
    assert lenient.beyond.tolist() == ["no", "no"]
    wide = drops.visibility(LOSS[PLAIN], run_sd, STUDY, rates=[0.5], margin=-float(change) / 5)
    assert wide.beyond.tolist() == ["open"]


def test_one_run_spreads_more_when_all_samples_of_a_unit_lose_a_modality_together():
    scores, study = case()
    rows = np.repeat(np.arange(40), 16)  # each of 40 patients has the same sample 16 times
    scores, study.cohort = scores.isel(sample=rows), study.cohort.iloc[rows].reset_index(drop=True)
    study.present, study.y, study.fold = study.present[rows], study.y[rows], study.fold[rows]
    run_sd = drops.one_run(scores.sel(regime=PLAIN), study, rates=[0.5], realisations=300)
    ratio = run_sd.one_run_unit[0.5] / run_sd.one_run[0.5]
    assert ratio == pytest.approx(4, rel=0.2)  # the square root of 16, as for a mean of 40 instead of 640
    assert run_sd.one_run_unit[0.0] == pytest.approx(0, abs=1e-12)
    loss = drops.evaluate_drops(scores, study, GROUPS, rates=[0.5], **SETTINGS)
    table = drops.visibility(loss[PLAIN], run_sd, study, rates=[0.5], margin=0.01)
    assert table.one_run_unit[0] == run_sd.one_run_unit[0.5]


def test_both_readings_of_the_rates_are_found_whatever_their_order():
    table = pd.DataFrame({"rate": [0.2, 0.001, 0.1, 0.002]})
    assert [row.rate for row in drops.both_readings(table)] == [0.002, 0.2]
    assert [row.rate for row in drops.both_readings(table.query("rate > 0.01"))] == [0.1, 0.2]


def test_the_slope_is_the_loss_at_a_small_rate():
    slope = drops.slope_at_zero(ONE, STUDY, GROUPS, **SETTINGS)
    small = drops.evaluate_drops(SCORES, STUDY, GROUPS, rates=[1e-6], **SETTINGS)[PLAIN].changes([(0.0, 1e-6)])
    for quantity in (lambda e: e.metric("auroc"), lambda e: e.difference("tpr", "sex").sel(group="f")):
        both = [quantity(e) for e in (slope, small)]
        total = both[0].map([[1, 1, 1]], "modality", "all", ["all"])
        np.testing.assert_allclose(total.values[:, 0], both[1].values[:, 0] / 1e-6, atol=1e-4)
        np.testing.assert_allclose(total.spread[:, 0], both[1].spread[:, 0] / 1e-6, atol=1e-4)
    assert list(slope.contrasts("tpr")) == list(LOSS[PLAIN].contrasts("tpr"))
    low, high = slope.metric("auroc").interval()  # a change, which no range of a level cuts off
    assert (slope.metric("auroc").value < 0).all() and (low < slope.metric("auroc").value).all() and (high < 0.1).all()


def test_what_a_modality_costs_is_named_by_it():
    changes = drops.drop_each(ONE, STUDY, GROUPS, **SETTINGS)
    y = STUDY.cohort.label
    full, without = (ONE.score.sel(pattern=p).values for p in ("a+b+c", "a+c"))
    expected = np.mean([roc_auc_score(y, b) - roc_auc_score(y, a) for a, b in zip(full, without, strict=True)])
    assert float(changes.metric("auroc").sel(modality="b")) == pytest.approx(expected)
    assert changes.metric("auroc").dims == ("modality",)


def test_simulated_runs_scatter_around_the_exact_auroc_and_gaps_above_the_exact_gap():
    runs = drops.simulate_runs(ONE, STUDY, GROUPS, rates=[0.0, 0.5], realisations=200)
    exact = drops.expected_runs(ONE, STUDY, GROUPS, rates=[0.0, 0.5]).set_index("rate")
    mean, spread = runs.groupby("rate").mean(), runs.groupby("rate").std()
    assert mean.auroc[0.5] == pytest.approx(exact.auroc[0.5], abs=4 * spread.auroc[0.5] / np.sqrt(200))
    np.testing.assert_allclose(mean.loc[0.0], exact.loc[0.0])
    assert mean.gap[0.5] > exact.gap[0.5]
    score = ONE.score.sel(pattern="a+b+c", seed=0).values
    members = [(STUDY.cohort.race == name).to_numpy() for name in "AB"]
    tpr = [recall_score(STUDY.cohort.label[g], score[g] >= 0.52) for g in members]
    assert exact.gap[0.0] == pytest.approx(abs(tpr[0] - tpr[1]))


def test_without_two_large_groups_there_is_no_gap():
    scores, study = case(n=60)
    assert drops.simulate_runs(scores.sel(regime=PLAIN), study, GROUPS, realisations=2).gap.isna().all()
    assert drops.expected_runs(scores.sel(regime=PLAIN), study, GROUPS).gap.isna().all()


@pytest.fixture(scope="module")
def compared():
    return drops.compare_mechanisms(ONE, STUDY, GROUPS, rates=[0.5, 0.2], **SETTINGS)


def test_drops_at_random_are_one_of_the_mechanisms(compared):
    assert list(compared)[:3] == [AT_RANDOM, "all at once", "more from f"]
    by_rate, expected = compared[AT_RANDOM].metric("auroc"), LOSS[PLAIN].metric("auroc").sel(rate=[0.2, 0.5])
    assert by_rate.labels("rate") == [0.2, 0.5]
    np.testing.assert_allclose(by_rate.values, expected.values)
    own = drops.compare_mechanisms(
        ONE, STUDY, GROUPS, rates=[0.2, 0.5], mechanisms={"sick": {"depends_on": "label"}}, **SETTINGS
    )
    assert list(own) == [AT_RANDOM, "sick", "more from negatives"]
    lost = {name: float(e.metric("selection_rate").sel(rate=0.5)) for name, e in own.items()}
    assert lost["sick"] < lost[AT_RANDOM] < lost["more from negatives"]  # who loses modalities is called less often
    with pytest.raises(ValueError, match="structured_rates is .*; expected a low and a high mean drop rate"):
        drops.compare_mechanisms(ONE, STUDY, GROUPS, rates=[0.2])


def test_changes_by_mechanism_are_against_complete_inputs(compared):
    changes = drops.mechanism_changes(compared, LOSS[PLAIN], GROUPS, rate=0.5)
    assert {metric: list(panel) for metric, panel in changes.items()} == {
        "auroc": ["overall"],
        "tpr": ["f", "m"],
        "selection_rate": ["f", "m"],
    }
    tpr = compared["more from f"].metric("tpr", "sex").sel(rate=0.5, group="f")
    change = tpr - LOSS[PLAIN].metric("tpr", "sex").sel(rate=0.0, group="f")
    np.testing.assert_allclose(changes["tpr"]["f"].sel(mechanism="more from f").values, change.values)
    assert list(drops.mechanism_changes(compared, LOSS[PLAIN], ALONE, rate=0.5)) == ["auroc"]


def test_steps_of_mechanisms_add_up(compared):
    steps = drops.mechanism_steps(compared, GROUPS)
    assert list(steps) == ["auroc", "tpr", "selection_rate"]
    parts = steps["tpr"]
    whole = compared["all at once"].difference("tpr", "sex").sel(rate=0.5, group="f")
    whole = whole - compared[AT_RANDOM].difference("tpr", "sex").sel(rate=0.2, group="f")
    total = (parts["rate"] + parts["structure"] + parts["interaction"]).sel(mechanism="all at once")
    np.testing.assert_allclose(total.values, whole.values)
    assert list(drops.mechanism_steps(compared, ALONE)) == ["auroc"]


def test_the_table_holds_regimes_mechanisms_and_changes_and_keeps_its_contract(compared):
    run_sd = pd.DataFrame({"one_run": 0.01, "one_run_unit": 0.02}, [0.0, 0.002, 0.2])
    visible = drops.visibility(LOSS[PLAIN], run_sd, STUDY, rates=[0.002, 0.2], margin=0.01)
    table = RESULTS.validate(drops.drop_table(LOSS, compared, visible).assign(run="toy"))
    levels = table[table.versus.isna()]
    counts = levels.groupby(["regime", "mechanism"]).size()
    assert counts[PLAIN, AT_RANDOM] == counts[DROPOUT, AT_RANDOM] == 5 * 4
    assert counts[PLAIN, "all at once"] == 5 * 2
    changes = table[table.versus.notna()]
    assert len(changes) == 3 * 2 and (changes.versus == "0.0").all()
    simultaneous = LOSS[PLAIN].changes([(0.0, 0.2)]).difference("tpr", "race").frame(simultaneous="group")
    row = changes[(changes.attribute == "race") & (changes.metric == "tpr") & (changes.rate == 0.2)]
    np.testing.assert_allclose(row[["low", "high"]], simultaneous[["low", "high"]])
    assert (changes.one_run.notna() == (changes.metric == "auroc")).all()


def test_rows_of_real_absence_stand_apart_from_those_of_drops(compared):
    weights = resample_patients(STUDY.cohort["patient_id"], 30, 3)
    two = SCORES.sel(rule="prevalence")
    absent = observed_absence(two.score, two.threshold, STUDY.cohort, weights, covariates=[])
    assert absent.blocks.computed.any()
    run_sd = pd.DataFrame({"one_run": 0.01}, [0.0, 0.2])
    visible = drops.visibility(LOSS[PLAIN], run_sd, STUDY, rates=[0.2], margin=0.01)
    table = RESULTS.validate(drops.drop_table(LOSS, compared, visible, absent).assign(run="toy"))
    real = table[table.mechanism == drops.OBSERVED]
    assert len(real) == len(absent.frame()) and real.rate.isna().all() and real.versus.isna().all()
    rest, without = table[table.mechanism != drops.OBSERVED], drops.drop_table(LOSS, compared, visible)
    assert rest.estimate.tolist() == pytest.approx(without.estimate.tolist(), nan_ok=True)
    full = STUDY.cohort.assign(**{f"present_{m}": True for m in STUDY.modalities})
    nothing = observed_absence(two.score, two.threshold, full, weights, covariates=[])
    assert len(drops.drop_table(LOSS, compared, visible, nothing)) == len(without)


def test_a_single_modality_and_a_single_attribute_are_enough():
    scores, study = case(modalities=("a",), seeds=1)
    one, groups = scores.sel(regime=PLAIN), Groups({"sex": "m"})
    loss = drops.evaluate_drops(scores, study, groups, rates=[0.2, 0.5], **SETTINGS)
    compared = drops.compare_mechanisms(one, study, groups, rates=[0.2, 0.5], **SETTINGS)
    visible = drops.visibility(loss[PLAIN], drops.one_run(one, study, rates=[0.2]), study, rates=[0.2], margin=0.1)
    assert np.isnan(visible.retrain[0])
    RESULTS.validate(drops.drop_table(loss, compared, visible).assign(run="toy"))
    RESULTS.validate(drops.drop_table(loss, {AT_RANDOM: compared[AT_RANDOM]}, visible).assign(run="toy"))
    slope, each = (f(one, study, groups, **SETTINGS) for f in (drops.slope_at_zero, drops.drop_each))
    assert slope.labels == each.labels == ["a"] and not slope.contrasts("tpr")
