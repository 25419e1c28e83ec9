import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import binom, spearmanr

from mmlib.measure.groups import Groups
from mmlib.questions import forecast
from mmlib.questions.predictors import PREDICTORS


@pytest.fixture(scope="module")
def taught():
    """Forty cohorts of ten additions in which two predictors matter."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, len(PREDICTORS))), columns=list(PREDICTORS))
    table["truth"] = 0.5 * table["pull"] - 0.2 * table["presence"]
    table["change"] = table["truth"] + rng.normal(0, 0.1, 400)
    return table.assign(cohort=np.repeat(np.arange(40), 10))


def test_planted_effects_are_learnt(taught):
    coefficients = forecast.learn(taught)
    assert coefficients["pull"] == pytest.approx(0.5, abs=0.03)
    assert coefficients["presence"] == pytest.approx(-0.2, abs=0.03)
    assert coefficients.drop(["pull", "presence"]).abs().max() < 0.03
    zero = taught.assign(**dict.fromkeys(PREDICTORS, 0.0))
    assert not forecast.predict(zero, coefficients).any()  # without any difference no change is predicted
    with pytest.raises(ValueError, match="no coefficient for 'presence'"):
        forecast.predict(taught, coefficients.drop("presence"))


def test_a_predictor_that_is_always_zero_is_no_trouble(taught):
    assert forecast.learn(taught.assign(decoding=0.0))["decoding"] == 0


def test_skill_is_spearmans_and_counts_signs():
    p, o = np.array([0.1, -0.2, 0.3, 0.4, np.nan]), np.array([0.2, 0.1, 0.1, 0.5, 1.0])
    found = forecast.skill(p, o)
    assert found["rank_correlation"] == pytest.approx(spearmanr(p[:4], o[:4]).statistic)
    assert (found["sign_accuracy"], found["n"]) == (0.75, 4)
    assert found["error"] == pytest.approx(np.mean([0.1, 0.3, 0.2, 0.1]))
    assert np.isnan(forecast.skill(np.zeros(4), o[:4])["rank_correlation"])
    assert np.isnan(forecast.skill(p, np.full(5, np.nan))["error"])


def test_cohorts_are_judged_one_by_one_beside_the_noise_and_simple_guesses(taught):
    table = taught.assign(predicted=taught["truth"] * 0.5, average=0.1)
    judged = forecast.judge_forecasts(table)
    assert list(judged["cohort"]) == list(range(40)) and (judged["n"] == 10).all()
    np.testing.assert_allclose(
        judged["rank_correlation"], judged["ceiling"]
    )  # the prediction ranks like the truth
    first = taught[taught.cohort == 0]
    assert judged["error_no_change"][0] == pytest.approx(first.change.abs().mean())
    assert judged["error_average"][0] == pytest.approx((first.change - 0.1).abs().mean())


def test_the_ceiling_of_a_real_cohort_comes_from_its_halves():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=4000)
    first, second = (truth + rng.normal(0, 1, 4000) for _ in range(2))
    table = pd.DataFrame({"cohort": 0, "predicted": truth, "first": first, "second": second, "average": 0.0})
    judged = forecast.judge_forecasts(table.assign(change=(first + second) / 2)).iloc[0]
    assert judged["ceiling"] == pytest.approx(judged["rank_correlation"], abs=0.02)


def test_nobody_both_predicts_and_is_observed(small_powerset):
    powerset, cohort = small_powerset
    n = len(cohort)
    embeddings = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), np.random.default_rng(0).normal(size=(n, 3, 2))),
            "present": (("sample", "modality"), np.ones((n, 3), bool)),
        },
        {"modality": ["a", "b", "c"]},
    )
    coefficients = pd.Series(1.0, index=list(PREDICTORS))
    sex = Groups({"sex": "Male"}, {"sex": "Female"})
    table = forecast.predict_halves(powerset, embeddings, cohort, sex, coefficients=coefficients)
    assert list(table.half.value_counts()) == [9, 9] and not table.isna().any(axis=None)
    odd = (cohort.fold % 2 == 1).to_numpy()
    turned = cohort.assign(label=np.where(odd, cohort.label, 1 - cohort.label).astype("int8"))
    again = forecast.predict_halves(powerset, embeddings, turned, sex, coefficients=coefficients)
    same = table.half == 0  # measured in the odd folds, observed in the even ones
    np.testing.assert_array_equal(table.predicted[same], again.predicted[same])
    assert not np.allclose(table.change[same], again.change[same])
    own = forecast.judge_halves(table, 0.0)
    each = [forecast.skill(part.predicted, part.change) for _, part in table.groupby("half")]
    assert own["error"] == pytest.approx(np.mean([skill["error"] for skill in each])) and own["n"] == 9
    none = Groups({"sex": "Male"})
    empty = forecast.predict_halves(powerset, embeddings, cohort, none, coefficients=coefficients)
    assert list(empty) == list(table) and forecast.judge_halves(empty, 0.0).isna().all()
    with pytest.raises(ValueError, match="fold holds one fold"):
        forecast.predict_halves(powerset, embeddings, cohort.assign(fold=1), sex, coefficients=coefficients)


def test_cohorts_needed_for_a_sign_test():
    assert forecast.cohorts_needed(1.0) == 5  # 1/16 is not below 0.05, 1/32 is
    assert np.isinf(forecast.cohorts_needed(0.5))
    needed = int(forecast.cohorts_needed(0.8))
    power = [binom.sf(binom.isf(0.05, n, 0.5), n, 0.8) for n in range(1, 200)]
    assert power[needed - 2] < 0.8 and min(power[needed - 1 :]) >= 0.8


def test_the_sign_test_counts_cohorts():
    twins = pd.DataFrame({"rank_correlation": [0.5, 0.4, -0.1, 0.3]})
    found = forecast.sign_test(pd.DataFrame({"rank_correlation": [0.5, 0.1, -0.2]}), twins)
    assert (found["real"], found["real_positive"], found["real_least"]) == (3, 2, 1 / 8)
    assert found["real_p"] == pytest.approx(binom.sf(1, 3, 0.5))
    assert (found["twins"], found["twin_right"]) == (4, 0.75)
    assert found["cohorts_needed"] == forecast.cohorts_needed(0.75)
    assert forecast.sign_test(pd.DataFrame({"rank_correlation": []}), twins)["real_p"] == 1
