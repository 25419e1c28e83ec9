import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.measure.estimates import estimate
from mmlib.show import describing

plt.switch_backend("agg")
SCORED = ["before", "after", "after, another's picture"]
TEXTS = {"before": pd.Series(["a", "b"] * 10), "after": pd.Series(["the heart is large."] * 18 + ["c", "d"])}


def loss(another=1.5, spread=0.1):
    draws = np.array([3, 1, another]) + spread * np.array([0, -1, 1] * 7)[:, None] * np.array([0, 1, -1])
    return estimate(draws, {"scored": SCORED}, n=1234, name="loss")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_figure_has_labels_on_an_opaque_ground_and_changes_no_setting():
    losses = pd.DataFrame({"epoch": [0, 0, 1], "step": [0, 1, 0], "loss": [3, 2, 1]})
    before = dict(plt.rcParams)
    axes = describing.learning_curve(losses, loss())
    figure = axes[0].figure
    figure.canvas.draw()
    assert dict(plt.rcParams) == before and plt.get_fignums() == [figure.number]
    assert all(ax.get_xlabel() for ax in axes)
    assert figure.get_suptitle() == "Held-out loss -2.00 by training; +0.50 with another patient's picture"
    assert figure.get_facecolor() == (1, 1, 1, 1)


def test_a_finding_stands_beside_its_counts_and_its_agreement():
    counts = pd.DataFrame({"reports": [1200, 3], "after": [7, 0]}, index=["opacity", "effusion"])
    draws = np.array([[0.75, 0.5], [0.7, np.nan], [0.7, 0.5]])
    agreement = {"after": estimate(draws, {"finding": ["opacity", "effusion"]})}
    html = describing.agreement_table(counts, agreement).to_html()
    assert "0.75\u00a0[0.70,\u00a00.70]" in html and "0.50, too few for an interval" in html
    assert "1,200" in html and "texts after" in html and "balanced accuracy, after [95 %]" in html


def test_the_answer_says_that_pictures_are_used_only_if_the_interval_lies_above_0():
    text = describing.describing_in_short(loss(), TEXTS, pairs=76, random=False).data.replace("\u00a0", " ")
    assert text.startswith("**In short.** After training on 76 pairs, the loss of a token of 1,234 held-out reports")
    assert "changes by -2.000 [-2.100, -1.900], from 3.000 to 1.000" in text
    assert "+0.500 [+0.300, +0.700]; the 95 % interval lies above 0: the model uses the pictures." in text
    assert "3 different texts for these pictures (2 before); the most frequent, for 18: *the heart is large*." in text
    unseen = describing.describing_in_short(loss(another=1.1), TEXTS, pairs=76, random=True).data
    assert unseen.startswith("**The texts of this page mean nothing.**") and "nothing shows" in unseen


def test_a_text_of_few_pictures_is_not_quoted():
    rare = TEXTS | {"after": pd.Series(["private"] * 10 + list("abcdefghij"))}
    text = describing.describing_in_short(loss(), rare, pairs=76, random=False).data
    assert "private" not in text and text.endswith("none is frequent.")
