from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.core.schema import PLAIN
from mmlib.measure.estimates import estimate
from mmlib.measure.evaluation import Evaluation
from mmlib.measure.groups import Groups
from mmlib.measure.scenarios import AT_RANDOM, decompose
from mmlib.models.masking import DROPOUT
from mmlib.show import masking, style
from tests.show.titles import title

RNG = np.random.default_rng(0)
RATES = [0.0, 0.002, 0.2, 0.5]


def planted(auroc, gap, key="rate", labels=RATES, contrasts=None, noise=0.001, seeds=1):
    """An evaluation with a known AUROC, and known differences between women and men in both rates."""
    noise = np.concatenate([[0], RNG.normal(0, noise, 60)])[:, None]
    auroc, gap = np.asarray(auroc) + noise, np.asarray(gap) + noise
    zero = 0 * gap
    groups = Groups({"sex": "m"}, {"sex": "f"} if contrasts is None else contrasts)
    rates = {(metric, "sex"): np.stack([zero, gap, zero], axis=2) for metric in ("tpr", "selection_rate")}
    values = {("auroc", "sex"): auroc[..., None]} | rates
    sizes = {"sex": (["all", "f", "m"], np.array([100, 60, 40]), np.array([50, 30, 20]))}
    return Evaluation(values, {k: v[:seeds] for k, v in values.items()}, key, list(labels), groups, sizes)


FALLING, STEADY = planted([0.8, 0.7998, 0.78, 0.7], [0, 0, 0.05, 0.1]), planted([0.8] * 4, [0.1] * 4)
LOSS = {PLAIN: FALLING, "plain, zero": STEADY, DROPOUT: STEADY}
VISIBLE = pd.DataFrame({"rate": [0.002, 0.2], "estimate": [-0.0002, -0.02], "low": [-0.0003, -0.03]})
VISIBLE = VISIBLE.assign(high=[-0.0001, -0.01], touched=[0.01, 0.6], one_run=[0.0005, 0.01], retrain=[np.nan, 0.001])
VISIBLE = VISIBLE.assign(sampling=0.004, margin=0.005, beyond=["no", "yes"])
RUNS = pd.DataFrame({"rate": [0.0, 0.0, 0.5, 0.5], "auroc": [0.8, 0.8, 0.72, 0.7], "gap": [0.1, 0.1, 0.2, 0.3]})
EXACT = pd.DataFrame({"rate": [0.0, 0.5], "auroc": [0.8, 0.71], "gap": [0.1, 0.15]})
EACH = planted([-0.01, -0.04], [0, 0.1], key="modality", labels=["age", "lab_values"])
EACH = replace(EACH, versus=["age+lab_values"] * 2)  # changes, as `drop_each` gives them
MECHANISMS = {"mechanism": [AT_RANDOM, "x"], "rate": [0.2, 0.5]}
BY_MECHANISM = estimate(np.tile([[0.7, 0.6], [0.65, 0.5]], (30, 1, 1)), MECHANISMS, name="auroc")


@pytest.mark.parametrize(
    ("draw", "finding"),
    [
        (
            lambda: masking.drop_curve(FALLING.metric("auroc"), pd.DataFrame({"one_run": 0.01}, RATES)),
            "At a drop rate of 0.5, expected AUROC is 0.700 instead of 0.800",
        ),
        (
            lambda: masking.difference_curves(FALLING),
            "At a drop rate of 0.5: 2 of 2 differences change (95 % interval excludes 0)",
        ),
        (lambda: masking.difference_curves(STEADY), "At a drop rate of 0.5: no clear change of a difference"),
        (
            lambda: masking.simulated_runs(RUNS, EXACT, attribute="sex"),
            "Mean of the runs at a drop rate of 0.5: AUROC 0.710 (exact 0.710), gap 0.25 (exact 0.15)",
        ),
        (
            lambda: masking.simulated_runs(RUNS.assign(gap=np.nan), EXACT, attribute="sex"),
            "Mean of the runs at a drop rate of 0.5: AUROC 0.710 (exact 0.710)",
        ),
        (
            lambda: masking.masking_regimes(LOSS),
            "Modality dropout: AUROC +0.000 (no clear difference) on complete inputs,\n+0.100 at a drop rate of 0.5",
        ),
        (lambda: masking.each_modality(EACH), "Losing lab values changes AUROC most: -0.040"),
        (
            lambda: masking.mechanism_rows({"auroc": {"overall": BY_MECHANISM.sel(rate=0.5)}}, rate=0.5),
            "At one mean rate of 0.5, AUROC changes by +0.500 to +0.600, depending on the mechanism",
        ),
    ],
)
def test_the_title_of_a_figure_states_its_finding(draw, finding):
    axes = draw()
    assert title(axes) == finding
    assert len(plt.get_fignums()) == 1 and np.ravel(axes)[0].figure.get_facecolor() == (1, 1, 1, 1)


def test_no_clear_difference_is_said():
    noisy = LOSS | {DROPOUT: planted([0.8, 0.8, 0.78, 0.7], [0] * 4, noise=0.1)}
    assert title(masking.masking_regimes(noisy)).count("(no clear difference)") == 2
    gains = planted([0.01, 0.02], [0, 0], key="modality", labels=["a", "b"])
    assert title(masking.each_modality(gains)) == "Losing one modality: no clear loss of AUROC"
    alike = replace(planted([-0.04, -0.0399], [0, 0], key="modality", labels=["a", "b"]), versus=["a+b"] * 2)
    moved = dict(alike.values)
    moved["auroc", "sex"][1:, 1] += RNG.normal(0, 0.005, (60, 1))
    said = title(masking.each_modality(replace(alike, values=moved)))
    assert said == "Losing a changes AUROC by -0.040, not clearly more than b"
    noisy = replace(planted([-0.01, -0.02], [0, 0], key="modality", labels=["a", "b"], noise=0.1), versus=["a+b"] * 2)
    assert title(masking.each_modality(noisy)) == "Losing one modality: no clear loss of AUROC"


def test_a_gap_that_cannot_be_had_has_no_panel():
    assert len(masking.simulated_runs(RUNS.assign(gap=np.nan), EXACT, attribute="sex")) == 1


def test_a_spread_is_never_nan_or_nought():
    told = VISIBLE.assign(retrain=[np.nan, 0.00001], one_run_unit=[0.0012, 0.02])
    html = masking.visibility_table(told, units="reviewers").to_html()
    assert "one seed" in html and "< 0.0001" in html.replace("&lt;", "<")
    assert ">nan<" not in html and ">0.0000<" not in html
    assert "(b) if all samples of reviewers lose it together" in html and "0.0200" in html
    assert "together" not in masking.visibility_table(VISIBLE).to_html()


def test_parts_without_any_interval_are_left_out_of_the_table():
    labels = {"mechanism": [AT_RANDOM, "x"], "rate": [0.2, 0.5]}
    unknown = estimate(np.concatenate([np.ones((1, 2, 2)), np.full((29, 2, 2), np.nan)]), labels, name="tpr")
    table = masking.step_table({"auroc": decompose(BY_MECHANISM), "tpr": decompose(unknown)}).data
    assert table.quantity.tolist() == ["AUROC"]


def test_a_run_that_shows_no_group_has_a_sentence_for_it():
    axes = masking.difference_curves(planted([0.8] * 4, [0] * 4, contrasts={}))
    assert axes[0].texts[0].get_text() == style.NO_CONTRAST


def test_the_band_is_the_interval_of_the_estimate():
    result = planted([0.8, 0.79, 0.78, 0.7], [0] * 4, seeds=3)
    ax = masking.drop_curve(result.metric("auroc"), pd.DataFrame({"one_run": 0.01}, RATES))
    drawn = ax.collections[0].get_paths()[0].vertices[:, 1]
    low, high = result.metric("auroc").interval()
    assert drawn.min() == pytest.approx(float(low.min())) and drawn.max() == pytest.approx(float(high.max()))


@pytest.mark.parametrize(
    ("table", "shown"),
    [
        (lambda: masking.visibility_table(VISIBLE), ["-0.0002 [-0.0003, -0.0001]", "60.0%", ">yes (0.005)<"]),
        (
            lambda: masking.slope_table(EACH),
            [">lab values<", ">sum<", "-0.050 [", "change of AUROC", "change of TPR f minus m (n=60, 30 positive)"],
        ),
        (lambda: masking.dropout_table(FALLING, STEADY), [">0.2<", "+0.020 [", "+0.05 ["]),
        (lambda: masking.step_table({"auroc": decompose(BY_MECHANISM)}), [">x<", "-0.100 [-0.100, -0.100]"]),
    ],
)
def test_tables_are_styled_without_their_index(table, shown):
    styler = table()
    html = styler.to_html().replace("\u00a0", " ")
    assert styler.hide_index_ == [True] and all(text in html for text in shown), html


def test_steps_are_listed_quantity_by_quantity():
    many = estimate(np.zeros((9, 3, 2)), {"mechanism": [AT_RANDOM, "x", "y"], "rate": [0.2, 0.5]}, name="tpr")
    table = masking.step_table({"auroc": decompose(many), "tpr": decompose(many)}).data
    assert table.mechanism.tolist() == ["x", "y"] * 2
    assert table.quantity.tolist() == ["AUROC"] * 2 + ["difference in true positive rate"] * 2


def test_the_answer_says_no_more_than_the_numbers():
    said = masking.masking_in_short(VISIBLE, FALLING, STEADY).data.replace("\u00a0", " ")
    assert "0.2, expected AUROC changes by -0.020 [-0.030, -0.010], a loss beyond the margin of 0.005." in said
    assert "0.002, which touches 1.0% of the samples, it changes by -0.0002: no loss beyond the margin of 0.005" in said
    assert "and less than one masked run varies" in said
    unsure = masking.masking_in_short(VISIBLE.assign(beyond="open"), FALLING, STEADY).data
    assert "a loss that may or may not exceed the margin of 0.005" in unsure
    assert "(±0.0010, 95 %)" in said
    assert "on complete inputs (no clear difference)" in said and said.endswith("at a drop rate of 0.2 (higher).")
    large = VISIBLE.assign(estimate=-0.02, one_run=0.001)
    assert "more than one masked run varies" in masking.masking_in_short(large, FALLING, STEADY).data
    assert "(lower)" in masking.masking_in_short(VISIBLE, STEADY, FALLING).data
