"""Recorded values in words: one sentence per field, and whole notes per modality.

An absent field has no sentence (or, if asked for, one that says so); an absent modality has no sentences at
all. The wording follows the pseudo-notes of [Lee2024]_.
"""

import numpy as np
import pandas as pd

from mmlib.core.schema import Cohort, Field


def write_notes(cohort: Cohort, *, flags: bool = True, not_recorded: bool = False) -> pd.DataFrame:
    """One sentence for every recorded value.

    Parameters
    ----------
    cohort : mmlib.core.schema.Cohort
        Values are rounded to each field's decimals; codes become words.
    flags : bool
        Add "low", "normal", "very high" and so on after a number whose field has reference bounds, as a
        laboratory report does.
    not_recorded : bool
        Also write "... : not recorded." for a field that is absent in a modality that is present. The
        absence of a value is information too, so the default does not write it.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, modality, field, sentence, in cohort order.

    Examples
    --------
    >>> field = Field("labs", "alb", "serum albumin", unit="g/dL", decimals=1)
    >>> samples = pd.DataFrame({"sample_id": ["a"], "patient_id": ["p"], "label": [1]})
    >>> cohort = Cohort("toy", "death", samples, pd.DataFrame({"labs.alb": [3.14]}), (field,), ())
    >>> write_notes(cohort).sentence.tolist()
    ['Serum albumin: 3.1 g/dL.']
    """
    present = cohort.present()
    sentences, rows = [], []
    for field in cohort.fields:
        column = cohort.values[field.column].reset_index(drop=True)
        said = _sentences(column, field, flags)
        if not_recorded:
            absent = np.flatnonzero(column.isna() & present[field.modality].to_numpy())
            said = pd.concat([said, pd.Series(f"{_label(field)}: not recorded.", absent, dtype="str")])
        sentences.append(said)
        rows.append(said.index.to_numpy())
    order = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    row = np.concatenate(rows)
    turn = np.lexsort((order, row))  # stable, so that entries of a list keep their order
    order, row = order[turn], row[turn]
    return pd.DataFrame(
        {
            "sample_id": cohort.samples["sample_id"].array.take(row),
            "modality": pd.array([f.modality for f in cohort.fields], "str").take(order),
            "field": pd.array([f.name for f in cohort.fields], "str").take(order),
            "sentence": pd.concat(sentences).array.take(turn),
        }
    )


def join_notes(notes: pd.DataFrame) -> pd.DataFrame:
    """One note per sample and modality, joined from its sentences.

    Parameters
    ----------
    notes : pandas.DataFrame
        As written by :func:`write_notes`.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, modality, field ("note"), sentence (the whole note).
    """
    whole = notes.groupby(["sample_id", "modality"], sort=False)["sentence"].agg(" ".join).reset_index()
    return whole.assign(field="note")[["sample_id", "modality", "field", "sentence"]]


def _sentences(values: pd.Series, field: Field, flags: bool) -> pd.Series:
    """Sentences of what is recorded, indexed by row; each distinct value is put into words once."""
    if field.kind in ("image", "ecg"):
        raise ValueError(
            f"Field {field.column!r} is of kind {field.kind}; it has to be described in words first."
        )
    values = values.dropna()
    if field.kind == "text":
        return values.astype("str").str.strip()
    if field.kind == "list":
        values = values.str.split("\n").explode().str.strip()
        values = values[values != ""]
    place, distinct = pd.factorize(values)
    distinct = pd.Series(distinct)
    if field.kind == "number":
        digits = max(field.decimals, 0)
        rounded = distinct.astype(float).round(field.decimals) if field.decimals < 0 else distinct
        words = rounded.map(f"{{:.{digits}f}}".format).astype("str")
        words = words.where(words != f"-{0:.{digits}f}", f"{0:.{digits}f}")  # no "-0"
    else:
        words = distinct.astype("str")
    unit = f" {field.unit}" if field.unit else ""
    flag = _flag(distinct, field.reference) if flags and field.reference else ""
    sentences = (_label(field) + ": " + words + unit + flag + ".").astype("str")
    return pd.Series(sentences.array.take(place), values.index)


def _flag(values: pd.Series, reference) -> np.ndarray:
    bounds = [np.nan if bound is None else bound for bound in reference]  # a comparison with NaN is false
    beyond = [values < bounds[0], values < bounds[1], values > bounds[3], values > bounds[2]]
    return np.select(beyond, [", very low", ", low", ", very high", ", high"], ", normal")


def _label(field: Field) -> str:
    return field.label[:1].upper() + field.label[1:]


def typical_note(notes: pd.DataFrame, *, minimum: int = 11, sentences: int | None = None) -> pd.DataFrame:
    """Most frequent sentence of each field, joined by modality: a note of no individual patient.

    Parameters
    ----------
    notes : pandas.DataFrame
        As written by :func:`write_notes`.
    minimum : int
        A sentence that fewer samples share is not shown.
    sentences : int, optional
        How many of each modality are shown; all if not given.

    Returns
    -------
    pandas.DataFrame
        Columns modality, note.
    """
    counts = notes.groupby(["modality", "field"], sort=False)["sentence"].value_counts()
    frequent = counts[counts >= minimum].groupby(level=["modality", "field"], sort=False).head(1).reset_index()
    order = notes[["modality", "field"]].drop_duplicates().reset_index(drop=True)
    typical = order.merge(frequent).sort_values(
        "modality", key=lambda m: m.map({k: i for i, k in enumerate(order.modality)})
    )
    told = typical.groupby("modality", sort=False)["sentence"].agg(lambda of: " ".join(of[:sentences]))
    return told.rename("note").reset_index()
