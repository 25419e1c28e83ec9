import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.measure.estimates import estimate
from mmlib.measure.metrics import RATES
from mmlib.show import style

DRAWS = np.random.default_rng(0).normal(size=(60, 4))
VALUES = estimate(DRAWS, {"modality": list("abcd")}, spread=DRAWS[:2])


def drawn(container):
    """Points of an errorbar, and the ends of its arms, sideways."""
    points, _, (arms,) = container
    ends = np.array([segment[:, 0] for segment in arms.get_segments()])
    return points.get_xdata(), ends[:, 0], ends[:, 1]


@pytest.mark.parametrize("values", [VALUES, VALUES.frame()])
def test_figures_draw_the_interval_of_the_estimate(values):
    ax = style.rows(list("abcd"), {"x": {"f": values}}, title="t", chosen="b")[0]
    middle, low, high = drawn(ax.containers[0])
    np.testing.assert_allclose(middle, VALUES.value)
    np.testing.assert_allclose([low, high], [end.values for end in VALUES.interval()])
    assert [t.get_fontweight() for t in ax.get_yticklabels()] == ["normal", "bold", "normal", "normal"]
    np.testing.assert_allclose(style.ends(values), [middle, low, high])


def test_an_estimate_outside_its_percentiles_is_drawn_all_the_same():
    draws = np.full((60, 1), 0.5)
    draws[0] = 0.6  # every resample lies below
    style.bars(plt.gca(), [0], estimate(draws, {"rate": [0]}), "k", "x")
    style.dots(plt.gca(), [0], estimate(draws, {"rate": [0]}), "k")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_quantity_has_one_panel_and_the_others_share_the_second(count):
    names = ["AUROC", *"xyz"][:count]
    axes = style.by_modality(dict.fromkeys(names, VALUES), list("abcd"), title="t")
    assert [len(ax.containers) for ax in axes] == [1, count - 1][: min(count, 2)]
    assert axes[0].get_xlabel() == "share of AUROC" and axes[0].figure.get_suptitle() == "t"


def test_words_are_readable():
    assert style.words("age_group+sex") == "age group + sex"
    assert style.listed(["race", "sex", "age_group"]) == "race, sex and age group"
    assert style.listed([]) == "none"


def test_cells_say_where_there_is_no_interval():
    draws = np.tile([[0.25, 0.5]], (60, 1))
    draws[1:20, 1] = np.nan
    cells = style.estimate_cells(estimate(draws, {"rate": [0, 1]}), ".2f", "too few")
    assert cells == ["0.25\u00a0[0.25,\u00a00.25]", "too few"]
    assert style.estimate_cells(estimate(draws[:, 0]), ".0%") == ["25%\u00a0[25%,\u00a025%]"]


def test_every_metric_at_a_threshold_has_a_name_for_readers():
    assert set(RATES) <= set(style.METRIC_NAMES)


def test_a_long_table_shows_its_first_rows_and_columns_and_downloads_the_whole():
    table = pd.DataFrame({"group": [f"g{i}" for i in range(9)], "n": range(1000, 1009), "share": 0.5})
    html = style.in_part(table.style.hide(axis="index").format({"n": "{:,}"}), rows=3, columns=2).data
    assert re.findall(r">(g\d|group|n|share)<", html) == ["group", "n", "g0", "g1", "g2"]
    assert "1,002" in html and "1,003" not in html and ">all 9 rows</a>" in html
    whole = base64.b64decode(re.search(r'base64,([^"]*)', html)[1]).decode()
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(whole)), table)
    assert ">all 3 columns</a>" in style.in_part(table.style, columns=2).data


def test_a_short_table_is_shown_whole_without_a_download():
    html = style.in_part(pd.DataFrame({"group": ["g"]}).style, rows=8, columns=4).data
    assert "<table" in html and "download" not in html
