import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import recall_score, roc_auc_score

from mmlib.core.schema import RESULTS
from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.exact import newcombe_interval
from mmlib.questions import absence

PATTERNS = subset_masks(["a", "b", "c"])[0]


def planted(n=900, shift=0.0, seed=0):
    """Patients who lack b more often if old; c is missing at random; without b the lackers' scores are shifted."""
    rng = np.random.default_rng([seed, 1])
    old = rng.random(n) < 0.5
    y = (rng.random(n) < 0.4).astype("int8")
    cohort = pd.DataFrame(
        {"sample_id": np.arange(n).astype(str), "label": y, "fold": (np.arange(n) % 3).astype("int8")}
    )
    cohort["patient_id"] = (np.arange(n) // 2).astype(str)
    cohort["age_group"] = np.where(old, "65 and over", "18-64")
    cohort["sex"] = rng.choice(["Female", "Male"], n)
    cohort["present_a"] = True
    cohort["present_b"] = rng.random(n) > np.where(old, 0.5, 0.2)
    cohort["present_c"] = rng.random(n) > 0.3
    # old patients are ranked worse and called ill more often, with whatever there is
    signal = (rng.normal(size=n) + 0.3 * rng.normal(size=(2, 2, 8, n)) + np.where(old, 0.3, 1.5) * y + 2.0 * old) / 4
    signal += shift * ~cohort.present_b.to_numpy() * y
    score = xr.DataArray(
        1 / (1 + np.exp(-signal)),
        {
            "regime": ["plain", "dropout"],
            "seed": [0, 1],
            "pattern": PATTERNS,
            "sample": cohort.sample_id.to_numpy(object),
        },
        ("regime", "seed", "pattern", "sample"),
    )
    cut = xr.DataArray(
        np.full((2, 2, 3), 0.57), score.isel(pattern=0, sample=0).coords, ("regime", "seed", "fold")
    )
    return score, cut.drop_vars(["pattern", "sample"]), cohort


SCORE, CUT, COHORT = planted()
WEIGHTS = resample_patients(COHORT.patient_id, 60)


def test_those_who_have_it_are_weighted_within_label_to_those_who_lack_it_in_every_resample():
    found = absence.observed_absence(SCORE, CUT, COHORT, WEIGHTS)
    lacks, like = ~COHORT.present_b, ["label", "age_group", "sex", "present_c"]
    for b in (0, 9):
        data = COHORT.assign(w=WEIGHTS[b].astype(float))
        wanted, there = data[lacks].groupby(like).w.sum(), data[~lacks].groupby(like).w.sum()
        data["fitted"] = data.w * (wanted / there).reindex(pd.MultiIndex.from_frame(data[like])).to_numpy()
        areas, shares = {"observed": [], "masked": []}, {"observed": [], "masked": []}
        for seed in range(2):
            s = SCORE.sel(regime="dropout", seed=seed, pattern="a+c").values
            for side, who, w in (("observed", lacks, "w"), ("masked", ~lacks, "fitted")):
                about = data.label[who], s[who], data[w][who]
                areas[side].append(roc_auc_score(about[0], about[1], sample_weight=about[2]))
                shares[side].append(recall_score(about[0], about[1] >= 0.57, sample_weight=about[2]))
        for metric, expected in (("auroc", areas), ("tpr", shares)):
            both = found.metric(metric).sel(regime="dropout", modality="b")
            for side in expected:
                assert both.sel(side=side).values[b] == pytest.approx(np.mean(expected[side]))
            change = found.difference(metric).sel(regime="dropout", modality="b")
            assert change.values[b] == pytest.approx(
                np.mean(expected["observed"]) - np.mean(expected["masked"])
            )


def test_observed_over_expected_is_not_weighted():
    found = absence.observed_absence(SCORE, CUT, COHORT, WEIGHTS).metric("observed_expected")
    s, has = SCORE.sel(regime="plain", pattern="a+c").values, COHORT.present_b.to_numpy()
    ratio = np.mean([COHORT.label[has].sum() / row[has].sum() for row in s])
    assert float(found.sel(regime="plain", modality="b", side="masked")) == pytest.approx(ratio)
    with pytest.raises(
        ValueError, match="'observed_expected', which is not weighted; expected auroc, tpr, fpr"
    ):
        absence.observed_absence(SCORE, CUT, COHORT, WEIGHTS).difference("observed_expected")


def test_absence_at_random_is_as_predicted_and_absence_that_tells_something_is_not():
    for shift, excludes in ((0.0, False), (0.5, True)):
        score, cut, cohort = planted(shift=shift)
        found = absence.observed_absence(score, cut, cohort, WEIGHTS)
        for metric in ("auroc", "tpr"):
            clear = found.difference(metric).clear().sel(modality="b")
            assert (clear == 1).all() if excludes else (clear == 0).all()
        assert (found.difference("auroc").clear().sel(modality="c") == 0).all()


def test_without_the_covariate_that_absence_depends_on_the_two_sides_are_not_alike():
    blind = absence.observed_absence(SCORE, CUT, COHORT, WEIGHTS, covariates=["sex"])
    assert (blind.difference("fpr").clear().sel(modality="b") == 1).all()
    fitted = absence.observed_absence(SCORE, CUT, COHORT, WEIGHTS)
    assert (fitted.difference("fpr").clear().sel(modality="b") == 0).all()


def test_rows_keep_the_contract_and_count_both_sides():
    found = absence.observed_absence(SCORE, CUT, COHORT, WEIGHTS)
    frame = RESULTS.validate(found.frame().assign(run="toy"))
    assert len(frame) == 4 * 2 * 2 * 2 + 3 * 2 * 2
    sides = (
        frame[(frame.metric == "tpr") & (frame.modality == "b") & (frame.regime == "plain")]
        .set_index("side")
        .n
    )
    assert sides["observed"] == (~COHORT.present_b).sum() and sides["masked"] == COHORT.present_b.sum()
    assert found.blocks.modality.tolist() == ["b", "c"]  # nobody lacks a
    assert found.blocks.computed.all() and (found.blocks.unsupported == 0).all()
    assert found.difference("auroc").freedom == 2  # one from each of two regimes


def test_a_block_that_few_lack_or_that_has_nobody_to_compare_is_not_computed_and_says_so():
    few = COHORT.assign(present_b=np.arange(len(COHORT)) >= 50, present_c=COHORT.age_group == "18-64")
    found = absence.observed_absence(SCORE, CUT, few, WEIGHTS)
    why = found.blocks.set_index("modality").why
    assert "positives and" in why["b"] and why["b"].endswith("negatives lack it; expected 30 of each")
    assert why["c"] == "100% of those who lack it have nobody like them; at most 10% may"
    with pytest.raises(
        ValueError, match="There is no 'auroc'; there are none, since no modality could be compared"
    ):
        found.metric("auroc")
    with pytest.raises(ValueError, match="covariate 'agegroup' is not a column of the cohort"):
        absence.observed_absence(SCORE, CUT, COHORT, WEIGHTS, covariates=["agegroup"])


def test_those_without_anybody_like_them_are_left_out():
    lacking = np.flatnonzero(~COHORT.present_b)[:20]
    rare = COHORT.assign(age_group=COHORT.age_group.where(~COHORT.index.isin(lacking), "90 and over"))
    with_them = absence.observed_absence(SCORE, CUT, rare, WEIGHTS)
    assert with_them.blocks.set_index("modality").loc["b", "unsupported"] == pytest.approx(
        20 / (~COHORT.present_b).sum()
    )
    kept = ~COHORT.index.isin(lacking)
    without = absence.observed_absence(
        SCORE.isel(sample=kept), CUT, COHORT[kept].reset_index(drop=True), WEIGHTS[:, kept]
    )
    for metric in ("auroc", "fpr"):
        first, other = (f.difference(metric).sel(modality="b").values.values for f in (with_them, without))
        np.testing.assert_allclose(first, other, atol=1e-6)


def test_rates_with_few_events_have_newcombes_interval_and_a_ranking_is_not_judged_by_them():
    cut = CUT.copy(data=np.full(CUT.shape, 0.95))
    found = absence.observed_absence(SCORE, cut, COHORT, WEIGHTS)
    change = found.difference("tpr").sel(regime="plain", modality="b")
    events, total = (part[0, 0] for part in found.cells["tpr"])
    low, high = newcombe_interval(events[0], total[0], events[1], total[1], level=0.975)
    assert [float(end) for end in change.interval()] == pytest.approx([float(low), float(high)])
    assert found.difference("auroc").interval()[0].notnull().all()


def test_placebo_differences_hold_zero():
    tables = list(absence.placebo(SCORE, CUT, COHORT, WEIGHTS, "b", realisations=20))
    assert len(tables) == 20 and len(tables[0]) == 2 * 3
    found = pd.concat(tables).groupby("metric")[["estimate", "holds"]].mean()
    assert (found.holds >= 0.7).all() and (found.estimate.abs() < 0.05).all()
    with pytest.raises(ValueError, match="modality is 'a'; expected one of a, b, c that some samples lack"):
        next(absence.placebo(SCORE, CUT, COHORT, WEIGHTS, "a"))
