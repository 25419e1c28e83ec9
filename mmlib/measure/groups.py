"""Protected groups of a run: attributes, references, the contrasts shown, sizes, and which are large enough to test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mmlib.core.schema import MINIMUM
from mmlib.measure.metrics import group_masks, sizes


@dataclass(frozen=True)
class Groups:
    """Protected attributes of a run, their reference groups, and the contrasts that figures show.

    Parameters
    ----------
    protected : mapping of str to str
        Protected attribute to its reference group.
    contrasts : mapping of str to str
        Protected attribute to the group that figures show against the reference.
    intersections : mapping of str to str
        Crossed attributes, such as ``"race+sex"``, to their reference group.

    Examples
    --------
    >>> groups = Groups({"race": "White", "sex": "Male"}, {"race": "Black"}, {"race+sex": "White, Male"})
    >>> groups.attributes
    ('race', 'sex', 'race+sex')
    """

    protected: Mapping[str, str]
    contrasts: Mapping[str, str] = field(default_factory=dict)
    intersections: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if not self.protected:
            raise ValueError("protected is empty; expected at least one attribute with its reference group.")
        if unknown := [a for a in self.contrasts if a not in self.protected]:
            raise ValueError(f"contrasts names {unknown[0]!r}; expected some of {', '.join(self.protected)}.")

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of all attributes, crossed ones last."""
        return (*self.protected, *self.intersections)

    @property
    def first(self) -> str:
        """First protected attribute, which figures of one attribute show."""
        return next(iter(self.protected))

    def reference(self, attribute: str) -> str:
        """Reference group of an attribute.

        Examples
        --------
        >>> groups.reference("sex")
        'Male'
        """
        known = {**self.protected, **self.intersections}
        if attribute not in known:
            raise ValueError(f"Attribute {attribute!r} has no reference; {', '.join(known)} have.")
        return known[attribute]

    def single(self) -> "Groups":
        """Groups without crossed attributes.

        Examples
        --------
        >>> groups.single().attributes
        ('race', 'sex')
        """
        return Groups(self.protected, self.contrasts)

    def masks(self, cohort: pd.DataFrame) -> dict[str, tuple[list[str], np.ndarray]]:
        """Names and members of all groups by attribute, all samples first; see `mmlib.measure.metrics.group_masks`.

        Examples
        --------
        >>> cohort = pd.DataFrame({"sex": ["Male", "Female", "Male"], "label": [1, 0, 0]})
        >>> Groups({"sex": "Male"}).masks(cohort)["sex"][0]
        ['all', 'Female', 'Male']
        """
        return group_masks(cohort, self.attributes)

    def sizes(self, cohort: pd.DataFrame) -> pd.DataFrame:
        """Samples and positives of every group, a row each, with whether it is large enough to be tested.

        Examples
        --------
        >>> cohort = pd.DataFrame({"sex": ["Male", "Female", "Male"], "label": [1, 0, 0]})
        >>> Groups({"sex": "Male"}).sizes(cohort)[["group", "n", "n_positive", "large"]].values.tolist()
        [['Female', 1, 0, False], ['Male', 2, 1, False]]
        """
        rows = []
        for attribute, (names, masks) in self.masks(cohort).items():
            for name, n, positive in zip(names, *sizes(cohort["label"], masks), strict=True):
                rows.append((attribute, name, int(n), int(positive), bool(positive >= MINIMUM)))
        table = pd.DataFrame(rows, columns=["attribute", "group", "n", "n_positive", "large"])
        return table[table["group"] != "all"].reset_index(drop=True)
