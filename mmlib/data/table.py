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
    positive=None,
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
        Value of the label that counts as positive, 1 by default. Only where it is given may there be more than two.
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
    modalities = {str(name): columns for name, columns in modalities.items()}
    frame = read_table(Path(root))
    fields = tuple(
        _field(frame, root, m, c, o) for m, columns in modalities.items() for c, o in _options(columns)
    )
    named = {label, *protected, *(f.name for f in fields), *(c for c in (sample_id, patient_id) if c)}
    require(frame, named, root)
    for role, column in {"label": label, "sample_id": sample_id, "patient_id": patient_id}.items():
        if column in {f.name for f in fields}:
            raise ValueError(f"{root}: the {role} {column!r} is also listed as an input of a modality.")
    for column in frame[sorted(named)].select_dtypes(exclude="number"):
        if frame[column].astype(str).str.contains("\0", regex=False).any():
            raise ValueError(f"{root}: column {column!r} holds a NUL byte; expected text in UTF-8.")
    known = frame[label].notna()
    dropped = int((~known).sum())
    frame = frame[known].reset_index(drop=True)
    values = frame[label].unique().tolist()
    if positive is None and len(values) > 2:
        raise ValueError(
            f"{root}: the label {label!r} has {len(values)} values ({', '.join(map(repr, values[:5]))}); "
            f"expected two, or the option positive with the one that counts."
        )
    positive = 1 if positive is None else positive
    if positive not in values:
        raise ValueError(f"{root}: no value of {label!r} equals positive={positive!r}; found {values[:5]}.")
    groups = frame[list(protected)].convert_dtypes().astype("object")  # 1 stays 1 where a value is missing
    groups = groups.where(groups.notna(), "Unknown").astype(str)
    counts = {"rows without a label, dropped": dropped}
    if len(values) > 2:
        counts[f"rows whose {label} is not {positive}, of {len(values) - 1} kinds: all negative"] = int(
            (frame[label] != positive).sum()
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
        counts=counts,
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
    if kept := sorted({"sample_id", "patient_id", "label", "fold"} & set(groups)):
        raise ValueError(
            f"{name}: a protected attribute is called {kept[0]!r}; expected another name for it."
        )
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
    if odd := [a for a in protected if "+" in str(a) or list(protected).count(a) > 1]:
        raise ValueError(
            f"protected lists {odd[0]!r}; expected each column once, and none with a + in its name."
        )
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
    pairs = columns.items() if isinstance(columns, Mapping) else [(c, {}) for c in columns]
    return [(str(column), options) for column, options in pairs]


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
    if not (number or {"kind", "words"} & set(options)):
        _check_words(frame[column].dropna(), f"{source}: column {column!r}")
    given = {"label": column.replace("_", " "), "kind": "number" if number else "category"} | dict(options)
    if number and given["kind"] == "number" and "decimals" not in given:
        given["decimals"] = 0 if (frame[column].dropna() % 1 == 0).all() else 1
    return Field(modality, column, **given)


def _check_words(column, where) -> None:
    """Raise a `ValueError` if what would become categories are dates, or numbers that cannot be read as such."""
    words = column.astype(str)
    if words.str.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}").mean() > 0.5:
        raise ValueError(
            f"{where} holds dates such as {words.iloc[0]!r}; expected numbers, for example days since an event, "
            f"or the option kind: category."
        )
    odd = words[pd.to_numeric(words, errors="coerce").isna()]
    if len(odd) and pd.to_numeric(words.str.replace(",", "."), errors="coerce").notna().mean() > 0.5:
        raise ValueError(
            f"{where} holds {odd.iloc[0]!r} in row {odd.index[0]} among numbers; expected numbers with a decimal "
            f"point and nothing where there is none, or the option kind: category."
        )


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
        odd = column[~np.isfinite(numbers) & column.notna()]
        if len(odd):
            raise ValueError(
                f"{source}: column {field.name!r} holds {odd.tolist()[0]!r} in row {odd.index[0]}; expected numbers."
            )
        return numbers.astype(float)
    words = column.map(lambda v: field.words.get(v, v), na_action="ignore") if field.words else column
    text = words.astype("object").where(words.notna(), None).map(str, na_action="ignore").astype("str")
    text = text.where(text.str.strip() != "")
    return text.astype("category") if field.kind == "category" else text
