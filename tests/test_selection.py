from itertools import combinations, permutations

import numpy as np
import pytest

from mmlib import selection
from mmlib.schema import subset_masks

NAMES, _ = subset_masks(["a", "b", "c", "d"])
VALUES = np.random.default_rng(0).normal(size=(5, 16, 2))


def test_shapley_values_are_the_mean_gain_over_all_orders():
    shares = selection.shapley(VALUES, NAMES)
    gains = np.zeros((5, 4, 2))
    for order in permutations("abcd"):
        path = selection.order_positions(NAMES, order)
        for m, i, j in zip(order, path, path[1:], strict=False):
            gains[:, "abcd".index(m)] += VALUES[:, j] - VALUES[:, i]
    np.testing.assert_allclose(shares, gains / 24, atol=1e-12)
    np.testing.assert_allclose(shares.sum(1), VALUES[:, -1] - VALUES[:, 0], atol=1e-12)


@pytest.mark.parametrize("modalities", [["a"], ["age group", "labs"]])
def test_one_and_two_modalities(modalities):
    names, _ = subset_masks(modalities)
    values = np.random.default_rng(1).normal(size=(3, len(names)))
    shares = selection.shapley(values, names)
    expected = values[:, 1] - values[:, 0]
    if len(modalities) == 2:
        expected = (expected + values[:, 3] - values[:, 2]) / 2
    np.testing.assert_allclose(shares[:, 0], expected)
    assert len(selection.additions(names)) == len(modalities) * 2 ** (len(modalities) - 1)


def test_shapley_values_lie_along_the_axis_of_the_subsets():
    moved = selection.shapley(np.moveaxis(VALUES, 1, 2), NAMES, axis=2)
    np.testing.assert_allclose(np.moveaxis(moved, 2, 1), selection.shapley(VALUES, NAMES))


def test_every_addition_adds_one_modality():
    steps = selection.additions(NAMES)
    assert len(steps) == 4 * 2**3
    for s in steps.itertuples():
        assert set(s.after.split("+")) - {s.modality} == set(s.before.split("+")) - {"none"}
        assert (NAMES[s.i], NAMES[s.j]) == (s.before, s.after)


def test_counts_are_of_what_happens_to_the_size_of_a_gap():
    steps = selection.additions(NAMES)
    quiet = VALUES[:1, :, 0] + 1e-6 * np.random.default_rng(1).normal(size=(200, 16))
    quiet[0] = VALUES[0, :, 0]
    gain = quiet[:, steps.j] - quiet[:, steps.i]
    table = selection.count_additions(gain, {"gap": quiet}, steps).set_index("quantity")
    wider = sum(abs(quiet[0, s.j]) > abs(quiet[0, s.i]) for s in steps.itertuples())
    assert table.loc["gap", "raise or widen"] == table.loc["gap", "surely"] == wider
    assert table.loc["gap", "surely the opposite"] == len(steps) - wider
    assert table.loc["AUROC", "raise or widen"] == (gain[0] > 0).sum()


def test_an_order_must_name_every_modality_once():
    with pytest.raises(ValueError, match="expected each of"):
        selection.order_positions(NAMES, ["a", "b"])
    with pytest.raises(ValueError, match="order is .*'vitals'.*expected each of .*'d'"):
        selection.order_positions(NAMES, ["a", "b", "c", "vitals"])
    with pytest.raises(ValueError, match="expected each of"):
        selection.order_positions(NAMES, ["a", "b", "c", "d", "d"])


def test_interactions_are_the_joint_gain_over_all_orders_of_a_pair_taken_as_one():
    found = selection.interactions(VALUES, NAMES)
    where = {frozenset(n.split("+")) - {"none"}: i for i, n in enumerate(NAMES)}
    for at, (a, b) in enumerate(combinations("abcd", 2)):
        joint = []
        for order in permutations([a + b, *(m for m in "abcd" if m not in (a, b))]):
            before = frozenset(order[: order.index(a + b)])
            v = [VALUES[:, where[before | set(added)]] for added in (a + b, a, b, "")]
            joint.append(v[0] - v[1] - v[2] + v[3])
        np.testing.assert_allclose(found[:, at], np.mean(joint, axis=0), atol=1e-12)


def test_additive_quantities_have_no_interactions():
    _, masks = subset_masks(["a", "b", "c", "d"])
    additive = masks @ np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(selection.interactions(additive, NAMES, axis=0), 0, atol=1e-12)
    product = masks[:, 0] * masks[:, 1] + additive
    np.testing.assert_allclose(selection.interactions(product, NAMES, axis=0)[0], 1, atol=1e-12)
    alone = selection.interactions(np.ones((3, 2)), ["none", "a"])
    assert alone.shape == (3, 0)
