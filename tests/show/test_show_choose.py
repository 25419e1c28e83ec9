import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.measure.evaluate import Evaluation
from mmlib.questions.choose import RULES, Choices
from mmlib.show import choose as show

plt.switch_backend("agg")
DRAWS = np.random.default_rng(0).normal(size=(60, 3))
POINTS = pd.DataFrame({"subset": ["a", "b", "a+b"] * 2, "contrast": ["x minus y"] * 3 + ["v minus w"] * 3})
POINTS = POINTS.assign(
    auroc=[0.7, 0.6, 0.8] * 2, size=0.1, front=[True, False, True] * 2, membership=0.4, written="+0.1"
)
SKILL = {"rank_correlation": 0.5, "ceiling": 0.8, "sign_accuracy": 0.75, "error": 0.02}
SKILL |= {"error_no_change": 0.03, "error_average": 0.031, "n": 9.0}
TWINS = pd.DataFrame({"rank_correlation": [0.5, 0.8], "ceiling": [0.9, 0.95]})
PREDICTED = pd.DataFrame({"group": "f", "reference": "m", "predicted": [0.1, 0.2], "change": [0.0, 0.1]})


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: show.group_shares({"AUROC": DRAWS, "TPR, f": DRAWS}, list("abc"), title="t"),
        lambda: show.interactions({"AUROC": DRAWS, "TPR": DRAWS}, list("abc"), title="t"),
        lambda: show.interactions({"AUROC": DRAWS[:, :1]}, list("ab"), title="t"),
        lambda: show.front(POINTS, n=90, title="t"),
        lambda: show.prices(DRAWS, {"f minus m": DRAWS}, list("abc"), margin=0.1, n=90, title="t"),
        lambda: show.predictions(PREDICTED, TWINS, 0.4, title="t"),
    ],
)
def test_figures_are_titled_and_opaque(draw):
    axes = np.atleast_1d(draw())
    figure = axes[0].figure
    assert "t" in {figure.get_suptitle(), axes[0].get_title(loc="left")}
    assert figure.get_facecolor()[3] == 1
    figure.canvas.draw()


def test_bold_numbers_are_those_whose_simultaneous_interval_excludes_zero():
    draws = np.random.default_rng(1).normal([3.0, 0.0, -3.0], 1, size=(2000, 3))
    draws[0] = [4.0, 1.0, -4.0]
    axes = show.group_shares({"AUROC": draws}, list("abc"), title="t")
    assert [text.get_fontweight() for text in axes.texts] == ["bold", "normal", "bold"]


def test_tables_say_what_was_chosen_and_how_surely():
    ways = dict.fromkeys(RULES, "a")
    choices = Choices(["none", "a"], DRAWS, DRAWS, DRAWS[0], ways, {way: ["a", "b"] for way in RULES})
    values = {("auroc", "sex"): np.full((60, 6, 1), 0.8), ("tpr", "sex"): np.full((60, 6, 3), 0.5)}
    groups = {"sex": (["all", "f", "m"], np.full(3, 9), np.full(3, 4))}
    result = Evaluation(values, {}, "choice", list(RULES), groups)
    costs = dict.fromkeys(RULES, 2.0)
    table = show.choice_table(choices, result, {"sex": ("f", "m")}, cost=costs, worst=np.full(6, 0.4)).data
    assert list(table["folds that agree"]) == ["1 of 2"] * 6
    assert table["AUROC minus all [95 %]"][1] == "+0.000\u00a0[+0.000,\u00a0+0.000]"
    assert list(show.front_table(POINTS).data["number"]) == [1, 2, 1, 2]
    assert show.skill_table({"here": pd.Series(SKILL)}).data["sign right"][0] == "75%"
    model = pd.DataFrame({"predictor": ["pull"], "meaning": ["m"], "alone": [0.4], "coefficient": [-0.2]})
    assert show.model_table(model).data.iloc[0, 2:].tolist() == ["+0.40", "-0.20"]
    flags = {"effect": [-0.25, 0.0], "modality": "labs", "role": ["harmful", "harmless"], "caused": -0.1}
    rates = {f"{what}{end}": 0.5 for what in ("flagged", "left out") for end in ("", " low", " high")}
    table = show.flag_table(pd.DataFrame(flags | rates)).data
    assert list(table["labs read lower by"]) == ["0.25 SD", "nothing"]
