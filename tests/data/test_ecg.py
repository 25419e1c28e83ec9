import numpy as np
import pytest

from mmlib.data.ecg import LEADS, open_memmap


def write(folder, **changes):
    """Two recordings of 10 and 20 rows, and metadata of which one member is pickled, as published."""
    rows = np.arange(30 * len(LEADS), dtype=np.float32)
    rows.tofile(folder / "memmap.npy")
    meta = {"start": [0, 10], "length": [10, 20], "shape": [[30, 12]], "file_idx": [0, 0]}
    meta |= {"filenames": ["memmap.npy"], "dtype": np.array(np.dtype("float32"), dtype=object)} | changes
    np.savez(folder / "memmap_meta.npz", **{name: value for name, value in meta.items() if value is not None})
    return folder / "memmap.npy"


@pytest.mark.parametrize("changes", [{}, {"file_idx": None}, {"shape": [30, 12]}])
def test_a_whole_memmap_gives_its_rows_and_its_recordings(tmp_path, changes):
    data, start, length = open_memmap(write(tmp_path, **changes))
    np.testing.assert_array_equal(data, np.arange(360).reshape(30, 12))
    assert start.tolist() == [0, 10] and length.tolist() == [10, 20]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [[29, 12]]}, "has 1,440 bytes, but memmap_meta.npz lists 29 rows .* is it complete"),
        ({"shape": [[45, 8]]}, "lists 45 rows of 8 float32"),
        ({"length": [10, 21]}, "reach beyond the 30 rows of memmap.npy"),
        ({"start": [-1, 10]}, "reach beyond the 30 rows of memmap.npy"),
        ({"length": [0, 30]}, "reach beyond"),
        ({"start": [0]}, "reach beyond"),
        ({"length": [10, 19]}, "recordings of 29 rows in all, memmap.npy has 30"),
        ({"start": np.array([None, 1], dtype=object)}, "lacks a usable array .*; expected numeric start, length and"),
        ({"length": np.array([{}], dtype=object)}, "lacks a usable array"),
        ({"length": None}, "lacks a usable array"),
        ({"length": ["ten", "twenty"]}, "lacks a usable array"),
        ({"file_idx": [0, 1]}, "lists 2 files; expected one, memmap.npy"),
        ({"shape": [[30, 12], [30, 12]]}, "lists 2 files"),
    ],
)
def test_metadata_that_do_not_match_are_one_sentence(tmp_path, changes, message):
    with pytest.raises(ValueError, match=f"memmap_meta.npz.* {message}|memmap.npy {message}") as error:
        open_memmap(write(tmp_path, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 half of one"])
def test_damaged_metadata_are_one_sentence(tmp_path, content):
    file = write(tmp_path)
    (tmp_path / "memmap_meta.npz").write_bytes(content)
    with pytest.raises(ValueError, match="memmap_meta.npz lacks a usable array") as error:
        open_memmap(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["memmap.npy", "memmap_meta.npz"])
def test_both_files_have_to_be_there(tmp_path, name):
    file = write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"{name} does not exist; expected the ECG memmap and its metadata"):
        open_memmap(file)
