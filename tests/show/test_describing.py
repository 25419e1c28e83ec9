import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.show import describing

plt.switch_backend("agg")
DRAWS = np.random.default_rng(0).normal(size=(30, 2))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_figure_has_labels_on_an_opaque_ground_and_changes_no_setting():
    losses = pd.DataFrame({"epoch": [0, 0, 1], "step": [0, 1, 0], "loss": [3, 2, 1]})
    held, before = {"before": 3 + DRAWS[:, 0] / 10, "after": 1 + DRAWS[:, 1] / 10}, dict(plt.rcParams)
    axes = describing.learning(losses, held, title="t")
    figure = axes[0].figure
    figure.canvas.draw()
    assert dict(plt.rcParams) == before and plt.get_fignums() == [figure.number]
    assert all(ax.get_xlabel() for ax in axes) and figure.get_suptitle() == "t"
    assert figure.get_facecolor() == (1, 1, 1, 1)


def test_a_finding_stands_beside_its_counts_and_its_agreement():
    named = pd.DataFrame({"reports": [1200, 3], "texts": [7, 0]}, index=["opacity", "effusion"])
    agreement = np.array([[0.75, 0.5], [0.7, np.nan], [0.7, 0.5]])
    html = describing.agreement_table(named, {"after": agreement}).to_html()
    assert "0.750\u00a0[0.700,\u00a00.700]" in html and "0.500, too few for an interval" in html
    assert "1,200" in html and "balanced accuracy, after [95 %]" in html
