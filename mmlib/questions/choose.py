"""Choose modalities on validation patients, to be reported on others: fronts, searches, limits, costs.

A choice for the patients that a fold tests is made on validation patients whom that fold does not test. What
is reported was never used to choose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from mmlib.core.subsets import NONE, full_subset, members
from mmlib.measure.bootstrap import simultaneous_interval
from mmlib.measure.evaluate import evaluate

#: The ways to choose, in the order in which they are shown.
RULES = ("all", "best single", "best AUROC", "greedy", "cheapest", "constrained")


@dataclass(frozen=True)
class Choices:
    """What was chosen, from which validation numbers.

    Parameters
    ----------
    subsets : list of str
        Names of the power set, ``none`` included.
    auroc : numpy.ndarray of shape (1 + B, K)
        On all validation rows.
    contrast : numpy.ndarray of shape (1 + B, K, C)
        Signed differences, group minus reference.
    limit : numpy.ndarray of shape (K,)
        From :func:`upper_limit`.
    overall : dict of str to str
        Way to choose -> subset, from all validation rows.
    by_fold : dict of str to list of str
        Way to choose -> the subset chosen for the patients that each fold tests.
    """

    subsets: list[str]
    auroc: np.ndarray
    contrast: np.ndarray
    limit: np.ndarray
    overall: dict[str, str]
    by_fold: dict[str, list[str]]


def validation_rows(powerset: xr.Dataset, cohort: pd.DataFrame) -> tuple[xr.DataArray, pd.DataFrame]:
    """Lay out validation scores in rows: a sample appears once for every fold that sets it aside.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact ``powerset``.
    cohort : pandas.DataFrame
        The artefact ``cohort``.

    Returns
    -------
    score : xarray.DataArray with dimensions (subset, seed, sample)
    rows : pandas.DataFrame
        The samples' rows of the cohort: ``fold`` is the fold whose models gave the score, ``tested`` the one
        that tests the sample, ``position`` its row in the cohort.
    """
    scores = powerset.validation_score.transpose("subset", "seed", "fold", "sample")
    fold, position = np.nonzero(~np.isnan(scores.values[0, 0]))
    rows = cohort.iloc[position].reset_index(drop=True)
    rows = rows.assign(tested=rows["fold"], fold=fold, position=position)
    return (
        xr.DataArray(
            scores.values[:, :, fold, position],
            {"subset": scores.subset.values, "seed": scores.seed.values},
            ("subset", "seed", "sample"),
        ),
        rows,
    )


def upper_limit(contrasts: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Bound the size of signed differences: the end farthest from zero of their simultaneous interval.

    Parameters
    ----------
    contrasts : array-like of shape (1 + B, K, C)
        C signed differences of K subsets; the interval covers the C of one subset at once.
    level : float

    Returns
    -------
    numpy.ndarray of shape (K,)
        The largest over the C; ``inf`` where one of them has no interval, since nothing bounds it then.
    """
    ends = np.abs(simultaneous_interval(contrasts, level)).max(axis=0)
    return np.where(np.isnan(ends), np.inf, ends).max(axis=-1)


def pareto(quality, harm) -> np.ndarray:
    """Mark what nothing else dominates: nothing has as much quality and as little harm, and more or less of one.

    Parameters
    ----------
    quality, harm : array-like of shape (..., K)

    Returns
    -------
    numpy.ndarray of shape (..., K), bool
        A missing value is on no front and dominates nothing.
    """
    quality, harm = np.asarray(quality, float), np.asarray(harm, float)
    q, h = quality[..., None, :], harm[..., None, :]
    dominated = (q >= quality[..., None]) & (h <= harm[..., None])
    dominated &= (q > quality[..., None]) | (h < harm[..., None])
    return ~dominated.any(axis=-1) & ~np.isnan(quality) & ~np.isnan(harm)


def cost_of(subset: str, costs: Mapping[str, float]) -> float:
    """Add up what the modalities of a subset cost; one that is not listed costs 1."""
    return float(sum(costs.get(m, 1) for m in members(subset)))


def greedy(auroc, subsets: Sequence[str], costs: Mapping[str, float]) -> str:
    """Add, one after another, the modality that gains most AUROC per unit of cost, until none gains any."""
    names = {frozenset(members(s)): s for s in subsets}
    value = dict(zip(names, auroc, strict=True))
    chosen = frozenset()
    while True:
        gains = {
            m: (value[chosen | {m}] - value[chosen]) / cost_of(m, costs)
            for m in sorted(max(names, key=len) - chosen)
        }
        best = max(gains, key=gains.get, default=None)
        if best is None or (gains[best] <= 0 and chosen):
            return names[chosen]
        chosen |= {best}


def choose(
    auroc, limit, subsets: Sequence[str], *, margin: float, tolerance: float, costs: Mapping[str, float]
) -> dict[str, str]:
    """Choose a subset in every way of :data:`RULES` from one table of validation numbers.

    Parameters
    ----------
    auroc, limit : array-like of shape (K,)
        Of every subset; ``none`` is never chosen.
    subsets : sequence of str
    margin : float
        Largest admissible ``limit``. If no subset keeps it, ``constrained`` is the one with the smallest.
    tolerance : float
        ``cheapest`` may have this much less AUROC than the best subset.
    costs : mapping of str to float
        Modality -> cost, above zero; 1 where not listed.

    Returns
    -------
    dict of str to str
    """
    everything = full_subset(subsets)
    if unknown := sorted(set(costs) - set(members(everything))):
        raise ValueError(f"costs names {unknown[0]!r}; expected some of {', '.join(members(everything))}.")
    if wrong := [m for m, c in costs.items() if not c > 0]:
        raise ValueError(f"costs gives {wrong[0]!r} {costs[wrong[0]]!r}; expected a number above 0.")
    if margin <= 0 or tolerance < 0:
        raise ValueError(f"margin is {margin} and tolerance {tolerance}; expected above 0, and 0 or more.")
    table = pd.DataFrame({"subset": list(subsets), "auroc": auroc, "limit": limit})
    table["cost"] = [cost_of(s, costs) for s in subsets]
    table = table[table["subset"] != NONE].sort_values("auroc", ascending=False, kind="stable")
    near = table[table["auroc"] >= table["auroc"].iloc[0] - tolerance].sort_values("cost", kind="stable")
    kept = table[table["limit"] <= margin]
    kept = table.sort_values("limit", kind="stable") if kept.empty else kept
    single = table[table["subset"].map(members).map(len) == 1]
    ways = [everything, *(t["subset"].iloc[0] for t in (single, table)), greedy(auroc, subsets, costs)]
    return dict(zip(RULES, [*ways, *(t["subset"].iloc[0] for t in (near, kept))], strict=True))


def choose_subsets(
    powerset: xr.Dataset,
    cohort: pd.DataFrame,
    patient_weights: np.ndarray,
    *,
    contrasts: Mapping[str, tuple[str, str]],
    rule: str = "prevalence",
    metric: str = "tpr",
    margin: float = 0.1,
    tolerance: float = 0.005,
    costs: Mapping[str, float] | None = None,
) -> Choices:
    """Choose subsets from the validation scores of the power set, overall and for each fold without its own patients.

    Parameters
    ----------
    powerset : xarray.Dataset
    cohort : pandas.DataFrame
    patient_weights : numpy.ndarray of shape (1 + B, n_samples)
        From :func:`mmlib.measure.bootstrap.resample_patients`.
    contrasts : mapping of str to (str, str)
        Protected attribute -> group and reference whose signed difference is bounded.
    rule, metric : str
        Operating point, and the rate that is compared.
    margin, tolerance, costs
        As in :func:`choose`.

    Returns
    -------
    Choices
    """
    score, rows = validation_rows(powerset, cohort)
    threshold, subsets = powerset.threshold.sel(rule=rule), [str(s) for s in powerset.subset.values]
    w, settings = patient_weights[:, rows["position"]], {"attributes": list(contrasts), "metrics": (metric,)}

    def gaps(kept):
        rated = evaluate(score, threshold, rows, w * kept, **settings)
        return np.stack([rated.contrast(metric, a, g, r) for a, (g, r) in contrasts.items()], axis=-1)

    def decide(auroc, limit):
        return choose(auroc, limit, subsets, margin=margin, tolerance=tolerance, costs=costs or {})

    ranking = {**settings, "ranking": {"auroc": []}}
    auroc = evaluate(score, threshold, rows, w, **ranking).overall("auroc")
    contrast = gaps(np.ones(len(rows)))
    limit = upper_limit(contrast)
    folds = np.sort(cohort["fold"].unique())
    others = (rows["tested"].to_numpy() != folds[:, None]).astype(np.float32)
    without = evaluate(score, threshold, rows, others, **ranking).overall("auroc")
    by_fold = [decide(a, upper_limit(gaps(kept))) for a, kept in zip(without, others, strict=True)]
    return Choices(
        subsets,
        auroc,
        contrast,
        limit,
        decide(auroc[0], limit),
        {way: [choice[way] for choice in by_fold] for way in RULES},
    )


def chosen_scores(
    powerset: xr.Dataset, by_fold: Mapping[str, Sequence[str]], cohort: pd.DataFrame
) -> xr.Dataset:
    """Score every sample with the subset chosen for its fold.

    Parameters
    ----------
    powerset : xarray.Dataset
    by_fold : mapping of str to sequence of str
        Name of a choice -> subset for each fold.
    cohort : pandas.DataFrame

    Returns
    -------
    xarray.Dataset
        ``score`` (choice, seed, sample) and ``threshold`` (choice, seed, fold, rule).
    """
    fold = xr.DataArray(cohort["fold"].to_numpy(int), dims="sample")
    parts = []
    for subsets in by_fold.values():
        each = xr.DataArray(list(subsets), dims="fold")
        threshold = powerset.threshold.sel(subset=each, fold=xr.DataArray(range(len(each)), dims="fold"))
        score = powerset.score.sel(subset=each).isel(
            fold=fold, sample=xr.DataArray(range(len(fold)), dims="sample")
        )
        parts.append(
            xr.Dataset({"score": score.drop_vars("subset"), "threshold": threshold.drop_vars("subset")})
        )
    joined = xr.concat(parts, pd.Index(list(by_fold), name="choice"), coords="minimal", compat="override")
    return joined.transpose("choice", "seed", "fold", "rule", "sample")
