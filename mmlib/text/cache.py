"""Vectors of texts kept on disk by content, each with a checksum: many processes may read and write at once."""

import os
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

KEY = 32  # bytes of a key


def read_vectors(folder: Path, wanted: Sequence[bytes]) -> dict[bytes, np.ndarray]:
    """Vectors of those keys that the cache has; of all other entries only the keys are read.

    Parameters
    ----------
    folder : pathlib.Path
        It need not exist.
    wanted : sequence of bytes
        Digests of 32 bytes.

    Returns
    -------
    dict of bytes to numpy.ndarray
        Of those keys that the cache has.
    """
    left, known = set(wanted), {}
    for file in folder.glob("*.safetensors"):
        if not left:
            break
        try:
            with safe_open(file, framework="numpy") as content:
                together = content.get_tensor("keys")
                keys = together.view(f"V{KEY}").ravel().tolist()
                rows = [i for i, key in enumerate(keys) if key in left]
                vectors = content.get_tensor("vectors")[rows] if rows else ()
                _check(content, together, rows, vectors)
                known |= {keys[i]: v for i, v in zip(rows, vectors, strict=True)}
        except (SafetensorError, IndexError, ValueError, OSError):
            # a damaged or removed file only means that its texts are embedded again
            file.unlink(missing_ok=True)
        left -= known.keys()
    return known


def write_vectors(folder: Path, keys: Sequence[bytes], vectors: np.ndarray) -> None:
    """Add vectors (n, n_features) under their keys in a new file, moved into place when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    scratch = folder / f".{name}"
    together = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY)
    sums = np.array([zlib.crc32(vector) for vector in np.ascontiguousarray(vectors)], np.uint32)
    content = {"keys": together, "vectors": vectors, "sums": sums, "sum_of_keys": _sum_of(together)}
    try:
        save_file(content, scratch)
        os.replace(scratch, folder / f"{name}.safetensors")
    finally:
        scratch.unlink(missing_ok=True)


def _sum_of(keys: np.ndarray) -> np.ndarray:
    return np.array([zlib.crc32(np.ascontiguousarray(keys))], np.uint32)


def _check(content, keys, rows, vectors) -> None:
    """Raise a `ValueError` if keys or the vectors that were read are not what was written."""
    sums = content.get_tensor("sums")[rows].tolist()
    if (content.get_tensor("sum_of_keys") != _sum_of(keys)).any() or [zlib.crc32(v) for v in vectors] != sums:
        raise ValueError("a checksum differs")
