from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mmlib.core.schema import RESULTS
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluation import evaluate
from mmlib.measure.groups import Groups
from mmlib.questions import parts

SEX = Groups({"sex": "Male"}, {"sex": "Female"})


@pytest.fixture(scope="module")
def inputs(small_powerset):
    powerset, cohort = small_powerset
    rng = np.random.default_rng(3)
    score = (
        (powerset.score + rng.normal(0, 0.05, powerset.score.shape)).clip(0, 1).round(2)
    )  # seeds differ, with ties
    weights = resample_patients(cohort.patient_id, 40)
    return score, powerset.threshold.sel(rule="prevalence"), cohort, weights


def whole(inputs, **changes):
    given = {"groups": SEX, "attribute": "sex", "before": ["a", "b"], "after": "a+b"} | changes
    return parts.changed_difference(*inputs, **given)


def by_hand(margins, w, y, inside, h, a, q):
    """TPR_g(h, a, Q) of two models for integer weights: patients are repeated, ties broken in a fixed way."""
    who = np.repeat(np.arange(len(y)), w.astype(int))
    quota = (margins[q][who] >= 0).sum()
    order = who[np.argsort(-margins[a][who], kind="stable")]
    places = inside[order[:quota]].sum()
    mine = who[inside[who]]
    ranked = mine[np.argsort(-margins[h][mine], kind="stable")]
    return y[ranked[:places]].sum() / y[mine].sum()


def test_parts_are_the_average_over_six_orders_of_rates_by_their_definition(inputs):
    score, cut, cohort, weights = inputs
    rng = np.random.default_rng(4)
    score = score + rng.normal(
        0, 1e-7, score.shape
    )  # without ties the definition is unambiguous, places apart
    fold, y = cohort.fold.to_numpy(), cohort.label.to_numpy()
    found = whole((score, cut, cohort, weights), before=["b"]).sel(versus="b", group="Female")
    for row in (0, 5):
        expected = []
        for seed in (0, 1):
            m = [
                (score.sel(subset=s, seed=seed) - cut.sel(subset=s, seed=seed).values[fold]).values
                for s in ("b", "a+b")
            ]
            steps = np.zeros(3)
            for sign, group in ((1, "Female"), (-1, "Male")):
                inside = (cohort.sex == group).to_numpy()
                for order in permutations(range(3)):
                    state = [0, 0, 0]
                    for which in order:
                        old = by_hand(m, weights[row], y, inside, *state)
                        state[which] = 1
                        steps[which] += sign * (by_hand(m, weights[row], y, inside, *state) - old) / 6
            expected.append(steps)
        got = found.sel(part=list(parts.PARTS)).values[row]
        # a cut may fall between repetitions of one patient, whose places are then shared in another way
        np.testing.assert_allclose(got, np.mean(expected, axis=0), atol=1e-12 if row == 0 else 0.03)


def test_parts_add_up_to_the_change_exactly_in_every_resample(inputs):
    score, cut, cohort, weights = inputs
    found = whole(inputs)
    added = found.sel(part=list(parts.PARTS)).values.sum("part")
    change = found.sel(part="after").values - found.sel(part="before").values
    np.testing.assert_allclose(added, change, atol=1e-12)
    result = evaluate(score, cut, cohort, weights, groups=SEX, metrics=("tpr",)).difference("tpr", "sex")
    for name in ("a", "b"):
        np.testing.assert_allclose(
            found.sel(part="before", versus=name).values, result.sel(subset=name).values, atol=1e-12
        )
        np.testing.assert_allclose(
            found.sel(part="after", versus=name).values, result.sel(subset="a+b").values, atol=1e-12
        )
    ends = found.sel(part="after", versus="a").spread
    np.testing.assert_allclose(ends, result.sel(subset="a+b").spread, atol=1e-12)


def planted(change):
    """Two models of 400 patients, the second of which differs from the first by one thing."""
    rng, n = np.random.default_rng(0), 400
    y, female = rng.integers(0, 2, n), rng.random(n) < 0.5
    first = rng.normal(size=n) + y
    second, cut = change(first.copy(), y, female, rng)
    cohort = pd.DataFrame({"patient_id": np.arange(n).astype(str), "label": y, "fold": 0})
    cohort["sex"] = np.where(female, "Female", "Male")
    score = xr.DataArray(
        np.stack([first, second])[:, None], {"subset": ["a", "a+b"]}, ("subset", "seed", "sample")
    )
    threshold = xr.DataArray(
        np.array([0.5, cut])[:, None, None], {"subset": ["a", "a+b"]}, ("subset", "seed", "fold")
    )
    return score, threshold, cohort, resample_patients(cohort.patient_id, 20)


def shifted(score, y, female, rng):
    """Put women higher, ranks within groups kept, and the cut such that as many are selected."""
    share = (score >= 0.5).sum()
    score[female] += 0.8
    return score, np.sort(score)[-share]


def reranked(score, y, female, rng):
    """Exchange women among the women's scores: better ranks, the same scores."""
    where = np.flatnonzero(female)
    score[where[np.argsort(score[where] + 2 * y[where])]] = np.sort(score[where])
    return score, 0.5


def lowered(score, y, female, rng):
    """Select more, by the same scores."""
    return score, 0.1


@pytest.mark.parametrize(
    ("change", "only"), [(shifted, "allocation"), (reranked, "ranking"), (lowered, "overall share")]
)
def test_a_change_of_one_kind_is_one_part(change, only):
    women = whole(planted(change), before=["a"]).sel(group="Female", versus="a")
    assert abs(float(women.sel(part=only))) > 0.02
    for part in parts.PARTS:
        if part != only:
            assert float(women.sel(part=part)) == pytest.approx(0, abs=1e-12)


def test_rows_keep_the_contract_and_retraining_is_pooled_over_starting_points(inputs):
    found = whole(inputs)
    frame = RESULTS.validate(found.frame().assign(run="toy"))
    assert frame.part.unique().tolist() == ["before", "ranking", "allocation", "overall share", "after"]
    assert (
        set(frame.versus) == {"a", "b"}
        and (frame.group == "Female").all()
        and (frame.reference == "Male").all()
    )
    assert found.freedom == 2 and frame.se_retrain.notna().all() and frame.low.notna().all()
    assert (frame.n == (inputs[2].sex == "Female").sum()).all()


def test_groups_with_few_events_have_no_interval(inputs):
    score, cut, cohort, weights = inputs
    rare = cohort.assign(sex=np.where(np.arange(len(cohort)) < 15, "Other", cohort.sex))
    frame = whole((score, cut, rare, weights)).frame().set_index("group")
    assert frame.loc["Other", "small"].all() and frame.loc["Other", "low"].isna().all()
    assert not frame.loc["Female", "small"].any()


def test_the_empty_set_and_unknown_names_are_refused(inputs):
    with pytest.raises(ValueError, match="expected different subsets, none of them empty"):
        whole(inputs, before=["none"])
    with pytest.raises(ValueError, match="There is no subset 'd'; expected some of none, a, b"):
        whole(inputs, before=["d"])
    with pytest.raises(ValueError, match="Reference group 'X' is not in the cohort"):
        whole(inputs, groups=Groups({"sex": "X"}))


def test_parts_shown_start_from_one_modality_and_pool_retraining_over_all_subsets(inputs, small_powerset):
    score, _, cohort, weights = inputs
    powerset = small_powerset[0].assign(score=score)
    settings = {"resamples": 40, "seed": 0}
    found = parts.shown_parts(powerset, cohort, SEX, "b", **settings)
    assert list(found) == ["sex"] and found["sex"].dims == ("part",) and found["sex"].freedom == 6
    assert found["sex"].label.startswith("Female minus Male")
    alone = whole(inputs, before=["b"], after="a+b+c").sel(versus="b", group="Female")
    np.testing.assert_allclose(found["sex"].value, alone.value)
    others = whole(inputs, before=["a", "b", "a+b", "c", "a+c", "b+c"], after="a+b+c")
    np.testing.assert_allclose(found["sex"].s_retrain, others.sel(versus="b", group="Female").s_retrain)
    assert parts.shown_parts(powerset, cohort, Groups({"sex": "Male"}), "b", **settings) == {}
    assert parts.shown_parts(powerset.sel(subset=["none", "b"]), cohort, SEX, "b", **settings) == {}
    ranking = {"auroc": [], "observed_expected": ["sex"]}
    result = evaluate(score, powerset.threshold.sel(rule="prevalence"), cohort, weights, groups=SEX, ranking=ranking)
    rows = RESULTS.validate(parts.part_rows(found, result, "b").assign(run="toy"))
    assert rows.metric.value_counts().to_dict() == {"part_tpr": 3, "observed_expected": 4}
    assert set(rows.versus[rows.metric == "part_tpr"]) == {"b"} and set(rows.subset) == {"b", "a+b+c"}
    assert parts.part_rows({}, result, "b").empty


def test_some_groups_are_decomposed_without_the_others(inputs):
    score, cut, cohort, weights = inputs
    sex = np.where(np.arange(len(cohort)) % 3 == 0, "Other", cohort.sex)
    given = score, cut, cohort.assign(sex=sex), weights
    every, some = whole(given), whole(given, among=["Female", "Male"])
    assert every.labels("group") == ["Female", "Other"] and some.labels("group") == ["Female"]
    np.testing.assert_allclose(some.values, every.sel(group=["Female"]).values)
