import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.questions.claims import TOPICS
from mmlib.questions.declared import judge_declared
from mmlib.show import claims as show

plt.switch_backend("agg")
BASE = {"estimate": 0.1, "low": 0.0, "high": 0.2, "attribute": "sex", "group": "f", "reference": "m", "n": 1500}
BASE |= {"n_positive": 40, "metric": "tpr"}
DECLARED = pd.DataFrame([BASE] * 2).assign(question=["gap", "rq2"], versus=None, rate=[np.nan, 0.2])
DECLARED = DECLARED.assign(refused=["", "few"], p=[0.001, np.nan], se_patients=0.02, se_retrain=np.nan)
DECLARED = judge_declared(DECLARED, {"tpr": 0.01})
CLAIMS = pd.DataFrame([BASE] * 2).assign(title="Cohort", pair="f minus m", by="paper", note="from 1 to 2", refused="")
CLAIMS = CLAIMS.assign(claim=["a", "b"], topic=["moves", "moves"], threshold=0.0, detectable=0.05, p_holm=0.0001)
CLAIMS = CLAIMS.assign(verdict=["supported", "too small to tell"])
FEW = {"verdict": "not tested", "refused": "f has fewer than 30 positives", "detectable": np.nan}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def html(styler):
    return styler.to_html().replace("\u00a0", " ")


def test_declared_differences_are_drawn_over_what_could_be_detected():
    ax = show.declared_differences(DECLARED)
    ax.figure.canvas.draw()
    assert ax.get_title(loc="left") == "1 of 1 declared comparisons is significant after Holm"
    significant, refused = (c.lines[0] for c in ax.containers)
    assert significant.get_markerfacecolor() != "white" and refused.get_markerfacecolor() == "white"
    first, second = (t.get_text() for t in ax.get_yticklabels())
    assert first == "TPR, f minus m: at the full model\nn=1,500, 40 positive"
    assert second.startswith("TPR, f minus m: expected change at drop rate 0.2")
    same = judge_declared(DECLARED.assign(p=[0.5, 0.5], refused=""), {})
    title = show.declared_differences(same).get_title(loc="left")
    assert title == "None of 2 declared comparisons are significant after Holm"
    untested = show.declared_differences(DECLARED.iloc[1:])
    assert untested.get_title(loc="left") == "No declared comparison has enough positives to be tested"


def test_nothing_declared_is_said():
    assert show.declared_differences(DECLARED[:0]).texts[0].get_text() == "This run declares no comparison."
    assert "This run declares no comparison." in html(show.declared_table(DECLARED[:0]))


def test_the_table_of_declared_comparisons_shows_margins_and_p_values():
    text = html(show.declared_table(DECLARED))
    for shown in ("0.01, not attainable", "+0.10 [+0.00, +0.20]", ">0.001<", ">1,500<", ">differs<", ">not tested<"):
        assert shown in text
    rq1 = DECLARED.assign(question="rq1", versus=["best", "labs+vitals"], metric="auroc", group="all")
    text = html(show.declared_table(rq1))
    assert "AUROC: all modalities vs. best single modality" in text and "vs. labs + vitals" in text
    assert "+0.100 [+0.000, +0.200]" in text


def test_claims_are_drawn_in_detectable_differences():
    ax = show.forest(CLAIMS)
    assert ax.figure.get_suptitle() == "Of 2 claims 1 are supported; for 1 the cohorts are too small to tell"
    points = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [p.get_xdata()[0] for p in points] == pytest.approx([2, 2])
    assert points[0].get_markerfacecolor() != "white" and points[1].get_markerfacecolor() == "white"
    nothing = show.forest(CLAIMS.assign(**FEW))
    assert nothing.texts[0].get_text() == "No claim could be tested."


def test_no_number_of_a_claim_that_was_not_tested_is_shown():
    small = {"estimate": -0.0002, "low": -0.0003, "high": -0.0001, "metric": "auroc", "pair": ""}
    rows = [CLAIMS, CLAIMS.iloc[:1].assign(**FEW), CLAIMS.iloc[:1].assign(**small)]
    shown = show.claims_table(pd.concat(rows, ignore_index=True)).data
    refused, loss = shown.iloc[2], shown.iloc[3]
    assert refused.verdict == "not tested: f has fewer than 30 positives"
    assert (refused["estimate [95 %]"], refused.n, refused.positives, refused.note) == ("-", "-", "-", "")
    assert shown.verdict[1] == "too small to tell (detectable: 0.05)" and shown.n[0] == "1,500"
    assert loss["estimate [95 %]"] == "-0.0002\u00a0[-0.0003,\u00a0-0.0001]" and loss.claim == "a"
    assert shown.claim[0] == "a, f minus m" and "< 0.001" in html(show.claims_table(CLAIMS))


def test_the_answer_counts_every_topic_that_was_asked():
    topics = list(TOPICS)
    every = pd.concat([CLAIMS.assign(topic=topic) for topic in topics], ignore_index=True)
    told = show.claims_in_short(every, ["SUPPORT2", "NHANES"]).data
    assert told.startswith("**In short.** Cohorts: SUPPORT2 and NHANES. That every single addition raises AUROC is")
    assert told.count("1 of 2 cases") == len(topics) and set(show.ANSWERS) == set(topics)
    assert told.endswith(f"For {len(topics)} of {2 * len(topics)} claims the cohorts are too small to tell.")


def test_the_answer_leaves_out_what_was_not_asked():
    rows = pd.concat([CLAIMS, CLAIMS.iloc[:1].assign(**FEW)], ignore_index=True)
    told = show.claims_in_short(rows, ["SUPPORT2"]).data
    assert told == (
        "**In short.** Cohorts: SUPPORT2. That adding modalities moves the difference in true positive rate is "
        "supported in 1 of 2 cases. For 1 of 2 claims the cohorts are too small to tell. 1 more was not tested, for "
        "lack of positives or of a standard error."
    )
    told = show.claims_in_short(CLAIMS.assign(**FEW), ["SUPPORT2"]).data
    assert "For 0 of 0 claims" not in told and told.endswith("No claim could be tested.")
