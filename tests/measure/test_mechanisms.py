import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools import add_constant

from mmlib.measure import mechanisms

COHORT = pd.DataFrame({"race": ["White", "Black", "White", "Asian"], "label": [0, 1, 1, 0]})
MODALITIES = ["vitals", "labs"]


def test_tilted_drops_have_the_rate_over_those_who_can_lose_and_the_odds():
    rng = np.random.default_rng(0)
    present, member = rng.random((5000, 2)) < 0.7, rng.random(5000) < 0.3
    drop = mechanisms.tilted(np.log(4) * np.repeat(member[:, None], 2, 1), 0.2, present)
    for m in range(2):
        assert drop[present[:, m], m].mean() == pytest.approx(0.2, abs=1e-9)
        odds = drop[:, m] / (1 - drop[:, m])
        assert odds[member].mean() / odds[~member].mean() == pytest.approx(4)
    assert (mechanisms.tilted(np.zeros((3, 2)), 0.2) == pytest.approx(0.2)) and (
        mechanisms.tilted(np.ones((3, 2)), 1) == 1
    ).all()


def test_a_block_goes_as_one():
    patterns = mechanisms.together([0.2, 0.5], ["a", "b", "c"], ["a", "c"], np.ones((2, 3), bool))
    assert patterns[0].tolist() == [0, 0, 0.2, 0, 0, 0, 0, 0.8]
    assert patterns[1, 2] == patterns[1, 7] == 0.5
    # who has no c loses a, and c counts as kept: it was not the block that took it
    patterns = mechanisms.together([0.2], ["a", "b", "c"], ["a", "c"], [[True, True, False]])
    assert patterns[0].tolist() == [0, 0, 0, 0, 0, 0, 0.2, 0.8]


def test_recorded_absence_is_the_logistic_regression_of_statsmodels():
    rng = np.random.default_rng(0)
    covariates = pd.DataFrame({"age": rng.normal(60, 15, 20_000), "sex": rng.choice(["f", "m"], 20_000)})
    truth = expit(-1 + 0.05 * (covariates.age - 60) + 0.7 * (covariates.sex == "f"))
    present = np.column_stack([rng.random(20_000) >= truth, np.ones(20_000, bool), np.arange(20_000) > 9])
    absence = mechanisms.recorded(present, covariates)
    X = add_constant(np.column_stack([covariates.age, covariates.sex == "f"]).astype(float))
    fitted = Logit(~present[:, 0], X).fit(disp=0).predict(X)
    assert absence[:, 0] == pytest.approx(fitted, abs=2e-3)
    assert (absence[:, 1] == 0).all() and (absence[:, 2] == 10 / 20_000).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mechanisms.tilted([[np.nan]], 0.1), "1 values that are not finite"),
        (lambda: mechanisms.recorded(np.ones((3, 2)), COHORT), "covariates have 4 rows; expected 3"),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
