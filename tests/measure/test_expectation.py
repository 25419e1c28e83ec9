from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import subset_masks
from mmlib.measure import bootstrap, expectation, metrics, scenarios

Y = np.array([0, 1, 1, 0, 1])
GROUPS = np.array([[1] * 5, [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], bool)
THRESHOLD = np.array([0.4, 0.5, 0.3, 0.6, 0.5])
NAMES, MASKS = subset_masks(["vitals", "labs"])
JOINT = np.array(list(product(range(4), repeat=5)))
CASES = [
    (seed, decimals) for seed in range(2) for decimals in (8, 1)
]  # one decimal: ties within and between samples


def tiny(seed, decimals):
    """Five samples with a score under each of four patterns, and two rows of integer weights."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random((4, 5)), decimals)
    patient_weights = np.array([[1] * 5, [2, 1, 3, 1, 1]], float)
    return scores, patient_weights, rng


@cache
def outcomes(scores, patient_weights):
    """Every metric in each of the 4^5 joint outcomes, by scikit-learn's AUROC and plain counting."""
    found = {}
    for joint in JOINT:
        s = np.array(scores)[joint, range(5)]
        for w in map(np.array, patient_weights):
            for member in GROUPS:
                hit = w * member * (s >= THRESHOLD)
                tpr, fpr = hit @ Y / (w * member @ Y), hit @ (1 - Y) / (w * member @ (1 - Y))
                one = {
                    "selection_rate": hit.sum() / (w @ member),
                    "tpr": tpr,
                    "fpr": fpr,
                    "balanced_accuracy": (1 + tpr - fpr) / 2,
                    "accuracy": (hit @ Y + w * member @ (1 - Y) - hit @ (1 - Y)) / (w @ member),
                    "auroc": area(s[member], Y[member], w[member]),
                }
                for name, value in one.items():
                    found.setdefault(name, []).append(value)
    return {name: np.reshape(values, (len(JOINT), len(patient_weights), 3)) for name, values in found.items()}


def enumerated(scores, patient_weights, probabilities):
    """Expectation of every metric over all joint outcomes."""
    chance = np.prod(probabilities[range(5), JOINT], axis=1)
    every = outcomes(tuple(map(tuple, scores)), tuple(map(tuple, patient_weights)))
    return {name: np.tensordot(chance, values, 1) for name, values in every.items()}


def area(s, y, w):
    wins = (s[y == 1][:, None] > s[y == 0]) + 0.5 * (s[y == 1][:, None] == s[y == 0])
    return w[y == 1] @ wins @ w[y == 0] / (w[y == 1].sum() * w[y == 0].sum())


def test_the_enumeration_ranks_as_scikit_learn_does():
    scores, patient_weights, _ = tiny(0, 1)
    for s in scores:
        for w in patient_weights:
            assert area(s, Y, w) == pytest.approx(roc_auc_score(Y, s, sample_weight=w))


def exact(scores, patient_weights, probabilities):
    found = metrics.rates(Y, expectation.expected_selection(scores, THRESHOLD, probabilities), patient_weights, GROUPS)
    return found | {"auroc": expectation.expected_auroc(Y, scores, probabilities, patient_weights, GROUPS)}


@pytest.mark.parametrize(("seed", "decimals"), CASES)
def test_expectations_equal_the_enumeration_of_all_joint_outcomes(seed, decimals):
    scores, patient_weights, rng = tiny(seed, decimals)
    independent = expectation.pattern_probabilities(rng.random((5, 2)), MASKS)
    correlated = rng.dirichlet(np.ones(4), size=5)
    ours = exact(scores, patient_weights, np.stack([independent, correlated]))
    for r, probabilities in enumerate((independent, correlated)):
        truth = enumerated(scores, patient_weights, probabilities)
        for name, value in truth.items():
            assert ours[name][:, r] == pytest.approx(value, abs=1e-9), name
            # Signed differences: expectation of the difference, group minus reference.
            difference = bootstrap.contrast(ours[name], ["all", "A", "B"], "A")[:, r, 2]
            assert difference == pytest.approx(value[:, 2] - value[:, 1], abs=1e-9), name


COHORT = pd.DataFrame(
    {"sex": list("fmfmf"), "label": Y, "present_vitals": [1, 1, 0, 1, 1], "present_labs": [1, 0, 1, 1, 1]}
).astype({"present_vitals": bool, "present_labs": bool})
MECHANISMS = scenarios.default_mechanisms({"sex": "f"}) | {
    "few, in one block": {"depends_on": "label", "odds": 0.2, "together": True},
    "one alone": {"depends_on": "risk", "only": ["labs"]},
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_expectations_under_every_mechanism_equal_the_enumeration(name):
    scores, patient_weights, rng = tiny(3, 1)
    present = COHORT[["present_vitals", "present_labs"]].to_numpy()
    probabilities = scenarios.distribution(
        MECHANISMS[name], COHORT, ["vitals", "labs"], 0.3, risk=rng.random(5), attributes=["sex"]
    )
    # what a sample lacks, the model cannot see
    scores = np.take_along_axis(scores, (MASKS[:, None] & present) @ np.array([1, 2]), axis=0)
    ours = exact(scores, patient_weights, probabilities)
    for metric, value in enumerated(scores, patient_weights, probabilities).items():
        assert ours[metric][:, 0] == pytest.approx(value, abs=1e-9), metric


@pytest.mark.parametrize(("seed", "decimals"), CASES)
def test_slopes_equal_the_derivative_of_the_enumeration(seed, decimals):
    """The enumeration is a polynomial in p: a complex step differentiates it without rounding error."""
    scores, patient_weights, rng = tiny(seed, decimals)
    direction = rng.random((5, 2))
    for relative in (None, direction):
        ours = expectation.slopes(Y, scores, THRESHOLD, MASKS, patient_weights, GROUPS, relative)
        for m in range(2):
            drop = np.zeros((5, 2), complex)
            drop[:, m] = 1e-30j * (1 if relative is None else direction[:, m])
            kept = np.prod(np.where(MASKS[None], 1 - drop[:, None], drop[:, None]), axis=2)
            for name, value in enumerated(scores, patient_weights, kept).items():
                assert ours[name][:, m] == pytest.approx(value.imag / 1e-30, abs=1e-9), name


def test_slope_of_everybody_losing_a_modality_is_another_number():
    scores, patient_weights, _ = tiny(0, 8)
    ours = expectation.slopes(Y, scores, THRESHOLD, MASKS, patient_weights, GROUPS)["auroc"]
    vitals_gone = metrics.auroc(Y, scores[[2, 3]], patient_weights, GROUPS)
    assert np.abs((vitals_gone[:, 0] - vitals_gone[:, 1]) - ours[:, 0]).max() > 0.01


def test_the_auroc_of_a_slope_may_be_of_fewer_groups():
    scores, patient_weights, _ = tiny(0, 8)
    every = expectation.slopes(Y, scores, THRESHOLD, MASKS, patient_weights, GROUPS)
    fewer = expectation.slopes(Y, scores, THRESHOLD, MASKS, patient_weights, GROUPS, ranked=GROUPS[:1])
    np.testing.assert_array_equal(fewer["auroc"], every["auroc"][..., :1])
    np.testing.assert_array_equal(fewer["tpr"], every["tpr"])


def clinic(n=300, modalities=3):
    """A cohort in which every modality helps, some are absent, and scores tie at two decimals."""
    rng = np.random.default_rng(10)
    y, present = rng.integers(0, 2, n), rng.random((n, modalities)) < 0.8
    names, masks = subset_masks([f"m{i}" for i in range(modalities)])
    signal = (0.8 * (y[:, None] - 0.5) + rng.normal(size=(n, modalities))) * present
    scores = np.round(1 / (1 + np.exp(-(masks @ signal.T))), 2)
    groups = np.array([np.ones(n, bool), np.arange(n) % 3 == 0, np.arange(n) % 3 > 0])
    return y, present, masks, scores, groups, rng


def test_a_run_that_is_certain_has_no_spread_and_one_sample_that_of_a_coin():
    y, _, masks, scores, groups, rng = clinic()
    met = rng.integers(0, 8, len(y))
    certain = np.eye(8)[met]
    drawn = expectation.simulate(scores, certain, 3)
    np.testing.assert_array_equal(drawn, np.tile(scores[met, np.arange(len(y))], (3, 1)))
    spread = expectation.one_run_sd(y, scores, 0.5, certain, groups, realisations=3)
    assert all((sd == 0).all() for sd in spread.values())
    probabilities = expectation.pattern_probabilities(0.3, masks)
    q = expectation.expected_selection(scores, 0.5, np.repeat(probabilities, len(y), axis=0))
    one = np.eye(len(y), dtype=bool)[:1]
    alone = expectation.one_run_sd(y, scores, 0.5, np.repeat(probabilities, len(y), axis=0), one, realisations=0)
    assert alone["selection_rate"][0, 0] == pytest.approx(np.sqrt(q[0] * (1 - q[0])))


@pytest.mark.slow
def test_monte_carlo_agrees_with_the_expectations():
    y, present, masks, scores, groups, rng = clinic()
    n, one, realisations = len(y), np.ones((1, len(y))), 2000
    independent = expectation.pattern_probabilities(0.3 * rng.random((n, 3)), masks)
    correlated = rng.dirichlet(np.ones(8), size=n)
    for seed, probabilities in enumerate((independent, correlated)):
        q = expectation.expected_selection(scores, 0.5, probabilities)
        expected = metrics.rates(y, q, one, groups)
        expected["auroc"] = expectation.expected_auroc(y, scores, probabilities, one, groups)
        drawn = expectation.simulate(scores, probabilities, realisations, seed)
        found = metrics.rates(y, drawn >= 0.5, one, groups)
        found["auroc"] = metrics.auroc(y, drawn, one, groups)
        sd = expectation.one_run_sd(y, scores, 0.5, probabilities, groups, realisations=400, seed=9)
        assert set(sd) == {*expectation.LINEAR, "auroc"}
        for name in sd:
            gap = found[name][0].mean(axis=0) - expected[name][0, 0]
            bound = norm.ppf(1 - 0.05 / (2 * 2 * 3 * len(sd))) * found[name][0].std(axis=0) / np.sqrt(realisations)
            assert (np.abs(gap) <= bound).all(), name
            relative = 0.06 if name != "auroc" else 0.15  # SD of an SD: 1 / sqrt(2 draws), four of them
            assert sd[name][0] == pytest.approx(found[name][0].std(axis=0), rel=relative), name
        contrast = found["tpr"][0, :, 2] - found["tpr"][0, :, 1]
        assert np.hypot(sd["tpr"][0, 1], sd["tpr"][0, 2]) == pytest.approx(contrast.std(), rel=0.06)


def test_drops_of_absent_modalities_change_nothing():
    y, present, masks, scores, groups, rng = clinic()
    drop = rng.random((2, len(y), 3))
    anywhere, owned = (expectation.pattern_probabilities(drop, masks, p) for p in (None, present))
    absent = (masks[None] & ~present[:, None]).any(axis=2)
    assert (owned[:, absent] == 0).all() and owned.sum(axis=2) == pytest.approx(1)
    one = np.ones((1, len(y)))
    ours = [expectation.expected_auroc(y, scores, p, one, groups) for p in (anywhere, owned)]
    assert ours[0] == pytest.approx(ours[1], abs=1e-12)
    slope = [expectation.slopes(y, scores, 0.5, masks, one, groups, d) for d in (None, present)]
    assert slope[0]["auroc"] == pytest.approx(slope[1]["auroc"], abs=1e-12)
    assert slope[0]["tpr"] == pytest.approx(slope[1]["tpr"], abs=1e-12)


def test_no_and_certain_drops_are_the_full_and_the_empty_model():
    y, _, masks, scores, groups, _ = clinic()
    one = np.ones((1, len(y)))
    probabilities = np.stack([expectation.pattern_probabilities(rate, masks) for rate in (0, 1)])
    assert probabilities.shape == (2, 1, 8)
    q = expectation.expected_selection(scores, 0.5, probabilities)
    assert (q == (scores[[7, 0]] >= 0.5)).all()
    expected = metrics.auroc(y, scores[[7, 0]], one, groups)
    assert expectation.expected_auroc(y, scores, probabilities, one, groups) == pytest.approx(expected)


def test_small_rates_follow_the_slope():
    y, present, masks, scores, groups, rng = clinic()
    patient_weights = bootstrap.resample_patients(np.arange(len(y)), 5)
    slope = expectation.slopes(y, scores, 0.5, masks, patient_weights, groups, present)["auroc"].sum(axis=1)
    rates = np.array([0, 1e-6])
    probabilities = expectation.pattern_probabilities(rates[:, None, None], masks, present)
    value = expectation.expected_auroc(y, scores, probabilities, patient_weights, groups)
    assert (value[:, 1] - value[:, 0]) / 1e-6 == pytest.approx(slope, rel=1e-4)


def test_pattern_names_count_in_binary():
    names, masks = subset_masks(["a", "b", "c"])
    assert names == ["none", "a", "b", "a+b", "c", "a+c", "b+c", "a+b+c"]
    assert masks[5].tolist() == [True, False, True]


def test_pattern_probabilities_are_binomial_when_rates_are_equal():
    _, masks = subset_masks(list("abcd"))
    probabilities = expectation.pattern_probabilities(0.2, masks)[0]
    kept = masks.sum(axis=1)
    assert probabilities == pytest.approx(0.8**kept * 0.2 ** (4 - kept))
    by_modality = expectation.pattern_probabilities([0, 1, 0, 0.5], masks)[0]
    assert by_modality[0b1101] == by_modality[0b0101] == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expectation.pattern_probabilities(1.5, MASKS), r"drop lies in \[1.5, 1.5\]"),
        (lambda: expectation.expected_selection(np.ones((4, 6)), 0.5, np.full((6, 4), 0.2)), "miss 1 by 0.2"),
        (
            lambda: expectation.expected_selection(np.ones((4, 6)), 0.5, np.full((5, 4), 0.25)),
            "scores .4, 6. need",
        ),
        (
            lambda: expectation.expected_selection(np.ones((4, 6)), np.nan, np.full((6, 4), 0.25)),
            "threshold is missing",
        ),
        (lambda: expectation.simulate(np.ones((4, 6)), np.full((2, 6, 4), 0.25), 3), "2 scenarios"),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_samples_of_a_unit_lose_a_modality_together():
    rng = np.random.default_rng(0)
    unit, scores = np.repeat(np.arange(50), 4), rng.random((4, 200))
    runs = expectation.simulate_units(scores, [0.3, 0.6], unit, 500)
    pattern = (runs[:, None] == scores[None]).argmax(axis=1)
    assert (pattern.reshape(500, 50, 4) == pattern.reshape(500, 50, 4)[..., :1]).all()
    kept = [(pattern & bit > 0).mean() for bit in (1, 2)]
    np.testing.assert_allclose(kept, [0.7, 0.4], atol=0.01)
