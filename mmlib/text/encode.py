"""Vectors by modality, from notes (text encoding) or from fields (native encoding).

``unit="field"`` embeds each distinct field sentence and averages a sample's sentences per modality;
``unit="note"`` embeds each whole note, as the paper does. ``python -m mmlib encode NOTES --shard i/K`` fills the
cache with one part of K of the texts, so that K processes or machines share the work.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.sparse import csr_array

from mmlib.text.encoder import Encoder, embed_texts, load_encoder
from mmlib.text.notes import join_notes


def embed_notes(
    notes: pd.DataFrame,
    sample_id: Sequence[str],
    modalities: Sequence[str],
    encoder: Encoder,
    *,
    unit: str = "field",
    **options,
) -> xr.Dataset:
    """One vector per sample and modality, from notes.

    Parameters
    ----------
    notes : pandas.DataFrame
        As written by :func:`mmlib.text.notes.write_notes`.
    sample_id, modalities : sequence of str
        Order of the result; a sample without rows of a modality lacks it.
    encoder : Encoder
    unit : {"field", "note"}
        Average of the sample's field sentences, or the whole note at once.
    **options
        Passed to :func:`embed_texts`.

    Returns
    -------
    xarray.Dataset
        ``embedding`` (sample, modality, feature) float32, zero where absent; ``present`` (sample, modality)
        bool.
    """
    rows = _rows(notes, unit)
    column, texts = pd.factorize(rows["sentence"])
    vectors = embed_texts(texts, encoder, **options).astype(float)
    n, m = len(sample_id), len(modalities)
    sample, modality = (
        _positions(rows[c], known) for c, known in (("sample_id", sample_id), ("modality", modalities))
    )
    cell = sample * m + modality
    counts = np.bincount(cell, minlength=n * m)
    average = csr_array((1.0 / counts[cell], (cell, column)), shape=(n * m, len(texts)))
    data = np.empty((n * m, vectors.shape[1]), np.float32)
    for start in range(0, n * m, 65536):  # the sums are in double precision, the memory is not
        data[start : start + 65536] = average[start : start + 65536] @ vectors
    data = data.reshape(n, m, -1)
    return _dataset(data, (counts > 0).reshape(n, m), sample_id, modalities, encoder.name, unit)


def encode_shard(notes: pd.DataFrame, encoder: Encoder, part: int, parts: int, *, unit: str = "field") -> int:
    """Number of texts embedded into the cache: every ``parts``-th distinct one, from the ``part``-th on.

    Parameters
    ----------
    notes : pandas.DataFrame
    encoder : Encoder
    part, parts : int
        From 1 to ``parts``. All parts together are what :func:`embed_notes` needs.
    unit : {"field", "note"}
    """
    texts = sorted(_rows(notes, unit)["sentence"].unique(), key=lambda text: (len(text), text))[part - 1 :: parts]
    embed_texts(texts, encoder)
    return len(texts)


def _rows(notes, unit):
    if unit not in ("field", "note"):
        raise ValueError(f"unit is {unit!r}; expected field or note.")
    return notes if unit == "field" else join_notes(notes)


def _positions(column: pd.Series, known: Sequence[str]) -> np.ndarray:
    at = pd.Index(known).get_indexer(column)
    if (at < 0).any():
        odd = column[at < 0].iloc[0]
        raise ValueError(
            f"notes have the {column.name} {odd!r}, which is not among the {len(known)} asked for."
        )
    return at


def native(fields: pd.DataFrame) -> xr.Dataset:
    """Native encoding of fields: numbers as they are, categories one-hot, indicators of absent fields.

    Numbers are neither scaled nor imputed here, because both must be learnt from training rows: the fusion
    model does it.

    Parameters
    ----------
    fields : pandas.DataFrame
        The artefact ``fields``: sample_id and one column ``modality.field`` per field, numbers or categories;
        free text is left out.

    Returns
    -------
    xarray.Dataset
        As :func:`embed_notes`; an absent number is NaN, modalities with fewer features are padded with zeros.
    """
    values = fields.drop(columns="sample_id").select_dtypes(["number", "category"])
    if values.empty:
        raise ValueError("All fields are free text, which has no native encoding; use a text encoder.")
    modality = values.columns.str.split(".", n=1).str[0]
    blocks, present = {}, {}
    for name in dict.fromkeys(modality):
        columns = values.loc[:, modality == name]
        blocks[name] = np.concatenate([_features(columns[c]) for c in columns], axis=1)
        present[name] = columns.notna().any(axis=1)
    width = max(b.shape[1] for b in blocks.values())
    data = np.stack([np.pad(b, ((0, 0), (0, width - b.shape[1]))) for b in blocks.values()], axis=1).astype(
        np.float32
    )
    there = np.stack(list(present.values()), axis=1)
    data[~there] = 0
    return _dataset(data, there, fields["sample_id"], list(blocks), "native", "field")


def _features(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column):
        parts = [column.to_numpy(float)[:, None]]
    else:
        parts = [pd.get_dummies(column).to_numpy(float)]
    if column.isna().any():
        parts.append(column.isna().to_numpy(float)[:, None])
    return np.concatenate(parts, axis=1)


def _dataset(data, present, sample_id, modalities, encoder, unit) -> xr.Dataset:
    return xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), data),
            "present": (("sample", "modality"), present),
        },
        {"sample": np.asarray(sample_id, dtype=object), "modality": list(modalities)},
        {"encoder": encoder, "unit": unit},
    )


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if all went well, 1 after a message that says what failed."""
    parser = argparse.ArgumentParser(
        prog="python -m mmlib encode", description="Embed texts of notes into the cache that all runs share."
    )
    parser.add_argument("notes", type=Path, help="the artefact notes.parquet of a run")
    parser.add_argument("--shard", default="1/1", metavar="i/K", help="which part of the texts; all by default")
    for name, default in (("encoder", "minilm"), ("unit", "field"), ("pooling", "mean")):
        parser.add_argument(f"--{name}", default=default, help=f"as in chapter 2; {default} by default")
    for name, default in (("max-length", 256), ("precision", "fp32"), ("device", "auto")):
        parser.add_argument(f"--{name}", default=default, type=type(default), help=f"{default} by default")
    options = parser.parse_args(arguments)
    try:
        part, parts = _shard(options.shard)
        settings = {name: getattr(options, name) for name in ("pooling", "max_length", "precision", "device")}
        notes = pd.read_parquet(options.notes, columns=["sample_id", "modality", "field", "sentence"])
        count = encode_shard(notes, load_encoder(options.encoder, **settings), part, parts, unit=options.unit)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{count} texts of part {part} of {parts} are in the cache.")
    return 0


def _shard(text):
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ValueError(f"shard is {text!r}; expected i/K with i from 1 to K, for example 2/8.")
    return int(part), int(parts)
