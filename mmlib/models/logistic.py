"""Many small logistic regressions at once: scikit-learn needs a millisecond or two for each."""

import numpy as np
from scipy.special import expit

STEPS = 50  # of Newton's method; five to eight are usual
AT_ONCE = 2_000_000  # numbers in the inputs of the regressions that are fitted together


def fit_many(x, y, *, C: float = 1.0, tolerance: float = 1e-9) -> np.ndarray:
    """Coefficients of P ridge-penalised logistic regressions on the same labels, each fitted as if alone.

    The objective is that of :class:`sklearn.linear_model.LogisticRegression`: the sum of log losses and half the
    squared coefficients over ``C``; the intercept is free.

    Parameters
    ----------
    x : array-like of shape (P, n, d)
        Inputs. A column that is constant zero gets the coefficient zero, as if it were left out.
    y : array-like of shape (n,)
        Labels, 0 or 1, both of them.
    C : float
        Inverse strength of the penalty.
    tolerance : float
        Of the largest slope of the objective, per sample.

    Returns
    -------
    numpy.ndarray of shape (P, d + 1)
        Coefficients, then the intercept; see `log_odds`.

    Raises
    ------
    ValueError
        If one of the labels is missing.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y)
    if len(np.unique(y)) < 2:
        raise ValueError(f"All {len(y)} labels are {y[0] if len(y) else 'missing'}; expected some of 0 and of 1.")
    step = max(1, AT_ONCE // max(x[0].size, 1))
    return np.concatenate([_newton(x[i : i + step], y, C, tolerance) for i in range(0, len(x), step)])


def log_odds(x, fitted: np.ndarray) -> np.ndarray:
    """Log odds (P, n) of the regressions ``fitted`` (P, d + 1) for x, (P, n, d) or (1, n, d) for all."""
    return (np.asarray(x, dtype=float) @ fitted[:, :-1, None])[..., 0] + fitted[:, -1:]


def _newton(x, y, C, tolerance):
    x = np.concatenate([x, np.ones((*x.shape[:2], 1))], axis=2)
    penalty = np.r_[np.full(x.shape[2] - 1, 1 / C), 0.0]

    def objective(fitted):
        z = (x @ fitted[..., None])[..., 0]
        return (np.logaddexp(0, z) - y * z).sum(axis=1) + (penalty * fitted**2).sum(axis=1) / 2

    fitted = np.zeros((len(x), x.shape[2]))
    value = objective(fitted)
    for _ in range(STEPS):
        p = expit((x @ fitted[..., None])[..., 0])
        slope = ((p - y)[:, None] @ x)[:, 0] + penalty * fitted
        settled = np.abs(slope).max(axis=1) <= tolerance * len(y)
        if settled.all():
            break
        curve = x.mT @ ((p * (1 - p))[..., None] * x) + np.diag(penalty)
        move = np.where(settled[:, None], 0, np.linalg.solve(curve, slope[..., None])[..., 0])
        for _ in range(30):  # halve the steps that overshoot
            found = objective(fitted - move)
            worse = found > value + 1e-12 * np.abs(value)
            if not worse.any():
                break
            move[worse] /= 2
        fitted, value = fitted - move, np.minimum(found, value)
    return fitted
