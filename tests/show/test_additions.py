from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmlib.core.subsets import subset_masks
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.questions.additions import addition_changes, count_additions, shapley_shares
from mmlib.questions.parts import PARTS
from mmlib.questions.presence import PAIRS, PLACES
from mmlib.show import additions as show
from mmlib.show import style
from tests.show.titles import title

RNG = np.random.default_rng(0)
NAMES, MASKS = subset_masks(["age", "labs"])
AUROC, GAP = [0.5, 0.6, 0.7, 0.8], [0, 0.1, -0.2, -0.3]


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


def few(differences):
    """The same differences, of rates that rest on too few events for an interval."""
    return replace(differences, small=differences.value.copy(data=np.ones(differences.value.shape, bool)))


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
    """Women's difference with labs alone, the baseline, and with all."""
    return planted(AUROC, [0, 0, before, after], **about)


def parted(ranking=0.2, allocation=0.1, share=0.0, noise=1e-6):
    """Parts of the change of the women's difference, and observed over expected beside it."""
    rng = np.random.default_rng(2)
    values = np.concatenate([[[-0.2, ranking, allocation, share, 0.1]], np.zeros((60, 5))])
    values[1:] = values[0] + rng.normal(0, noise, (60, 5))
    about = {"name": "tpr", "attribute": "sex", "reference": "m", "n": 1160, "n_positive": 50}
    part = estimate(values, {"part": ["before", *PARTS, "after"]}, **about)
    return {"sex": replace(part, values=part.values.assign_coords(group="f"))}


def calibrated(result, ratio=1.25):
    """The same with observed over expected of every group, 1 for all modalities."""
    levels = np.full_like(result.values["tpr", "sex"], ratio)
    levels[:, -1] = 1
    key = "observed_expected", "sex"
    return replace(result, values=result.values | {key: levels}, spread=result.spread | {key: levels[:1]})


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
            "Labs adds most to AUROC (+0.200);\nlabs moves a TPR difference most (f minus m, -0.30)",
        ),
        (
            lambda: show.shapley_dots(shapley_shares(planted(gap=[0] * 4, noise=0))),
            "Labs adds most to AUROC (+0.200);\nno clear effect on a TPR difference",
        ),
        (
            lambda: show.shapley_dots({n: s if n == "AUROC" else few(s) for n, s in shapley_shares(planted()).items()}),
            "Labs adds most to AUROC (+0.200);\nTPR differences without interval: some subset finds too few of a group",
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
            lambda: show.movement(both(-0.2, 0.1, noise=1e-6), "labs"),
            "From labs to all, TPR rises in 1 of 2 groups (95 % interval excludes 0)",
        ),
        (
            lambda: show.movement(both(0.1, 0.1, positives=(40, 30, 10)), "labs"),
            "From labs to all, TPR: no clear change in any group",
        ),
        (
            lambda: show.part_dots(parted(), both(-0.2, 0.1, noise=1e-6), "labs"),
            "f minus m: TPR difference changes by +0.30\n(ranking +0.20, allocation +0.10, overall share 0.00)",
        ),
        (
            lambda: show.part_dots(parted(), both(0.1, 0.1), "labs"),
            "From labs to all: no clear change of a TPR difference",
        ),
        (lambda: show.noise_dots(noise(0.0, 0.001, -0.001, 0.002)), "No clear effect of noise on AUROC"),
        (
            lambda: show.noise_dots(noise(0.0, 0.1, -0.1, 0.1)),
            "Noise seems to raise AUROC in 2 and lower AUROC in 1 of 4 additions",
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
            "TPR difference with all modalities, the sign depends on the operating point:\n"
            "-0.30 (matched selection), +0.10 (0.5)",
        ),
        (
            lambda: show.operating_points(
                {"prevalence": planted(), "half": planted(gap=[0, 0, 0, -0.1])}, planted().metric("auroc")
            ),
            "TPR difference with all modalities, no clear change of sign:\n-0.30 (matched selection), -0.10 (0.5)",
        ),
    ],
)
def test_titles_state_the_finding(draw, finding):
    assert title(draw()).replace("\u00a0", " ") == finding


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
    axes = show.movement(both(-0.2, 0.1, positives=(40, 30, 10), noise=1e-6), "labs")
    dark, pale = (c.lines[0].get_color() for c in axes[0].containers)
    assert pale == "0.7" and dark != "0.7"
    assert "+0.30 [+0.30, +0.30]" in [t.get_text().replace("\u00a0", " ") for t in axes[0].texts]


def test_groups_with_few_events_are_not_counted_in_the_title():
    result = both(-0.2, 0.1, noise=1e-6)
    result.small["tpr", "sex"] = np.tile([False, True, False], (4, 1))
    axes = show.movement(result, "labs")
    assert title(axes) == "From labs to all, TPR: no clear change in any group"
    assert [c.lines[0].get_color() == "0.7" for c in axes[0].containers] == [True, False]


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
    assert table["signed difference"].tolist() == [
        "TPR, f minus m (n=1,160, 31 positive)", "selection rate, f minus m (n=1,160, 31 positive)"
    ]  # fmt: skip
    # age: +0.1 to -0.3; labs: -0.2 to -0.3
    assert table.iloc[0, 1:].to_dict() == {
        "additions": 2, "reverses": 1, "widens": 1, "narrows": 0, "no clear change": 0
    }  # fmt: skip
    assert "no group" in cells(show.addition_counts(count_additions(planted(contrasts={})))).iloc[0, 0]
    one = count_additions(planted([0.5, 0.7], [0, 0.1], ["none", "age"]))
    assert "one modality" in cells(show.addition_counts(one)).iloc[0, 0]


def test_the_first_variant_has_no_difference():
    values = estimate(np.tile([0.8, 0.7], (30, 1)), {"variant": ["as it is", "x"]})
    change = estimate(np.full((30, 1), -0.1), {"variant": ["x"]})
    table = cells(show.sensitivity_table({"AUROC": values, "difference": change, "TPR f minus m": values}))
    assert table.iloc[:, :3].values.tolist() == [["as it is", "0.800", ""], ["x", "0.700", "-0.100 [-0.100, -0.100]"]]
    assert table.iloc[1, 3] == "+0.70 [+0.70, +0.70]"


def noise(*gains):
    """Gains from noise: alone, with two modalities, and with both."""
    rng = np.random.default_rng(3)
    draws = np.concatenate([np.zeros((1, 4)), rng.normal(0, 0.01, (200, 4))])
    return estimate(gains + draws, {"subset": ["none", "age", "labs", "age+labs"]}, name="auroc")


def plain(markdown):
    return markdown.data.replace("\u00a0", " ")


def in_short(result):
    auroc = result.metric("auroc")
    return plain(show.additions_in_short(auroc, addition_changes(auroc), count_additions(result)))


def test_the_answer_says_what_the_numbers_say():
    text = in_short(planted(noise=1e-6))
    assert "With all 2 modalities AUROC is 0.800 [0.800, 0.800]. All together have a higher AUROC than each" in text
    assert "The smallest gain is that over labs: +0.100 [+0.100, +0.100] (95 % interval excludes 0)" in text
    assert "Of 4 single additions 4 raise AUROC" in text and "above 0 for 4 and below 0 for none" in text
    assert "2 changes of the TPR difference shown: 1 reversal, 1 widening and no narrowing that intervals show" in text
    assert "the other 0 are no clear change" in text


def test_the_answer_claims_no_difference_that_is_not_clear():
    result = planted(gap=[0, 0.1, 0.1, 0.1])
    result.values["auroc", "sex"][1:] += RNG.normal(0, 1, (60, 4, 1))
    text = in_short(result)
    assert "All together do not have a clearly higher AUROC" in text and "(no clear difference)" in text
    assert "no reversal, no widening and no narrowing that an interval shows" in text and "excludes 0" not in text
    assert "TPR" not in in_short(planted(contrasts={}))


def test_all_may_be_worse_than_one_of_them():
    text = in_short(planted([0.5, 0.9, 0.7, 0.8], noise=1e-6))
    assert "All together have a lower AUROC than one of them alone. The smallest gain is that over age: -0.100" in text


def test_one_modality_has_an_answer_too():
    one = planted([0.5, 0.7], [0, 0], ["none", "lab_values"], noise=1e-6)
    auroc = one.metric("auroc")
    assert "There is one modality, lab values, with an AUROC of 0.700" in in_short(one)
    assert "one modality" in plain(show.headline_in_short(auroc))
    assert "one modality" in cells(show.headline_table(auroc)).iloc[0, 0]
    assert "one modality" in show.movement(one, "lab_values")[0].texts[0].get_text()
    for draw in (lambda: show.part_dots({}, one, "lab_values")[0].texts[0].get_text(),
                 lambda: cells(show.part_table({}, one, "lab_values")).iloc[0, 0]):  # fmt: skip
        assert "There is one modality" in draw()


def three(auroc):
    names, _ = subset_masks(["age", "labs", "function"])
    return planted(auroc, [0] * 8, names, noise=1e-6).metric("auroc")


def test_the_headline_is_told_with_and_without_what_the_audit_left_unresolved():
    auroc = three([0.5, 0.6, 0.7, 0.65, 0.8, 0.8, 0.8, 0.85])
    table = cells(show.headline_table(auroc, ["function"]))
    assert table["single modality"].tolist() == ["age", "labs", "function"]
    assert table["all modalities, gain over it [95 %]"].tolist()[2] == "+0.050 [+0.050, +0.050] (smallest)"
    without = table["all without function, gain over it [95 %]"].tolist()
    assert without == ["+0.050 [+0.050, +0.050]", "-0.050 [-0.050, -0.050] (smallest)", ""]
    text = plain(show.headline_in_short(auroc, ["function"]))
    assert text.startswith("All modalities together have a higher AUROC") and "left function unresolved" in text
    assert "Without function, the others together have a lower AUROC than one of them alone" in text


def test_nothing_is_said_of_unresolved_modalities_where_there_are_none_or_too_few_others():
    auroc = three([0.5, 0.6, 0.7, 0.65, 0.8, 0.8, 0.8, 0.85])
    assert list(cells(show.headline_table(auroc))) == [
        "single modality", "its AUROC", "all modalities, gain over it [95 %]"
    ]  # fmt: skip
    assert "unresolved" not in plain(show.headline_in_short(auroc))
    assert "no comparison without" in plain(show.headline_in_short(auroc, ["age", "labs"]))
    assert cells(show.headline_table(auroc, ["age", "labs"])).shape[1] == 3


def test_parts_of_a_change_have_calibration_beside_them():
    result = calibrated(both(-0.2, 0.1, noise=1e-6))
    row = cells(show.part_table(parted(), result, "labs")).iloc[0]
    assert row["TPR difference, labs [95 %]"].startswith("-0.20 [") and row["change [95 %]"].startswith("+0.30 [")
    assert row["O/E of the group, labs to all [95 %]"] == "1.25 [1.25, 1.25] to 1.00 [1.00, 1.00]"


def test_no_change_is_reported_of_few_events():
    result = both(-0.2, 0.1, noise=1e-6)
    result.small["tpr", "sex"] = np.ones((4, 3), bool)
    (ax,) = show.part_dots(parted(), result, "labs")
    assert "no change is reported" in ax.texts[0].get_text() and not ax.containers


def test_noise_is_told_by_where_it_was_added():
    ax = show.noise_dots(noise(0, 0, 0, 0))
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        "noise alone", "added to age", "added to labs", "added to all"
    ]  # fmt: skip
    text = plain(show.noise_in_short(noise(0.001, 0.002, -0.003, 0.004)))
    assert "differs from chance by +0.001 [" in text and "changes AUROC by -0.003 to +0.002" in text
    assert "Added to all it changes AUROC by +0.004 [" in text and "Each of the 4 intervals" in text
    assert "2 lie above 0 and 1 below" in plain(show.noise_in_short(noise(0, 0.1, -0.1, 0.1)))
    alone = noise(0.001, 0.002, 0.003, 0.004).sel(subset=["none", "age"])  # a run of one modality
    assert "chance by +0.001 [" in plain(show.noise_in_short(alone)) and "to all it changes AUROC by +0.002" in plain(
        show.noise_in_short(alone)
    )


def test_the_operating_point_decides_a_sign_only_if_intervals_say_so():
    rules = {"prevalence": planted(noise=1e-6), "half": planted(gap=[0, 0.1, 0.2, 0.3], noise=1e-6)}
    assert "for 2 of 3 subsets its interval excludes 0 with one sign" in plain(show.operating_in_short(rules))
    text = plain(show.operating_in_short({"prevalence": rules["prevalence"]}))
    assert "no subset of 3 has intervals that exclude 0 with different signs" in text and "For 3 the interval" in text
    none = planted(gap=[0] * 4)
    assert "No interval excludes 0 (simultaneous" in plain(show.operating_in_short({"half": none}))
    assert plain(show.operating_in_short({"half": planted(contrasts={})})) == style.NO_CONTRAST
