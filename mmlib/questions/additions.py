"""What each modality adds, read off the power set: single additions, exact Shapley values, interactions of pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.metrics import roc_auc_score

from mmlib.core.subsets import full_subset, members
from mmlib.measure.bootstrap import simultaneous_interval


def additions(subsets: Sequence[str]) -> pd.DataFrame:
    """List every way to add one modality to a subset.

    Parameters
    ----------
    subsets : sequence of str
        Names of the power set, ``none`` included, in its order.

    Returns
    -------
    pandas.DataFrame
        Columns modality, before, after (names), i, j (their positions), size (of the subset before).
    """
    sets = [frozenset(members(s)) for s in subsets]
    where = {s: i for i, s in enumerate(sets)}
    rows = [
        (m, subsets[i], subsets[where[s | {m}]], i, where[s | {m}], len(s))
        for i, s in enumerate(sets)
        for m in _modalities(subsets)
        if m not in s
    ]
    return pd.DataFrame(rows, columns=["modality", "before", "after", "i", "j", "size"])


def order_positions(subsets: Sequence[str], order: Sequence[str]) -> list[int]:
    """Positions of the subsets that one order of addition passes through, the empty set first."""
    where = {frozenset(members(s)): i for i, s in enumerate(subsets)}
    if sorted(order) != sorted(_modalities(subsets)):
        raise ValueError(f"order is {list(order)}; expected each of {_modalities(subsets)} once.")
    return [where[frozenset(order[:k])] for k in range(len(order) + 1)]


def shapley(values: np.ndarray, subsets: Sequence[str], *, axis: int = 1) -> np.ndarray:
    """Share out a quantity among modalities: the mean gain of adding each, over all orders [Shapley1953]_.

    Parameters
    ----------
    values : array-like with 2**M subsets along ``axis``
        For example (1 + B, K, G). Any *linear* quantity: AUROC, a rate, a signed contrast; never an absolute
        gap.
    subsets : sequence of str
        Their names.
    axis : int

    Returns
    -------
    numpy.ndarray
        Like ``values`` with M modalities along ``axis``; they add up to the full set minus the empty set.
    """
    values, table, names = (
        np.moveaxis(np.asarray(values, float), axis, 0),
        additions(subsets),
        _modalities(subsets),
    )
    m = len(names)
    weight = table["size"].map(lambda s: factorial(s) * factorial(m - s - 1) / factorial(m)).to_numpy()
    matrix = np.zeros((m, len(subsets)))
    for at, (modality, i, j) in enumerate(zip(table.modality, table.i, table.j, strict=True)):
        matrix[names.index(modality), j] += weight[at]
        matrix[names.index(modality), i] -= weight[at]
    return np.moveaxis(np.tensordot(matrix, values, axes=1), 0, axis)


def interactions(values: np.ndarray, subsets: Sequence[str], *, axis: int = 1) -> np.ndarray:
    """Measure what two modalities do together beyond what each does alone [Grabisch1999]_.

    Parameters
    ----------
    values, subsets, axis
        As in :func:`shapley`: any linear quantity.

    Returns
    -------
    numpy.ndarray
        Like ``values`` with the pairs of modalities along ``axis``, in the order of
        ``itertools.combinations``. Negative: each repeats part of what the other says (for AUROC); positive:
        they need one another; zero on average over all subsets of the others: they add up.
    """
    values, names = np.moveaxis(np.asarray(values, float), axis, 0), _modalities(subsets)
    sets = [frozenset(members(s)) for s in subsets]
    where, m = {s: i for i, s in enumerate(sets)}, len(names)
    pairs = list(combinations(names, 2))
    matrix = np.zeros((len(pairs), len(subsets)))
    for row, pair in zip(matrix, pairs, strict=True):
        for s in (s for s in sets if not s & set(pair)):
            weight = factorial(len(s)) * factorial(m - len(s) - 2) / factorial(m - 1)
            for added, sign in ((set(pair), 1), ({pair[0]}, -1), ({pair[1]}, -1), (set(), 1)):
                row[where[s | added]] += sign * weight
    return np.moveaxis(np.tensordot(matrix, values, axes=1), 0, axis)


def best_single(powerset: xr.Dataset, cohort: pd.DataFrame) -> xr.Dataset:
    """Compose the best single modality, chosen in every fold and seed by AUROC on its validation patients.

    What is reported was then never used to choose, as it would be if the best of the tested AUROCs were taken.

    Parameters
    ----------
    powerset : xarray.Dataset
        The artefact; the single modalities are its subsets of one member.
    cohort : pandas.DataFrame

    Returns
    -------
    xarray.Dataset
        ``score`` (seed, sample), ``threshold`` (seed, fold, rule), and ``chosen`` (seed, fold), the modality's
        name.
    """
    singles = [s for s in powerset["subset"].values if len(members(s)) == 1]
    part, y = powerset.sel(subset=singles), cohort["label"].to_numpy()
    validation = part["validation_score"].transpose("seed", "fold", "subset", "sample").values
    areas = [
        [[roc_auc_score(y[~np.isnan(v)], v[~np.isnan(v)]) for v in fold] for fold in seed]
        for seed in validation
    ]
    best = xr.DataArray(np.argmax(areas, axis=2), dims=("seed", "fold"))
    of_sample = best.isel(fold=xr.DataArray(cohort["fold"].to_numpy(), dims="sample"))
    seeds = xr.DataArray(np.arange(part.sizes["seed"]), dims="seed")
    score = part["score"].isel(subset=of_sample, seed=seeds, sample=xr.DataArray(np.arange(len(y)), dims="sample"))
    folds = xr.DataArray(np.arange(part.sizes["fold"]), dims="fold")
    threshold = part["threshold"].isel(subset=best, seed=seeds, fold=folds)
    found = xr.Dataset({"score": score.drop_vars("subset"), "threshold": threshold.drop_vars("subset")})
    return found.assign(chosen=(("seed", "fold"), np.array(singles, dtype=object)[best.values]))


def shapley_values(result):
    """Share out everything that an ``Evaluation`` over the power set holds, retraining spread included.

    Parameters
    ----------
    result : mmlib.measure.evaluate.Evaluation
        Its vectors are the subsets; its metrics must be linear (see `shapley`).

    Returns
    -------
    mmlib.measure.evaluate.Evaluation
        Its vectors are the modalities.
    """
    share = {
        part: {k: shapley(v, result.labels) for k, v in getattr(result, part).items()}
        for part in ("values", "spread")
    }
    return replace(result, key="modality", labels=_modalities(result.labels), **share)


def additions_interval(draws: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cover the changes of all additions at once (max-T), retraining included.

    Parameters
    ----------
    draws : numpy.ndarray of shape (1 + B, n_additions)
    spread : numpy.ndarray of shape (S, n_additions)
        The change of each training seed. Its variance is pooled over additions, since each alone has few seeds.

    Returns
    -------
    low, high : numpy.ndarray of shape (n_additions,)
    """
    seeds = len(spread)
    pooled = np.sqrt(spread.var(axis=0, ddof=1).mean() / seeds) if seeds > 1 else 0.0
    return simultaneous_interval(draws, se_retrain=pooled)


def count_additions(quantities: Mapping[str, tuple], steps: pd.DataFrame) -> pd.DataFrame:
    """Count single additions by what they do, and how many of these verdicts survive looking at all of them at once.

    Parameters
    ----------
    quantities : mapping of str to (draws, spread)
        Values of every subset, ``(1 + B, 2**M)`` and ``(S, 2**M)``: AUROC first, then signed differences, of which
        the *widening* is counted.
    steps : pandas.DataFrame
        From :func:`additions`.

    Returns
    -------
    pandas.DataFrame
        Columns quantity, additions, raise or widen, share, surely (raise or widen), surely the opposite. Sure: the
        interval of `additions_interval` excludes zero.
    """
    table = []
    for at, (name, parts) in enumerate(quantities.items()):
        before, after = ([part[:, steps[end]] for part in parts] for end in ("i", "j"))
        # |after| > |before| exactly if the change has the sign of their sum
        sign = np.sign(before[0][0] + after[0][0]) if at else 1
        change, spread = ((a - b) * sign for a, b in zip(after, before, strict=True))
        low, high = additions_interval(change, spread)
        up = change[0] > 0
        table.append(
            (name, len(steps), int(up.sum()), f"{up.mean():.0%}", int((low > 0).sum()), int((high < 0).sum()))
        )
    columns = ["quantity", "additions", "raise or widen", "share", "surely", "surely the opposite"]
    return pd.DataFrame(table, columns=columns)


def _modalities(subsets: Sequence[str]) -> list[str]:
    return list(members(full_subset(subsets)))
