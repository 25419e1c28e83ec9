"""Files of ECGs: the standard leads, and the memmap of MIMIC-IV-Ext-MDS-ED with its metadata."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def open_memmap(path: str | Path) -> tuple[np.memmap, np.ndarray, np.ndarray]:
    """Rows of all recordings in a memmap, and where each recording starts and how long it is.

    Parameters
    ----------
    path : path
        ``memmap.npy``: float32, 12 columns, recordings end to end. ``memmap_meta.npz`` beside it holds ``start``,
        ``length`` and ``shape``; nothing in it is ever unpickled.

    Returns
    -------
    data : numpy.memmap of shape (n_rows, 12)
    start, length : numpy.ndarray of shape (n_recordings,), int

    Raises
    ------
    ValueError
        If a file is missing, or the two do not match: then no recording can be trusted.
    """
    path = Path(path)
    meta = path.with_name(f"{path.stem}_meta.npz")
    for file in (path, meta):
        if not file.is_file():
            raise ValueError(f"{file} does not exist; expected the ECG memmap and its metadata together.")
    try:
        with open(meta, "rb") as file, np.load(file, allow_pickle=False) as content:
            start, length, shape = (content[name].astype(int) for name in ("start", "length", "shape"))
            index = content["file_idx"].astype(int) if "file_idx" in content else np.zeros(1, int)
    except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(
            f"{meta} lacks a usable array ({str(error).splitlines()[0]}); expected numeric start, length and shape."
        ) from error
    shape = np.atleast_2d(shape)
    if index.any() or len(shape) != 1:
        raise ValueError(f"{meta} lists {max(len(shape), index.max() + 1)} files; expected one, {path.name}.")
    rows, columns, size = int(shape[0, 0]), int(np.prod(shape[0, 1:])), path.stat().st_size
    if columns != len(LEADS) or size != rows * columns * 4:
        raise ValueError(
            f"{path} has {size:,} bytes, but {meta.name} lists {rows:,} rows of {columns} float32 "
            f"({rows * columns * 4:,} bytes); expected {len(LEADS)} columns and the same size; is it complete?"
        )
    if len(start) != len(length) or (start < 0).any() or (length < 1).any() or (start + length > rows).any():
        raise ValueError(f"{meta} has recordings that reach beyond the {rows:,} rows of {path.name}.")
    if not rows or length.sum() != rows:
        raise ValueError(
            f"{meta} has recordings of {length.sum():,} rows in all, {path.name} has {rows:,}; expected as many."
        )
    return np.memmap(path, np.float32, "r", shape=(rows, columns)), start, length
