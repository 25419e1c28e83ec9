import os
import shutil
import time

import pytest

from mmlib.runs import artefacts, mend
from mmlib.runs.mend import end_future, remove_damaged
from mmlib.twins.write import write_twin
from tests.runs.test_artefacts import examples


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Artefacts of every name, none damaged."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "toy" / "notebooks").mkdir(parents=True)
    for name, data in examples().items():
        artefacts.write(data, "toy", name, root=folder)
    assert remove_damaged(folder) == []
    return folder


@pytest.mark.parametrize("name", ["cohort", "embeddings", "models", "rq1"])
@pytest.mark.parametrize("kind", ["cut", "flipped"])
def test_a_damaged_file_is_removed_and_others_stay(whole, tmp_path, name, kind):
    (tmp_path / "toy" / "notebooks").mkdir(parents=True)
    for each in {name, "cohort", "rq1", "embeddings"}:
        shutil.copy(artefacts.path("toy", each, whole), tmp_path / "toy")
    maker = artefacts.ARTEFACTS[name][1]
    for chapter in (maker, "06_selection"):
        notebook = tmp_path / "toy" / "notebooks" / f"{chapter}.ipynb"
        notebook.write_text("{}")
    file = artefacts.path("toy", name, tmp_path)
    content = bytearray(file.read_bytes())
    place = len(content) // 2 if name != "models" else len(content) - 2
    content = content[: len(content) - 30] if kind == "cut" else content
    if kind == "flipped":
        content[place] ^= 0xFF
    file.write_bytes(bytes(content))
    there = {each for each in artefacts.ARTEFACTS if artefacts.path("toy", each, tmp_path).is_file()}
    told = remove_damaged(tmp_path)
    left = {each for each in artefacts.ARTEFACTS if artefacts.path("toy", each, tmp_path).is_file()}
    if told:  # a flipped byte may lie where nothing is read
        assert [file.stem for file in notebook.parent.iterdir()] == ["06_selection"]
        assert there - left == {name} and told[0].endswith("it was removed and will be made again.")
    else:
        assert kind == "flipped" and artefacts.content_digest(artefacts.read("toy", name, root=tmp_path))


def test_a_file_whose_reader_hangs_or_crashes_is_removed(whole, tmp_path, monkeypatch):
    (tmp_path / "toy" / "notebooks").mkdir(parents=True)
    file = artefacts.path("toy", "noise", tmp_path)
    content = artefacts.path("toy", "noise", whole).read_bytes()
    heap = content.index(b"GCOL") + 16  # where HDF5 keeps texts; a disk may give zeros for them
    file.write_bytes(content[:heap] + bytes(2048) + content[heap + 2048 :])
    monkeypatch.setattr(mend, "PATIENCE", 2)
    assert [sentence.partition(" is damaged")[0] for sentence in remove_damaged(tmp_path)] == [str(file)]
    assert not file.exists()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_twin("mimic_iv_ed", tmp_path_factory.mktemp("twin") / "twin", patients=20)


@pytest.mark.parametrize("name", ["truth.parquet", "twin.json", "ed/triage.csv.gz"])
@pytest.mark.parametrize("kind", ["cut", "flipped", "gone"])
def test_a_damaged_twin_is_removed(tmp_path, written, name, kind):
    whole, twin = (shutil.copytree(written, tmp_path / "twins" / n) for n in ("whole", "damaged"))
    (whole / ".snakemake_timestamp").touch()  # Snakemake puts it into every folder that a step makes
    assert remove_damaged(tmp_path) == []
    content = (twin / name).read_bytes()
    flipped = content[:20] + bytes([content[20] ^ 128]) + content[21:]
    (twin / name).write_bytes(content[:-9] if kind == "cut" else flipped)
    if kind == "gone":
        (twin / name).unlink()
    assert remove_damaged(tmp_path) == [f"{twin} is damaged; it was removed and will be made again."]
    assert whole.is_dir() and not twin.exists()


def test_a_notebook_that_ends_early_is_removed(tmp_path):
    notebook = tmp_path / "toy" / "notebooks" / "01_cohort.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text('{"cells": [')
    assert len(remove_damaged(tmp_path)) == 1 and not notebook.exists()
    assert remove_damaged(tmp_path / "nothing") == []


def test_times_ahead_of_the_clock_become_now_and_others_stay(tmp_path):
    now = time.time()
    for name, moved in (("ahead", 86400), ("before", -86400)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (now + moved, now + moved))
    end_future(tmp_path)
    assert now <= (tmp_path / "ahead").stat().st_mtime <= time.time()
    assert (tmp_path / "before").stat().st_mtime == pytest.approx(now - 86400, abs=1)
