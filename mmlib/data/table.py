"""Cohort from any table: columns are named in the run's YAML, or by a loader in this package."""

import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from mmlib.core.schema import Cohort, Field


def load(
    root: str | Path | None,
    *,
    label: str,
    modalities: Mapping[str, Sequence[str] | Mapping[str, Mapping]],
    protected: Sequence[str],
    sample_id: str | None = None,
    patient_id: str | None = None,
    positive=1,
    task: str | None = None,
) -> Cohort:
    """Cohort from a CSV, TSV or Parquet file.

    Parameters
    ----------
    root : path
        The file; ``.csv``, ``.csv.gz``, ``.tsv`` or ``.parquet``.
    label : str
        Column of the label; rows where it is missing are dropped and counted.
    modalities : mapping
        Modality -> its columns, either a list or a mapping of column -> options of
        :class:`mmlib.core.schema.Field` (``label``, ``unit``, ``decimals``, ``words``, ``kind``, ``timing``,
        ``source``). Without ``kind``, numeric columns are numbers and others categories; say ``kind: text``
        for free text. Without ``timing`` the audit calls a predictive field unresolved.
    protected : sequence of str
        Columns of the protected attributes; missing values become the group "Unknown".
    sample_id, patient_id : str, optional
        Columns; the row number and the sample by default.
    positive : scalar
        Value of the label that counts as positive.
    task : str, optional
        The label in words.

    Returns
    -------
    mmlib.core.schema.Cohort

    Raises
    ------
    FileNotFoundError, ValueError
        If the file cannot be read or a column does not fit; one sentence names both.
    """
    if root is None or not Path(root).is_file():
        raise FileNotFoundError(
            f"root is {str(root)!r}, which is not a file; expected a CSV or Parquet file."
        )
    _check_lists(modalities, protected)
    frame = read_table(Path(root))
    fields = tuple(
        _field(frame, root, m, c, o) for m, columns in modalities.items() for c, o in _options(columns)
    )
    named = {label, *protected, *(f.name for f in fields), *(c for c in (sample_id, patient_id) if c)}
    require(frame, named, root)
    if label in {f.name for f in fields}:
        raise ValueError(f"{root}: the label {label!r} is also listed as an input of a modality.")
    known = frame[label].notna()
    dropped = int((~known).sum())
    frame = frame[known].reset_index(drop=True)
    if not (frame[label] == positive).any():
        raise ValueError(
            f"{root}: no value of {label!r} equals positive={positive!r}; found {list(frame[label].unique()[:5])}."
        )
    groups = (
        frame[list(protected)].astype("object").where(frame[list(protected)].notna(), "Unknown").astype(str)
    )
    return build(
        Path(root).stem,
        task or label,
        values=frame,
        fields=fields,
        groups=groups,
        label=frame[label] == positive,
        sample_id=frame[sample_id] if sample_id else None,
        patient_id=frame[patient_id] if patient_id else None,
        counts={"rows without a label, dropped": dropped},
    )


def build(
    name, task, *, values, fields, groups, label, sample_id=None, patient_id=None, counts=None, caution=""
) -> Cohort:
    """Cohort from a frame with a row per sample, after checks.

    Parameters
    ----------
    name, task : str
        Identifier, and the label in words.
    values : pandas.DataFrame
        Holds for each field the column ``modality.name``, or ``name`` alone.
    fields : sequence of Field
        The only columns that become inputs.
    groups : pandas.DataFrame
        Protected attributes as words.
    label : array-like of shape (n_samples,)
        True where the sample is positive.
    sample_id, patient_id : array-like of shape (n_samples,), optional
        The row number and the sample by default.
    counts : mapping, optional
        What the loader dropped or repaired.
    caution : str
        Warning to read before any number.

    Returns
    -------
    mmlib.core.schema.Cohort
    """
    sample = _identifier(values.index if sample_id is None else sample_id)
    if sample.duplicated().any():
        raise ValueError(
            f"{name}: {int(sample.duplicated().sum())} sample ids occur twice "
            f"(the column {getattr(sample_id, 'name', 'index')!r}); "
            f"expected one row per sample."
        )
    y = pd.Series(label).astype("int8").to_numpy()
    if len(set(y)) < 2:
        raise ValueError(
            f"{name}: the label has one class ({'all positive' if y[0] else 'all negative'}); expected two."
        )
    patient = sample if patient_id is None else _identifier(patient_id)
    samples = pd.DataFrame({"sample_id": sample, "patient_id": patient, "label": y}).reset_index(drop=True)
    own = {f.column: f.column if f.column in values else f.name for f in fields}
    inputs = {f.column: _typed(values[own[f.column]], f, name).reset_index(drop=True) for f in fields}
    if len(inputs) < len(fields):
        columns = [f.column for f in fields]
        raise ValueError(
            f"{name}: {max(columns, key=columns.count)!r} is listed twice; expected each input once."
        )
    return Cohort(
        name,
        task,
        samples.join(groups.reset_index(drop=True)),
        pd.DataFrame(inputs),
        tuple(fields),
        tuple(groups.columns),
        dict(counts or {}),
        caution=caution,
    )


def age_groups(age: pd.Series, starts: Sequence[int]) -> pd.Series:
    """Age groups in words; missing ages are the group "Unknown".

    Parameters
    ----------
    age : pandas.Series
        In years.
    starts : sequence of int
        First year of each group; the last group is open. Younger people form a group of their own.

    Returns
    -------
    pandas.Series of str
        With starts at 18, 40 and 65: "18-39", "40-64", "65 and over", or "under 18".
    """
    between = [f"{low}-{high - 1}" for low, high in pairwise(starts)]
    names = [f"under {starts[0]}", *between, f"{starts[-1]} and over"]
    group = pd.cut(age, [-np.inf, *starts, np.inf], right=False, labels=names)
    return group.astype("object").where(age.notna(), "Unknown").astype(str)


def _check_lists(modalities, protected) -> None:
    if isinstance(protected, str) or not isinstance(protected, Sequence) or not protected:
        raise ValueError(f"protected is {protected!r}; expected a list of columns.")
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(f"modalities is {modalities!r}; expected a mapping of modality to columns.")
    for modality, columns in modalities.items():
        if isinstance(columns, str) or not isinstance(columns, Sequence | Mapping) or not columns:
            raise ValueError(
                f"Modality {modality!r} is {columns!r}; expected a list of columns, or a mapping of column to options."
            )


def read_table(path: Path) -> pd.DataFrame:
    """Frame of a CSV, TSV or Parquet file; a `ValueError` in one sentence if it cannot be read."""
    try:
        if path.name.endswith((".parquet", ".parquet.brotli")):
            return pd.read_parquet(path)
        if path.name.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz")):
            return pd.read_csv(path, sep="\t" if ".tsv" in path.name else ",", low_memory=False)
    except (ValueError, OSError, EOFError, zlib.error) as error:  # parser and Arrow errors derive from these
        raise ValueError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error
    raise ValueError(f"{path} has the suffix {path.suffix!r}; expected .csv, .csv.gz, .tsv or .parquet.")


def require(frame: pd.DataFrame, columns, source) -> None:
    """Raise a `ValueError` that names the columns which a frame read from ``source`` lacks."""
    lacking = sorted(map(str, set(columns) - set(frame.columns)))
    if lacking:
        raise ValueError(
            f"{source} lacks the column(s) {', '.join(lacking)}; it has {', '.join(map(str, frame.columns[:20]))}."
        )


def _options(columns):
    return columns.items() if isinstance(columns, Mapping) else [(c, {}) for c in columns]


def _field(frame, source, modality, column, options) -> Field:
    require(frame, [column], source)
    known = ("label", "unit", "decimals", "words", "kind", "timing", "source")
    options = options or {}
    unknown = sorted(set(options) - set(known)) if isinstance(options, Mapping) else [options]
    if unknown:
        raise ValueError(
            f"Column {column!r} of modality {modality!r} has the option {unknown[0]!r}; expected {', '.join(known)}."
        )
    number = pd.api.types.is_numeric_dtype(frame[column])
    given = {"label": column.replace("_", " "), "kind": "number" if number else "category"} | dict(options)
    if number and given["kind"] == "number" and "decimals" not in given:
        given["decimals"] = 0 if (frame[column].dropna() % 1 == 0).all() else 1
    return Field(modality, column, **given)


def _identifier(ids) -> pd.Series:
    ids = pd.Series(ids).reset_index(drop=True)
    if ids.isna().any():
        raise ValueError(
            f"{int(ids.isna().sum())} values of the identifier {ids.name!r} are missing; expected none."
        )
    return ids.astype(str)


def _typed(column: pd.Series, field: Field, source: str) -> pd.Series:
    if field.kind == "number":
        numbers = pd.to_numeric(column, errors="coerce")
        odd = column[numbers.isna() & column.notna()]
        if len(odd):
            raise ValueError(
                f"{source}: column {field.name!r} holds {odd.iloc[0]!r} in row {odd.index[0]}; expected numbers."
            )
        return numbers.astype(float)
    words = column.map(lambda v: field.words.get(v, v), na_action="ignore") if field.words else column
    text = words.astype("object").where(words.notna(), None).map(str, na_action="ignore").astype("str")
    text = text.where(text.str.strip() != "")
    return text.astype("category") if field.kind == "category" else text
