import os
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from mmlib.runs.artefacts import ARTEFACTS
from mmlib.runs.release import SUMS, Source, footer, pack, source

ROOT = Path(__file__).parents[2]


@pytest.fixture
def html(tmp_path):
    (tmp_path / "html" / "sub").mkdir(parents=True)
    (tmp_path / "html" / "index.html").write_text("a page")
    (tmp_path / "html" / "sub" / "b.html").write_text("another")
    return tmp_path / "html"


def test_the_same_book_packed_later_gives_the_same_bytes(html, tmp_path):
    first = pack({"html": html}, tmp_path / "a.tar.gz", time=1000).read_bytes()
    (html / "index.html").touch()
    (html / "sub").chmod(0o700)
    assert pack({"html": html}, tmp_path / "b.tar.gz", time=1000).read_bytes() == first
    (html / "index.html").write_text("a changed page")
    assert pack({"html": html}, tmp_path / "b.tar.gz", time=1000).read_bytes() != first


def test_the_archive_has_the_sum_of_each_file_and_the_time_of_the_commit(html, tmp_path):
    with tarfile.open(pack({"html": html}, tmp_path / "a.tar.gz", time=1000)) as archive:
        names = archive.getnames()
        sums = dict(line.split("  ")[::-1] for line in archive.extractfile(SUMS).read().decode().splitlines())
        assert sums == {n: sha256(archive.extractfile(n).read()).hexdigest() for n in names if n != SUMS}
        assert {m.mtime for m in archive.getmembers()} == {1000}
    assert set(sums) == {"html/index.html", "html/sub/b.html"}


def test_what_was_not_built_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="html does not exist.*run `make book`"):
        pack({"html": tmp_path / "html"}, tmp_path / "a.tar.gz")
    assert not list(tmp_path.iterdir())


def test_a_checkout_says_its_commit_and_date_and_whether_it_was_changed(tmp_path):
    assert (source(tmp_path).commit, source(tmp_path).date) == ("unknown", "unknown")
    noon = "2026-03-04T12:00:00Z"
    day = {"GIT_AUTHOR_DATE": noon, "GIT_COMMITTER_DATE": noon, "PATH": os.environ["PATH"]}
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "file").write_text("1")
    for words in (["init", "-q"], ["add", "file"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, env=day)
    assert source(tmp_path).date == "2026-03-04" and not source(tmp_path).commit.endswith("-dirty")
    (tmp_path / "file").write_text("2")
    assert source(tmp_path).commit.endswith("-dirty")


def test_the_footer_says_what_was_computed_and_what_was_shared():
    told = footer(Source("0.1.0", "abc", 86400), ["SUPPORT2"], ["NHANES", "Reviews"])
    assert "commit abc, date 1970-01-02" in told
    assert "Computed in this build: SUPPORT2. Shown from shared tables: NHANES, Reviews." in told


def test_codecheck_names_outputs_of_the_book():
    manifest = yaml.safe_load((ROOT / "codecheck.yml").read_text())["manifest"]
    made = {f"results/support2/{name}{suffix}" for name, (suffix, _) in ARTEFACTS.items()} | {"_build/html/index.html"}
    assert {entry["file"] for entry in manifest} <= made and all(entry["comment"] for entry in manifest)
