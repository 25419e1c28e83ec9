"""Remove what is damaged among results, so that it is made again: ``python -m mmlib mend``, before a build.

A disk or a copy can leave a file that is not what was written. Every artefact carries the sha256 of its content, and so
does the folder of a twin.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from mmlib.core.storage import digest_tree

#: Chapters of a run of predictions that write artefacts of other chapters.
OF_SCORES = dict.fromkeys(("cohort", "sizes", "powerset", "masking", "bins"), "14_predictions")
OF_SCORES |= {"rq1": "15_adding", "rq2": "16_missing"}


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
    notebooks = [file for file in sorted(Path(results).glob("*/notebooks/*.ipynb")) if not _is_json(file)]
    found = [f"{file} is damaged; it was removed and will be made again." for file in notebooks]
    damaged = notebooks
    if runs := sorted({folder.parent.name for folder in Path(results).glob("*/notebooks")}):
        from mmlib.runs import artefacts  # slow to import: only if there is something to read

        for run in runs:
            for name in artefacts.ARTEFACTS:
                file = artefacts.path(run, name, results)
                try:
                    if file.is_file():
                        artefacts.read(run, name, root=results)
                except ValueError as error:
                    # a chapter counts as done while its executed copy is there
                    makers = (artefacts.ARTEFACTS[name][1], OF_SCORES.get(name, ""))
                    damaged = [*damaged, file, *(file.parent / "notebooks" / f"{maker}.ipynb" for maker in makers)]
                    found.append(f"{str(error).partition('; ')[0].rstrip('.')}; it was removed and will be made again.")
    for file in damaged:
        file.unlink(missing_ok=True)
    for folder in sorted(Path(results).glob("twins/[!.]*/")):
        if not _is_whole(folder):
            found.append(f"{folder} is damaged; it was removed and will be made again.")
            shutil.rmtree(folder)
    return found


def _is_whole(twin: Path) -> bool:
    """Whether the files of a twin are those that were written."""
    try:
        about = json.loads((twin / "twin.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return about.get("sha256", "") in ("", digest_tree(twin, without="twin.json"))  # earlier ones lack it


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0, after a sentence for each file that was removed."""
    argparse.ArgumentParser(prog="python -m mmlib mend", description=__doc__.partition(":")[0]).parse_args(arguments)
    for sentence in remove_damaged():
        print(sentence, file=sys.stderr)
    return 0
