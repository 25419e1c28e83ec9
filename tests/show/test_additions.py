from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from mmlib.core.subsets import subset_masks
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.questions.additions import addition_changes, count_additions, shapley_shares
from mmlib.questions.presence import PAIRS, PLACES
from mmlib.show import additions as show
from mmlib.show import style

plt.switch_backend("agg")
RNG = np.random.default_rng(0)
NAMES, MASKS = subset_masks(["age", "labs"])
AUROC, GAP = [0.5, 0.6, 0.7, 0.8], [0, 0.1, -0.2, -0.3]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def planted(auroc=AUROC, gap=GAP, labels=NAMES, contrasts=None, noise=0.001, positives=(50, 31, 35)):
    """An evaluation with a known AUROC, and known differences between women and men."""
    noise = np.concatenate([[0], RNG.normal(0, noise, 60)])[:, None, None]
    sexes = np.stack([np.zeros(len(gap)), gap, np.zeros(len(gap))], axis=1)
    values = {("auroc", "sex"): np.asarray(auroc)[:, None] + noise * [1, 1, 1]}
    values |= {(m, "sex"): 0.5 + sexes + noise * [1, 2, 1] for m in ("tpr", "selection_rate")}
    values |= {(m, "sex"): 0.4 + noise[:, :1, :1] + np.zeros((1, len(gap), 1)) for m in ("f1", "balanced_accuracy")}
    values["average_precision", "sex"] = values["f1", "sex"]
    groups = Groups({"sex": "m"}, {"sex": "f"} if contrasts is None else contrasts)
    sizes = {"sex": (["all", "f", "m"], np.array([1200, 1160, 40]), np.array(positives))}
    return Evaluation(values, {k: v[:1] for k, v in values.items()}, "subset", list(labels), groups, sizes)


def title(axes):
    first = np.atleast_1d(axes).ravel()[0]
    first.figure.canvas.draw()
    assert first.figure.get_facecolor() == (1, 1, 1, 1)
    return (first.figure.get_suptitle() or first.get_title(loc="left")).replace("\u00a0", " ")


def cells(styler):
    """Data of a table, without unbreakable spaces."""
    assert styler.hide_index_ == [True]
    return styler.data.map(lambda cell: cell.replace("\u00a0", " ") if isinstance(cell, str) else cell)


def gains(alone, matched):
    """Gains in AUROC of two modalities, known where they are added last."""
    values = np.zeros((60, 2, 2, 2)) + RNG.normal(0, 0.001, (60, 1, 1, 1))
    values[..., 1, :] += np.array([alone, matched]).T
    values[0] = 0
    values[0, :, 1] = np.array([alone, matched]).T
    labels = {"modality": ["age", "lab_values"], "place": PLACES, "pairs": PAIRS}
    found = estimate(values, labels, name="auroc")
    return replace(found, values=found.values.assign_coords(present=("modality", [1.0, 0.5])))


def both(before, after, **about):
    return planted([0.7, 0.8], [before, after], ["best single", "age+labs"], **about)


@pytest.mark.parametrize(
    ("draw", "finding"),
    [
        (
            lambda: show.order_path(planted(noise=1e-6), ["none", "labs", "age+labs"]),
            "In this order AUROC changes by +0.100 [+0.100, +0.100] after the first modality",
        ),
        (
            lambda: show.order_path(planted([0.5, 0.6], [0, 0.1], ["none", "age"], noise=1e-6), ["none", "age"]),
            "In this order AUROC changes by +0.100 [+0.100, +0.100] from no modality to the only one",
        ),
        (
            lambda: show.addition_dots(addition_changes(planted([0.5, 0.6, 0.7, 0.5]).metric("auroc"))),
            "2 of 4 single additions raise AUROC; for 2 the interval excludes 0",
        ),
        (
            lambda: show.shapley_dots(shapley_shares(planted(noise=1e-6))),
            "Labs adds most to AUROC (+0.200); labs moves a TPR difference most (f minus m, -0.30)",
        ),
        (
            lambda: show.shapley_dots(shapley_shares(planted(gap=[0] * 4, noise=0))),
            "Labs adds most to AUROC (+0.200); no clear effect on a TPR difference",
        ),
        (
            lambda: show.shapley_dots(shapley_shares(planted(contrasts={}))),
            "Labs adds most to AUROC (+0.200)",
        ),
        (
            lambda: show.shapley_dots(shapley_shares(planted([0.5, 0.6], [0, 0], ["none", "age"], {}))),
            "Age, the only modality, changes AUROC by +0.100",
        ),
        (
            lambda: show.movement(both(-0.2, 0.1)),
            "Sex: f, lowest before, +0.30; m, highest before, +0.00",
        ),
        (
            lambda: show.movement(both(-0.2, 0.1, positives=(40, 30, 10))),
            "Sex: fewer than two groups have 30 positives",
        ),
        (
            lambda: show.matched_presence(gains([0.02, 0.01], [0.02, 0.03])),
            "Lab values, added last, gains +0.010; +0.030 where its presence is the same",
        ),
        (
            lambda: show.matched_presence(gains([0.02, 0.01], [0.02, 0.01])),
            "No clear effect of presence on what a modality adds last",
        ),
        (
            lambda: show.operating_points(
                {"prevalence": planted(), "half": planted(gap=[0, 0, 0, 0.1])}, planted().metric("auroc")
            ),
            "All modalities: TPR difference -0.30 (matched selection), +0.10 (0.5)",
        ),
    ],
)
def test_titles_state_the_finding(draw, finding):
    assert title(draw()) == finding


def test_without_contrasts_figures_keep_what_there_is():
    none = planted(contrasts={})
    assert len(show.order_path(none, ["none", "age", "age+labs"])) == 1
    assert len(show.shapley_dots(shapley_shares(none))) == 1
    (ax,) = show.operating_points({"half": none}, none.metric("auroc"))
    assert ax.texts[0].get_text() == style.NO_CONTRAST
    assert list(cells(show.rules_table({"half": none}, none.metric("auroc")))) == ["rule", "modalities", "selected"]


def test_one_modality_is_drawn_without_a_trend():
    one = planted([0.5, 0.6], [0, 0.1], ["none", "age"])
    axes = show.operating_points({"prevalence": one}, one.metric("auroc"))
    assert len(axes[0].lines) == 1  # that at zero
    table = cells(show.rules_table({"prevalence": one}, one.metric("auroc")))
    assert table.modalities.tolist() == ["all"]


def test_additions_stand_in_the_row_of_their_modality():
    ax = show.addition_dots(addition_changes(planted(noise=1e-6).metric("auroc")))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["age", "labs"]
    points = np.concatenate([c.lines[0].get_xydata() for c in ax.containers])
    assert np.round(points[points[:, 1] < 0.5, 0], 3).tolist() == [0.1, 0.1]
    assert np.round(points[points[:, 1] > 0.5, 0], 3).tolist() == [0.2, 0.2]


def test_groups_that_are_too_small_are_pale():
    axes = show.movement(both(-0.2, 0.1, positives=(40, 30, 10), noise=1e-6))
    dark, pale = (c.lines[0].get_color() for c in axes[0].containers)
    assert pale == "0.7" and dark != "0.7"
    assert "+0.30 [+0.30, +0.30]" in [t.get_text().replace("\u00a0", " ") for t in axes[0].texts]


def test_single_modalities_stand_beside_flagging_all_samples():
    study = SimpleNamespace(
        modalities=("age", "labs"), present=torch.tensor([[True, False], [True, True]]), y=torch.tensor([1.0, 0.0])
    )
    alone = planted([0.6, 0.7, 0.8], [0, 0, 0], ["age", "labs", "age+labs"], noise=1e-6)
    table = cells(show.unimodal_table(alone, study))
    assert table.modality.tolist() == ["age", "labs", "all", "flag all samples"]
    assert table.lacking.tolist() == [0, 1, 0, 0]
    assert table.AUROC.tolist()[1:] == ["0.700 [0.700, 0.700]", "0.800 [0.800, 0.800]", "0.500"]
    assert table.iloc[-1].tolist()[3:] == ["0.500", "0.667", "0.500"]


def test_the_weakest_and_the_strongest_single_modality_are_shown_at_every_operating_point():
    rules = {"prevalence": planted(noise=1e-6), "half": planted(gap=[0, 0, 0, 0.1], noise=1e-6)}
    table = cells(show.rules_table(rules, planted().metric("auroc")))
    assert table.modalities.tolist() == ["age", "labs", "all"] * 2
    assert table["TPR f minus m (n=1,160, 31 positive) [95 %]"][5] == "+0.10 [+0.10, +0.10]"


def test_groups_without_an_interval_say_so():
    result = planted([0.8], [0], ["age+labs"], noise=1e-6)
    result.values["auroc", "sex"][..., 2] = np.nan
    table = cells(show.group_table(result))
    assert table.group.tolist() == ["all", "f", "m"] and table.attribute.tolist() == ["", "sex", "sex"]
    assert table["AUROC [95 %]"].tolist() == ["0.800 [0.800, 0.800]"] * 2 + ["no interval"]


def test_counts_name_what_was_counted():
    table = cells(show.addition_counts(count_additions(planted(noise=1e-6))))
    assert table.quantity[0] == "AUROC" and table.share[0] == "100%"
    assert table.quantity[2] == "selection rate f minus m (n=1,160, 31 positive)"
    assert table.iloc[1, 1:].tolist() == [4, 4, "100%", 4, 0]


def test_the_first_variant_has_no_difference():
    values = estimate(np.tile([0.8, 0.7], (30, 1)), {"variant": ["as it is", "x"]})
    change = estimate(np.full((30, 1), -0.1), {"variant": ["x"]})
    table = cells(show.sensitivity_table({"AUROC": values, "difference": change, "TPR f minus m": values}))
    assert table.iloc[:, :3].values.tolist() == [["as it is", "0.800", ""], ["x", "0.700", "-0.100 [-0.100, -0.100]"]]
    assert table.iloc[1, 3] == "+0.70 [+0.70, +0.70]"


def single(*names):
    return xr.Dataset({"chosen": (("seed", "fold"), [list(names)])})


def test_the_answer_says_what_the_numbers_say():
    result = planted(noise=1e-6)
    text = show.additions_in_short(both(0, 0, noise=0), single("labs", "labs", "age"), count_additions(result)).data
    text = text.replace("\u00a0", " ")
    assert "With all 2 modalities AUROC is 0.800 [0.800, 0.800], with the best single modality (labs and age" in text
    assert "0.700: a change of +0.100 [+0.100, +0.100] (95 % interval excludes 0)" in text
    assert "Of 4 single additions 4 raise AUROC" in text and "above 0 for 4 and below 0 for none" in text
    assert "Of the 4 changes of a signed TPR difference, 4 widen it and none narrow it" in text
    assert "The other 0 are no clear change" in text


def test_the_answer_claims_no_difference_that_is_not_clear():
    moved = both(0, 0)
    moved.values["auroc", "sex"][1:, 1] += RNG.normal(0, 1, (60, 1))
    counted = count_additions(planted(contrasts={}))
    text = show.additions_in_short(moved, single("labs"), counted).data
    assert "(no clear difference)" in text and "TPR" not in text and "excludes 0" not in text


def test_one_modality_has_an_answer_too():
    one = planted([0.7, 0.7], [0, 0], ["best single", "lab_values"], noise=1e-6)
    counted = count_additions(planted([0.5, 0.7], [0, 0], ["none", "lab_values"]))
    text = show.additions_in_short(one, single("lab_values"), counted).data
    assert "There is one modality, lab values, with an AUROC of 0.700" in text.replace("\u00a0", " ")
