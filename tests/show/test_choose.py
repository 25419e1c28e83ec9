import matplotlib.pyplot as plt
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

plt.switch_backend("agg")
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


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def planted(auroc, gap, key="choice", labels=RULES, contrasts=None, noise=1e-6, positives=(50, 31, 35)):
    """An evaluation with a known AUROC, and known TPR differences between women and men."""
    noise = np.concatenate([[0], RNG.normal(0, noise, 60)])[:, None, None]
    sexes = np.stack([np.zeros(len(gap)), gap, np.zeros(len(gap))], axis=1)
    values = {("auroc", "sex"): np.asarray(auroc)[:, None] + noise, ("tpr", "sex"): 0.5 + sexes + noise * [1, 2, 1]}
    groups = Groups({"sex": "m"}, {"sex": "f"} if contrasts is None else contrasts)
    sizes = {"sex": (["all", "f", "m"], np.array([1200, 1160, 40]), np.array(positives))}
    return Evaluation(values, {k: v[:1] for k, v in values.items()}, key, list(labels), groups, sizes)


def chosen(limit, margin=0.1, bounded=True, subset="labs", names=NAMES):
    """Choices of one subset in one fold of two, with known upper limits."""
    level = estimate(np.zeros((3, len(names))), {"subset": names})
    ways = dict.fromkeys(RULES, subset)
    by_fold = {way: [subset, "age"] for way in RULES}
    differences = {"sex": level} if bounded else {}
    return Choices(level, differences, pd.Series(limit, names), margin, {"labs": 2.5}, ways, by_fold)


POWERSET = planted([0.5, 0.6, 0.7, 0.75], [0, 0.1, 0.3, 0.2], "subset", NAMES)
OUTCOME = planted([0.8, 0.7, 0.8, 0.8, 0.79, 0.7], [0.3, 0.1, 0, 0, 0, -0.2])
MISSED, KEPT = chosen([0, 0.2, 0.3, 0.4]), chosen([0, 0.2, 0.05, 0.08])


def shares(rows):
    return {k: estimate(v, {"modality": ["age", "lab_values", "notes"]}) for k, v in rows.items()}


def title(axes):
    first = np.atleast_1d(axes)[0]
    first.figure.canvas.draw()
    assert first.figure.get_facecolor() == (1, 1, 1, 1)
    return (first.figure.get_suptitle() or first.get_title(loc="left")).replace("\u00a0", " ")


def cells(styler):
    """Data of a table, without unbreakable spaces."""
    assert styler.hide_index_ == [True]
    return styler.data.map(lambda cell: cell.replace("\u00a0", " ") if isinstance(cell, str) else cell)


SHARES = {"AUROC, overall": [[0.1, 0.3, 0.2]] * 30, "TPR, f": [[0.1, 0.3, 0.2]] * 30, "TPR, m": [[0.4, 0.1, 0.2]] * 30}


@pytest.mark.parametrize(
    ("draw", "finding"),
    [
        (lambda: show.group_shares(shares(SHARES)), "Lab values adds most AUROC, and most TPR in 1 of 2 groups"),
        (lambda: show.group_shares(shares(dict(list(SHARES.items())[:1]))), "Lab values adds most AUROC"),
        (
            lambda: show.group_shares({"TPR, f": estimate([[0.1]] * 30, {"modality": ["age"]})}),
            "Age is the only modality",
        ),
        (lambda: show.interaction_maps(POWERSET), "1 of 1 pairs add less AUROC together than one by one"),
        (lambda: show.front(POINTS, n=90), "2 of 4 places on the validation fronts hold on tested patients"),
        (
            lambda: show.prices(OUTCOME, margin=0.1),
            "The constrained choice changes AUROC by -0.100 [-0.100, -0.100]",
        ),
        (
            lambda: show.predictions(PREDICTED, TWINS, SKILL),
            "Rank correlation 0.50 in this cohort, 0.65 in the median twin",
        ),
        (lambda: show.predictions(PREDICTED, TWINS, NONE), "Rank correlation 0.65 in the median twin"),
    ],
)
def test_titles_state_the_finding(draw, finding):
    assert title(draw()) == finding


def test_bold_numbers_are_those_whose_simultaneous_interval_excludes_zero():
    draws = np.random.default_rng(1).normal([3.0, 0.0, -3.0], 1, size=(2000, 3))
    draws[0] = [4.0, 1.0, -4.0]
    ax = show.group_shares(shares({"AUROC": draws}))
    assert [text.get_fontweight() for text in ax.texts] == ["bold", "normal", "bold"]
    assert [text.get_text() for text in ax.texts] == ["+4.000", "+1.000", "-4.000"]


def test_without_contrasts_or_pairs_figures_keep_what_there_is():
    none = planted(OUTCOME.metric("auroc").value.values, [0] * 6, contrasts={})
    assert len(show.prices(none, margin=0.1)) == 1
    assert len(show.interaction_maps(planted([0.5, 0.6, 0.7, 0.75], [0] * 4, "subset", NAMES, contrasts={}))) == 1
    (ax,) = show.interaction_maps(planted([0.5, 0.6], [0, 0], "subset", ["none", "age"]))
    assert ax.texts[0].get_text() == "There is one modality, so there is no pair."
    (ax,) = show.front(POINTS[:0], n=90)
    assert ax.texts[0].get_text() == style.NO_CONTRAST
    (ax,) = show.predictions(PREDICTED[:0], TWINS, NONE)
    assert ax.texts[0].get_text() == show.NOTHING_PREDICTED
    assert cells(show.front_table(POINTS[:0])).empty


def test_the_table_of_choices_says_how_stable_each_is():
    table = cells(show.choice_table(MISSED, OUTCOME))
    assert table["folds that agree"].tolist() == ["1 of 2"] * 6 and table.cost.tolist() == ["2.5"] * 6
    assert table["AUROC minus all [95 %]"].tolist()[:2] == ["", "-0.100 [-0.100, -0.100]"]
    assert table["TPR f minus m (n=1,160, 31 positive) [95 %]"].iloc[-1] == "-0.20 [-0.20, -0.20]"
    assert table["lowest TPR of a group"].tolist() == ["0.50", "0.50", "0.50", "0.50", "0.50", "0.30"]
    few = planted([0.8] * 6, [0] * 6, positives=(50, 20, 20))
    assert "lowest TPR of a group" not in cells(show.choice_table(MISSED, few))


def test_no_point_of_a_front_lies_outside_its_panel():
    axes = show.front(POINTS.assign(size=[0.1, 0.1, 0.1, 0.5, 0.1, 0.1]), n=90)
    assert all(ax.get_ylim()[0] == -0.01 and ax.get_ylim()[1] > 0.5 for ax in axes)


def test_choices_that_are_all_the_same_have_a_scale_that_can_be_read():
    left = show.prices(planted([0.8] * 6, [0.1] * 6, noise=0), margin=0.1)[0]
    assert left.get_xlim() == (-0.01, 0.01)


def test_members_of_the_front_are_numbered_by_auroc():
    table = cells(show.front_table(POINTS))
    assert table.number.tolist() == [1, 2, 1, 2] and table.modalities.tolist() == ["age", "age + labs"] * 2
    assert table["difference, tested [95 %]"][0] == "-0.10 [-0.20, +0.00]"


def test_this_cohort_stands_beside_the_others():
    real = pd.DataFrame([SKILL, SKILL]).assign(cohort=["here", "there"])
    table = cells(show.skill_table(SKILL, TWINS, real, run="here"))
    assert table.cohort.tolist() == ["this cohort", "median of 2 twins", "there, real"]
    assert table["sign right"].tolist() == ["75%", "80%", "75%"]
    assert cells(show.skill_table(NONE, TWINS, real, run="here")).iloc[0, 1:].eq("-").all()


def test_the_predictors_and_the_flags_are_listed():
    model = pd.DataFrame({"predictor": ["pull"], "meaning": ["m"], "alone": [0.4], "coefficient": [-0.2]})
    assert cells(show.model_table(model)).iloc[0, 2:].tolist() == ["+0.40", "-0.20"]
    flags = {"effect": [-0.25, 0.0], "modality": "labs", "role": ["harmful", "harmless"], "caused": -0.1}
    rates = {f"{what}{end}": 0.5 for what in ("flagged", "left out") for end in ("", " low", " high")}
    table = cells(show.flag_table(pd.DataFrame(flags | rates)))
    assert table["labs read lower by"].tolist() == ["0.25 SD", "nothing"]


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        (MISSED, "None of the 3 subsets can be shown, on validation patients, to keep every TPR difference within 0.1. "
                 "The one with the smallest upper limit is labs"),
        (KEPT, "2 of 3 subsets keep every TPR difference within 0.1 on validation patients, by the upper limit of the "
               "95 % interval. The one with the highest AUROC is labs"),
        (chosen([0] * 4, bounded=False), "This run bounds no difference between groups, so AUROC alone decides. "
                                         "The choice is labs"),
    ],
)  # fmt: skip
def test_the_answer_says_which_margin_is_kept(choices, says):
    text = show.choose_in_short(choices, OUTCOME, SKILL).data
    assert says in text and "1 of 2 folds choose it" in text


def test_the_answer_says_what_the_numbers_say():
    text = show.choose_in_short(MISSED, OUTCOME, SKILL).data.replace("\u00a0", " ")
    assert "changes AUROC by -0.100 [-0.100, -0.100] against all modalities (95 % interval excludes 0)" in text
    assert "the largest TPR difference left is -0.20 (f minus m (n=1,160, 31 positive))." in text
    assert "rank correlation of 0.50" in text and "The mean error is 0.020; predicting no change gives 0.030." in text


def test_the_answer_claims_nothing_that_is_not_there():
    same = planted([0.8] * 6, [0] * 6, contrasts={})
    text = show.choose_in_short(chosen([0] * 4, bounded=False), same, NONE).data
    assert "(no clear difference)" in text and "TPR" not in text and text.endswith(show.NOTHING_PREDICTED)
    one = chosen([0, 0.05], subset="age", names=["none", "age"])
    assert "nothing to choose" in show.choose_in_short(one, OUTCOME, NONE).data
