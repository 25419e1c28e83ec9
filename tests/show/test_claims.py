import numpy as np
import pandas as pd

from mmlib.questions.claims import collect_claims
from mmlib.questions.declared import judge_declared
from mmlib.show import claims as show
from tests.show.titles import title

BASE = {"estimate": 0.1, "low": 0.06, "high": 0.14, "attribute": "sex", "group": "f", "reference": "m", "n": 1500}
BASE |= {"n_positive": 40, "metric": "tpr", "n_effective": 1500.0, "se_patients": 0.02, "se_retrain": np.nan}
BASE |= {"question": "gap", "versus": None, "subset": "a+b", "rate": np.nan, "each": False, "null": 0.0}
BASE |= {"margin": 0.05, "refused": "", "p": 0.001}
WIDE = {"low": -0.02, "high": 0.22, "p": 0.1, "se_patients": 0.06}
FEW = {"question": "rq2", "rate": 0.2, "p": np.nan, "low": np.nan, "high": np.nan}
FEW |= {"refused": "f: 2 of 55 positives found, exact 95 % interval 0.00 to 0.13"}
DECLARED = judge_declared(pd.DataFrame([BASE, BASE | WIDE, BASE | FEW]))
RUNS = {"one": {"title": "SUPPORT2", "kind": "health"}, "two": {"title": "Clothing", "kind": "other"}}
CLAIMS = collect_claims({"one": DECLARED, "two": DECLARED}, RUNS)


def html(styler):
    return styler.to_html().replace("\u00a0", " ")


def changed(**columns):
    return judge_declared(pd.DataFrame([BASE | columns])).iloc[:1]


def words(**columns):
    return show.verdict_in_words(next(changed(**columns).itertuples()))


def test_declared_differences_are_marked_by_their_verdict():
    axes = show.declared_differences(DECLARED)
    assert title(axes) == "1 of 2 tested comparisons differs after Holm"
    significant, undecided = (c.lines[0] for c in axes[0].containers)
    assert significant.get_markerfacecolor() != "white" and undecided.get_markerfacecolor() == "white"
    assert "not tested" in [t.get_text() for t in axes[0].texts]
    labels = [t.get_text() for t in axes[0].get_yticklabels()]
    assert labels[0] == "TPR, f minus m: with all modalities\nn=1,500, 40 positive"
    assert labels[2].startswith("TPR, f minus m: expected change at drop rate 0.2\n")
    assert title(show.declared_differences(DECLARED[1:])) == "None of 1 tested comparisons differ after Holm"
    assert title(show.declared_differences(DECLARED[2:])) == "No declared comparison could be tested"


def test_auroc_and_rates_have_scales_of_their_own():
    area = changed(metric="auroc", question="rq1", group="all", reference=None, versus="labs", each=True)
    axes = show.declared_differences(pd.concat([DECLARED, area], ignore_index=True))
    assert [ax.get_xlabel() for ax in axes] == ["difference in AUROC", "difference in rates"]


def test_nothing_declared_is_said():
    assert show.declared_differences(DECLARED[:0])[0].texts[0].get_text() == "This run declares no comparison."
    assert "This run declares no comparison." in html(show.declared_table(DECLARED[:0]))


def test_the_table_of_declared_comparisons_shows_what_would_decide():
    text = html(show.declared_table(DECLARED, "customers"))
    for shown in ("0.05, below 2.9 SE", "+0.10 [+0.06, +0.14]", ">0.001<", ">1,500<", ">differs<", "SE customers"):
        assert shown in text
    assert "not tested (f: 2 of 55 positives found, exact 95 % interval 0.00 to 0.13)" in text
    assert "times as many customers would decide (n=" in text and "effective n" not in text
    assert ">750<" in html(show.declared_table(DECLARED.assign(n_effective=750.0)))


def test_verdicts_are_said_with_their_reason():
    assert words(p=1e-9, low=0.01, high=0.04, estimate=0.025) == "differs (by less than the margin)"
    assert words() == "differs"
    detectable = "undecided (a difference of 0.17 could be detected; "
    assert words(**WIDE) == f"{detectable}15 times as many patients would decide (n=23,000 in this group))"
    assert "no margin was declared" in words(**WIDE, margin=np.nan)
    assert "more patients would not decide" in words(**WIDE, se_retrain=0.05)
    assert "this one lies between" in words(low=-0.001, high=0.06, p=0.07, estimate=0.03, se_patients=0.015)
    loss = {"question": "rq2", "metric": "auroc", "group": "all", "reference": None, "rate": 0.2, "null": -0.01}
    loss |= {"margin": 0.01, "estimate": -0.012, "low": -0.016, "high": -0.008, "se_patients": 0.002, "p": 0.3}
    row = next(changed(**loss).itertuples())
    told = show.declared_sentence(row).replace("\u00a0", " ")
    assert told.startswith("AUROC: expected change at drop rate 0.2, against a margin of 0.01: -0.012 [-0.016, -0.008]")
    assert "a loss of 0.016 could be detected" in told


def test_rounding_does_not_hide_that_an_interval_excludes_0():
    row = next(changed(estimate=0.06, low=0.0012, high=0.112, p=0.5).itertuples())
    told = show.declared_sentence(row).replace("\u00a0", " ")
    assert told == "TPR, f minus m: with all modalities: +0.060 [+0.001, +0.112], not after correction"


def test_names_say_what_is_compared():
    gain = {"question": "rq1", "metric": "auroc", "group": "all", "reference": None, "versus": "labs", "each": True}
    row = next(changed(**gain).itertuples())
    assert show.declared_name(row) == "AUROC: all modalities minus each single one (smallest gain: over labs)"
    row = next(changed(question="rq1", versus="labs+vitals").itertuples())
    assert show.declared_name(row) == "TPR, f minus m: all modalities minus labs + vitals"
