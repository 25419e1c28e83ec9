"""What each modality adds, read off the power set: single additions, exact Shapley values, interactions of pairs."""

from collections.abc import Sequence
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd

from mmlib.uncertainty import simultaneous_interval


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
    sets = [frozenset() if s == "none" else frozenset(s.split("+")) for s in subsets]
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
    where = {frozenset() if s == "none" else frozenset(s.split("+")): i for i, s in enumerate(subsets)}
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
    sets = [frozenset() if s == "none" else frozenset(s.split("+")) for s in subsets]
    where, m = {s: i for i, s in enumerate(sets)}, len(names)
    pairs = list(combinations(names, 2))
    matrix = np.zeros((len(pairs), len(subsets)))
    for row, pair in zip(matrix, pairs, strict=True):
        for s in (s for s in sets if not s & set(pair)):
            weight = factorial(len(s)) * factorial(m - len(s) - 2) / factorial(m - 1)
            for added, sign in ((set(pair), 1), ({pair[0]}, -1), ({pair[1]}, -1), (set(), 1)):
                row[where[s | added]] += sign * weight
    return np.moveaxis(np.tensordot(matrix, values, axes=1), 0, axis)


def count_additions(gain: np.ndarray, gaps: dict[str, np.ndarray], steps: pd.DataFrame) -> pd.DataFrame:
    """Count single additions by what they do, and how many of these verdicts survive looking at all of them at once.

    Parameters
    ----------
    gain : numpy.ndarray of shape (1 + B, n_additions)
        Change in AUROC of each addition.
    gaps : dict of str to numpy.ndarray of shape (1 + B, 2**M)
        Signed differences of every subset.
    steps : pandas.DataFrame
        From :func:`additions`.

    Returns
    -------
    pandas.DataFrame
        Columns quantity, additions, raise or widen, share, surely (raise or widen), surely not (lower or
        narrow). Sure: the simultaneous 95 % interval of the change, over all additions of the row, excludes
        zero.
    """
    rows = [("AUROC", gain)]
    for name, values in gaps.items():
        before, after = values[:, steps["i"]], values[:, steps["j"]]
        # |after| > |before| exactly if the change has the sign of their sum
        rows.append((name, (after - before) * np.sign(before[0] + after[0])))
    table = []
    for name, change in rows:
        low, high = simultaneous_interval(change)
        up = change[0] > 0
        table.append(
            (name, len(steps), int(up.sum()), f"{up.mean():.0%}", int((low > 0).sum()), int((high < 0).sum()))
        )
    columns = ["quantity", "additions", "raise or widen", "share", "surely", "surely the opposite"]
    return pd.DataFrame(table, columns=columns)


def _modalities(subsets: Sequence[str]) -> list[str]:
    return (
        max(subsets, key=lambda s: s.count("+")).split("+")
        if len(subsets) > 2
        else [s for s in subsets if s != "none"]
    )
