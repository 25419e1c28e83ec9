"""Learn from many cohorts what a modality does to a signed difference, predict it in another one, and judge that.

The cohort is the unit throughout: additions within a cohort share patients and models.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binom, binomtest, spearmanr
from sklearn.linear_model import RidgeCV

from mmlib.measure.groups import Groups
from mmlib.questions.predictors import KEYS, PREDICTORS, measure_outcomes, measure_predictors

#: Columns of `judge_forecasts` beside the cohort and the number of additions.
JUDGED = ("rank_correlation", "sign_accuracy", "error", "error_no_change", "error_average", "ceiling")


def learn(table: pd.DataFrame, outcome: str = "change") -> pd.Series:
    """Coefficients of a ridge regression without intercept, its penalty chosen by leave-one-out, over many cohorts.

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
    """Change predicted for every row of :func:`measure_predictors`."""
    if missing := sorted(set(PREDICTORS) - set(coefficients.index)):
        raise ValueError(
            f"The predictor has no coefficient for {missing[0]!r}; expected {', '.join(PREDICTORS)}."
        )
    return table[list(PREDICTORS)].to_numpy() @ coefficients[list(PREDICTORS)].to_numpy()


def skill(predicted, observed) -> dict[str, float]:
    """Agreement of predicted with observed changes within one cohort.

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
    """Agreement cohort by cohort, beside what the noise allows and what knows nothing of the modality.

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
    groups: Groups,
    *,
    coefficients: pd.Series,
    rule: str = "prevalence",
) -> pd.DataFrame:
    """Change predicted for every addition from one half of the patients, and observed in the other; both ways round.

    Parameters
    ----------
    powerset, embeddings, cohort, groups, rule
        As in :func:`mmlib.questions.predictors.measure_predictors`. The halves are the even and the odd folds, so that
        nobody who was used to predict is among those in whom the change is observed.
    coefficients : pandas.Series
        From :func:`learn`.

    Returns
    -------
    pandas.DataFrame
        Rows of the predictors, twice, with ``half``, ``predicted``, ``change`` and, to know the noise, the
        change in two halves of the observed patients, ``first`` and ``second``; no rows if there is one
        modality or no contrast.
    """
    odd = cohort["fold"].to_numpy() % 2 == 1
    if odd.all() or not odd.any():
        raise ValueError("fold holds one fold; expected two or more, so that patients can be halved.")
    patients = pd.factorize(cohort["patient_id"])[0]
    parts = []
    for half, measured in enumerate((odd, ~odd)):
        table = measure_predictors(powerset, embeddings, cohort, groups, measured=measured, rule=rule)
        observed = ~measured
        shuffled = np.random.default_rng(half).permutation(patients.max() + 1)[patients] % 2 == 1
        patient_weights = np.stack([observed, observed & shuffled, observed & ~shuffled]).astype(float)
        changes = measure_outcomes(powerset, cohort, groups, patient_weights=patient_weights, rule=rule)
        named = dict(zip(("change", "first", "second"), changes, strict=True))
        parts.append(table.assign(half=half, predicted=predict(table, coefficients), **named))
    return pd.concat(parts, ignore_index=True)[
        [*KEYS, "half", *PREDICTORS, "predicted", "change", "first", "second"]
    ]


def cohorts_needed(share: float) -> float:
    """Cohorts that a one-sided sign test at 5 % needs for 80 % power.

    Parameters
    ----------
    share : float
        Probability that predictions point the right way in a cohort; one half by chance.

    Returns
    -------
    float
        Cohorts, all later numbers of which have the power too; ``inf`` if more than 1,000.
    """
    most, n = 1000, np.arange(1, 1001)
    least = binom.isf(0.05, n, 0.5) + 1  # successes that reject
    enough = binom.sf(least - 1, n, share) >= 0.8
    short = np.flatnonzero(~enough)
    if not len(short):
        return 1.0
    return float(n[short[-1]] + 1) if short[-1] + 1 < most else np.inf


def judge_halves(predicted: pd.DataFrame, average: float) -> pd.Series:
    """Agreement of predicted with observed changes in one cohort, as the mean over its halves.

    Parameters
    ----------
    predicted : pandas.DataFrame
        From :func:`predict_halves`.
    average : float
        What the teaching cohorts changed by on average.

    Returns
    -------
    pandas.Series
        The numbers of :func:`judge_forecasts`; nan if nothing was predicted.
    """
    judged = judge_forecasts(predicted.assign(cohort=predicted["half"], average=average))
    return judged.reindex(columns=["n", *JUDGED]).mean().rename("this cohort")


def sign_test(real: pd.DataFrame, twins: pd.DataFrame) -> dict[str, float]:
    """One-sided sign test over real cohorts, of whether predictions rank changes better than chance.

    Parameters
    ----------
    real, twins : pandas.DataFrame
        A row per cohort, from :func:`judge_forecasts`.

    Returns
    -------
    dict of str to float
        ``real`` (cohorts), ``real_positive`` (those with a rank correlation above zero), ``real_p``, ``real_least``
        (the smallest p-value that so many cohorts can give), ``twins``, ``twin_right`` (share of twins above zero)
        and ``cohorts_needed`` for 80 % power, were real cohorts like twins.
    """
    positive, right = int((real["rank_correlation"] > 0).sum()), float((twins["rank_correlation"] > 0).mean())
    return {
        "real": len(real),
        "real_positive": positive,
        "real_p": float(binomtest(positive, len(real), alternative="greater").pvalue) if len(real) else 1.0,
        "real_least": 0.5 ** len(real),
        "twins": len(twins),
        "twin_right": right,
        "cohorts_needed": cohorts_needed(right),
    }
