import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib import plots, tables

plt.switch_backend("agg")
DRAWS = np.random.default_rng(0).normal(size=(30, 4))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def contrasts():
    base = {"estimate": 0.1, "low": 0.0, "high": 0.2, "reference": "m", "n": 50}
    rows = [
        base | {"metric": m, "attribute": "sex", "group": g, "n_positive": p}
        for m in ("tpr", "fpr")
        for g, p in (("f", 40), ("x", 5))
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.by_modality({"AUROC": DRAWS, "TPR": DRAWS}, list("abcd"), title="t"),
        lambda: plots.order_path(DRAWS, {"f minus m": DRAWS}, list("abc"), title="t"),
        lambda: plots.masking_curve([0, 0.1, 0.5, 1], DRAWS, DRAWS[0] ** 2, title="t"),
        lambda: plots.contrast_curves([0, 0.1, 0.5, 1], {"x": {"f": DRAWS}, "y": {"f": DRAWS}}, title="t"),
        lambda: plots.regimes([0, 0.1, 0.5, 1], {"plain": DRAWS[0]}, DRAWS, title="t"),
        lambda: plots.signed_contrasts(contrasts(), {"sex": "m"}, title="t"),
    ],
)
def test_figures_have_axes_with_labels_on_an_opaque_ground(draw):
    axes = np.atleast_1d(draw()).ravel()
    figure = axes[0].figure
    figure.canvas.draw()
    assert figure.get_facecolor() == (1, 1, 1, 1)
    texts = [t.get_text() for t in [*figure.texts, *[a.title for a in axes]]] + [
        a.get_title(loc="left") for a in axes
    ]
    assert any(texts + [figure.get_suptitle()])


def test_small_groups_are_hollow():
    axes = plots.signed_contrasts(contrasts(), {"sex": "m"}, title="t")
    large, small = (c.lines[0] for c in axes.flat[0].containers)
    assert small.get_markerfacecolor() == "white" and large.get_markerfacecolor() != "white"


def test_tables_write_the_interval_beside_the_estimate():
    html = tables.contrast_table(contrasts()).to_html()
    assert "f minus m" in html and "+0.100 [+0.000, +0.200]" in html
    touched = tables.rates_table([0.1], [0.3], DRAWS[:, :1] / 1000, [0.01], [0.02], 0.004, 0.5).to_html()
    assert "30.0%" in touched and ">no<" in touched


def test_words_are_readable():
    assert tables.words("age_group+sex") == "age group + sex"
    assert tables.listed(["race", "sex", "age_group"]) == "race, sex and age group"
