from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmlib.core.schema import OUTCOMES, Cohort, Field
from mmlib.measure.groups import Groups
from mmlib.questions import audit
from mmlib.show import cohort as show
from tests.show.titles import title

GROUPS = Groups({"sex": "m", "old": "no"}, {}, {"sex+old": "m, no"})
SAMPLES = pd.DataFrame({"label": [1, 0, 0, 1, 1, 0] * 20, "sex": ["f", "f", "f", "m", "m", "m"] * 20, "old": "no"})
SAMPLES.loc[:11, "old"] = "yes"
RECORDED = pd.DataFrame({"lab_tests": [True, True, False, False, False, True] * 20, "age": True})
SIZES = audit.group_sizes(SAMPLES, GROUPS)
LABS = Field("labs", "alb", "serum albumin, a protein that the liver makes and the kidneys should keep")
VERDICTS = pd.DataFrame(
    {
        "field": [f"labs.{i}" for i in range(6)],
        "label": "a field",
        "verdict": ["fine"] * 2 + ["unresolved", "leak"] + ["fine"] * 2,
        "reason": "why",
        "source": "",
        "n_absent": 1000,
        "rate_present": 0.5,
        "rate_absent": [np.nan, *[0.25] * 5],
    }
)
FOUND = pd.DataFrame({"metric": "presence_auroc", "field": VERDICTS.field, "estimate": [0.5, 0.6, 0.3, 0.9, 0.5, 0.5]})
FOUND = FOUND.assign(low=FOUND.estimate - 0.15, high=FOUND.estimate + 0.15)
LACKING = pd.DataFrame({"field": "labs.alb", "group": ["f", "x"], "reference": "m", "n_positive": [40, 5]})
LACKING = LACKING.assign(n=1234, estimate=0.1, low=0.05, high=0.2)


def cohort_of(values, fields=(LABS,), **about):
    return Cohort("c", "death in hospital", SAMPLES, values, fields, ("sex",), **about)


def plain(styler):
    assert styler.hide_index_ == [True]
    return styler.to_html().replace("\u00a0", " ")


def test_the_title_counts_groups_too_small_to_test_and_bars_leave_out_crossed_ones():
    axes = show.group_bars(SIZES, "death in hospital")
    assert title(axes) == "Death in hospital: 2 of 4 groups have fewer than 30 positives"
    shown = [t.get_text() for t in axes[0].get_yticklabels()]
    assert shown == ["all samples", "f", "m", "no", "yes"]
    large = SIZES.assign(n_positive=40)
    assert title(show.group_bars(large, "outcome")) == "Outcome: no group has fewer than 30 positives"


def test_the_rarest_field_is_named():
    other = Field("labs", "crp", "C-reactive protein")
    half = pd.DataFrame({"labs.alb": 1.0, "labs.crp": np.where(np.arange(120) < 30, 1.0, np.nan)})
    both = show.field_bars(cohort_of(half, (LABS, other)))
    assert title(both) == "2 fields; rarest: C-reactive protein (25% recorded)"
    assert title(show.field_bars(cohort_of(half[["labs.alb"]]))) == "Every field is always recorded"


def test_the_modality_that_is_missing_most_is_named():
    shares = audit.presence_shares(RECORDED, SAMPLES, GROUPS.single())
    assert title(show.presence_dots(shares)) == "Lab tests is missing most often: 50.0% of samples lack it"
    complete = show.presence_dots(audit.presence_shares(RECORDED[["age"]], SAMPLES, GROUPS.single()))
    assert title(complete) == "Every sample has every modality" and len(complete[0].texts) == 1


def test_the_title_of_the_audit_counts_verdicts_unless_another_is_given():
    counted = "1 documented leaks, 1 unresolved, 0 informative by presence, 0 not judged, 4 fine"
    assert title(show.audit_dots(FOUND, VERDICTS)) == counted
    assert title(show.audit_dots(FOUND, VERDICTS, title="t")) == "t"
    nothing = show.audit_dots(FOUND[:0], VERDICTS)
    assert all("nothing varies enough to judge" in ax.texts[0].get_text() for ax in nothing)


def test_counts_are_those_of_crossed_groups_if_there_are_any():
    assert "f, no" in plain(show.count_table(SIZES)) and ">old<" not in plain(show.count_table(SIZES))
    single = plain(show.count_table(audit.group_sizes(SAMPLES, GROUPS.single())))
    assert ">old<" in single and "50.0% [41.2%, 58.8%]" in single


def test_tables_of_presence_and_of_what_was_left_out_count_with_separators():
    assert "1,200" in plain(show.left_out_table({"babies, left out": 1200}, 6))
    shares = plain(show.presence_table(audit.presence_shares(RECORDED, SAMPLES, GROUPS.single()), "sex"))
    assert "66.7% [" in shares and "all samples" in shares and "lab tests" in shares


def test_the_worst_verdicts_come_first():
    html = plain(show.verdict_table(VERDICTS))
    assert html.index(">leak<") < html.index(">unresolved<") < html.index("4 others") and ">1,000<" in html


def test_only_clear_differences_of_large_groups_are_tabulated():
    html = plain(show.lacking_table(LACKING))
    assert "f minus m" in html and "x minus m" not in html and "+10.0% [+5.0%, +20.0%]" in html and "1,234" in html
    assert "no clear difference" in plain(show.lacking_table(LACKING.assign(low=-0.1)))


def test_the_answer_counts_and_names_the_presence_that_predicts_most():
    text = show.cohort_in_short(cohort_of(pd.DataFrame({"labs.alb": SAMPLES.label})), SIZES, FOUND, VERDICTS).data
    assert "120 samples, 50.0% positive. 5 of 8 groups, crossed ones included, have fewer than 30 positives" in text
    assert "6 fields and modalities: leak 1, unresolved 1, informative presence 0, not judged 0, fine 4." in text
    assert "where `labs.3` is recorded, 50.0% are positive, elsewhere 25.0%." in text


@pytest.mark.parametrize("found", [FOUND[:2], FOUND[:0]])
def test_the_answer_names_no_field_whose_interval_holds_one_half(found):
    data = cohort_of(pd.DataFrame({"labs.alb": SAMPLES.label}), caution="Read this first.")
    sizes = audit.group_sizes(SAMPLES, Groups({"sex": "m"}))
    text = show.cohort_in_short(data, sizes, found, VERDICTS).data
    assert text.startswith("Read this first.\n\n**In short.**") and "1 of 2 groups have" in text
    assert text.endswith("No field's presence clearly predicts the label.")


def test_outcomes_of_files_are_tabulated_where_there_are_files():
    became = pd.DataFrame({"cxr.picture": ["no file", "unreadable", "measured in full"] * 40})
    data = cohort_of(pd.DataFrame(index=SAMPLES.index), ())
    assert show.outcome_table(audit.outcome_shares(data, SAMPLES, GROUPS.single())) is None
    shares = audit.outcome_shares(replace(data, outcomes=became), SAMPLES, GROUPS.single())
    table = show.outcome_table(shares).data
    assert list(table.columns) == ["field", "attribute", "group", "n", *OUTCOMES]
    assert table.group.tolist() == ["all samples", "f", "m", "no", "yes"]
    assert table["measured in full"].tolist() == [1 / 3] * 5 and table.refused.sum() == 0


def test_a_run_of_few_samples_says_so_with_its_numbers():
    few = SAMPLES.assign(patient_id=range(120))
    text = show.size_caution(few, sample_word="stay").data
    assert "Of 120 stays of 120 patients, 60 are positive and 60 negative." in text and "among 60" in text
    assert "about ± 0.13," in text  # 1.96 * sqrt(0.25 / 60)
    assert "Of 120 patients, 60" in show.size_caution(few, sample_word="patient").data
    many = pd.concat([few] * 4)
    assert show.size_caution(many).data == "" != show.size_caution(many[many.label.eq(1) | many.sex.eq("m")]).data
