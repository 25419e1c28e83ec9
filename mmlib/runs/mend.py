"""Remove what is damaged among results, so that it is made again: ``python -m mmlib mend``, before a build.

A disk or a copy can leave a file that is not what was written. Every artefact carries the sha256 of its content, and so
do the executed copy of each chapter and the folder of a twin.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mmlib.core.storage import digest_tree
from mmlib.runs.execution import copy_digest

#: Chapters of a run of predictions that write artefacts of other chapters.
OF_SCORES = dict.fromkeys(("cohort", "sizes", "powerset", "masking", "bins"), "14_predictions")
OF_SCORES |= {"rq1": "15_adding", "rq2": "16_missing"}
#: Seconds to read an artefact on a busy machine, and one more per megabyte, before it counts as damaged.
PATIENCE = 600


def remove_damaged(results: str | Path = "results") -> list[str]:
    """What was removed: damaged artefacts with the executed copy of their chapter, damaged copies, damaged twins.

    Parameters
    ----------
    results : path
        Folder of all runs.

    Returns
    -------
    list of str
        A sentence for each.
    """
    notebooks = [file for file in sorted(Path(results).glob("*/notebooks/*.ipynb")) if not _is_whole_copy(file)]
    found = [f"{file} is damaged; it was removed and will be made again." for file in notebooks]
    damaged = notebooks
    for file, makers, wrong in _unreadable(Path(results)):
        # a chapter counts as done while its executed copy is there
        damaged = [*damaged, file, *(file.parent / "notebooks" / f"{maker}.ipynb" for maker in makers)]
        found.append(f"{wrong.partition('; ')[0].rstrip('.')}; it was removed and will be made again.")
    for file in damaged:
        file.unlink(missing_ok=True)
    for folder in sorted(Path(results).glob("twins/[!.]*/")):
        if not _is_whole(folder):
            found.append(f"{folder} is damaged; it was removed and will be made again.")
            shutil.rmtree(folder)
    return found


def _unreadable(results: Path) -> Iterator[tuple[Path, tuple[str, ...], str]]:
    """Each damaged artefact, the chapters that may have made it, and what is wrong with it."""
    if not (runs := sorted({folder.parent.name for folder in results.glob("*/notebooks")})):
        return
    from mmlib.runs import artefacts  # slow to import: only if there is something to read

    left = [(run, name) for run in runs for name in artefacts.ARTEFACTS]
    left = [(run, name) for run, name in left if artefacts.path(run, name, results).is_file()]
    while left:
        with multiprocessing.Pool(1) as reader:  # over damaged bytes, HDF5 may loop for ever, or crash
            while left:
                run, name = left.pop(0)
                file = artefacts.path(run, name, results)
                try:
                    said = reader.apply_async(_wrong_with, (run, name, results))
                    wrong = said.get(PATIENCE + file.stat().st_size / 1e6)
                except multiprocessing.TimeoutError:
                    wrong = f"{file} is damaged (reading it does not end)"
                if wrong:
                    yield file, (artefacts.ARTEFACTS[name][1], OF_SCORES.get(name, "")), wrong
                    break


def _wrong_with(run: str, name: str, results: Path) -> str:
    """Why an artefact cannot be used; empty if nothing is wrong with it."""
    from mmlib.runs import artefacts

    try:
        artefacts.read(run, name, root=results)
    except ValueError as error:
        return str(error)
    return ""


def _is_whole(twin: Path) -> bool:
    """Whether the files of a twin are those that were written."""
    try:
        about = json.loads((twin / "twin.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return about.get("sha256", "") in ("", digest_tree(twin, without="twin.json"))  # earlier ones lack it


def _is_whole_copy(notebook: Path) -> bool:
    """Whether an executed copy is what was written."""
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        written = content.get("metadata", {}).get("sha256")
        return written is None or written == copy_digest(content)  # earlier ones lack it
    except (ValueError, AttributeError):
        return False


def end_future(results: str | Path = "results") -> None:
    """Set times of results that lie ahead, as after a clock was set back, to now: no later result could be newer."""
    now = time.time()
    for file in Path(results).rglob("*"):
        if file.is_file() and file.stat().st_mtime > now:
            os.utime(file, (now, now))


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0, after a sentence for each file that was removed."""
    argparse.ArgumentParser(prog="python -m mmlib mend", description=__doc__.partition(":")[0]).parse_args(arguments)
    end_future()
    for sentence in remove_damaged():
        print(sentence, file=sys.stderr)
    return 0
