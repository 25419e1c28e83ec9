from dataclasses import replace

import numpy as np
import pytest

from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.questions.paradox import Group, is_paradox, tpr_gaps
from mmlib.questions.twin_study import TwinStudy, compare_with_truth
from mmlib.show import paradox as show

REFERENCE = Group("reference", 0.7, 0.3, 1.0, 1.0)
PAIRS = {"more noise": (replace(REFERENCE, name="m"), Group("f", 0.3, 0.3, 0.8, 0.6))}


def planted(shift=-0.3):
    """A twin in which AUROC rises by 0.1 and 0.05, and the study's TPR difference falls from 0 to -0.2."""

    def evaluation(resamples, gap):
        noise = np.r_[0, np.random.default_rng(0).normal(0, 0.01, resamples)][:, None, None]
        auroc = np.array([[0.7, 0.7, 0.7], [0.8, 0.8, 0.75]]) + noise
        tpr = np.array([[0.5, 0.5, 0.5], [0.6, 0.6, 0.6 + gap]]) + noise * [0, 0, 1]
        sizes = {"race": (["all", "White", "Black"], np.array([1000, 700, 300]), np.array([300, 200, 100]))}
        values = {("auroc", "race"): auroc, ("tpr", "race"): tpr}
        spread = {name: part[:1] for name, part in values.items()}
        return Evaluation(values, spread, "stage", ["labs", "labs+echo"], Groups({"race": "White"}), sizes)

    pair = Group("White", 0.7, 0.3, 1.0, 1.0), Group("Black", 0.3, 0.3, 0.8, 1.0, shift)
    return TwinStudy(evaluation(60, -0.2), evaluation(0, -0.25), pair, correlation=0.2, bias=shift)


def test_the_plane_names_each_region_where_it_is():
    ax = show.plane(PAIRS)[0]
    for text in ax.texts[:-1]:
        x, y = text.get_position()
        two = Group("m", 0.7, 0.3, 1.0, x), Group("f", 0.3, 0.3, 0.8, y)
        assert is_paradox(two) == ("widens" in text.get_text()), text.get_text()
        before, after = tpr_gaps(two).gap
        assert "widens" not in text.get_text() or (before * after < 0) == ("turns" in text.get_text())
    assert len(ax.texts) == 5
    title = " ".join(ax.figure.get_suptitle().split())
    assert title == "AUROC rises in both groups and the gap widens in 1 of 1 examples"


def test_examples_show_each_group_before_and_after():
    shown = show.example_table(PAIRS).data
    assert ">-0.16<" in shown and "AUROC f" in shown and "old + new" in shown


def test_a_twin_is_drawn_with_truth_and_formula():
    compared = compare_with_truth(planted())
    axes = show.twin_panels(compared)
    assert [ax.get_title(loc="left") for ax in axes] == [
        "AUROC, White (n=700, 200 positive)",
        "AUROC, Black (n=300, 100 positive)",
        "TPR, Black minus White (n=300, 100 positive)",
    ]
    finding = "AUROC rises in 2 of 2 groups, and the true TPR difference goes from +0.00 to -0.25"
    assert " ".join(axes[0].figure.get_suptitle().split()) == finding
    drawn = {line.get_label(): line for line in axes[2].lines}
    assert drawn["truth"].get_ydata() == pytest.approx([0, -0.25])
    assert drawn["formula"].get_ydata() == pytest.approx(compared.formula.to_numpy()[-2:])


def test_the_answer_follows_its_numbers():
    told = show.paradox_in_short(PAIRS, planted()).data.replace("\u00a0", " ")
    assert told.startswith("A paradox is here: with a new modality AUROC rises in every group")
    assert "(1 of 1 examples below). In a simulated study of 1,000 patients *echo* reads 0.3 standard" in told
    assert "changes AUROC by +0.100 [" in told and "and by +0.050 [" in told and "by -0.20 [" in told
    assert told.endswith("(in truth -0.25).")
    none = {"no lag": (replace(REFERENCE, name="m"), Group("f", 0.3, 0.3, 0.8, 1.2))}
    assert "(0 of 1 examples below)" in show.paradox_in_short(none, planted()).data
