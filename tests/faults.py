"""Break a build in many ways, build again, and compare its tables with undisturbed ones: ``make faults``.

Each fault strikes a copy of a checkout in which a small book is built, and of which some chapters are taken away. What
counts is the build after the fault: it has to end, with the same content of every artefact, and the fault itself may
leave no half-written file under the name of a whole one. What was tried is written to ``book/tables/faults.csv``, and
what came of wrong inputs to ``book/tables/bad_inputs.csv``; the page *What it survives* shows both.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import zip_longest
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import yaml
from safetensors.numpy import load_file

from mmlib.data import support2
from mmlib.runs import artefacts
from tests.runs.tables import SMALL
from tests.servers import LIES, index_of, pip_settings, published, serving

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
RUN = "smoke"
BOOK = "book"
CHAPTERS = [
    "01_cohort",
    "02_encoding",
    "03_rq1_addition",
    "04_rq2_masking",
    "05_fairness",
    "06_selection",
    "07_mitigation",
]
MEGABYTE = 2**20
DAY = 86400
#: The smoke run gets still fewer patients, inputs, groups, folds, epochs and resamples: numbers have to be equal, not
#: to mean much.
KEPT = ("age", "meanbp", "hrt", "crea", "sod", "ph")
FEWER = SMALL | {
    "cohort_options": {"limit": 160},
    "drop_fields": [field.name for field in support2.FIELDS if field.name not in KEPT],
    "protected": {"sex": "Male"},
    "contrasts": {"sex": "Female"},
    "intersections": {},
    "declared": [
        {"question": "rq1", "metric": "auroc"},
        {"question": "rq2", "metric": "auroc", "rate": 0.5},
        {"question": "gap", "metric": "tpr", "attribute": "sex", "group": "Female"},
    ],
}
#: An address at which nobody answers.
NOWHERE = "http://127.0.0.1:9"


class Checkout:
    """A copy of the repository, with a cache of its own, in which parts of a book are built."""

    def __init__(self, folder: Path, like: "Checkout | None" = None):
        """Copy what a build reads; of another checkout, what it has built too. One that is there is taken as it is."""
        self.folder, self.cache, self.results = folder, folder / "cache", folder / "results"
        self.mounted, self.settings, self.known = [], {}, like.known if like else {}
        if folder.is_dir():
            return
        source = like.folder if like else ROOT
        folder.mkdir(parents=True)
        parts = ["mmlib", "book", "notebooks"] + (["results", ".snakemake", "_build", "cache"] if like else [])
        for part in filter(lambda part: (source / part).is_dir(), parts):
            skipped = shutil.ignore_patterns("__pycache__", "log")
            shutil.copytree(source / part, folder / part, ignore=skipped, symlinks=True)
        for part in ("Makefile", "Snakefile", "_config.yml", "_toc.yml"):
            shutil.copy2(source / part, folder)
        self.cache.mkdir(exist_ok=True)
        if not like:
            about = folder / "notebooks" / "params" / f"{RUN}.yml"
            settings = yaml.safe_load(about.read_text(encoding="utf-8")) | FEWER
            about.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    def start(self, chapters: Sequence[str], *, limit: int = 0, settings: Mapping | None = None) -> subprocess.Popen:
        """Process of `make book`, in a group of its own; of some chapters alone where no book is asked for."""
        targets = [f"results/{RUN}/notebooks/{c}.ipynb" for c in chapters if BOOK not in chapters]
        words = ["make", "-s", "-o", ".venv/ready", "book", f"BIN={BIN}", f"RUNS={RUN}", "CORES=2"]
        words += [f"SNAKEMAKE_OPTIONS=--max-threads 1 -- {' '.join(targets)}"]
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment(settings),
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "last.log", "w"),
            start_new_session=True,
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None,
        )

    def environment(self, settings: Mapping | None = None) -> dict[str, str]:
        """Variables of every process in this checkout."""
        own = {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "MMLIB_CACHE": str(self.cache)}
        return os.environ | own | dict(self.settings if settings is None else settings)

    def build(self, chapters: Sequence[str]) -> int:
        """Exit code of `make book` or of some chapters."""
        return self.start(chapters).wait()

    def said(self) -> str:
        """What the last build said."""
        return (self.folder / "last.log").read_text(encoding="utf-8", errors="replace")

    def digests(self) -> dict[str, str]:
        """Digest of the content of every artefact that there is; that of a half-written file says so."""
        found = {}
        for name in artefacts.ARTEFACTS:
            if self.file(name).is_file():
                bytes_of = hashlib.sha256(self.file(name).read_bytes()).digest()
                if bytes_of not in self.known:
                    self.known[bytes_of] = self.digest(name)
                found[name] = self.known[bytes_of]
        return found

    def digest(self, name: str) -> str:
        """Digest of the content of an artefact, or what is wrong with it."""
        try:
            return artefacts.content_digest(artefacts.read(RUN, name, root=self.results))
        except ValueError as error:
            return f"damaged: {error}"

    def file(self, name: str) -> Path:
        """Path of an artefact."""
        return artefacts.path(RUN, name, self.results)

    def forget(self, chapters: Sequence[str]) -> None:
        """Take away what some chapters wrote; of the book, its pages and some of the notebooks over all runs."""
        gone = [self.file(name) for name, (_, owner) in artefacts.ARTEFACTS.items() if owner in chapters]
        for chapter in chapters:
            gone += [self.results / RUN / "notebooks" / f"{chapter}.ipynb", self.results / RUN / f"logs/{chapter}.log"]
        if BOOK in chapters:
            gone += sorted((self.results / "book" / "notebooks").glob("*.ipynb"))[::4]
            gone += [*(self.results / "book" / "logs").glob("*.log"), self.folder / "_build" / "book.log"]
            shutil.rmtree(self.folder / "_build", ignore_errors=True)
        for file in gone:
            file.unlink(missing_ok=True)

    def seconds(self, chapters: Sequence[str]) -> float:
        """How long chapters took, and about how long the pages of a book."""
        files = [self.results / RUN / "notebooks" / f"{chapter}.ipynb" for chapter in chapters if chapter != BOOK]
        took = sum(json.loads(file.read_text())["metadata"]["papermill"]["duration"] for file in files)
        return took + 60 * (BOOK in chapters)

    def end(self) -> int:
        """Number of processes that were left in this checkout, now ended."""
        left = 0
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").resolve().is_relative_to(self.folder) and (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
                    left += 1
        return left

    def mount(self, folder: Path, size: int) -> None:
        """Give a folder a small disk of its own, with the same content."""
        aside = folder.with_name(f"{folder.name}.aside")
        folder.mkdir(exist_ok=True)
        folder.rename(aside)
        folder.mkdir()
        used = sum(-(-file.stat().st_size // 4096) * 4096 for file in aside.rglob("*") if file.is_file())
        options = f"size={used + size}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)
        self.mounted.append(folder)
        shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside)

    def remount(self, options: str) -> None:
        """Change how the disks of `mount` are mounted."""
        for folder in self.mounted:
            words = ["mount", "-o", f"remount,{options}", str(folder)]
            subprocess.run(words, check=True, capture_output=True)

    def remove(self) -> None:
        """End what runs in this checkout and delete it."""
        self.end()
        for folder in self.mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class Fault:
    """What is done to a checkout, after which chapters were taken away, and which the next build makes."""

    kind: str
    strike: Callable[[Checkout], str]
    chapters: Sequence[str]
    forgotten: Sequence[str] | None = None
    settings: Mapping = field(default_factory=dict)

    @property
    def taken(self) -> Sequence[str]:
        """Chapters whose results are taken away before the fault: those that are built, unless told otherwise."""
        return self.chapters if self.forgotten is None else self.forgotten


def kill_build(build: Checkout, chapters, whole: Checkout, share: float) -> str:
    """Kill -9 of the whole group after a share of the time that a chapter takes, or the whole book."""
    begun = f"results/{RUN}/logs/{'01_cohort' if BOOK in chapters else chapters[0]}.log"
    return kill(build, chapters, begun, share * (whole.seconds(chapters) + 2))


def kill(build: Checkout, chapters, begun: str, seconds: float, settings=None) -> str:
    """Kill -9 of the whole group, some seconds after a first file is there."""
    for _ in range(4):
        process = build.start(chapters, settings=settings)
        while not list(build.folder.glob(begun)) and process.poll() is None:
            time.sleep(0.05)
        until = time.monotonic() + seconds
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
        running = process.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if running:
            time.sleep(3)  # a kernel ends once its parent is gone
            left = build.end()
            rest = f"; processes that outlived it: {left}" if left else ""
            done = f" with {len(list(build.results.glob('*/notebooks/[!.]*.ipynb')))} notebooks done"
            done = done if BOOK in chapters else ""
            return f"{named(chapters)}: kill -9 of the group after {seconds:.1f} s{done}{rest}"
        build.forget(chapters)
        seconds /= 2
    return "kill -9 that came too late"


def named(chapters: Sequence[str]) -> str:
    """Chapters in words."""
    return "the whole book" if BOOK in chapters and len(chapters) > 1 else " and ".join(chapters)


def limit(build: Checkout, chapters, size: int) -> str:
    """No file may grow beyond a size."""
    code = build.start(chapters, limit=size).wait()
    return f"{named(chapters)}: no file larger than {size / MEGABYTE:.2g} MB{ended(code)}"


def fill(build: Checkout, chapters, folder: str, size: int, gone: str = "nothing") -> str:
    """Too little is left on the disk of a folder, from which something was taken away."""
    shutil.rmtree(build.folder / folder / gone, ignore_errors=True)
    build.mount(build.folder / folder, size)
    code = build.start(chapters).wait()
    build.remount("size=2g")
    return f"{named(chapters)}: {size / MEGABYTE:.2g} MB left on the disk of {folder}{ended(code)}"


def protect(build: Checkout, chapters, gone: str) -> str:
    """The cache may not be written, and something was taken away from it."""
    shutil.rmtree(build.cache / gone, ignore_errors=True)
    build.mount(build.cache, 2**30)
    build.remount("ro")
    code = build.start(chapters).wait()
    build.remount("rw")
    return f"{named(chapters)}: a read-only cache that lacks {gone}{ended(code)}"


def ended(code: int) -> str:
    """How a build ended while the fault lasted."""
    return "; the build stopped" if code else "; the build went on"


def damage(build: Checkout, files: Sequence[Path], how: str, seed: int = 0) -> str:
    """Truncate files, or flip one bit of each at a random place."""
    rng = random.Random(seed)
    for file in (build.folder / file for file in files):
        content = bytearray(file.read_bytes())
        if how == "truncated":
            content = content[: int(len(content) * rng.uniform(0.1, 0.95))]
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(bytes(content))
    return f"{', '.join(file.name for file in files)} {how}"


def damage_cache(build: Checkout, pattern: str, how: str) -> str:
    """Damage the largest file of a part of the cache."""
    file = max((file for file in build.cache.glob(pattern) if file.is_file()), key=lambda file: file.stat().st_size)
    said = damage(build, [file.relative_to(build.folder)], how, seed=1)
    return f"cache: {said}" if "embeddings" not in pattern else f"cache: vectors {how}"


def damage_records(build: Checkout) -> str:
    """Truncate what Snakemake has written down of every job."""
    files = [file for file in (build.folder / ".snakemake" / "metadata").rglob("*") if file.is_file()]
    for file in files:
        file.write_bytes(file.read_bytes()[:40])
    return f"Snakemake's {len(files)} records truncated"


def twice(build: Checkout, chapters) -> str:
    """Two builds at once in one checkout."""
    both = [build.start(chapters), build.start(chapters)]
    codes = [process.wait() for process in both]
    return f"{named(chapters)}: two builds at once; {codes.count(0)} of them ended well"


def shift_clock(build: Checkout, days: int, every: int) -> str:
    """Files as if the clock had been set while they were made."""
    for file in sorted(build.results.rglob("*"))[::every]:
        os.utime(file, (time.time() + days * DAY,) * 2)
    return f"clock set: times of {'all' if every == 1 else 'half of the'} results moved by {days:+d} day"


def ask(build: Checkout, chapters, packages: str, settings: Mapping, what: str) -> str:
    """Build without some fetched packages, from a package index as the settings say."""
    for folder in build.cache.glob(packages):
        shutil.rmtree(folder)
    return what + ended(build.start(chapters, settings=settings).wait())


def lie(build: Checkout, chapters, packages: str, index: Mapping[str, bytes], **about) -> str:
    """Build while a package index is slow or sends what it should not."""
    with serving(index, **about) as server:
        slow = f"{about['speed'] / MEGABYTE:g} MB/s" if "speed" in about else ""
        what = f"package index: {about.get('lie') or slow}"
        return ask(build, chapters, packages, pip_settings(server.address), what)


def kill_fetching(build: Checkout, chapters, package: str, index, share: float) -> str:
    """Kill -9 of the whole group while a package is fetched from a slow server."""
    shutil.rmtree(build.cache / "packaged" / package)
    size = max(len(c) for name, c in index.items() if package.partition("==")[0].replace("-", "_") in name)
    with serving(index, speed=size / 8) as server:  # eight seconds
        settings = pip_settings(server.address)
        said = kill(build, chapters, f"cache/packaged/{package}/tmp*", 10 * share, settings)
    return f"fetching {package}: {said.partition(': ')[2]}"


#: What is killed: chapter 1 while it fetches, each chapter, the whole book.
FETCHED, ENCODED = 4, 4  # kills of fetching from PhysioNet, and of encoding
FETCHES, WHOLE = "fetching of data", [*CHAPTERS, BOOK]
KILLED = [FETCHES, WHOLE, *([chapter] for chapter in CHAPTERS), FETCHES, *[WHOLE] * 4]


def faults(whole: Checkout, index: Mapping[str, bytes], address: str) -> list[Fault]:
    """Every fault, by turns: some of each kind, if time is short."""
    rng, honest = random.Random(0), pip_settings(address)
    moments = [rng.random() for _ in KILLED]
    books = [number for number, chapters in enumerate(KILLED) if chapters == WHOLE]
    for turn, number in enumerate(books):  # one in each part of the time that a book takes
        moments[number] = (turn + moments[number]) / len(books)
    data = next(folder.name for folder in (whole.cache / "packaged").iterdir() if "auton" in folder.name)
    one, two, three, five = [["01_cohort"], ["02_encoding"], ["03_rq1_addition"], ["05_fairness"]]
    killed, spoiled = [], []
    for number, chapters in enumerate(KILLED):
        strike = partial(kill_build, chapters=chapters, whole=whole, share=moments[number])
        if chapters == FETCHES:
            strike = partial(kill_fetching, chapters=one, package=data, index=index, share=moments[number])
        killed.append(Fault("killed", strike, one if chapters == FETCHES else chapters, settings=honest))
    copy = [Path("results", RUN, "notebooks", "06_selection.ipynb")]
    names = {c: [name for name, (_, owner) in artefacts.ARTEFACTS.items() if owner == c] for c in CHAPTERS}
    files = {c: [whole.file(name).relative_to(whole.folder) for name in names[c]] for c in CHAPTERS}
    for how in ("truncated", "with a bit flipped"):
        harm = partial(damage, how=how)
        together = [CHAPTERS] if how == "truncated" else [[chapter] for chapter in CHAPTERS]
        for seed, chapters in enumerate(together):
            strike = partial(harm, files=[file for chapter in chapters for file in files[chapter]], seed=seed)
            spoiled.append(Fault("damaged file", strike, chapters, []))
        strike = partial(damage_cache, pattern=f"packaged/{data}/**/*", how=how)
        spoiled.append(Fault("damaged file", strike, one, settings=honest))
        spoiled.append(Fault("damaged file", partial(harm, files=copy), ["06_selection"], []))
        strike = partial(damage_cache, pattern="embeddings/*/*", how=how)
        spoiled.append(Fault("damaged file", strike, two))
    spoiled.append(Fault("damaged file", damage_records, CHAPTERS, five))
    others = [
        Fault("full disk", partial(fill, chapters=five, folder="results", size=30_000), five),
        Fault("two at once", partial(twice, chapters=one), one),
        Fault("read-only cache", partial(protect, chapters=one, gone=f"packaged/{data}"), one, settings=honest),
        Fault("clock set back", partial(shift_clock, days=-1, every=2), CHAPTERS, []),
        Fault("full disk", partial(limit, chapters=three, size=MEGABYTE // 10), three),
        Fault("two at once", partial(twice, chapters=CHAPTERS[4:6]), CHAPTERS[4:6]),
        Fault("clock set back", partial(shift_clock, days=1, every=1), CHAPTERS, five),
        Fault("read-only cache", partial(protect, chapters=two, gone="embeddings"), two),
        Fault("full disk", partial(fill, chapters=one, folder="cache", size=100_000, gone="packaged"), one),
        Fault("read-only cache", partial(protect, chapters=one, gone="nothing"), one),
        Fault("full disk", partial(fill, chapters=[BOOK], folder="_build", size=3 * MEGABYTE), [BOOK]),
    ]
    fetched = f"packaged/{data}"
    offline = pip_settings(NOWHERE) | {"http_proxy": NOWHERE, "https_proxy": NOWHERE}
    net = {
        "no network 1": partial(ask, packages=fetched, settings=offline, what="no network, empty cache"),
        "no network 2": partial(ask, packages="nothing", settings=offline, what="no network, filled cache"),
        "slow server": partial(lie, packages=fetched, index=index, speed=MEGABYTE / 8),
    }
    net |= {f"lying server {i}": partial(lie, packages=fetched, index=index, lie=how) for i, how in enumerate(LIES)}
    network = [
        Fault(name.rstrip(" 0123456789"), partial(strike, chapters=one), one, settings=honest)
        for name, strike in net.items()
    ]
    return [one for turn in zip_longest(killed, spoiled, others, network) for one in turn if one]


#: Fetches all files of a PhysioNet project from the address that is given.
FETCH = """
import sys
from mmlib.data import physionet
physionet.ADDRESS, physionet.PAUSE, project = sys.argv[1], 0.1, sys.argv[2]
try:
    physionet.fetch_files(project, sys.argv[3:])
except (OSError, ValueError) as error:
    sys.exit(str(error))
"""


def fetching(scratch: Path, kills: int) -> Iterator[tuple]:
    """Rows of what strikes the fetching of a project from PhysioNet."""
    project, rng = "demo/1.0", random.Random(1)
    files = published(24, 200_000, project)
    names = [name.removeprefix(f"/{project}/") for name in files if not name.endswith(".txt")]
    moments = [({"speed": 200_000}, rng.uniform(0.5, 6)) for _ in range(kills)]
    wrong = [({"lie": lie}, 0) for lie in LIES]
    for number, (about, seconds) in enumerate([*moments, *wrong, ({"speed": 200_000}, 0)]):
        cache = scratch / f"fetched{number}"
        own = os.environ | {"MMLIB_CACHE": str(cache), "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}

        def fetch(address, own=own):
            words = [sys.executable, "-c", FETCH, address, project, *names]
            return subprocess.Popen(words, env=own, start_new_session=True, stderr=subprocess.PIPE, text=True)

        with serving(files, **about) as server:
            process = fetch(server.address)
            if seconds:
                while not list(cache.rglob("*.dat*")) and process.poll() is None:
                    time.sleep(0.02)
                time.sleep(seconds)
                what = f"fetching of PhysioNet: kill -9 of the group after {seconds:.1f} s"
                what += "" if process.poll() is None else " (it had ended)"
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            else:
                said = process.communicate()[1]
                what = f"PhysioNet: {about.get('lie') or '0.2 MB/s'}{ended(process.returncode)}"
                what += " with a traceback" if "Traceback" in said else ""
        folder = cache / "physionet" / project
        half = sum(f.read_bytes() != files[f"/{project}/{f.relative_to(folder)}"] for f in folder.rglob("*.dat"))
        with serving(files) as server:
            process = fetch(server.address)
            process.communicate()
        whole = {f"/{project}/{f.relative_to(folder)}": f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        found = "equal" if whole == files and not process.returncode else "OTHER"
        yield what, half, found


def vectors_of(cache: Path) -> dict[bytes, bytes]:
    """Every vector in a cache, by its key."""
    found = {}
    for file in cache.glob("embeddings/*/*.safetensors"):
        content = load_file(file)
        found |= {key.tobytes(): v.tobytes() for key, v in zip(content["keys"], content["vectors"], strict=True)}
    return found


def encoding(whole: Checkout, scratch: Path, kills: int) -> Iterator[tuple]:
    """Rows of what strikes the encoding of all sentences in two parts, which fills the cache."""
    rng, expected, took = random.Random(2), {}, 0
    encode = f"{sys.executable} -m mmlib encode {whole.file('notes')} --shard"
    for number in range(kills + 1):
        cache, start = scratch / f"encoded{number}", time.monotonic()
        shutil.copytree(whole.cache / "packaged", cache / "packaged")
        about = {"cwd": ROOT, "env": whole.environment({"MMLIB_CACHE": str(cache), "PYTHONPATH": str(ROOT)})}
        about |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        words = ["bash", "-c", f"{encode} 1/2 && {encode} 2/2"]
        if number:
            seconds, late = 2 * rng.uniform(0, took), True
            while late:
                shutil.rmtree(cache / "embeddings", ignore_errors=True)
                process, seconds = subprocess.Popen(words, **about), seconds / 2
                with suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
                late = process.poll() is not None
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        whole_ones = vectors_of(cache)
        code = subprocess.run(words, check=False, **about).returncode
        if not number:
            expected, took = vectors_of(cache), time.monotonic() - start
            continue
        half = sum(expected.get(key) != vector for key, vector in whole_ones.items())
        what = f"encoding of {len(expected):,} sentences: kill -9 of the group at {seconds:.0f} of {took:.0f} s"
        found = "equal" if not code and vectors_of(cache) == expected else "OTHER"
        shutil.rmtree(cache)
        yield what, half, found


def bad_inputs(out: Path, about: Mapping[str, str]) -> int:
    """Number of wrong inputs that did not end in one sentence, after all have been tried and written down."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        files = [str(f) for f in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.bad_input" in f.read_text()]
        words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "bad_input", f"--junitxml={report}", *files]
        subprocess.run(words, cwd=ROOT, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    where = [case.get("classname").removeprefix("tests.").replace("test_", "") for case in cases]
    tried, well = [case.find("skipped") is None for case in cases], [len(case) == 0 for case in cases]
    columns = {"where": where, "tried": tried, "one sentence, no half file": well}
    table = pd.DataFrame(columns).groupby("where").sum()
    table.loc["all"] = table.sum()
    table.reset_index().assign(**about).to_csv(out, index=False)
    return int(table.loc["all", "tried"] - table.loc["all", "one sentence, no half file"])


def strike_and_build(whole: Checkout, fault: Fault, folder: Path) -> tuple:
    """Row of a fault."""
    build, expected = Checkout(folder, whole), whole.digests()
    build.settings = fault.settings
    try:
        build.forget(fault.taken)
        what, half = fault.strike(build), []
        if fault.kind != "damaged file":  # reading one may not end
            half = [name for name, digest in build.digests().items() if digest.startswith("damaged")]
        code, now = build.build(fault.chapters), build.digests()
        differ = [name for name in expected if now.get(name) != expected[name]]
        found = "FAILED" if code else "OTHER" if differ or set(now) - set(expected) else "equal"
        if found == "equal" and BOOK in fault.chapters and not (build.folder / "_build/html/index.html").is_file():
            found = "NO BOOK"
        if found != "equal":
            print(f"{found}: {' '.join(differ)}", build.said()[-3000:], sep="\n", file=sys.stderr)
        print(*(line for line in build.said().splitlines() if "removed" in line), sep="\n", file=sys.stderr, flush=True)
        return what, len(half), found
    except subprocess.CalledProcessError:
        return "a disk of its own, which may not be mounted here", 0, "not tried"
    finally:
        build.remove()


def tabulated(rows: Mapping[str, Sequence], planned: Sequence[str], about: Mapping[str, str]) -> pd.DataFrame:
    """Rows in the order of the plan, and one for each kind of which some were not tried."""
    kinds = list(dict.fromkeys(map(kind_of, planned)))
    found = [rows[label] for label in sorted(planned, key=lambda label: kinds.index(kind_of(label))) if label in rows]
    left = [kind_of(label) for label in planned if label not in rows]
    found += [[kind, f"{left.count(kind)} more", 0, "not tried", *about.values()] for kind in dict.fromkeys(left)]
    return pd.DataFrame(found, columns=["fault", "what", "half-written files", "tables afterwards", *about])


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """How many faults of each kind were tried, and ended in equal tables; every kill is of one kind."""
    tried = table[table["tables afterwards"] != "not tried"]
    kinds = tried["fault"].map(kind_of).mask(tried["what"].str.contains("kill -9"), "killed")
    equal = (tried["tables afterwards"] == "equal").astype(int)
    half = tried["half-written files"]
    found = pd.DataFrame({"fault": kinds, "tried": 1, "equal": equal, half.name: half})
    found = found.groupby("fault").sum().sort_values("tried", ascending=False, kind="stable")
    found.loc["all"] = found.sum()
    days = tried.groupby(kinds)["date"].max().reindex(found.index, fill_value=tried["date"].max())
    return found.assign(date=days, command=tried["command"].max()).reset_index()


def kind_of(label: str) -> str:
    """Kind of a fault, without its number."""
    return label.rpartition(" ")[0]


def main() -> int:
    """Exit code: 0 if every build after a fault ended with equal tables, and every wrong input in one sentence."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--built", type=Path, help="folder of an undisturbed checkout; made there if there is none")
    parser.add_argument("--only", nargs="+", default=[], help="kinds of faults, or single ones; all by default")
    parser.add_argument("--inputs", action="store_true", help="only the wrong inputs, no fault")
    parser.add_argument("--go-on", action="store_true", help="keep those rows of the table that ended in equal tables")
    parser.add_argument("--minutes", type=float, default=600, help="no further fault after so many")
    parser.add_argument("--out", type=Path, default=ROOT / "book" / "tables", help="folder of the two tables")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was begun is ended and removed
    about = {"date": date.today().isoformat(), "command": "python -m tests.faults"}
    if options.inputs:
        return int(bad_inputs(options.out / "bad_inputs.csv", about | {"command": about["command"] + " --inputs"}) > 0)
    begun, file = time.monotonic(), options.out / "faults.csv"
    rows = pd.read_csv(file).to_numpy().tolist() if options.go_on and file.is_file() else []
    rows = {row[0]: row for row in rows if row[3] == "equal"}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        whole = Checkout(options.built or scratch / "whole")
        if not (whole.folder / "_build" / "html" / "index.html").is_file() and whole.build([BOOK]):
            print(whole.said()[-3000:], file=sys.stderr)
            return 1
        index = index_of(whole.cache / "packaged", scratch)
        with serving(index) as server:
            alone = {"fetching": fetching(scratch, FETCHED), "encoding": encoding(whole, scratch, ENCODED)}
            counts = {"fetching": FETCHED + len(LIES) + 1, "encoding": ENCODED}
            strikes = {f"{kind} {i + 1}": partial(next, alone[kind]) for kind in alone for i in range(counts[kind])}
            for fault in faults(whole, index, server.address):
                number = 1 + [*map(kind_of, strikes)].count(fault.kind)
                strikes[f"{fault.kind} {number}"] = partial(strike_and_build, whole, fault, scratch / "struck")
            for label, strike in strikes.items():
                kind = kind_of(label)  # what is alone is struck in turn, or not at all
                known = label in rows and f"{kind} {counts.get(kind, label.rpartition(' ')[2])}" in rows
                if known or (options.only and not {kind, label} & {*options.only}):
                    continue
                if time.monotonic() - begun > options.minutes * 60:
                    break
                row = strike()
                if row[2] != "not tried":
                    rows[label] = [label, *row, *about.values()]
                print(f"{time.monotonic() - begun:.0f} s", label, *row, sep="; ", flush=True)
                table = tabulated(rows, list(strikes), about)
                table.to_csv(file, index=False)
                counted(table).to_csv(options.out / "fault_kinds.csv", index=False)
    failed = 0 if options.only else bad_inputs(options.out / "bad_inputs.csv", about)
    return int(failed > 0 or any(row[3] != "equal" for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
