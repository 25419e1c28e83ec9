import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm
from sklearn.metrics import recall_score, roc_auc_score
from statsmodels.stats.multitest import multipletests

from mmlib.core import schema
from mmlib.core.subsets import subset_masks
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluation import select
from mmlib.measure.expectation import expected_selection, pattern_probabilities
from mmlib.measure.groups import Groups
from mmlib.questions import declared, fairness
from mmlib.questions.additions import strongest_single

RNG = np.random.default_rng(0)
N, GROUPS = 800, Groups({"sex": "m", "race": "A"})
COHORT = pd.DataFrame(
    {
        "patient_id": np.arange(N).astype(str),
        "label": RNG.integers(0, 2, N),
        "fold": np.arange(N) % 2,
        "sex": RNG.choice(["f", "m"], N),
        "race": RNG.choice(["A", "B", "C"], N, p=[0.5, 0.45, 0.05]),
        "present_a": True,
        "present_b": RNG.random(N) < 0.8,
    }
)
NAMES, MASKS = subset_masks(["a", "b"])
LABEL = COHORT.label.to_numpy()
SCORE = RNG.normal(0.3 + 0.15 * LABEL * np.arange(4)[:, None, None], 0.2, (4, 1, N))
SCORE = np.clip(SCORE + RNG.normal(0, 0.02, (4, 2, N)), 0, 1)  # seeds differ little
POWERSET = xr.Dataset(
    {
        "score": (("subset", "seed", "sample"), SCORE),
        "threshold": (("subset", "seed", "fold", "rule"), np.full((4, 2, 2, 1), 0.5)),
        "validation_score": (("subset", "seed", "fold", "sample"), np.repeat(SCORE[:, :, None], 2, axis=2)),
    },
    {"subset": NAMES, "rule": ["prevalence"]},
)
MASKING = xr.Dataset(
    {
        "score": (("regime", "seed", "pattern", "sample"), SCORE.swapaxes(0, 1)[None]),
        "threshold": (("regime", "seed", "fold", "rule"), np.full((1, 2, 2, 1), 0.5)),
    },
    {"regime": [schema.PLAIN], "pattern": NAMES, "rule": ["prevalence"]},
)
WEIGHTS = resample_patients(COHORT.patient_id, 400)
SEX = {"attribute": "sex", "group": "f"}
DECLARED = [
    {"question": "rq1", "metric": "auroc"},
    {"question": "rq1", "metric": "tpr", **SEX, "versus": "first"},
    {"question": "rq2", "metric": "tpr", **SEX, "rate": 0.3},
    {"question": "rq2", "metric": "auroc", "rate": 0.3},
    {"question": "gap", "metric": "tpr", **SEX},
    {"question": "gap", "metric": "tpr", "attribute": "race", "group": "C"},
    {"question": "gap", "metric": "auroc", **SEX},
]


def compare(entries, *, cohort=COHORT, powerset=POWERSET, masking=MASKING, **options):
    full = fairness.evaluate_full_model(powerset, cohort, WEIGHTS, GROUPS)
    return declared.compare_declared(
        entries, full, powerset, masking, cohort, WEIGHTS, GROUPS, permutations=199, **options
    )


@pytest.fixture(scope="module")
def found():
    return compare(DECLARED, margins={"tpr": 0.5, "auroc": 0.01})


def tpr_gap(q):
    rates = [np.mean([recall_weighted(q[s], COHORT.sex == g) for s in range(2)]) for g in ("f", "m")]
    return rates[0] - rates[1]


def recall_weighted(q, group):
    return q[(group & (LABEL == 1)).to_numpy()].mean()


def test_estimates_are_those_of_the_definitions(found):
    schema.RESULTS.validate(found.assign(run="toy"))
    area = [np.mean([roc_auc_score(LABEL, s) for s in SCORE[k]]) for k in range(4)]
    assert found.estimate[0] == pytest.approx(area[3] - max(area[1:3]))
    q = (SCORE >= 0.5).astype(float)
    assert found.estimate[1] == pytest.approx(tpr_gap(q[3]) - tpr_gap(q[1]))
    present = COHORT[["present_a", "present_b"]].to_numpy()
    chances = pattern_probabilities(np.array([0, 0.3])[:, None, None] + np.zeros((1, N, 2)), MASKS, present)
    full, masked = (
        np.stack([expected_selection(SCORE[:, s], np.full(N, 0.5), chance) for s in range(2)]) for chance in chances
    )
    assert found.estimate[2] == pytest.approx(tpr_gap(masked) - tpr_gap(full))
    assert found.estimate[4] == pytest.approx(tpr_gap(q[3]))
    groups = (COHORT.sex == "f", COHORT.sex == "m")
    female, male = ([recall_score(LABEL[g], q[3, s][g]) for s in range(2)] for g in groups)
    assert found.estimate[4] == pytest.approx(np.mean(female) - np.mean(male))
    weaker = NAMES[1 + int(np.argmax(area[1:3]))]
    assert found.versus.tolist()[:4] == [weaker, "a", "0.0", "0.0"] and found.rate[2] == 0.3
    assert found.each.tolist() == [True] + [False] * 6


def test_one_family_is_corrected_and_few_events_stay_outside_with_their_count(found):
    few = (COHORT.race == "C") & (LABEL == 1)
    hits = (SCORE[3][:, few] >= 0.5).sum(axis=1).mean()
    shown = f"{hits:.1f}".removesuffix(".0")
    assert found.primary.all() and found.verdict[5] == "not tested" and np.isnan(found.p[5])
    assert found.refused[5].startswith(f"C: {shown} of {few.sum()} positives found, exact 95 % interval 0.")
    tested = found.p.notna()
    assert tested.sum() == 6
    assert found.p_holm[tested].to_numpy() == pytest.approx(multipletests(found.p[tested], method="holm")[1])
    total = np.hypot(found.se_patients, found.se_retrain)[0]
    assert found.detectable[0] == pytest.approx((norm.isf(0.05 / 12) + norm.isf(0.2)) * total)
    assert found.verdict[0] == "differs" and found.p[0] < 0.02
    assert found.n_effective.tolist() == found.n.tolist()  # every patient has one sample


def test_a_margin_makes_small_differences_equivalent(found):
    assert found.attainable[4] and found.p_equivalent[4] < 0.05
    assert found.verdict[4] in ("equivalent within the margin", "differs")
    assert found.detectable.isna().tolist() == found.p.isna().tolist()


def test_all_modalities_are_compared_with_each_single_one_not_with_a_chosen_one():
    """The gain over the weaker modality is large; the p-value and the interval are those of the smallest gain."""
    strong = SCORE.copy()
    strong[2] = np.clip(SCORE[3] + 0.02 * np.sin(np.arange(N)), 0, 1)  # b alone is as good as all
    same = POWERSET.assign(score=(POWERSET.score.dims, strong))
    row = compare([DECLARED[0]], powerset=same).iloc[0]
    assert row.versus == "b" and abs(row.estimate) < 0.02 and row.verdict == "undecided" and row.p > 0.05
    assert compare([{**DECLARED[0], "versus": "a"}], powerset=same).verdict[0] == "differs"


def test_signed_differences_start_from_the_modality_with_the_best_validation_auroc():
    row = compare([{"question": "rq1", "metric": "tpr", **SEX}]).iloc[0]
    assert row.versus == strongest_single(POWERSET, COHORT) == "b" and row.subset == "a+b"


def test_a_loss_is_held_against_a_margin_that_grows_with_the_drop_rate():
    """Any drop lowers expected AUROC: without a margin there is nothing to test, with one only the size counts."""
    entries = [{"question": "rq2", "metric": "auroc", "rate": rate} for rate in (0.01, 0.3)]
    bare = compare(entries)
    assert set(bare.verdict) == {"not tested"} and "by construction" in bare.refused[0]
    wide, narrow = (compare(entries, margins={"auroc": m}) for m in (0.2, 0.001))
    assert wide.margin.tolist() == pytest.approx([0.02, 0.6]) == (-wide.null).tolist()
    assert set(wide.verdict) == {"equivalent within the margin"}
    assert narrow.verdict[1] == "differs" and narrow.high[1] < narrow.null[1]


def test_a_declared_difference_is_quoted_with_its_interval_and_others_are_described(found):
    full = fairness.evaluate_full_model(POWERSET, COHORT, WEIGHTS, GROUPS)
    rows = fairness.signed_differences(full, found).set_index(["metric", "attribute", "group"])
    own = found.iloc[4]
    assert tuple(rows.loc[("tpr", "sex", "f"), ["low", "high", "verdict"]]) == (own.low, own.high, own.verdict)
    assert rows.verdict["tpr", "race", "C"] == "not tested" and rows.verdict["tpr", "race", "B"] == "described"
    assert rows.verdict["fpr", "sex", "f"] == "described" and rows.primary["tpr", "sex", "f"]


def test_nothing_declared_is_an_empty_table_of_the_same_columns(found):
    empty = compare([])
    assert len(empty) == 0 and list(empty) == list(found)
    schema.RESULTS.validate(empty.assign(run="toy"))


@pytest.mark.parametrize(
    ("low", "high", "p", "margin", "verdict"),
    [
        (0.01, 0.09, 1e-4, np.nan, "differs"),
        (0.01, 0.09, 0.04, np.nan, "not after correction"),  # Holm doubles it
        (0.01, 0.09, 0.2, np.nan, "not after correction"),  # a permutation that disagrees makes it more cautious
        (-0.01, 0.11, 1e-4, np.nan, "undecided"),  # nor can it overrule the interval
        (-0.04, 0.02, 0.5, 0.05, "equivalent within the margin"),
        (-0.06, 0.02, 0.5, 0.05, "undecided"),
        (-0.06, 0.02, np.nan, 0.05, "not tested"),
        (np.nan, np.nan, 0.01, 0.05, "not tested"),
    ],
)
def test_the_verdict_is_read_off_the_interval_and_the_corrected_p_value(low, high, p, margin, verdict):
    estimate, se = (low + high) / 2, (high - low) / 3.92
    rows = {"metric": "tpr", "estimate": estimate, "low": low, "high": high, "p": p, "margin": margin, "n": 100}
    other = rows | {"estimate": 0, "low": -0.1, "high": 0.1, "p": 0.9, "margin": np.nan}
    table = pd.DataFrame([rows, other]).assign(se_patients=[se, 0.05], se_retrain=np.nan, null=0.0)
    assert declared.judge_declared(table).verdict[0] == verdict


def test_verdicts_agree_with_their_intervals_whatever_the_numbers():
    """Planted at random: no verdict that its printed interval contradicts."""
    rng = np.random.default_rng(1)
    middle, half = rng.normal(0, 0.05, 500), rng.uniform(0.01, 0.1, 500)
    rows = {"metric": "tpr", "estimate": middle, "low": middle - half, "high": middle + half, "null": 0.0, "n": 50}
    rows |= {"se_patients": half / 1.96, "se_retrain": np.nan, "margin": 0.06, "p": rng.uniform(0, 1, 500) ** 8}
    found = declared.judge_declared(pd.DataFrame(rows))
    excludes = (found.low > 0) | (found.high < 0)
    assert set(found.verdict) == set(declared.VERDICTS[:4])
    assert (found.verdict.isin(declared.VERDICTS[:2]) == excludes).all()
    assert (found.p_holm[found.verdict == "differs"] <= 0.05).all()
    within = found[found.verdict == "equivalent within the margin"]
    assert ((within.low > -0.06) & (within.high < 0.06)).all()


def test_an_undecided_comparison_says_how_many_patients_would_decide():
    rows = {"metric": "tpr", "estimate": 0.01, "low": -0.1, "high": 0.12, "p": 0.8, "n": 300}
    rows = pd.DataFrame(rows, index=[0, 1]).assign(se_patients=0.05, se_retrain=[0.0, 0.02], null=0.0, margin=0.05)
    found = declared.judge_declared(rows)
    needed = 0.05 / max(norm.isf(0.05 / 4) + norm.isf(0.2), norm.isf(0.025) + norm.isf(0.1))
    assert found.times[0] == pytest.approx((0.05 / needed) ** 2) and found.n_needed[0] == np.ceil(300 * found.times[0])
    assert np.isinf(found.times[1])  # retraining alone is too variable, which patients do not change
    assert declared.judge_declared(rows.assign(margin=np.nan)).times.isna().all()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"question": "rq3", "metric": "auroc"}, "question is one of rq1, rq2, gap"),
        ({"question": "rq1", "metric": "f1"}, "metric is 'f1'; expected one of auroc, tpr, fpr, selection_rate"),
        ({"question": "rq1", "metric": "auroc", "rate": 0.1}, "'rate' does not go with rq1"),
        ({"question": "rq2", "metric": "auroc"}, "rate is None; expected a drop rate"),
        ({"question": "gap", "metric": "tpr"}, "expected both attribute and group"),
        ({"question": "gap", "metric": "tpr"} | SEX | {"attribute": "age"}, "attribute 'age' has no reference"),
        ({"question": "gap", "metric": "tpr"} | SEX | {"group": "m"}, "group is 'm'; expected one of f"),
        ({"question": "rq1", "metric": "auroc", "versus": "c"}, "versus is 'c'; expected first or a subset"),
    ],
)
def test_what_cannot_be_understood_is_named(entry, message):
    with pytest.raises(ValueError, match=message):
        compare([DECLARED[0], entry])


def test_the_masked_rates_are_those_of_decisions_where_nothing_is_dropped():
    chosen = select(POWERSET.score.isel(subset=3), POWERSET.threshold.isel(subset=3, rule=0), COHORT.fold)
    unmasked = compare([{"question": "rq2", "metric": "selection_rate", **SEX, "rate": 1e-9}])
    assert unmasked.estimate[0] == pytest.approx(0, abs=1e-6) and chosen.shape == (2, N)


def test_one_modality_adds_nothing_to_itself():
    data = {"powerset": POWERSET.isel(subset=[0, 1]), "masking": MASKING.isel(pattern=[0, 1])}
    found = compare([DECLARED[0], DECLARED[3], DECLARED[4]], **data, margins={"auroc": 0.01})
    assert found.estimate[0] == 0 and found.verdict[0] == "not tested" and "nothing was added" in found.refused[0]
    assert found.subset[2] == "a" and found.rate[1] == 0.3


def test_samples_of_one_patient_count_as_fewer():
    twice = COHORT.assign(patient_id=(np.arange(N) // 2).astype(str))
    assert compare([DECLARED[0]], cohort=twice).n_effective[0] == N // 2
