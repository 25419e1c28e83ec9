"""One archive of a book that was built: pages, tables of runs, and the sha256 of each: ``python -m mmlib release``.

Nothing in it depends on when or where it was packed: files are sorted, belong to nobody, and carry the commit's time.
"""

import argparse
import gzip
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from mmlib.runs.shared import share

#: Where a built book lies, and where its archive goes.
BUILT, ARCHIVES = Path("_build/html"), Path("_build/release")
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Source:
    """Version of the code that made a book.

    Parameters
    ----------
    version, commit : str
        Of the package, and of the repository; ``-dirty`` marks files that differ from the commit.
    time : int
        Of the commit, in seconds; 0 outside of a repository.
    """

    version: str
    commit: str
    time: int

    @property
    def date(self) -> str:
        """Day of the commit."""
        return datetime.fromtimestamp(self.time, UTC).date().isoformat() if self.time else "unknown"


def source(root: str | Path = ".") -> Source:
    """Version, commit and time of a checkout; "unknown" and 0 where there is no repository."""

    def git(*words):
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("describe", "--always", "--dirty", "--exclude=*") if (Path(root) / ".git").exists() else ""
    return Source(version("mmlib"), commit or "unknown", int(git("log", "-1", "--format=%ct") or 0) if commit else 0)


def footer(made: Source, computed: Sequence[str], shared: Sequence[str]) -> str:
    """HTML for the foot of every page: version, date, commit, and which runs were computed here and which shared.

    Examples
    --------
    >>> footer(Source("0.1.0", "abc", 0), ["SUPPORT2"], [])
    '<p>mmlib 0.1.0, commit abc, date unknown. Computed in this build: SUPPORT2. Shown from shared tables: none.</p>'
    """
    told = f"mmlib {made.version}, commit {made.commit}, date {made.date}."
    here, elsewhere = (", ".join(names) or "none" for names in (computed, shared))
    return f"<p>{told} Computed in this build: {here}. Shown from shared tables: {elsewhere}.</p>"


def pack(folders: Mapping[str, Path], out: str | Path, *, time: int = 0) -> Path:
    """Archive (``.tar.gz``) of some folders with a file of checksums; equal contents give equal bytes.

    Parameters
    ----------
    folders : mapping of str to path
        Name in the archive -> folder.
    out : path
        Replaced in one step.
    time : int
        Of every file, in seconds.

    Raises
    ------
    FileNotFoundError
        If a folder does not exist.
    """
    content = {}
    for name, folder in sorted(folders.items()):
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"{folder} does not exist, which goes into the archive as {name}; run `make book`.")
        files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
        content |= {f"{name}/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}
    content[SUMS] = "".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in sorted(content.items())).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(content.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), time, 0o644
            archive.addfile(member, io.BytesIO(data))
    out, part = Path(out), Path(out).with_name(f".{Path(out).name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    os.replace(part, out)
    return out


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if the archive was written, 1 after a message that says what is missing."""
    parser = argparse.ArgumentParser(prog="python -m mmlib release", description=__doc__.partition(":")[0])
    parser.add_argument("runs", nargs="*", help="runs computed here, whose tables go into the archive")
    options, made = parser.parse_args(arguments), source()
    try:
        tables = {folder.parent.name: folder.parent for folder in Path("book/runs").glob("*/run.yml")}
        tables |= {run: share(run, ARCHIVES / "tables") for run in options.runs}
        folders = {"html": BUILT} | {f"tables/{run}": folder for run, folder in tables.items()}
        out = pack(folders, ARCHIVES / f"companion-{made.commit}.tar.gz", time=made.time)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{out}, sha256 {sha256(out.read_bytes()).hexdigest()}")
    return 0
