"""Subsets of modalities: their names, their members, and all of them."""

from collections.abc import Iterable, Sequence

import numpy as np

#: Name of the empty subset.
NONE = "none"


def members(name: str) -> tuple[str, ...]:
    """Members of a subset, in the order of its name; also the attributes that a crossed one joins.

    Examples
    --------
    >>> members("vitals+labs"), members("none")
    (('vitals', 'labs'), ())
    """
    return () if name == NONE else tuple(name.split("+"))


def subset_name(members: Iterable[str]) -> str:
    """Name of a subset: its members joined by ``+``, or ``"none"``.

    Examples
    --------
    >>> subset_name(["vitals", "labs"]), subset_name([])
    ('vitals+labs', 'none')
    """
    return "+".join(members) or NONE


def full_subset(subsets: Iterable[str]) -> str:
    """Name of the largest of some subsets: all modalities, if they are a power set.

    Examples
    --------
    >>> full_subset(["none", "vitals", "labs", "vitals+labs"])
    'vitals+labs'
    """
    return max(subsets, key=lambda name: len(members(name)))


def subset_masks(modalities: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """All subsets of modalities: those of the power set, and the patterns that masking leaves.

    Parameters
    ----------
    modalities : sequence of str
        M names in cohort order.

    Returns
    -------
    names : list of str
        2^M names joined by ``+``, ``"none"`` first, all modalities last.
    masks : ndarray of shape (2^M, M), bool
        True where kept; binary counting with the first modality as the lowest bit.

    Examples
    --------
    >>> subset_masks(["vitals", "labs"])[0]
    ['none', 'vitals', 'labs', 'vitals+labs']
    """
    masks = (np.arange(2 ** len(modalities))[:, None] >> np.arange(len(modalities)) & 1).astype(bool)
    return [subset_name(m for m, kept in zip(modalities, mask, strict=True) if kept) for mask in masks], masks
