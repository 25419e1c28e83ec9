import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mmlib.models import logistic


@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
def test_each_regression_is_that_of_scikit_learn(C, monkeypatch):
    monkeypatch.setattr(logistic, "AT_ONCE", 2 * 300 * 3)  # in three parts
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 300, 3)) * [1, 10, 0.01] + [0, 5, 0]
    x[1, :, 2] = 0
    y = (rng.random(300) < 1 / (1 + np.exp(2 - x[0, :, 0] - 0.2 * x[0, :, 1]))).astype(int)
    fitted = logistic.fit_many(x, y, C=C)
    for one, mine in zip(x, fitted, strict=True):
        model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10).fit(one, y)
        assert mine == pytest.approx(np.r_[model.coef_[0], model.intercept_], abs=1e-6)
    assert fitted[1, 2] == 0
    assert logistic.log_odds(x, fitted)[4] == pytest.approx(model.decision_function(x[4]), abs=1e-5)


def test_a_regression_does_not_depend_on_its_company():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 200, 2)) * np.logspace(-3, 3, 6)[:, None, None]
    y = (x[3, :, 0] + rng.normal(size=200) > 0).astype(int)
    together = logistic.fit_many(x, y)
    np.testing.assert_array_equal(together, np.concatenate([logistic.fit_many(x[[i]], y) for i in range(6)]))


def test_labels_that_the_inputs_tell_apart_are_fitted_too():
    x = np.linspace(-14, 14, 40)[None, :, None]
    y = (x[0, :, 0] > 0).astype(int)
    (fitted,) = logistic.fit_many(x, y)
    model = LogisticRegression(solver="newton-cholesky", tol=1e-10).fit(x[0], y)
    assert fitted == pytest.approx(np.r_[model.coef_[0], model.intercept_], abs=1e-6)


def test_one_label_alone_is_one_sentence():
    with pytest.raises(ValueError, match="All 4 labels are 1; expected some of 0 and of 1"):
        logistic.fit_many(np.zeros((2, 4, 1)), [1, 1, 1, 1])
