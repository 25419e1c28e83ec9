"""Learn from many cohorts what a modality does to a signed difference, predict it in another one, and judge that.

The cohort is the unit throughout: additions within a cohort share patients and models.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binom, spearmanr
from sklearn.linear_model import RidgeCV

from mmlib.questions.predictors import KEYS, PREDICTORS, measure_outcomes, measure_predictors


def learn(table: pd.DataFrame, outcome: str = "change") -> pd.Series:
    """Fit a ridge regression without intercept, its penalty chosen by leave-one-out, to many cohorts' additions.

    Parameters
    ----------
    table : pandas.DataFrame
        The predictors and the column ``outcome``.
    outcome : str

    Returns
    -------
    pandas.Series
        Coefficient of each predictor as measured. There is no intercept: with all predictors at zero the two
        groups could change places.
    """
    X = table[list(PREDICTORS)].to_numpy()
    scale = np.sqrt((X**2).mean(axis=0))
    scale = np.where(scale > 0, scale, 1)
    fitted = RidgeCV(alphas=np.logspace(-2, 4, 13), fit_intercept=False).fit(X / scale, table[outcome])
    return pd.Series(fitted.coef_ / scale, index=list(PREDICTORS), name="coefficient")


def predict(table: pd.DataFrame, coefficients: pd.Series) -> np.ndarray:
    """Predict the change of every row of :func:`measure_predictors`."""
    if missing := sorted(set(PREDICTORS) - set(coefficients.index)):
        raise ValueError(
            f"The predictor has no coefficient for {missing[0]!r}; expected {', '.join(PREDICTORS)}."
        )
    return table[list(PREDICTORS)].to_numpy() @ coefficients[list(PREDICTORS)].to_numpy()


def skill(predicted, observed) -> dict[str, float]:
    """Compare predicted with observed changes within one cohort.

    Parameters
    ----------
    predicted, observed : array-like of shape (n,)
        Rows in which either is missing are left out.

    Returns
    -------
    dict of str to float
        ``rank_correlation`` (Spearman's; nan if either is constant), ``sign_accuracy``, ``error`` (mean absolute)
        and ``n``.
    """
    predicted, observed = np.asarray(predicted, float), np.asarray(observed, float)
    known = ~np.isnan(predicted) & ~np.isnan(observed)
    p, o = predicted[known], observed[known]
    varied = len(p) > 2 and np.ptp(p) > 0 and np.ptp(o) > 0
    return {
        "rank_correlation": float(spearmanr(p, o).statistic) if varied else np.nan,
        "sign_accuracy": float((np.sign(p) == np.sign(o))[o != 0].mean()) if (o != 0).any() else np.nan,
        "error": float(np.abs(p - o).mean()) if len(p) else np.nan,
        "n": int(known.sum()),
    }


def judge_forecasts(table: pd.DataFrame) -> pd.DataFrame:
    """Judge predictions cohort by cohort, beside what the noise allows and what knows nothing of the modality.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``cohort``, ``predicted``, ``change``, ``average`` (what the teaching cohorts changed by on
        average) and one of two ways to know the noise: ``truth`` (the change in the population), or ``first``
        and ``second`` (the change in two halves of the tested patients).

    Returns
    -------
    pandas.DataFrame
        A row per cohort: ``rank_correlation``, ``sign_accuracy``, ``error``, ``n`` as in :func:`skill`;
        ``error_no_change`` and ``error_average``, mean absolute errors of predicting no change and the average;
        ``ceiling``: the rank correlation that the true change would reach. From halves it is the square root
        of their reliability, stepped up by Spearman and Brown's formula [Brown1910]_.
    """
    rows = []
    for cohort, part in table.groupby("cohort", sort=False):
        row = {"cohort": cohort} | skill(part["predicted"], part["change"])
        for name, guess in (("no_change", 0.0 * part["change"]), ("average", part["average"])):
            row[f"error_{name}"] = skill(guess, part["change"])["error"]
        if "truth" in part:
            row["ceiling"] = skill(part["truth"], part["change"])["rank_correlation"]
        else:
            half = max(skill(part["first"], part["second"])["rank_correlation"], 0)
            row["ceiling"] = np.sqrt(2 * half / (1 + half))
        rows.append(row)
    return pd.DataFrame(rows)


def predict_halves(
    powerset: xr.Dataset,
    embeddings: xr.Dataset,
    cohort: pd.DataFrame,
    coefficients: pd.Series,
    *,
    contrasts: Mapping[str, tuple[str, str]],
    rule: str = "prevalence",
) -> pd.DataFrame:
    """Predict every addition from one half of the patients and observe it in the other; then the other way round.

    Parameters
    ----------
    powerset, embeddings, cohort, contrasts, rule
        As in :func:`mmlib.questions.predictors.measure_predictors`. The halves are the even and the odd folds, so that
        nobody who was used to predict is among those in whom the change is observed.
    coefficients : pandas.Series
        From :func:`learn`.

    Returns
    -------
    pandas.DataFrame
        Rows of the predictors, twice, with ``half``, ``predicted``, ``change`` and, to know the noise, the
        change in two halves of the observed patients, ``first`` and ``second``.
    """
    odd = cohort["fold"].to_numpy() % 2 == 1
    if odd.all() or not odd.any():
        raise ValueError("fold holds one fold; expected two or more, so that patients can be halved.")
    patients = pd.factorize(cohort["patient_id"])[0]
    parts = []
    for half, measured in enumerate((odd, ~odd)):
        table = measure_predictors(powerset, embeddings, cohort, measured, contrasts=contrasts, rule=rule)
        observed = ~measured
        shuffled = np.random.default_rng(half).permutation(patients.max() + 1)[patients] % 2 == 1
        patient_weights = np.stack([observed, observed & shuffled, observed & ~shuffled]).astype(float)
        changes = measure_outcomes(powerset, cohort, patient_weights, contrasts=contrasts, rule=rule)
        named = dict(zip(("change", "first", "second"), changes, strict=True))
        parts.append(table.assign(half=half, predicted=predict(table, coefficients), **named))
    return pd.concat(parts, ignore_index=True)[
        [*KEYS, "half", *PREDICTORS, "predicted", "change", "first", "second"]
    ]


def cohorts_needed(share: float, *, alpha: float = 0.05, power: float = 0.8, most: int = 1000) -> float:
    """Count the cohorts that a one-sided sign test needs, if predictions point the right way in this share of them.

    Parameters
    ----------
    share : float
        Probability that a cohort counts as a success; one half by chance.
    alpha, power : float
    most : int
        Where to stop looking.

    Returns
    -------
    float
        Cohorts, all later numbers of which have the power too; ``inf`` if more than ``most``.
    """
    n = np.arange(1, most + 1)
    least = binom.isf(alpha, n, 0.5) + 1  # successes that reject
    enough = binom.sf(least - 1, n, share) >= power
    short = np.flatnonzero(~enough)
    if not len(short):
        return 1.0
    return float(n[short[-1]] + 1) if short[-1] + 1 < most else np.inf
