import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib.core.subsets import subset_masks
from mmlib.show import choose, style
from tests.show.limits import hidden

SUBSETS = subset_masks(list("abcdef"))[0][1:]


def looked_at(draw, **limits):
    """What a figure hides; it is closed, so that only this test judges it."""
    figure, ax = plt.subplots()
    draw(ax)
    ax.set(**limits)
    found = hidden(figure)
    plt.close(figure)
    return found


@pytest.mark.parametrize(
    ("draw", "limits"),
    [
        (lambda ax: ax.scatter([1, 2], [1, 5]), {"ylim": (0, 4)}),
        (lambda ax: ax.plot([1, 2, 9], [1, 2, 3], "o"), {"xlim": (0, 5)}),
        (lambda ax: ax.errorbar([1], [1], xerr=[3], fmt="o"), {"xlim": (0, 5)}),
        (lambda ax: ax.vlines([1], 0, 3), {"ylim": (0, 2)}),
        (lambda ax: ax.fill_between([1, 2], [0, 0], [1, 3]), {"ylim": (0, 2)}),
        (lambda ax: ax.bar([1, 2], [3, 4]), {"ylim": (0, 3.5)}),
        (lambda ax: ax.hist([-0.9, 0.1], np.linspace(-1, 1, 11)), {"xlim": (-0.5, 1)}),
        (lambda ax: ax.hist([-0.9, 0.1], np.linspace(-1, 1, 11), histtype="step"), {"xlim": (-0.5, 1)}),
        (lambda ax: ax.axvline(4), {"xlim": (0, 2)}),
        (lambda ax: ax.plot([1, 2], [0, 3]), {"yscale": "log"}),
    ],
)
def test_data_outside_the_axes_are_found(draw, limits):
    assert looked_at(draw, **limits)
    assert not looked_at(draw)


def test_what_is_no_data_or_marked_may_go_beyond():
    assert not looked_at(lambda ax: ax.axhspan(0, 9), xlim=(3, 4))
    assert not looked_at(lambda ax: ax.axline((0, 0), slope=1), xlim=(3, 4))
    assert not looked_at(lambda ax: ax.scatter([1, np.nan], [np.nan, 2]), xlim=(3, 4))
    assert not looked_at(lambda ax: style.reaches_out(ax.scatter([1], [1])), xlim=(3, 4))
    assert not looked_at(lambda ax: ax.hist([0.1], np.linspace(-1, 1, 11), histtype="step"), xlim=(-0.5, 1))
    assert not looked_at(lambda ax: ax.plot([1], [1], "o")[0].set_visible(False), xlim=(3, 4))


def many_subsets():
    """All subsets of six modalities with three differences, the first of them small."""
    sizes = [np.linspace(0.01, reach, len(SUBSETS)) for reach in (0.05, 0.3, 0.4)]
    parts = [pd.DataFrame({"subset": SUBSETS, "contrast": str(i), "size": size}) for i, size in enumerate(sizes)]
    about = {"auroc": 0.7, "estimate": 0.1, "low": 0.0, "high": 0.2, "membership": 0.1, "front": False, "still": False}
    return pd.concat(parts, ignore_index=True).assign(**about)


def test_the_front_shows_all_subsets_of_all_panels():
    axes = choose.front(many_subsets(), n=9)
    assert hidden(axes[0].figure) == []


def test_a_limit_that_is_set_while_shared_panels_are_drawn_is_found():
    figure, axes = plt.subplots(1, 3, sharey=True)
    for ax, (_, part) in zip(axes, many_subsets().groupby("contrast"), strict=True):
        ax.scatter(part["auroc"], part["size"])
        ax.set_ylim(bottom=-0.01)  # ends autoscaling of all panels at the first one's largest point
    found = hidden(figure)
    plt.close(figure)
    assert [int(what.split(" of 63 ")[0]) > 50 for what in found] == [True, True]
