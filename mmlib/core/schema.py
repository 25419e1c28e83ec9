"""The contracts: fields, cohorts, and the checks of every table that one room passes to another."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pandera.pandas as pa
import xarray as xr

from mmlib.core.subsets import NONE, full_subset, members, subset_masks

#: Fewest positives (or negatives) of a group that is tested, and fewest samples to which a model is fitted.
MINIMUM = 30
#: Least number of events, and of non-events, for an interval by the bootstrap; below it intervals are exact.
MINIMUM_EVENTS = 10
#: Fewer positives or negatives than this, and every page of a run says that its numbers settle nothing: a rate among
#: them is then uncertain by more than 0.07.
FEW = 200
#: Smallest count of people that may be shown of credentialed data.
SMALLEST_CELL = 11
#: Regime of the models that chapter 3 trained, absent modalities masked: its name in artefacts and tables.
PLAIN = "plain, mask"
KINDS = ("number", "category", "text", "list", "image", "ecg")
#: What became of the file behind a field of a sample, from nothing to everything.
OUTCOMES = ("no file", "unreadable", "refused", "measured in part", "measured in full")


@dataclass(frozen=True)
class Field:
    """One input field: a column of a modality and how it is put into words.

    Parameters
    ----------
    modality, name : str
        The modality it belongs to and its short name; the pair is unique in a cohort.
    label : str
        Name in words ("serum albumin").
    unit : str
        Unit as written after a number ("g/dL"); empty for none.
    decimals : int
        Digits after the point that a sentence keeps, -1 for tens; the raw value is never rounded.
    words : mapping or None
        Code -> words. Given, the field is a category; codes that are not listed are written as they are.
    kind : {"number", "category", "text", "list", "image", "ecg"}
        ``text`` is free text: its sentence is the passage itself. A ``list`` holds different entries, one a
        line, and has a sentence for each. The values of ``image`` are paths of
        pictures, those of ``ecg`` paths of WFDB records without suffix, or ``memmap.npy#i`` for record i of a
        memmap.
    reference : tuple of float or None
        (very low, low, high, very high): a reference interval between its inner bounds and critical values
        beyond its outer ones, for a flag as laboratory reports print it. ``None`` leaves a bound open.
    timing : {"before", "after", "unknown"}
        When the value is fixed relative to the prediction time, by its documentation. "After" is a leak.
    source : str
        Where that is documented, for the audit.
    measures : tuple of str or None
        Which measurements of an image or ECG are told, by their names in :mod:`mmlib.text.describers`; ``None`` for
        all. Several modalities can so be measured in one recording.
    """

    modality: str
    name: str
    label: str
    unit: str = ""
    decimals: int = 0
    words: Mapping | None = None
    kind: str = "number"
    reference: tuple[float | None, float | None, float | None, float | None] | None = None
    timing: str = "unknown"
    source: str = ""
    measures: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.words is not None and self.kind == "number":
            object.__setattr__(self, "kind", "category")
        if self.kind not in KINDS:
            raise ValueError(f"Field {self.column!r} has kind {self.kind!r}; expected {', '.join(KINDS)}.")
        if self.timing not in ("before", "after", "unknown"):
            raise ValueError(
                f"Field {self.column!r} has timing {self.timing!r}; expected before, after or unknown."
            )
        if self.modality in ("", NONE, "noise") or set(self.modality) & set("+."):
            raise ValueError(
                f"A modality is called {self.modality!r}; expected a name without + and . that is not "
                f"{NONE} or noise, which the book keeps for itself."
            )
        if type(self.decimals) is not int:
            raise ValueError(
                f"Field {self.column!r} has decimals {self.decimals!r}; expected a whole number, such as 0, 1 or -1."
            )
        if self.words is not None and not isinstance(self.words, Mapping):
            raise ValueError(
                f"Field {self.column!r} has words {self.words!r}; expected a mapping of code to words."
            )

    @property
    def column(self) -> str:
        """Name of its column in ``Cohort.values``."""
        return f"{self.modality}.{self.name}"


@dataclass(frozen=True)
class Cohort:
    """A study population before any model.

    Parameters
    ----------
    name, task : str
        Identifier, and the label in words ("death in hospital").
    samples : pandas.DataFrame
        A row per sample: ``sample_id``, ``patient_id``, ``label`` and the protected attributes as words.
    values : pandas.DataFrame
        Same rows; one column per field, named ``modality.field``; absent values are missing.
    fields : tuple of Field
        In the order in which a note writes them; it also sets the order of modalities.
    protected : tuple of str
        Names of the protected attributes among the columns of ``samples``.
    counts : mapping
        What the loader dropped or repaired and how often, for chapter 1.
    times : pandas.DataFrame or None
        Same rows; for the fields whose recording times are known, hours from the prediction time to the
        recording (negative is before), one column per field, named as in ``values``.
    caution : str
        Warning to read before any number of this cohort, one or two sentences; chapter 1 shows it at the top.
    outcomes : pandas.DataFrame or None
        Same rows; for the fields that come from a picture, recording or report of their own, what became of it: one of
        ``OUTCOMES``. One column per field, named as before it was described.
    """

    name: str
    task: str
    samples: pd.DataFrame
    values: pd.DataFrame
    fields: tuple[Field, ...]
    protected: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    times: pd.DataFrame | None = None
    caution: str = ""
    outcomes: pd.DataFrame | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modality names in cohort order."""
        return tuple(dict.fromkeys(f.modality for f in self.fields))

    def present(self) -> pd.DataFrame:
        """Bool frame (samples x modalities): True where at least one field of the modality is recorded."""
        columns = {m: [f.column for f in self.fields if f.modality == m] for m in self.modalities}
        return pd.DataFrame({m: self.values[c].notna().any(axis=1) for m, c in columns.items()})


_flag = {"^present_": pa.Column(bool, regex=True)}
COHORT = pa.DataFrameSchema(
    {
        "sample_id": pa.Column(str, unique=True),
        "patient_id": pa.Column(str),
        "label": pa.Column("int8", pa.Check.isin([0, 1])),
        "fold": pa.Column("int8", pa.Check.ge(0)),
        **_flag,
    },
    checks=pa.Check(
        lambda d: d.groupby("patient_id").fold.nunique().max() == 1, error="a patient is in two folds"
    ),
)
NOTES = pa.DataFrameSchema(
    {
        "sample_id": pa.Column(str),
        "modality": pa.Column(str),
        "field": pa.Column(str),
        "sentence": pa.Column(str, pa.Check.str_length(min_value=1)),
    },
    unique=["sample_id", "modality", "field", "sentence"],  # a list has several
)
FIELDS = pa.DataFrameSchema(
    {"sample_id": pa.Column(str, unique=True), r"^[^.]+\..+$": pa.Column(regex=True, nullable=True)}
)
RESULTS = pa.DataFrameSchema(
    {
        "run": pa.Column(str),
        "metric": pa.Column(str),
        "attribute": pa.Column(str),
        "group": pa.Column(str),
        "reference": pa.Column(str, nullable=True),
        "estimate": pa.Column(float, nullable=True),
        "low": pa.Column(float, nullable=True),
        "high": pa.Column(float, nullable=True),
        "se_patients": pa.Column(float, nullable=True),
        "se_retrain": pa.Column(float, nullable=True),
        "n": pa.Column(int, pa.Check.ge(0)),
        "n_positive": pa.Column(int, pa.Check.ge(0)),
        "primary": pa.Column(bool),
    },
    coerce=True,
)
#: Columns of equal bins of scores, from 0 to 1.
BINS = tuple(f"b{place:02d}" for place in range(50))
_count = pa.Column(int, pa.Check.ge(0))
SIZES = pa.DataFrameSchema(
    {
        "run": pa.Column(str),
        "attribute": pa.Column(str),
        "group": pa.Column(str),
        "label": pa.Column(str, pa.Check.isin(["all", "positive", "negative"])),
        "modality": pa.Column(str, nullable=True),
        "n": _count,
        "n_patients": _count,
        "n_positive": _count,
        "n_present": pa.Column(float, pa.Check.ge(0), nullable=True),
    },
    unique=["attribute", "group", "label", "modality"],
    coerce=True,
)
HISTOGRAM = pa.DataFrameSchema(
    {
        "run": pa.Column(str),
        "subset": pa.Column(str),
        "attribute": pa.Column(str),
        "group": pa.Column(str),
        "label": pa.Column(str, pa.Check.isin(["positive", "negative"])),
        "n": _count,
        **dict.fromkeys(BINS, _count),
    },
    checks=pa.Check(lambda d: (d[list(BINS)].sum(axis=1) == d["n"]).all(), error="bins do not add up to n"),
    unique=["subset", "attribute", "group", "label"],
    coerce=True,
)
DIMENSIONS = {
    "embeddings": {"embedding": ("sample", "modality", "feature"), "present": ("sample", "modality")},
    "powerset": {
        "score": ("subset", "seed", "sample"),
        "threshold": ("subset", "seed", "fold", "rule"),
        "validation_score": ("subset", "seed", "fold", "sample"),
    },
    "masking": {
        "score": ("regime", "seed", "pattern", "sample"),
        "threshold": ("regime", "seed", "fold", "rule"),
    },
}
DIMENSIONS["mitigation_scores"] = DIMENSIONS["masking"]
DIMENSIONS["noise"] = DIMENSIONS["powerset"]


def check_array(data: xr.Dataset, kind: str) -> xr.Dataset:
    """Labelled array artefact, after a check of its variables, dimensions and value range.

    Raises
    ------
    ValueError
        In one sentence, naming the variable, what was found and what was expected.
    """
    for name, dims in DIMENSIONS[kind].items():
        if name not in data:
            raise ValueError(f"{kind} has no variable {name!r}; expected {sorted(DIMENSIONS[kind])}.")
        if data[name].dims != dims:
            raise ValueError(f"{kind}.{name} has dimensions {data[name].dims}, expected {dims}.")
    if kind == "powerset" and len(names := [str(s) for s in data["subset"].values]) > 1:
        every = subset_masks(members(full_subset(names)))[0]
        if lacking := [name for name in every if name not in names]:
            raise ValueError(f"powerset lacks the subset {lacking[0]!r} of {len(every)}; expected all of them.")
    if "score" in data:
        low, high = float(np.nanmin(data.score)), float(np.nanmax(data.score))
        if not (low >= 0 and high <= 1) or data.score.isnull().any():
            raise ValueError(
                f"{kind}.score lies in [{low:.3g}, {high:.3g}] or is missing; expected probabilities."
            )
    return data
