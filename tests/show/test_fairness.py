import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.show import fairness as show

plt.switch_backend("agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def differences(*, attribute="sex", reference="m", metrics=("tpr", "fpr", "auroc"), low=0.0):
    about = {"estimate": 0.1, "low": low, "high": 0.2, "reference": reference, "attribute": attribute, "n": 50}
    rows = [about | {"metric": m, "group": g, "n_positive": p} for m in metrics for g, p in (("f", 30), ("x", 5))]
    return pd.DataFrame(rows)


def planted(*clear):
    rows = differences(metrics=["tpr"]).iloc[[0] * len(clear)].reset_index(drop=True)
    return rows.assign(clear=clear, detectable=0.123, group=[f"g{i}" for i in range(len(clear))])


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
JUDGED = pd.DataFrame({"p": [0.001, 0.5, np.nan], "p_holm": [0.002, 0.5, np.nan]})


def title(axes):
    first = np.atleast_1d(axes).ravel()[0]
    first.figure.canvas.draw()
    return first.figure.get_suptitle() or first.get_title(loc="left")


def test_differences_are_drawn_where_they_are_and_small_groups_are_hollow():
    crossed = differences(attribute="race+sex", reference="White, m")
    axes = show.signed_contrasts(pd.concat([differences(), crossed]), planted(1, 0))
    large, small = (c.lines[0] for c in axes.flat[0].containers)
    assert large.get_xdata() == [0.1] and large.get_markerfacecolor() != "white"
    assert small.get_markerfacecolor() == "white"
    assert len(axes[1, 0].get_yticklabels()) == 2  # crossed groups are in their table
    assert [ax.axison for ax in axes.flat] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("clear", "finding"),
    [
        ((1, -1, 0), "The true positive rate differs clearly in 2 of 3 tested groups"),
        ((0,), "No clear difference in true positive rate in 1 tested group"),
        ((0, 0), "No clear difference in true positive rate in 2 tested groups"),
        ((), "No group is large enough to test its true positive rate"),
    ],
)
def test_the_title_is_the_finding(clear, finding):
    assert title(show.signed_contrasts(differences(), planted(*clear))) == finding


def test_an_attribute_without_a_second_group_is_said_to_have_none():
    axes = show.signed_contrasts(differences().iloc[:0], planted())
    assert axes[0].texts[0].get_text() == "No attribute has a second group."


def test_a_sweep_draws_every_contrast_and_names_where_it_is_clear():
    axes = show.threshold_sweep(evaluation(*SWEPT, {"sex": "f"}), FULL)
    assert title(axes) == "TPR differs clearly at this share of thresholds: f 50 %"
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
DESCRIBED = DESCRIBED.assign(attribute=["", "age_group"], group=["all", "old"])
WORST = planted(0).assign(overall=0.5, metric="auroc")


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        (lambda: show.performance_table(DESCRIBED), [">overall<", ">age group<", ">1,234<", ">0.50<", ">0.500<"]),
        (lambda: show.detectable_table(planted(1)), ["g0 minus m", "+0.10 [+0.00, +0.20]", ">0.12<"]),
        (lambda: show.detectable_table(planted()), ["No group and its reference have 30 positives or more."]),
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


def in_short(clear=(0, 0), gaps=GAPS, judged=JUDGED, rule="prevalence", resamples=1000):
    told = show.fairness_in_short(planted(*clear), gaps, judged, rule=rule, resamples=resamples)
    return told.data.replace("\u00a0", " ")


def test_the_answer_names_what_is_clear_and_the_largest_difference():
    assert in_short((1, 0)) == (
        "**In short.** The true positive rate differs clearly in 1 of 2 tested groups (matched selection; 30 positives "
        "or more). The 95 % interval excludes 0 for g0 minus m. The largest difference is g0 minus m: +0.10 [+0.00, "
        "+0.20], from 30 positives; differences from 0.12 on can be detected in this group. The paper's max-min gap in "
        "true positive rate by age group is 0.20; shuffled group labels give 0.10 on average. Of 2 comparisons that "
        "were declared and tested, 1 is statistically significant at 5 % after Holm's correction."
    )


def test_the_answer_says_no_more_than_the_numbers():
    nothing = in_short(gaps=GAPS.assign(gap=np.nan), judged=JUDGED.iloc[2:])
    assert "No clear difference" in nothing and "excludes 0" not in nothing
    assert "max-min" not in nothing and "declared" not in nothing
    assert in_short((), rule="f1").startswith(
        "**In short.** No group is large enough to test its true positive rate (F1-maximal; 30 positives or more). The"
    )
    assert "With 40 resamples no change can be significant in a family of 2." not in in_short(resamples=200)
    assert in_short(resamples=40).endswith("(With 40 resamples no change can be significant in a family of 2.)")
