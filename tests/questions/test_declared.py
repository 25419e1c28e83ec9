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
from mmlib.questions import declared

RNG = np.random.default_rng(0)
N, GROUPS = 400, Groups({"sex": "m", "race": "A"})
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
SCORE = np.clip(RNG.normal(0.3 + 0.15 * LABEL * np.arange(4)[:, None, None], 0.2, (4, 2, N)), 0, 1)
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
WEIGHTS = resample_patients(COHORT.patient_id, 1000)
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


def compare(entries, **options):
    return declared.compare_declared(
        entries, POWERSET, MASKING, COHORT, WEIGHTS, GROUPS, permutations=199, **options
    )


@pytest.fixture(scope="module")
def found():
    return compare(DECLARED, margins={"tpr": 0.5})


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
    assert found.versus.tolist()[:4] == ["best", "first", "0.0", "0.0"] and found.rate[2] == 0.3


def test_one_family_is_corrected_and_small_groups_stay_outside(found):
    assert found.primary.all() and found.verdict[5] == "not tested" and np.isnan(found.p[5])
    assert found.refused[5].startswith("C has ")
    tested = found.p.notna()
    assert tested.sum() == 6
    assert found.p_holm[tested].to_numpy() == pytest.approx(multipletests(found.p[tested], method="holm")[1])
    total = np.hypot(found.se_patients, found.se_retrain)[0]
    assert found.detectable[0] == pytest.approx((norm.isf(0.05 / 12) + norm.isf(0.2)) * total)
    assert found.verdict[0] == "differs" and found.p[0] < 0.02


def test_margins_give_an_equivalence_test_where_they_are_declared(found):
    assert found.margin.notna().tolist() == (found.metric == "tpr").tolist()
    assert found.attainable[4] and found.p_equivalent[4] < 0.05
    assert found.verdict[4] in ("no difference beyond the margin", "differs, by less than the margin")
    assert pd.isna(found.attainable[5])


def test_nothing_declared_is_an_empty_table_of_the_same_columns(found):
    empty = compare([])
    assert len(empty) == 0 and list(empty) == list(found)
    schema.RESULTS.validate(empty.assign(run="toy"))


def test_words_follow_the_corrected_p_value_and_the_margin():
    rows = pd.DataFrame({"metric": "auroc", "estimate": [0.02, 0.02, 0.0, 0.0], "p": [1e-4, 1e-4, 0.9, 0.9]})
    rows = rows.assign(se_patients=[0.004, 0.004, 0.004, 0.1], se_retrain=np.nan)
    words = declared.judge_declared(rows, {"auroc": 0.05}).verdict.tolist()
    same = ["no difference beyond the margin", "no clear difference"]
    assert words == ["differs, by less than the margin"] * 2 + same
    assert declared.judge_declared(rows, {}).verdict.tolist() == ["differs"] * 2 + ["no clear difference"] * 2


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
        ({"question": "rq1", "metric": "auroc", "versus": "c"}, "versus is 'c'; expected best, first or a subset"),
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
    data = POWERSET.isel(subset=[0, 1]), MASKING.isel(pattern=[0, 1])
    entries = [DECLARED[0], DECLARED[3], DECLARED[4]]
    found = declared.compare_declared(entries, *data, COHORT, WEIGHTS, GROUPS, permutations=99)
    assert found.estimate[0] == 0 and found.p[0] == 1 and found.verdict[0] == "no clear difference"
    assert found.subset[2] == "a" and found.rate[1] == 0.3
