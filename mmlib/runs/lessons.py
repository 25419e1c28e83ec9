"""Student copies of the lessons, and both editions as archives: ``python -m mmlib lessons OUT EXECUTED...``.

Without executed lessons, copies for one student are written, and none that is there is replaced.

A lesson has one source in ``notebooks/lessons``. Cells tagged ``solution`` fill in what the exercises leave open; a
student's copy lacks them, and stops only where an exercise raises `NotImplementedError`.
"""

import argparse
import copy
import json
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmlib.runs.parameters import LESSONS

#: Files of a lesson's edition for students, and of that with solutions.
EDITIONS = ("students", "solutions")
_TERM = re.compile(r"\{term\}`([^`<]+?)(?: <[^>]*>)?`")
_PAGE = re.compile(r"\[([^\]]+)\]\(\.[^)]*\)")


def student_copy(notebook: Mapping) -> dict:
    """A lesson as students get it: without solutions and outputs, links of the book as plain words.

    Parameters
    ----------
    notebook : mapping
        JSON of a lesson.
    """
    notebook = copy.deepcopy(dict(notebook))
    notebook["metadata"].pop("papermill", None)
    cells = [cell for cell in notebook["cells"] if "solution" not in cell["metadata"].get("tags", [])]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        cell["source"] = plain_words("".join(cell["source"])).splitlines(keepends=True)
    return notebook | {"cells": cells}


def plain_words(text: str) -> str:
    """Text without links to the glossary and to pages of the book, which a copy lacks.

    Examples
    --------
    >>> plain_words("The {term}`TPR <true positive rate>` and {term}`AUROC`.")
    'The TPR and AUROC.'
    >>> plain_words("See [Evidence](../../book/evidence.md).")
    'See Evidence.'
    """
    return _PAGE.sub(r"\1", _TERM.sub(r"\1", text))


def other_errors(notebook: Mapping) -> list[str]:
    """Errors of a notebook that are no `NotImplementedError`, after running all of it.

    Parameters
    ----------
    notebook : mapping
        A student's copy.
    """
    import nbformat
    from nbclient import NotebookClient

    node = nbformat.reads(json.dumps(notebook), as_version=4)
    NotebookClient(node, timeout=300, allow_errors=True, kernel_name="python3").execute()
    outputs = [output for cell in node.cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output["output_type"] == "error"]
    return [f"{error.ename}: {error.evalue}" for error in errors if error.ename != "NotImplementedError"]


def write_editions(executed: Sequence[str | Path], out: str | Path) -> list[Path]:
    """Archives of the lessons, for students and with solutions; the notebooks lie beside them.

    Parameters
    ----------
    executed : sequence of path
        Lessons executed with their solutions; each has its source in ``notebooks/lessons``.
    out : path

    Raises
    ------
    ValueError
        If a student's copy stops elsewhere than at an exercise.
    """
    out, archives = Path(out), []
    for edition in EDITIONS:
        (out / edition).mkdir(parents=True, exist_ok=True)
    for file in map(Path, executed):
        source = json.loads((Path(LESSONS) / file.name).read_text(encoding="utf-8"))
        student = student_copy(source)
        if errors := other_errors(student):
            raise ValueError(f"The student copy of {file.name} stops with {errors[0]}; expected NotImplementedError.")
        done = json.loads(file.read_text(encoding="utf-8"))
        done["metadata"].pop("papermill", None)
        for edition, content in zip(EDITIONS, (student, done), strict=True):
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            (out / edition / file.name).write_text(text, encoding="utf-8")
    for edition in EDITIONS:
        archives.append(out / f"{edition}.zip")
        with zipfile.ZipFile(archives[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(map(Path, executed)):
                place = zipfile.ZipInfo(f"{edition}/{file.name}")  # without the time, so that archives can be compared
                archive.writestr(place, (out / edition / file.name).read_bytes(), zipfile.ZIP_DEFLATED)
    return archives


def copy_lessons(folder: str | Path) -> list[Path]:
    """Copies of the lessons for one student; what is there, with the student's work, stays as it is.

    Parameters
    ----------
    folder : path
    """
    folder, sources = Path(folder), sorted(Path(LESSONS).glob("*.ipynb"))
    folder.mkdir(parents=True, exist_ok=True)
    new = [source for source in sources if not (folder / source.name).exists()]
    for source in new:
        text = json.dumps(student_copy(json.loads(source.read_text(encoding="utf-8"))), indent=1, ensure_ascii=False)
        (folder / source.name).write_text(text + "\n", encoding="utf-8")
    return [folder / source.name for source in new]


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if all went well, 1 after a message that says what failed."""
    parser = argparse.ArgumentParser(prog="python -m mmlib lessons", description=__doc__.partition(":")[0])
    parser.add_argument("out", type=Path, help="folder of both editions")
    parser.add_argument("executed", type=Path, nargs="*", help="lessons executed with their solutions")
    options = parser.parse_args(arguments)
    try:
        written = write_editions(options.executed, options.out) if options.executed else copy_lessons(options.out)
        print(*written, sep="\n")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
