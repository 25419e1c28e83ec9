import numpy as np
import pandas as pd
import pytest

from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.show import fairness as show
from tests.show.titles import title


def differences(*, attribute="sex", reference="m", metrics=("tpr", "fpr", "auroc"), low=0.0):
    about = {"estimate": 0.1, "low": low, "high": 0.2, "reference": reference, "attribute": attribute, "n": 50}
    rows = [about | {"metric": m, "group": g, "n_positive": p} for m in metrics for g, p in (("f", 30), ("x", 5))]
    return pd.DataFrame(rows).assign(verdict="described", small=lambda rows: rows.n_positive < 30)


def planted(*verdicts):
    """Differences in true positive rate of groups g0, g1 ..., with these verdicts."""
    rows = differences(metrics=["tpr"]).iloc[[0] * len(verdicts)].reset_index(drop=True)
    rows = rows.assign(verdict=verdicts, detectable=0.123, group=[f"g{i}" for i in range(len(verdicts))])
    return rows.assign(question="gap", p=0.01, low=0.02, null=0.0, margin=0.05, times=2.0, n_needed=100.0, refused="")


def judged(*verdicts):
    """What was declared: these differences, or nothing."""
    return planted(*verdicts) if verdicts else planted("differs").iloc[:0]


def evaluation(tprs, key, labels, contrasts):
    """TPR and selection rate of women and men, without noise but for the third resample."""
    tprs = np.array([tprs] * 30, float)  # resamples, labels, groups
    tprs[1::2] += np.array([0, 0.001, -0.001])
    values = {("tpr", "sex"): tprs, ("selection_rate", "sex"): tprs}
    sizes = {"sex": (["all", "f", "m"], np.array([100, 60, 40]), np.array([50, 30, 20]))}
    groups = Groups({"sex": "m"}, contrasts)
    return Evaluation(values, {k: v[:1] for k, v in values.items()}, key, labels, groups, sizes)


SWEPT = [[[0.2, 0.2, 0.2], [0.6, 0.5, 0.7]], "selected", [0.2, 0.6]]
FULL = evaluation([[0.3, 0.3, 0.3]], "subset", ["a+b"], {})
GAPS = pd.DataFrame({"attribute": "age_group", "metric": ["fpr", "tpr"], "gap": [0.3, 0.2], "null": 0.1})
GAPS = GAPS.assign(fairlearn=[0.25, np.nan])
LEVELS = pd.DataFrame({"attribute": "age_group", "group": ["20-39", "80+"], "n": [1500, 100], "n_positive": [55, 12]})
LEVELS = LEVELS.assign(events=[2.0, 4.5], estimate=[2 / 55, 4.5 / 12], low=[0.004, 0.12], high=[0.125, 0.69])
LEVELS = LEVELS.assign(overall=0.46, few=True, below=[True, False])


def test_differences_are_drawn_where_they_are_and_small_groups_are_hollow():
    crossed = differences(attribute="race+sex", reference="White, m")
    rows = differences()
    rows.loc[0, "verdict"] = "differs"
    axes = show.signed_contrasts(pd.concat([rows, crossed]), judged("differs", "undecided"))
    large, small = (c.lines[0] for c in axes.flat[0].containers)
    assert large.get_xdata() == [0.1] and large.get_markerfacecolor() != "white"
    assert small.get_markerfacecolor() == "white"
    assert (large.get_marker(), small.get_marker()) == ("D", "o")  # declared, and described
    assert len(axes[1, 0].get_yticklabels()) == 2  # crossed groups are in their table
    assert [ax.axison for ax in axes.flat] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("verdicts", "finding"),
    [
        (
            ("differs", "not after correction", "undecided"),
            "1 of 3 declared TPR differences holds after Holm, 1 more only before it",
        ),
        (("not after correction",), "No declared TPR difference holds after Holm, 1 of 1 only before it"),
        (("undecided",), "No clear TPR difference: 1 declared, none differs"),
        ((), "No TPR difference was declared: all are described, not tested"),
    ],
)
def test_the_title_is_the_finding(verdicts, finding):
    assert title(show.signed_contrasts(differences(), judged(*verdicts))) == finding


def test_an_attribute_without_a_second_group_is_said_to_have_none():
    axes = show.signed_contrasts(differences().iloc[:0], judged())
    assert axes[0].texts[0].get_text() == "No attribute has a second group."


def test_a_sweep_draws_every_contrast_and_names_where_it_is_clear():
    axes = show.threshold_sweep(evaluation(*SWEPT, {"sex": "f"}), FULL)
    assert title(axes) == "95 % interval of the TPR difference excludes 0 at this share of thresholds: f 50 %"
    line, _, chosen = axes[0].lines
    assert line.get_xdata().tolist() == [0.2, 0.6] and line.get_ydata() == pytest.approx([0, -0.2])
    assert chosen.get_xdata() == [0.3, 0.3]
    assert line.get_label() == "f minus m (n=60, 30 positive)"
    same = evaluation([[0.2, 0.2, 0.2]] * 2, "selected", [0.2, 0.6], {"sex": "f"})
    assert title(show.threshold_sweep(same, FULL)) == "No clear TPR difference at any threshold"


def test_a_sweep_without_contrasts_says_so():
    axes = show.threshold_sweep(evaluation(*SWEPT, {}), FULL)
    assert axes[0].texts[0].get_text() == "No group is named as a contrast."


def html(styler):
    return styler.to_html().replace("\u00a0", " ")


DESCRIBED = pd.DataFrame({c: [0.5, 0.25] for c in show.PERFORMANCE} | {"n": [1234, 9], "n_positive": [600, 4]})
DESCRIBED = DESCRIBED.assign(attribute=["", "age_group"], group=["all", "old"], n_effective=[1234.0, 9.0])
WORST = planted("described").assign(overall=0.5, metric="auroc", low=0.0)


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        (lambda: show.performance_table(DESCRIBED), [">overall<", ">age group<", ">1,234<", ">0.50<", ">0.500<"]),
        (lambda: show.performance_table(DESCRIBED.assign(n_effective=617.0)), [">effective n<", ">617<"]),
        (lambda: show.detectable_table(planted("undecided")), ["g0 minus m", "[+0.02, +0.20]", ">undecided<"]),
        (lambda: show.detectable_table(judged()), ["No group and its reference have 10 positives found and 10 missed"]),
        (lambda: show.small_table(LEVELS), [">20-39<", ">2<", "0.04 [0.00, 0.12]", ">few events; below<", ">4.5<"]),
        (lambda: show.small_table(LEVELS[:0]), ["Every group has enough events"]),
        (
            lambda: show.crossed_table(differences(attribute="race+sex", reference="White, m")),
            ["f minus White, m", "true positive rate [95 %]", "+0.10 [+0.00, +0.20]"],
        ),
        (lambda: show.crossed_table(differences(attribute="race+sex", low=np.nan)), [">-<"]),
        (lambda: show.crossed_table(differences()), ["No attributes are crossed in this run."]),
        (lambda: show.worst_table(WORST), ["AUROC", ">g0<", "0.100 [0.000, 0.200]", ">0.500<"]),
        (lambda: show.worst_table(pd.DataFrame()), ["No attribute has two groups with 30 positives or more."]),
        (lambda: show.gap_table(GAPS), [">0.25<", ">-<", "age group", "mean under shuffled labels"]),
    ],
)
def test_tables_hold_their_numbers_and_empty_ones_a_sentence(table, shown):
    styler = table()
    assert styler.hide_index_ == [True]
    for text in shown:
        assert text in html(styler)


def in_short(*verdicts, lowest=LEVELS[:1], small=LEVELS, gaps=GAPS, rule="prevalence", resamples=1000, **changed):
    own = judged(*verdicts).assign(**changed)
    rows = planted("described", "described")
    told = show.fairness_in_short(rows, lowest, small, gaps, own, rule=rule, resamples=resamples)
    return told.data.replace("\u00a0", " ")


def test_the_answer_counts_the_group_whose_positives_are_missed_then_quotes_the_verdicts():
    assert in_short("not after correction", "undecided") == (
        "**In short.** Of groups with 30 positives or more, *20-39* has the lowest true positive rate: the model "
        "finds 2 of 55 positives (4 %; exact 95 % interval 0 % to 12 %), against 46 % overall. No declared TPR "
        "difference holds after Holm, 1 of 2 only before it (matched selection). TPR, g0 minus m: with all "
        "modalities: +0.10 [+0.02, +0.20], not after correction. TPR, g1 minus "
        "m: with all modalities: +0.10 [+0.02, +0.20], undecided (a difference of 0.12 could be detected; 2.0 times as "
        "many patients would decide (n=100 in this group)). Other groups with too few events for a test: 80+ (4.5 of "
        "12 found, exact interval 0.12 to 0.69). The paper's max-min gap in true positive rate by age group is 0.20; "
        "shuffled group labels give 0.10 on average. Of all 2 comparisons that were declared and tested, 0 differ "
        "after Holm."
    )


def test_the_answer_says_no_more_than_the_numbers():
    nothing = in_short(gaps=GAPS.assign(gap=np.nan), lowest=LEVELS[:0], small=LEVELS[:0], rule="f1")
    assert nothing == (
        "**In short.** No TPR difference was declared: all are described, not tested. The largest "
        "is g0 minus m: +0.10 [+0.02, +0.20] (F1-maximal)."
    )
    few = in_short("not tested", p=np.nan, refused="g0: 2 of 9 found")
    assert "No declared TPR difference has enough events to be tested" in few
    assert "not tested (g0: 2 of 9 found)" in few and "comparisons that were declared" not in few
    assert "With 40 resamples no change can be significant in a family of 2." not in in_short("differs", "differs")
    told = in_short("differs", "differs", resamples=40)
    assert told.endswith("(With 40 resamples no change can be significant in a family of 2.)")


def test_a_lowest_group_that_is_not_clearly_low_is_said_to_be_so():
    told = in_short("differs", lowest=LEVELS[:1].assign(below=False, high=0.6), small=LEVELS[:0])
    assert "(4 %; exact 95 % interval 0 % to 60 %), against 46 % overall, which the interval includes." in told
