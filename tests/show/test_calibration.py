import numpy as np
import pytest

from mmlib.measure.calibration import calibration_by_group, reliability
from mmlib.measure.estimates import estimate
from mmlib.show import calibration as show
from tests.show.titles import title

Y, PRICES = np.arange(400) % 2, [0.1, 0.2, 0.3, 0.4]
SCORE = np.linspace(0.3, 0.7, 400)
FEW = np.arange(400) < 50


def calibrated(score=SCORE):
    masks = np.array([np.ones(400, bool), np.ones(400, bool), FEW])
    table = calibration_by_group(Y, score, masks, ["all", "f", "x"])
    return table.assign(attribute=["", "sex", "sex"])


def benefit(values, n=400):
    noise = np.r_[0, np.random.default_rng(0).normal(0, 0.01, 40)][:, None]
    return estimate(np.asarray(values) + noise, {"threshold": PRICES}, n=n, n_positive=n // 2)


def curves(model, act):
    overall = {"model": benefit(model), "act on all": benefit(act)}
    return {"all": overall, "age_group": {"old": benefit(model, 60), "young": benefit(model, 340)}}


def test_calibration_is_drawn_for_every_group_and_small_ones_are_hollow():
    ax = show.calibration_dots(calibrated())
    overall, group, few = (c.lines[0] for c in ax.containers)
    assert title(ax) == "No clear difference from expected events in 1 group"
    assert few.get_markerfacecolor() == "white" and group.get_markerfacecolor() != "white"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["overall (200 of 400)", "f (200 of 400)", "x (25 of 50)"]
    assert title(show.calibration_dots(calibrated(SCORE / 2))) == (
        "Observed and expected events differ clearly in 1 of 1 group"
    )


def test_the_table_leaves_out_fits_of_few_events():
    shown = show.calibration_table(calibrated()).data.set_index("group")
    assert list(shown.index) == ["overall", "f", "x"]
    assert shown["slope [95 %]"]["x"] == "-" and shown["intercept [95 %]"]["x"] == "-"
    assert shown["slope [95 %]"]["f"].count(",") == 1 and "[" in shown["observed / expected [95 %]"]["x"]


def test_reliability_counts_the_bins_that_miss_their_prediction():
    bins = reliability(Y, SCORE, [np.ones(400, bool)], ["f"]).assign(attribute="sex")
    off = int(((bins.low > bins.predicted) | (bins.high < bins.predicted)).sum())
    axes = show.reliability_panels(bins)
    assert title(axes) == f"The 95 % interval misses the prediction in {off} of 5 bins" and 0 < off < 5
    assert axes[0].get_legend_handles_labels()[1] == ["f (200 events)"]
    nothing = show.reliability_panels(bins[:0])
    assert nothing[0].texts[0].get_text() == "No group has 100 events."


@pytest.mark.parametrize(
    ("model", "act", "finding"),
    [
        ([0.8, 0.7, 0.6, 0.0], [0.8, 0.5, 0.2, -0.2], "clearly better than on all or on none from 20 to 30 %"),
        ([0.9, 0.5, 0.6, 0.0], [0.8, 0.5, 0.2, -0.2], "clearly better than on all or on none at 2 of 4 points"),
        ([0.8, 0.5, 0.0, 0.0], [0.8, 0.5, 0.2, -0.2], "at no probability clearly better than"),
    ],
)
def test_the_title_says_where_acting_on_the_model_is_better(model, act, finding):
    # model and acting on all share their resamples, so that their difference has no noise here
    axes = show.decision_panels(curves(model, act))
    assert finding in title(axes)
    assert [ax.get_title(loc="left") for ax in axes] == ["overall", "age group"]
    assert axes[1].get_legend_handles_labels()[1] == ["old (n=60)", "young (n=340)"]
    assert axes[0].lines[1].get_linestyle() == "--"


def test_a_harmful_model_is_drawn_to_its_end():
    axes = show.decision_panels(curves([0.2, -0.1, -0.6, -0.9], [0.8, 0.5, -3, -9]))
    assert axes[0].get_ylim()[0] <= -0.9 and axes[0].get_ylim()[0] > -3
