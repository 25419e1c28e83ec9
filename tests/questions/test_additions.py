from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.measure import evaluate
from mmlib.measure.bootstrap import resample_patients
from mmlib.questions import additions

NAMES, _ = subset_masks(["a", "b", "c", "d"])
VALUES = np.random.default_rng(0).normal(size=(5, 16, 2))


def test_shapley_values_are_the_mean_gain_over_all_orders():
    shares = additions.shapley(VALUES, NAMES)
    gains = np.zeros((5, 4, 2))
    for order in permutations("abcd"):
        path = additions.order_positions(NAMES, order)
        for m, i, j in zip(order, path, path[1:], strict=False):
            gains[:, "abcd".index(m)] += VALUES[:, j] - VALUES[:, i]
    np.testing.assert_allclose(shares, gains / 24, atol=1e-12)
    np.testing.assert_allclose(shares.sum(1), VALUES[:, -1] - VALUES[:, 0], atol=1e-12)


@pytest.mark.parametrize("modalities", [["a"], ["age group", "labs"]])
def test_one_and_two_modalities(modalities):
    names, _ = subset_masks(modalities)
    values = np.random.default_rng(1).normal(size=(3, len(names)))
    shares = additions.shapley(values, names)
    expected = values[:, 1] - values[:, 0]
    if len(modalities) == 2:
        expected = (expected + values[:, 3] - values[:, 2]) / 2
    np.testing.assert_allclose(shares[:, 0], expected)
    assert len(additions.additions(names)) == len(modalities) * 2 ** (len(modalities) - 1)


def test_shapley_values_lie_along_the_axis_of_the_subsets():
    moved = additions.shapley(np.moveaxis(VALUES, 1, 2), NAMES, axis=2)
    np.testing.assert_allclose(np.moveaxis(moved, 2, 1), additions.shapley(VALUES, NAMES))


def test_every_addition_adds_one_modality():
    steps = additions.additions(NAMES)
    assert len(steps) == 4 * 2**3
    for s in steps.itertuples():
        assert set(s.after.split("+")) - {s.modality} == set(s.before.split("+")) - {"none"}
        assert (NAMES[s.i], NAMES[s.j]) == (s.before, s.after)


def test_counts_are_of_what_happens_to_the_size_of_a_gap():
    steps = additions.additions(NAMES)
    quiet = VALUES[:1, :, 0] + 1e-6 * np.random.default_rng(1).normal(size=(200, 16))
    quiet[0] = VALUES[0, :, 0]
    parts = (quiet, quiet[:2])
    table = additions.count_additions({"AUROC": parts, "gap": parts}, steps).set_index("quantity")
    wider = sum(abs(quiet[0, s.j]) > abs(quiet[0, s.i]) for s in steps.itertuples())
    assert table.loc["gap", "raise or widen"] == table.loc["gap", "surely"] == wider
    assert table.loc["gap", "surely the opposite"] == len(steps) - wider
    assert table.loc["AUROC", "raise or widen"] == (quiet[0, steps.j] > quiet[0, steps.i]).sum()
    loud = (quiet, quiet[:1] + 100 * np.random.default_rng(2).normal(size=(2, 16)))  # retraining drowns them all
    assert additions.count_additions({"AUROC": loud}, steps)["surely"].sum() == 0


def test_an_order_must_name_every_modality_once():
    with pytest.raises(ValueError, match="expected each of"):
        additions.order_positions(NAMES, ["a", "b"])
    with pytest.raises(ValueError, match="order is .*'vitals'.*expected each of .*'d'"):
        additions.order_positions(NAMES, ["a", "b", "c", "vitals"])
    with pytest.raises(ValueError, match="expected each of"):
        additions.order_positions(NAMES, ["a", "b", "c", "d", "d"])


def test_interactions_are_the_joint_gain_over_all_orders_of_a_pair_taken_as_one():
    found = additions.interactions(VALUES, NAMES)
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
    np.testing.assert_allclose(additions.interactions(additive, NAMES, axis=0), 0, atol=1e-12)
    product = masks[:, 0] * masks[:, 1] + additive
    np.testing.assert_allclose(additions.interactions(product, NAMES, axis=0)[0], 1, atol=1e-12)
    alone = additions.interactions(np.ones((3, 2)), ["none", "a"])
    assert alone.shape == (3, 0)


def test_the_best_single_modality_is_chosen_on_validation_patients():
    rng = np.random.default_rng(3)
    y, fold = rng.integers(0, 2, 60), np.arange(60) % 2
    cohort = pd.DataFrame({"label": y, "fold": fold})
    names, _ = subset_masks(["a", "b"])
    validation = rng.random((4, 2, 2, 60))
    validation[:, :, 0, fold == 0] = validation[:, :, 1, fold == 1] = np.nan
    # fold 0 of seed 0 sees b do well, all others a; what is tested would say otherwise
    validation[1] += y
    validation[1, 0, 0] -= 2 * y
    validation[2, 0, 0] += 2 * y
    powerset = xr.Dataset(
        {
            "score": (("subset", "seed", "sample"), rng.random((4, 2, 60))),
            "threshold": (("subset", "seed", "fold", "rule"), rng.random((4, 2, 2, 1))),
            "validation_score": (("subset", "seed", "fold", "sample"), validation),
        },
        {"subset": names, "rule": ["half"]},
    )
    found = additions.best_single(powerset, cohort)
    assert found.chosen.values.tolist() == [["b", "a"], ["a", "a"]]
    score = powerset.score.values
    expected = np.stack([np.where(fold == 0, score[2, 0], score[1, 0]), score[1, 1]])
    np.testing.assert_array_equal(found.score.transpose("seed", "sample"), expected)
    cut = found.threshold.transpose("seed", "fold", "rule").values
    whole = powerset.threshold.values[..., 0]
    assert cut[..., 0].tolist() == [[whole[2, 0, 0], whole[1, 0, 1]], whole[1, 1].tolist()]


def test_shapley_values_of_an_evaluation_add_up_with_their_spread():
    rng = np.random.default_rng(4)
    n, (names, _) = 80, subset_masks(["a", "b", "c"])
    cohort = pd.DataFrame(
        {"label": rng.integers(0, 2, n), "fold": 0, "patient_id": range(n), "sex": rng.choice(["f", "m"], n)}
    )
    score = xr.DataArray(rng.random((2, 8, n)), {"subset": names}, ("seed", "subset", "sample"))
    cut = xr.DataArray(np.full((2, 8, 1), 0.5), {"subset": names}, ("seed", "subset", "fold"))
    patient_weights = resample_patients(cohort.patient_id, 20)
    result = evaluate.evaluate(score, cut, cohort, patient_weights, attributes=["sex"], ranking={"auroc": []})
    shares = additions.shapley_values(result)
    frame = shares.frame("toy", "auroc", "sex")
    assert frame.modality.tolist() == ["a", "b", "c"] and frame.se_retrain.gt(0).all()
    area = [np.mean([roc_auc_score(cohort.label, s) for s in score.values[:, k]]) for k in (0, 7)]
    assert frame.estimate.sum() == pytest.approx(area[1] - area[0])
