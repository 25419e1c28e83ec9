"""Break a build in many ways, build again, and compare its tables with undisturbed ones: ``make faults``.

Each fault strikes a checkout of its own. What counts is the build after it: it has to end, with the same content of
every table. What was tried is written to ``book/tables/faults.csv``, which the page *What it survives* shows.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from mmlib.runs import artefacts

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
#: What is built, and artefacts of which one of each kind of file is damaged.
CHAPTERS = ["01_cohort", "02_encoding", "03_rq1_addition", "04_rq2_masking", "05_fairness"]
KINDS = ("cohort", "notes", "embeddings", "powerset", "models", "rq1")
MEGABYTE = 2**20


class Checkout:
    """A copy of the repository in which some chapters of a run are built."""

    def __init__(self, folder: Path, run: str, chapters: list[str], cache: Path):
        """Copy what a build reads."""
        self.folder, self.run, self.chapters, self.cache = folder, run, chapters, cache
        folder.mkdir(parents=True)
        for part in ("mmlib", "book", "notebooks"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("Snakefile", "_config.yml", "_toc.yml"):
            shutil.copy(ROOT / part, folder)

    def start(self, *before: str, limit: int = 0, **settings: str) -> subprocess.Popen:
        """Process of a build, in a group of its own."""
        executed = [f"results/{self.run}/notebooks/{chapter}.ipynb" for chapter in self.chapters]
        words = [*before, str(BIN / "snakemake"), "--cores", "2", "--rerun-incomplete", "--nolock", "--quiet", "all"]
        words += ["--show-failed-logs", "--config", f"runs={self.run}", "--", *executed]
        own = {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "MMLIB_CACHE": str(self.cache)}
        small = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=os.environ | own | settings,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "last.log", "w"),
            start_new_session=True,
            preexec_fn=small,
        )

    def build(self, **settings: str) -> int:
        """Exit code of what `make book` does: remove what is damaged, then build."""
        own = {"PYTHONPATH": str(self.folder)}
        subprocess.run([sys.executable, "-m", "mmlib", "mend"], cwd=self.folder, env=os.environ | own, check=False)
        return self.start(**settings).wait()

    def digests(self) -> dict[str, str]:
        """Digest of the content of every artefact that there is."""
        there = [n for n in artefacts.ARTEFACTS if self.file(n).is_file()]
        read = {n: artefacts.read(self.run, n, root=self.folder / "results") for n in there}
        return {name: artefacts.content_digest(data) for name, data in read.items()}

    def file(self, name: str) -> Path:
        """Path of an artefact."""
        return artefacts.path(self.run, name, self.folder / "results")

    def like(self, other: "Checkout") -> None:
        """Take the results of another checkout, with what Snakemake knows of them."""
        for part in ("results", ".snakemake"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
            shutil.copytree(other.folder / part, self.folder / part, symlinks=True)


def kill(build: Checkout, seconds: float, **settings) -> str:
    """Kill -9 of the whole group at a moment."""
    process = build.start(**settings)
    time.sleep(seconds)
    running = process.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return f"kill -9 of the group after {seconds:.0f} s" + ("" if running else " (it had ended)")


def fill(build: Checkout, size: int) -> str:
    """No file may grow beyond a size, as on a disk that is full."""
    build.start(limit=size).wait()
    return f"no file larger than {size / MEGABYTE:g} MB"


def damage(build: Checkout, name: str, how: str) -> str:
    """Truncate an artefact, or flip a bit in its middle."""
    file = build.file(name)
    content = bytearray(file.read_bytes())
    if how == "truncated":
        content = content[: len(content) * 2 // 3]
    else:
        content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    return f"{file.name} {how}"


def twice(build: Checkout) -> str:
    """Two builds at once in one checkout."""
    both = [build.start(), build.start()]
    for process in both:
        process.wait()
    return "two builds at once"


def old_clock(build: Checkout) -> str:
    """Files of half of the chapters from a clock that was set back a day."""
    for file in sorted((build.folder / "results").rglob("*"))[::2]:
        os.utime(file, (time.time() - 86400,) * 2)
    return "times of half of the results set back by a day"


def cut_off(build: Checkout) -> str:
    """No network: proxies and the package index lead nowhere."""
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "PIP_INDEX_URL")}
    build.start(**nowhere).wait()
    return "no network"


def faults(whole: Checkout, took: float, kills: int) -> Iterator[tuple[str, Callable[[Checkout], str], bool]]:
    """Kind of each fault, what it does, and whether it strikes a build that is done."""
    moments = random.Random(0)
    killed = [partial(kill, seconds=moments.uniform(0.5, took)) for _ in range(kills)]
    there = [name for name in KINDS if whole.file(name).is_file()]
    spoiled = [partial(damage, name=name, how=how) for name in there for how in ("truncated", "with a bit flipped")]
    others = [("clock set back", old_clock, True), ("two at once", twice, False), ("no network", cut_off, False)]
    others += [("full disk", partial(fill, size=size), False) for size in (MEGABYTE // 10, MEGABYTE)]
    kinds = [[("killed", one, False) for one in killed], [("damaged file", one, True) for one in spoiled], others]
    yield from (one for turn in zip_longest(*kinds) for one in turn if one)  # by turns: some of each, if time is short


def main() -> int:
    """Exit code: 0 if every build after a fault ended with equal tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--run", default="smoke", help="the run that is built")
    parser.add_argument("--chapters", nargs="+", default=CHAPTERS, help="those that are built, by default five")
    parser.add_argument("--cache", type=Path, help="folder to copy as the cache; an empty one by default")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=600, help="no further fault after so many")
    parser.add_argument("--out", type=Path, default=ROOT / "book" / "tables" / "faults.csv")
    options = parser.parse_args()
    rows, begun = [], time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        cache, about = Path(scratch) / "cache", (options.run, options.chapters)
        if options.cache:
            shutil.copytree(options.cache, cache)
        whole = Checkout(Path(scratch) / "whole", *about, cache)
        if whole.build():
            print((whole.folder / "last.log").read_text()[-2000:], file=sys.stderr)
            return 1
        start = time.monotonic()
        timed = Checkout(Path(scratch) / "timed", *about, cache)
        same = not timed.build() and timed.digests() == whole.digests()
        took, expected = time.monotonic() - start, whole.digests()
        rows.append(("none", "the same again", "equal" if same else "OTHER", round(took)))
        shutil.rmtree(timed.folder)
        for kind, strike, done in faults(whole, took, options.kills):
            if time.monotonic() - begun > options.minutes * 60:
                rows.append((kind, "not tried", "not tried", 0))
                continue
            build = Checkout(Path(scratch) / "struck", *about, cache)
            if done:
                build.like(whole)
            what, start = strike(build), time.monotonic()
            code = build.build()
            found = "equal" if not code and build.digests() == expected else "OTHER" if not code else "FAILED"
            if found != "equal":
                print((build.folder / "last.log").read_text()[-2000:], file=sys.stderr)
            rows.append((kind, what, found, round(time.monotonic() - start)))
            print(*rows[-1], sep="; ", flush=True)
            shutil.rmtree(build.folder)
    untried = [kind for kind, what, *_ in rows if what == "not tried"]
    rows = [row for row in rows if row[1] != "not tried"]
    rows += [(kind, f"{untried.count(kind)} more", "not tried", 0) for kind in dict.fromkeys(untried)]
    table = pd.DataFrame(rows, columns=["fault", "what", "tables afterwards", "seconds"])
    command = ["python -m tests.faults", *(Path(word).name for word in sys.argv[1:])]
    table["date"], table["command"] = date.today().isoformat(), " ".join(command)
    table.to_csv(options.out, index=False)
    return int(table["tables afterwards"].isin(["OTHER", "FAILED"]).any())


if __name__ == "__main__":
    sys.exit(main())
