import numpy as np
import pandas as pd
import pytest

from mmlib.questions.claims import MOST, collect_claims
from mmlib.questions.declared import judge_declared

HEALTH, OTHER, TWIN = ({"title": kind.title(), "kind": kind} for kind in ("health", "other", "synthetic"))


def declared(*, gain=0.08, race="Black"):
    """What chapter 5 of a run writes: gain over each single modality, loss at a drop rate, and differences by race."""
    rows = [
        ("rq1", "auroc", "all", None, gain, 0.01, 1e-6, True, 0.0, 0.005),
        ("rq1", "tpr", race, "White", 0.02, 0.04, 0.6, False, 0.0, 0.05),
        ("rq2", "auroc", "all", None, -0.02, 0.001, 1e-6, False, -0.01, 0.01),
        ("rq2", "tpr", race, "White", 0.001, 0.004, 0.8, False, 0.0, 0.05),
        ("gap", "tpr", race, "White", -0.13, 0.05, 0.025, False, 0.0, 0.05),
        ("gap", "tpr", "Other", "White", -0.2, 0.05, np.nan, False, 0.0, 0.05),
    ]
    columns = ["question", "metric", "group", "reference", "estimate", "se_patients", "p", "each", "null", "margin"]
    table = pd.DataFrame(rows, columns=columns).assign(se_retrain=np.nan, attribute="race", n=900, n_positive=300)
    low, high = (table.estimate + side * 1.96 * table.se_patients for side in (-1, 1))
    table = table.assign(low=low, high=high, rate=0.2, refused="", versus="labs", subset="labs+age")
    return judge_declared(table)


def collect(**runs):
    return collect_claims({run: declared() for run in runs}, runs)


def test_every_verdict_is_the_one_that_its_run_gave():
    own = {"one": declared(), "two": declared(gain=0.001, race="Asian")}
    found = collect_claims(own, {"one": HEALTH, "two": HEALTH})
    assert len(found) == 12
    for run, table in own.items():
        quoted = found[found.run == run].reset_index(drop=True)
        for column in ("verdict", "estimate", "low", "high", "p_holm"):
            pd.testing.assert_series_equal(quoted[column], table[column])


def test_one_contrast_has_one_verdict_though_its_test_alone_would_reject():
    """Black minus White, -.13 with p = .025: significant alone, not after Holm, and so on every page."""
    table = declared()
    row = table[(table.question == "gap") & (table.group == "Black")].iloc[0]
    assert row.p < 0.05 < row.p_holm and row.high < 0 and row.verdict == "not after correction"
    found = collect(one=HEALTH)
    assert found.verdict[found.question.eq("gap") & found.group.eq("Black")].tolist() == [row.verdict]


def test_claims_are_few_and_nothing_true_by_construction_is_one():
    found = collect(one=HEALTH)
    assert list(found.claim.unique()) == [
        "All modalities have a higher AUROC than each single one",
        "Adding modalities changes the difference in TPR",
        "Drop rate 0.2 costs more AUROC than the margin",
        "Drop rate 0.2 changes the expected difference in TPR",
        "With all modalities, TPR differs between groups",
    ]
    assert not found.claim.str.contains("lowers").any()
    loss = declared().iloc[[3]]
    many = pd.concat([loss.assign(rate=rate) for rate in np.linspace(0.1, 0.9, 2 * MOST)], ignore_index=True)
    assert collect_claims({"one": many}, {"one": HEALTH}).claim.nunique() == MOST


def test_runs_that_declare_nothing_have_no_rows():
    assert collect_claims({"one": declared().iloc[:0]}, {"one": HEALTH}).empty
    both = collect_claims({"one": declared(), "two": declared().iloc[:0]}, {"one": HEALTH, "two": HEALTH})
    assert set(both.run) == {"one"}


def test_what_cannot_be_collected_is_named():
    with pytest.raises(ValueError, match="runs is empty"):
        collect_claims({}, {})
    with pytest.raises(ValueError, match="runs: one is 'One'; expected a title and a kind, one of health, other"):
        collect_claims({"one": declared()}, {"one": "One"})
    with pytest.raises(ValueError, match=r"^declared of run 'one' has no column null; execute its chapter 5 again"):
        collect_claims({"one": declared().drop(columns="null")}, {"one": HEALTH})
