"""Protected groups of a run: attributes, references, the contrasts shown, sizes, and which are large enough to test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mmlib.core.schema import MINIMUM
from mmlib.core.subsets import members
from mmlib.measure.metrics import group_masks, sizes

#: Groups of one attribute; more are an identifier, or too small to be compared.
MOST_GROUPS = 50


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


def choose_groups(
    samples: pd.DataFrame,
    protected: Mapping[str, str | None],
    contrasts: Mapping[str, str] | None = None,
    intersections: Mapping[str, str] | None = None,
) -> Groups:
    """Groups of a cohort, after a check of what was given; what was not given is chosen by size.

    Parameters
    ----------
    samples : pandas.DataFrame
        A row per sample, with ``label`` and the protected attributes.
    protected : mapping of str to str or None
        Attribute to its reference group; None is the largest group that has both labels.
    contrasts, intersections : mapping of str to str, optional
        As in `Groups`. An attribute without a contrast gets its largest other group that has both labels. The group
        "Unknown" is chosen last.

    Returns
    -------
    Groups

    Raises
    ------
    ValueError
        In one sentence, naming the attribute, the group and what was found.

    Examples
    --------
    >>> cohort = pd.DataFrame({"sex": ["Male", "Female", "Male", "Female", "Male"], "label": [1, 0, 0, 1, 1]})
    >>> choose_groups(cohort, {"sex": None}).contrasts
    {'sex': 'Female'}
    """
    contrasts, intersections = dict(contrasts or {}), intersections or {}
    references = {**protected, **intersections}
    for attribute, reference in references.items():
        if absent := [name for name in members(attribute) if name not in samples]:
            found = [c for c in samples if c not in ("sample_id", "patient_id", "label", "fold")]
            raise ValueError(
                f"protected names {absent[0]!r}, which the cohort lacks; it has {', '.join(found)}."
            )
        names, masks = group_masks(samples, [attribute])[attribute]
        if attribute in protected and len(names) - 1 > MOST_GROUPS:
            raise ValueError(
                f"{attribute!r} has {len(names) - 1} groups, such as {_listed(names[1:4])}; expected at most "
                f"{MOST_GROUPS}: join some, or leave it out of protected."
            )
        if "all" in names[1:]:
            raise ValueError(
                f"A group of {attribute!r} is called 'all', as all samples are; expected another name."
            )
        both = {
            g: m.sum() for g, m in zip(names[1:], masks[1:], strict=True) if samples["label"][m].nunique() > 1
        }
        able = sorted(both, key=lambda group: (group == "Unknown", -both[group]))
        if attribute in protected and len(able) < 2:
            raise ValueError(
                f"Of the {len(names) - 1} groups of {attribute!r}, {_listed(able) or 'none'} has both labels; expected "
                f"two or more that have: leave it out of protected."
            )
        references[attribute] = able[0] if reference is None else str(reference)
        if references[attribute] not in able:
            raise ValueError(
                f"The reference group {reference!r} of {attribute!r} is not one with both labels; "
                f"expected one of {_listed(able)}."
            )
        others = [group for group in able if group != references[attribute]]
        if attribute in protected:
            contrasts[attribute] = str(contrasts.get(attribute, others[0]))
            if contrasts[attribute] not in others:
                raise ValueError(
                    f"contrasts names the group {contrasts[attribute]!r} of {attribute!r}; expected one of "
                    f"{_listed(others)}, which have both labels and are not its reference."
                )
    return Groups({a: references[a] for a in protected}, contrasts, {a: references[a] for a in intersections})


def load_groups(run, protected: Mapping[str, str | None] | None = None, *others: Mapping[str, str]) -> Groups:
    """Groups of a run whose chapter 1 was written: `choose_groups` of its cohort, by default of all attributes.

    Parameters
    ----------
    run : mmlib.runs.run.Run
    protected : mapping, optional
    *others : mapping
        Contrasts and intersections.

    Returns
    -------
    Groups

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> cohort = pd.DataFrame({"sex": ["Male", "Female", "Male", "Female", "Male"], "label": [1, 0, 0, 1, 1]})
    >>> artefacts, settings = {"cohort": cohort}, {"01_cohort": {"attributes": ["sex"]}}
    >>> run = SimpleNamespace(read=artefacts.get, settings=settings.get)  # a `Run` that holds these
    >>> load_groups(run).protected
    {'sex': 'Male'}
    """
    attributes = protected or dict.fromkeys(run.settings("01_cohort")["attributes"])
    return choose_groups(run.read("cohort"), attributes, *others)


def _listed(groups) -> str:
    """First groups in words."""
    groups = list(groups)
    return ", ".join(map(repr, groups[:8])) + (" ..." if len(groups) > 8 else "")
