import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from mmlib.questions.claims import collect_claims, judge_claims

NAN = np.nan


def collect(data):
    return collect_claims({"r": data}, {"r": "Cohort"})


def row(metric, group, reference, estimate, se, *, positives=400, retrain=NAN, **more):
    low, high = estimate - 1.96 * se, estimate + 1.96 * se
    about = {"run": "r", "metric": metric, "attribute": "sex", "group": group, "reference": reference}
    about |= {"estimate": estimate, "low": low, "high": high, "se_patients": se, "se_retrain": retrain}
    return about | {"n": 1000, "n_positive": positives, "primary": False} | more


def tables(*, female=400, steps=((0.02, 0.005), (0.05, 0.005)), small=-0.0002):
    """What chapters 3 to 5 write, with two modalities and one attribute."""
    rq1 = [
        row("auroc", "all", None, e, s, subset="a+b", versus=v) for (e, s), v in zip(steps, "ab", strict=True)
    ]
    rq1 += [
        row("auroc", "all", None, 0.03, 0.003, retrain=0.004, subset="a+b", versus="best single"),
        row("tpr", "Female", "Male", -0.04, 0.02, subset="a+b", versus="best single", positives=female),
        row("tpr", "Female", "Male", -0.05, 0.02, subset="best single", positives=female),
        row("tpr", "Female", "Male", -0.09, 0.02, subset="a+b", positives=female),
    ]
    fairness = [row("tpr", g, None, 0.5, 0.02, positives=p) for g, p in (("Male", 500), ("Female", female))]
    fairness.append(row("tpr", "Female", "Male", -0.09, 0.02, positives=female))
    where = {"regime": "plain, mask", "mechanism": "at random"}
    rq2 = [row("auroc", "all", None, 0.8, 0.01, rate=r, **where) for r in (0.0, 0.002, 0.2)]
    for rate, loss, se in ((0.002, small, 0.00002), (0.2, -0.02, 0.001)):
        change = {"rate": rate, "versus": "0.0", **where}
        rq2.append(row("auroc", "all", None, loss, se, one_run=0.0005, margin=0.005, **change))
        rq2.append(row("tpr", "Female", "Male", 0.001, 0.001, positives=female, **change))
    declared = pd.DataFrame({"metric": ["auroc", "tpr"], "attribute": "sex", "margin": [0.005, 0.05]})
    declared["group"], declared["reference"] = ["all", "Female"], [None, "Male"]
    return {n: pd.DataFrame(t) for n, t in (("rq1", rq1), ("rq2", rq2), ("fairness", fairness))} | {
        "declared": declared
    }


def judged(**changed):
    return judge_claims(collect(tables(**changed))).set_index("claim")


def test_every_claim_is_found_with_its_numbers():
    found = judged()
    assert list(found.index) == [
        "Every single addition raises AUROC",
        "All modalities reach a higher AUROC than the best single one",
        "Adding modalities moves the TPR difference",
        "With all modalities, TPR differs between groups",
        "Drop rate 0.2 lowers expected AUROC",
        "Drop rate 0.2 moves the expected TPR difference",
        "Drop rate 0.002 costs more AUROC than the margin of 0.005",
        "One masked run at drop rate 0.002 could show the loss",
    ]
    assert found.pair.iloc[2] == "Female minus Male" and found.note.iloc[2] == "from -0.05 to -0.09"
    assert found.se.iloc[1] == pytest.approx(0.005)  # patients 0.003 and retraining 0.004
    assert list(found.verdict) == [
        "supported",
        "supported",
        "too small to tell",
        "supported",
        "supported",
        "not supported",  # smaller than the margin
        "not supported",  # surely on the other side of the margin
        "not supported",  # lost among the runs
    ]


def test_holm_agrees_with_statsmodels_over_all_cohorts():
    both = {"x": tables(small=-0.0002), "y": tables(small=-0.0051)}
    found = judge_claims(collect_claims(both, {"x": "X", "y": "Y"}))
    assert list(found.run) == ["x", "y"] * 8 and found.claim.nunique() == 8  # claim by claim
    tested = found[found.judged == "test"]
    assert len(tested) == 12
    p = 2 * norm.sf(abs(tested.estimate - tested.threshold) / tested.se)
    np.testing.assert_allclose(tested.p_holm, multipletests(p, method="holm")[1])
    assert found.p_holm[found.judged != "test"].isna().all()
    detectable = (norm.ppf(1 - 0.05 / 24) + norm.ppf(0.8)) * tested.se
    np.testing.assert_allclose(tested.detectable, detectable)


@pytest.mark.parametrize(
    ("steps", "verdict", "estimate"),
    [
        (((0.02, 0.005), (0.05, 0.005)), "supported", 0.02),
        (((0.02, 0.005), (0.05, 0.04)), "too small to tell", 0.05),  # the larger one is the doubtful one
        (((-0.02, 0.005), (0.05, 0.005)), "not supported", -0.02),
        (((-0.02, 0.005), (-0.05, 0.04)), "not supported", -0.02),  # the smaller loss is the sure one
    ],
)
def test_one_sure_counterexample_refutes_that_every_addition_helps(steps, verdict, estimate):
    found = judged(steps=steps).iloc[0]
    assert (found.verdict, found.estimate) == (verdict, estimate)


@pytest.mark.parametrize(
    ("loss", "matters", "seen"),
    [
        (-0.0002, "not supported", "not supported"),
        (-0.005, "too small to tell", "supported"),
        (-0.0052, "supported", "supported"),
    ],
)
def test_a_loss_is_held_against_the_margin_and_against_single_runs(loss, matters, seen):
    assert list(judged(small=loss).verdict.iloc[-2:]) == [matters, seen]


def test_small_effects_that_are_sure_are_said_to_be_small():
    data = tables()
    data["rq1"].loc[2, ["estimate", "se_patients", "se_retrain"]] = [0.002, 0.0002, NAN]
    found = judge_claims(collect(data))
    assert found.verdict[1] == "supported, by less than the margin"
    data["rq1"].loc[2, "estimate"] = -0.02
    assert judge_claims(collect(data)).verdict[1] == "not supported"


def test_small_groups_are_not_tested_and_leave_the_family():
    found = judged(female=29)
    gaps = found[found.pair != ""]
    assert set(gaps.verdict) == {"not tested"} and gaps.p.isna().all() and gaps.detectable.isna().all()
    assert set(gaps.refused) == {"Female has fewer than 30 positives"}
    assert found.p.notna().sum() == 3


def test_without_declared_groups_the_largest_is_shown_and_nothing_is_equivalent():
    data = tables()
    data["declared"] = data["declared"].iloc[:0]
    found = judge_claims(collect(data))
    assert set(found.pair) == {"", "Female minus Male"}
    assert found.p_equivalent.isna().all()


def test_tables_of_an_older_notebook_are_named():
    data = tables()
    with pytest.raises(ValueError, match=r"^rq2 of run 'r' has no column versus"):
        collect(data | {"rq2": data["rq2"].drop(columns="versus")})
    with pytest.raises(ValueError, match=r"^The tables of run 'r' have no row with .*best single"):
        collect(data | {"rq1": data["rq1"][data["rq1"].versus != "best single"]})
    with pytest.raises(ValueError, match="runs is empty"):
        collect_claims({}, {})
