from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmlib.core.subsets import subset_masks
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.questions.choose import RULES, Choices
from mmlib.show import choose as show
from mmlib.show import style
from tests.show.limits import hidden
from tests.show.titles import title

RNG = np.random.default_rng(0)
NAMES, _ = subset_masks(["age", "labs"])
SKILL = {"rank_correlation": 0.5, "ceiling": 0.8, "sign_accuracy": 0.75, "error": 0.02}
SKILL = pd.Series(SKILL | {"error_no_change": 0.03, "error_average": 0.031, "n": 9.0})
NONE = SKILL * np.nan
TWINS = pd.DataFrame({"rank_correlation": [0.5, 0.8], "ceiling": [0.9, 0.95], "sign_accuracy": 0.8, "n": 18})
TWINS = TWINS.assign(error=0.02, error_no_change=0.03, error_average=0.03)
PREDICTED = pd.DataFrame({"group": "f", "reference": "m", "predicted": [0.1, 0.2], "change": [0.0, 0.1]})
POINTS = pd.DataFrame({"subset": ["age", "labs", "age+labs"] * 2, "contrast": ["x minus y"] * 3 + ["v minus w"] * 3})
POINTS = POINTS.assign(
    auroc=[0.7, 0.6, 0.8] * 2, estimate=-0.1, low=-0.2, high=0.0, size=0.1, membership=0.4,
    front=[True, False, True] * 2, still=[True, True, False] * 2,
)  # fmt: skip


def planted(auroc, gap, key="way", labels=RULES, contrasts=None, noise=1e-6, positives=(50, 31, 35)):
    """An evaluation with a known AUROC, and known TPR differences between women and men."""
    noise = np.concatenate([[0], RNG.normal(0, noise, 60)])[:, None, None]
    sexes = np.stack([np.zeros(len(gap)), gap, np.zeros(len(gap))], axis=1)
    values = {("auroc", "sex"): np.asarray(auroc)[:, None] + noise, ("tpr", "sex"): 0.5 + sexes + noise * [1, 2, 1]}
    groups = Groups({"sex": "m"}, {"sex": "f"} if contrasts is None else contrasts)
    sizes = {"sex": (["all", "f", "m"], np.array([1200, 1160, 40]), np.array(positives))}
    return Evaluation(values, {k: v[:1] for k, v in values.items()}, key, list(labels), groups, sizes)


def chosen(limit, folds=("labs", "age"), bounded=True, names=NAMES, error=0.001, half_limits=None):
    """Choices from known upper limits; labs has most AUROC, and the bounded choice over the folds is given."""
    limit = pd.Series(limit, names)
    auroc = estimate(np.repeat([[0.5, 0.6, 0.7, 0.65][: len(names)]], 3, axis=0), {"subset": names}, name="auroc")
    gap = np.outer([0, -1, 1, -1, 1], np.full(len(names), error))
    level = estimate(gap, {"subset": names}, name="tpr", reference="m")
    level = replace(level, values=level.values.assign_coords(group="f"))
    kept = [name for name in names[1:] if limit[name] <= 0.1]
    best = max(kept, key=auroc.value.to_series().get, default=None)
    ways = dict.fromkeys(RULES, "labs" if "labs" in names else "age") | {"all": names[-1], "bounded": best}
    by_fold = {way: [subset] * len(folds) for way, subset in ways.items()} | {"bounded": list(folds)}
    halves = pd.DataFrame([limit] * 20) if half_limits is None else pd.DataFrame(half_limits, columns=names)
    return Choices(auroc, {"sex": level} if bounded else {}, limit, 0.1, {"labs": 2.5}, ways, by_fold, halves)


POWERSET = planted([0.5, 0.6, 0.7, 0.75], [0, 0.1, 0.3, 0.2], "subset", NAMES)
OUTCOME = planted([0.8, 0.7, 0.8, 0.8, 0.79, 0.7], [0.3, 0.1, 0, 0, 0, -0.2])
UNANSWERED = planted([0.8, 0.7, 0.8, 0.8, 0.79], [0.3, 0.1, 0, 0, 0], labels=RULES[:-1])
MISSED, KEPT = chosen([0, 0.2, 0.3, 0.4], folds=(None, None)), chosen([0, 0.2, 0.05, 0.08])
PARTLY = chosen([0, 0.2, 0.05, 0.08], folds=("labs", None))
UNSETTLED = chosen([0, 0.2, 0.099, 0.3], half_limits=[[0, 0.2, 0.099 + 0.002 * (i % 2), 0.3] for i in range(20)])
UNBOUNDED = chosen([0] * 4, bounded=False, folds=("labs", "labs"))


def shares(rows):
    return {k: estimate(v, {"modality": ["age", "lab_values", "notes"]}) for k, v in rows.items()}


def cells(styler):
    """Data of a table, without unbreakable spaces."""
    assert styler.hide_index_ == [True]
    return styler.data.map(lambda cell: cell.replace("\u00a0", " ") if isinstance(cell, str) else cell)


SHARES = {"AUROC, overall": [[0.1, 0.3, 0.2]] * 30, "TPR, f": [[0.1, 0.3, 0.2]] * 30, "TPR, m": [[0.4, 0.1, 0.2]] * 30}


@pytest.mark.parametrize(
    ("draw", "finding"),
    [
        (
            lambda: show.group_shares(shares(SHARES)),
            "Lab values adds most AUROC; its share of TPR is the largest in 1 of 2 groups",
        ),
        (
            lambda: show.group_shares(shares({"AUROC, overall": [[0.1, 0.3, 0.29], *RNG.normal(0, 1, (30, 3))]})),
            "Lab values and notes add most AUROC, with no clear difference between them",
        ),
        (lambda: show.group_shares(shares(dict(list(SHARES.items())[:1]))), "Lab values adds most AUROC"),
        (
            lambda: show.group_shares({"TPR, f": estimate([[0.1]] * 30, {"modality": ["age"]})}),
            "Age is the only modality",
        ),
        (lambda: show.interaction_maps(POWERSET), "1 of 1 pairs add clearly less AUROC together than one by one"),
        (
            lambda: show.interaction_maps(planted([0.5, 0.6, 0.7, 0.9], [0] * 4, "subset", NAMES)),
            "No pair adds clearly less AUROC together than one by one",
        ),
        (lambda: show.front(POINTS, n=90), "2 of 4 places on the validation fronts hold on tested patients"),
        (lambda: show.prices(KEPT, OUTCOME), "The bounded choice gives up 0.100 [0.100, 0.100] AUROC"),
        (
            lambda: show.prices(MISSED, UNANSWERED),
            "On validation, no subset can be shown to keep every TPR difference within 0.1",
        ),
        (lambda: show.prices(PARTLY, UNANSWERED), "In 1 of 2 folds no subset keeps the margin of 0.1"),
        (
            lambda: show.prices(UNSETTLED, OUTCOME),
            "Whether a subset keeps the margin of 0.1 hangs on the draw of the resamples",
        ),
        (
            lambda: show.prices(UNBOUNDED, planted([0.8] * 5 + [0.82], [0] * 6, contrasts={})),
            "The choice by AUROC alone gains 0.020 [0.020, 0.020] AUROC",
        ),
        (
            lambda: show.predictions(PREDICTED, TWINS, SKILL),
            "Rank correlation 0.50 in this cohort, 0.65 in the median twin",
        ),
        (lambda: show.predictions(PREDICTED, TWINS, NONE), "Rank correlation 0.65 in the median twin"),
    ],
)
def test_titles_state_the_finding(draw, finding):
    assert title(draw()).replace("\u00a0", " ") == finding


def test_bold_numbers_are_those_whose_simultaneous_interval_excludes_zero():
    draws = np.random.default_rng(1).normal([3.0, 0.0, -3.0], 1, size=(2000, 3))
    draws[0] = [4.0, 1.0, -4.0]
    ax = show.group_shares(shares({"AUROC": draws}))
    assert [text.get_fontweight() for text in ax.texts] == ["bold", "normal", "bold"]
    assert [text.get_text() for text in ax.texts] == ["+4.000", "+1.000", "-4.000"]
    ax = show.group_shares(shares({"TPR, f": draws - [0, 1.001, 0]}))
    assert [text.get_text() for text in ax.texts] == ["+4.00", "+0.00", "-4.00"]


def test_without_contrasts_or_pairs_figures_keep_what_there_is():
    none = planted(OUTCOME.metric("auroc").value.values, [0] * 6, contrasts={})
    assert len(show.prices(UNBOUNDED, none)) == 1
    assert len(show.interaction_maps(planted([0.5, 0.6, 0.7, 0.75], [0] * 4, "subset", NAMES, contrasts={}))) == 1
    (ax,) = show.interaction_maps(planted([0.5, 0.6], [0, 0], "subset", ["none", "age"]))
    assert ax.texts[0].get_text() == "There is one modality, so there is no pair."
    (ax,) = show.front(POINTS[:0], n=90)
    assert ax.texts[0].get_text() == style.NO_CONTRAST
    (ax,) = show.predictions(PREDICTED[:0], TWINS, NONE)
    assert ax.texts[0].get_text() == show.NOTHING_PREDICTED
    assert cells(show.front_table(POINTS[:0])).empty


def test_the_table_of_choices_is_about_procedures():
    table = cells(show.choice_table(KEPT, OUTCOME)).set_index("way to choose")
    assert table.loc["bounded", "chosen over the folds"] == "labs in 1 of 2 folds, age in 1"
    assert table.loc["cheapest", "chosen over the folds"] == "labs in all 2 folds"
    auroc = table["AUROC minus all [95 %]"].tolist()
    assert auroc[0] == "" and auroc[2] == "the same models" and auroc[5] == "-0.100 [-0.100, -0.100]"
    assert table["lowest TPR of a group"].tolist() == ["0.50", "0.50", "0.50", "0.50", "0.50", "0.30"]
    few = planted([0.8] * 6, [0] * 6, positives=(50, 20, 20))
    assert "lowest TPR of a group" not in cells(show.choice_table(KEPT, few))


@pytest.mark.parametrize(("choices", "folds"), [(MISSED, "none in all 2 folds"), (PARTLY, "labs in 1 of 2 folds")])
def test_a_procedure_without_an_answer_in_every_fold_has_no_result(choices, folds):
    last = cells(show.choice_table(choices, UNANSWERED)).iloc[-1].tolist()
    assert last[0] == "bounded" and last[1].startswith(folds) and set(last[2:]) == {"no result"}
    left = show.prices(choices, UNANSWERED)[0]
    assert [text.get_text() for text in left.texts][0].startswith(folds)
    (sentence,) = cells(show.gains_table(choices, UNANSWERED)).iloc[0]
    assert sentence == "The bounded choice has no result: no group is compared."


@pytest.mark.parametrize(
    ("choices", "named"),
    [(MISSED, "none"), (KEPT, "labs"), (PARTLY, "labs"), (UNSETTLED, "depends on the resamples")],
)
def test_a_subset_is_named_with_its_own_result(choices, named):
    table = cells(show.named_table(choices, POWERSET)).set_index("way to choose")
    assert table.loc["bounded", "subset"] == named
    own = "-0.050 [-0.050, -0.050]" if named == "labs" else "-"
    assert table.loc["bounded", "AUROC minus all [95 %]"] == own  # of the power set, whatever the folds chose
    assert table.loc["cheapest", "cost"] == "2.5"


def test_the_table_of_gains_starts_with_the_lowest_group():
    table = cells(show.gains_table(KEPT, planted([0.8] * 6, [-0.1, 0, 0, 0, 0, -0.2])))
    assert table.group.tolist() == ["f", "m"] and table["TPR, bounded"].tolist() == ["0.30", "0.50"]
    assert table["change [95 %]"][0].startswith("-0.10 [-0.10, ")
    (sentence,) = cells(show.gains_table(UNBOUNDED, OUTCOME)).iloc[0]
    assert sentence == "This run bounds no difference."


def test_no_point_of_a_front_lies_outside_its_panel():
    axes = show.front(POINTS.assign(size=[0.1, 0.1, 0.1, 0.5, 0.1, 0.1]), n=90)
    assert all(ax.get_ylim()[0] == -0.01 and ax.get_ylim()[1] > 0.5 for ax in axes)


def test_no_twin_lies_outside_the_histogram():
    left, right = show.predictions(PREDICTED, TWINS.assign(rank_correlation=[-0.9, 0.8]), NONE)
    assert right.get_xlim()[0] < -0.9 and hidden(right.figure) == []


def test_choices_that_are_all_the_same_have_a_scale_that_can_be_read():
    left = show.prices(KEPT, planted([0.8] * 6, [0.1] * 6, noise=0))[0]
    assert left.get_xlim() == (-0.01, 0.01)


def test_members_of_the_front_are_numbered_by_auroc():
    table = cells(show.front_table(POINTS))
    assert table.number.tolist() == [1, 2, 1, 2] and table.modalities.tolist() == ["age", "all modalities"] * 2
    assert table["difference, tested [95 %]"][0] == "-0.10 [-0.20, +0.00]"


def test_this_cohort_stands_beside_the_others():
    real = pd.DataFrame([SKILL, SKILL]).assign(cohort=["here", "there"])
    table = cells(show.skill_table(SKILL, TWINS, real, run="here"))
    assert table.cohort.tolist() == ["this cohort", "median of 2 twins", "there, real"]
    assert table["sign right"].tolist() == ["75%", "80%", "75%"]
    assert cells(show.skill_table(NONE, TWINS, real, run="here")).iloc[0, 1:].eq("-").all()


def test_the_flags_are_listed():
    flags = {"effect": [-0.25, 0.0], "modality": "labs", "role": ["harmful", "harmless"], "caused": -0.1}
    flags["kept the margin"] = 0.3
    rates = {f"{what}{end}": 0.5 for what in ("flagged", "left out") for end in ("", " low", " high")}
    table = cells(show.flag_table(pd.DataFrame(flags | rates)))
    assert table["labs read lower by"].tolist() == ["0.25 SD", "nothing"]


def said(choices, outcome, own=SKILL, **settings):
    return show.choose_in_short(choices, outcome, POWERSET, own, **settings).data.replace("\u00a0", " ")


def test_if_no_subset_keeps_the_margin_the_answer_is_none():
    text = said(MISSED, UNANSWERED, units="wearers")
    assert "The bounded choice is none: no subset of 3 can be shown, on validation wearers, to keep the" in text
    assert "the TPR differences (f minus m) within 0.1, by the upper limit" in text
    assert "The smallest margin that these wearers could have shown is 0.00, for f minus m (2.9 standard" in text
    assert "there are enough wearers for this margin; the differences found are too large" in text
    wide = said(chosen([0, 0.2, 0.3, 0.4], folds=(None, None), error=0.1), UNANSWERED)
    assert "could have shown is 0.33, for f minus m" in wide and "enough" not in wide
    for name in ("labs", "age", "gives up", "gains"):
        assert name not in text
    nothing = said(chosen([np.inf] * 4, folds=(None, None), error=np.nan), UNANSWERED, units="wearers")
    assert "no subset of 3 can be shown" in nothing and "too few validation wearers for any interval." in nothing


def test_no_subset_stands_over_the_result_of_a_procedure_that_chose_several():
    text = said(KEPT, OUTCOME)
    assert "2 of 3 subsets can be shown" in text
    assert "labs has the highest AUROC (upper limit 0.050, Monte Carlo" in text
    assert "By itself it gives up 0.050 [0.050, 0.050] AUROC against all modalities. The procedure chose" in text
    assert "The procedure chose labs in 1 of 2 folds, age in 1. On patients that had no part in the choice it " in text
    assert "it gives up 0.100 [0.100, 0.100] AUROC against all modalities." in text


def test_a_procedure_without_a_result_gives_the_subset_its_own():
    text = said(PARTLY, UNANSWERED)
    assert "in 1 of 2 folds, without the patients of the fold, no subset keeps the margin" in text
    assert "By itself labs gives up 0.050 [0.050, 0.050] AUROC against all modalities; some of the patients" in text


def test_nothing_is_named_within_the_monte_carlo_error():
    text = said(UNSETTLED, OUTCOME)
    assert "**In short.** No subset is named: whether one can be shown" in text
    assert "Of 20 random halves of them, 10 answer labs and 10 answer none." in text
    assert "The limit nearest to the margin is 0.099, Monte Carlo error 0.001." in text and "gives up" not in text


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (-0.1, -0.2, "falls from 0.40 (f) to 0.30 (f, a change of -0.10 [-0.10, -0.10]): levelling down. Of 2 groups, "
                     "1 (f) has lower and none has higher TPR than with all modalities"),
        (0.1, -0.1, "falls from 0.50 (m) to 0.40 (f, a change of -0.20 [-0.20, -0.20]): levelling down. Of 2 groups"),
        (-0.2, -0.1, "rises from 0.30 (f) to 0.40 (f, a change of +0.10 [+0.10, +0.10]). Of 2 groups, none has lower "
                     "and 1 (f) has higher TPR"),
        (-0.1, -0.1, "stays at 0.40 (f, a change of +0.00 [+0.00, +0.00]) (no clear difference). Of 2 groups, none has "
                     "lower and none has higher"),
    ],
)  # fmt: skip
def test_the_answer_says_what_becomes_of_the_lowest_group(before, after, says):
    text = said(KEPT, planted([0.8] * 5 + [0.81], [before, 0, 0, 0, 0, after], noise=0))
    assert f"The lowest TPR of any group {says}" in text
    assert "gains 0.010 [0.010, 0.010] AUROC against all" in text and "costs" not in text


def test_a_difference_whose_interval_includes_0_is_not_clear():
    outcome = planted([0.8] * 5 + [0.799], [-0.1, 0, 0, 0, 0, -0.12])
    outcome.values["auroc", "sex"][1:, -1] += RNG.normal(0, 0.01, (60, 1))
    text = said(KEPT, outcome)
    assert "gives up 0.001 [-0.0" in text and "AUROC against all modalities (no clear difference)." in text


def test_the_answer_compares_errors_of_the_forecast():
    text = said(KEPT, OUTCOME)
    assert "rank correlation of 0.50" in text
    assert text.endswith("The mean error is 0.02, 33 % smaller than that of predicting no change.")
    worse = show.error_in_words(pd.Series({"error": 0.03, "error_no_change": 0.02}))
    assert worse.replace("\u00a0", " ") == "50 % larger than"
    assert show.error_in_words(pd.Series({"error": 0.02, "error_no_change": 0.02})) == "the same as"


def test_the_answer_claims_nothing_that_is_not_there():
    same = planted([0.8] * 6, [0] * 6, contrasts={}, noise=0)
    text = said(UNBOUNDED, same, NONE)
    assert "(labs in all 2 folds) is all modalities in every fold, so AUROC is the same." in text
    assert "TPR" not in text[:150]
    assert text.endswith(show.NOTHING_PREDICTED)
    one = chosen([0, 0.05], names=["none", "age"])
    assert "nothing to choose" in said(one, OUTCOME, NONE)
