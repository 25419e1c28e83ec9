from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mmlib.questions.paradox import (
    Group,
    add_modality,
    combine_scores,
    hurdle,
    is_paradox,
    matched_threshold,
    measure_groups,
    scan_plane,
    tpr_gaps,
)

REFERENCE, BEHIND = Group("reference", 0.7, 0.3, 1.0, 1.1), Group("behind", 0.3, 0.4, 0.8, 0.7, -0.3)


def scores(groups, n=400_000, seed=0):
    """Draw people and score them as the model says: place of the group, label, old score, new score."""
    rng = np.random.default_rng(seed)
    who = rng.choice(len(groups), n, p=[g.share for g in groups])
    take = {k: np.array([getattr(g, k) for g in groups])[who] for k in ("prevalence", "old", "new", "shift")}
    y = rng.random(n) < take["prevalence"]
    first = y * take["old"] + rng.normal(size=n)
    return who, y, first, y * take["new"] + take["shift"] + rng.normal(size=n)


def simulate(groups):
    """Measure in scores what the closed forms promise."""
    who, y, first, second = scores(groups)
    old, new = (sum(g.share * getattr(g, k) for g in groups) for k in ("old", "new"))
    found = {}
    for stage, score in (("old", first), ("old + new", old * first + new * second)):
        selected = score > np.quantile(score, 1 - y.mean())
        for i, g in enumerate(groups):
            own = who == i
            found[stage, g.name] = (
                roc_auc_score(y[own], score[own]),
                selected[own & y].mean(),
                selected[own & ~y].mean(),
                selected[own].mean(),
            )
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "groups",
    [
        (REFERENCE, BEHIND),
        (replace(REFERENCE, share=0.5), Group("other", 0.5, 0.15, 1.4, 0.6, 0.5)),
        (replace(REFERENCE, share=0.4), replace(BEHIND, share=0.4), Group("third", 0.2, 0.2, 0.5, 2.0)),
    ],
)
def test_closed_forms_are_those_of_a_simulation(groups):
    table = add_modality(groups)
    for key, expected in simulate(groups).items():
        np.testing.assert_allclose(
            table.loc[key, ["auroc", "tpr", "fpr", "selection_rate"]].to_numpy(float), expected, atol=0.01
        )


@pytest.mark.parametrize("selected", [None, 0.05, 0.5, 0.95])
def test_the_threshold_selects_what_was_asked(selected):
    table = add_modality((REFERENCE, BEHIND), selected)
    share = table.selection_rate.unstack() @ np.array([0.3, 0.7])  # columns in alphabetical order
    np.testing.assert_allclose(share, 0.33 if selected is None else selected, atol=1e-9)


def test_one_group_alone_has_the_textbook_threshold():
    group = Group("all", 1 - 1e-12, 0.5, 2.0, 1.0)
    assert matched_threshold([group], [2.0], [0.0], 0.5) == pytest.approx(1.0, abs=1e-6)
    table = add_modality([group])
    both = table.loc[("old + new", "all")]
    assert both.separation == pytest.approx(np.sqrt(5)) and both.auroc == pytest.approx(norm.cdf(np.sqrt(5 / 2)))
    # of symmetric scores, half of whom are positives, the cut that selects half misses as many as it wrongly finds
    assert both.tpr == pytest.approx(norm.cdf(np.sqrt(5) / 2), abs=1e-6)
    assert both.fpr == pytest.approx(1 - both.tpr, abs=1e-6)


def test_the_probit_gap_needs_neither_threshold_nor_prevalence():
    gaps = [
        tpr_gaps((replace(REFERENCE, prevalence=p), replace(BEHIND, prevalence=q)), selected)
        for p, q, selected in ((0.1, 0.5, 0.2), (0.4, 0.4, 0.6), (0.3, 0.1, 0.05))
    ]
    for gap in gaps:
        np.testing.assert_allclose(gap.probit_gap, gaps[0].probit_gap)
    table = add_modality((REFERENCE, BEHIND), 0.2)
    probit = norm.ppf(table.tpr.unstack())
    np.testing.assert_allclose(probit[:, 0] - probit[:, 1], gaps[0].probit_gap)  # behind, reference


def test_the_hurdle_decides_whose_auroc_rises_and_which_way_the_gap_moves():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(12):
        share = rng.uniform(0.1, 0.9)
        one = Group("one", share, 0.3, *rng.uniform(0.2, 2, 2), rng.uniform(-0.5, 0.5))
        two = Group("two", 1 - share, 0.3, *rng.uniform(0.2, 2, 2), rng.uniform(-0.5, 0.5))
        tau, auroc = hurdle((one, two)), add_modality((one, two)).auroc.unstack("stage")
        gain = {g.name: g.new - tau * g.old for g in (one, two)}
        for g in (one, two):
            assert (gain[g.name] > 0) == (auroc.loc[g.name, "old + new"] > auroc.loc[g.name, "old"])
        probit = tpr_gaps((one, two)).probit_gap
        change = (gain["two"] + two.shift) - (gain["one"] + one.shift)
        assert np.sign(change) == np.sign(probit["old + new"] - probit["old"])
        seen.add(is_paradox((one, two)))
    assert seen == {True, False}


def test_the_paradox_and_its_absence():
    assert is_paradox((REFERENCE, BEHIND))
    assert not is_paradox((REFERENCE, replace(BEHIND, new=1.2, shift=0.0)))  # the group catches up
    assert not is_paradox((REFERENCE, replace(BEHIND, new=0.05)))  # its AUROC falls
    alike = (replace(REFERENCE, share=0.7), Group("alike", 0.3, 0.3, 1.0, 1.1))
    np.testing.assert_allclose(tpr_gaps(alike), 0, atol=1e-12)
    assert not is_paradox(alike)


def test_a_modality_that_says_nothing_changes_nothing():
    groups = (replace(REFERENCE, new=0.0), replace(BEHIND, new=0.0))
    assert hurdle(groups) == 0
    table = combine_scores(groups)
    np.testing.assert_allclose(table.xs("old"), table.xs("old + new"))


def test_the_plane_is_what_each_of_its_points_gives():
    at = np.array([0.0, 0.3, 0.9, 1.7])
    for selected in (None, 0.1):
        gain, gap = scan_plane((REFERENCE, BEHIND), at, selected)
        for i, j in np.ndindex(4, 4):
            pair = replace(REFERENCE, new=at[j]), replace(BEHIND, new=at[i])
            separation = combine_scores(pair).separation.unstack("stage", sort=False)
            np.testing.assert_allclose(gain[i, j], separation["old + new"] - separation["old"], atol=1e-12)
            np.testing.assert_allclose(gap[:, i, j], tpr_gaps(pair, selected).gap, atol=1e-12)


def test_groups_are_measured_in_scores():
    groups = (REFERENCE, BEHIND)
    who, y, old, new = scores(groups)
    found = measure_groups(y, np.array(["reference", "behind"])[who], old, new, ["reference", "behind"])
    for measured, g in zip(found, groups, strict=True):
        assert measured.name == g.name and measured.shift == pytest.approx(g.shift, abs=0.01)
        for part in ("share", "prevalence", "old", "new"):
            assert getattr(measured, part) == pytest.approx(getattr(g, part), abs=0.015), part
    scaled = measure_groups(y, who, 2 * old - 1, 5 * new + 2, [0, 1])  # scale and origin play no part
    assert scaled[1].new == pytest.approx(found[1].new) and scaled[1].shift == pytest.approx(found[1].shift)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Group("g", 1.2, 0.3, 1, 1), "share 1.2 and prevalence 0.3; expected both between 0 and 1"),
        (lambda: combine_scores((REFERENCE, REFERENCE)), r"shares of the groups are \[0.7, 0.7\]"),
        (lambda: add_modality((REFERENCE, BEHIND), 1.0), "selected is 1.0; expected a share between 0 and 1"),
        (
            lambda: combine_scores((replace(REFERENCE, old=-1.0), BEHIND)),
            "the old score separates by -0.46 and the new one by 0.98",
        ),
        (
            lambda: measure_groups([0, 1, 1], ["a", "a", "b"], [1, 2, 3], [1, 2, 3], ["a", "b"]),
            "Group 'b' has 1 samples and not both labels; expected both",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
