"""Assemble the book from pages and executed notebooks: ``python -m mmlib stage --runs A B --out FOLDER``.

Every run has a first page, its summary. Of the runs that were computed here, named by ``--runs``, a notebook appears
once per run: for the first under its source path ``notebooks/``, for every other one under ``<run>/``, a sibling
folder, so that relative links stay right and lead to the same run. Labels and glue keys are distinguished by run:
``RUN-`` becomes ``<run>-`` in Markdown cells and in the names and captions of cell metadata (code writes
``f"{run}-..."``). In pages ``RUN-`` is the first run. A notebook of the story is over all runs: it is executed once,
for ``book``, which its labels carry. Runs of ``book/runs`` that were not computed here have their summary alone. The
table of contents names the chapters that runs have whose models are trained here; the ``chapters`` of a run follow.
"""

# How a glued number reaches another page: the text role, with the notebook's path, a double colon, the key
# and always a format (`:s` for text), without which myst-nb misreads the double colon:
#   on a page, from the top of the book:   {glue:text}`/notebooks/03_rq1_addition.ipynb::RUN-auroc:.2f`
#   in a notebook, relative, and so within its run:   {glue:text}`01_cohort.ipynb::RUN-n:,d`
# {glue:md} and {glue:figure} only work on the page of their own notebook. For images on other pages, the
# figure of every named cell is written to /figures/<name>.png, of the story to <name>.svg. A line
# `% answer rq1-answer` of a page becomes the sentences that the story, or else the first run, glued under that key;
# `% answers rq1-answer` a list of those of every run.

import argparse
import ast
import base64
import copy
import gc
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import distribution
from pathlib import Path

import yaml

from mmlib.runs.disclosure import guard
from mmlib.runs.origin import put_address, repository
from mmlib.runs.parameters import LESSONS, PREDICTIONS, chapters_of, run_parameters, shared_runs
from mmlib.runs.release import footer, source
from mmlib.runs.shared import code_digest, read_runs
from mmlib.runs.summary import summary_page

MARK = "# Staged by mmlib.runs.staging: whatever is changed here is lost.\n"
#: Name of a table, as pandas draws it.
STYLED = re.compile(r"\bT_[0-9a-f]{5}(?=\b|_)")
#: One self-contained script, fonts included, so that formulas can be read without a network.
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg.js"
#: Folder of the notebooks over all runs, and the name under which they are executed.
STORY, BOOK = "notebooks/story", "book"
#: Tag that folds the code of every cell, that of parameters and savings too: one click opens it.
FOLDED = "hide-input"
#: First page of every run.
SUMMARY = "summary"

#: Opening of a chapter's answer, which a page that quotes it does not need.
IN_SHORT = "**In short.** "

SYNTHETIC = """
```{admonition} Synthetic data
:class: warning
Every number on this page comes from a simulation with known truth, written in the layout of a real data set.
The data contain no real person, and the numbers say nothing about patients.
```
"""


def stage(runs: Sequence[str], out: str | Path, *, root: str | Path = ".") -> Path:
    """Source tree of the book for some runs.

    Parameters
    ----------
    runs : sequence of str
        Names of runs, each with ``notebooks/params/<run>.yml`` and executed notebooks in
        ``results/<run>/notebooks/``. The first one is the run of pages and of the source paths.
    out : path
        The tree is replaced as a whole, once it is complete.
    root : path
        The checkout, with ``book/``, ``_config.yml``, ``_toc.yml``, ``notebooks/`` and ``results/``.

    Returns
    -------
    pathlib.Path
        The tree, ready for ``jupyter-book build``.

    Raises
    ------
    FileNotFoundError
        If a run or one of its executed notebooks is missing, or a file of the table of contents is.
    ValueError
        If there is no run, a run is asked for twice or has the name of a folder of the book, ``out`` holds
        something else than an earlier tree, or a credentialed run shows what must not be published.
    """
    root, out = Path(root), Path(out)
    if not runs or len(set(runs)) < len(runs):
        raise ValueError(f"The runs of the book are {list(runs)}, expected one or more different ones.")
    if out.exists() and not _is_staged(out):
        raise ValueError(f"{out} holds something else than a staged book; give --out a folder of its own.")
    settings = {run: _settings(run, root) for run in runs}
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    own = {run: chapters_of(settings[run], _chapters(toc)) for run in runs}
    runs = sorted(runs, key=lambda run: PREDICTIONS in own[run])  # pages quote a run that has all chapters
    folders = {
        "results": root / "results",
        "shared": root / "book" / "runs",
        "params": root / "notebooks" / "params",
    }
    tables = read_runs([*runs, *shared_runs(folders["shared"], besides=runs)], **folders)

    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(root / "book", part / "book", ignore=shutil.ignore_patterns("__pycache__", "runs"))
    origin, made = repository(root), source(root)
    titles = [[run.title for run in tables.values() if run.computed == here] for here in (True, False)]
    config = stage_config((root / "_config.yml").read_text(encoding="utf-8"), origin, footer(made, *titles))
    (part / "_config.yml").write_text(config, encoding="utf-8")
    (part / "figures").mkdir()
    story = {name: _executed(BOOK, name, root) for name in _chapters(toc, STORY)}
    for name, executed in story.items():
        _write(stage_notebook(executed, BOOK), part, STORY, name)
    for file in (file for file in _files(toc) if file.startswith(f"{LESSONS}/")):
        name = file.removeprefix(f"{LESSONS}/")
        _write(stage_notebook(_executed(BOOK, name, root), BOOK, lesson=True), part, LESSONS, name)
    told, code = {}, code_digest(root / "notebooks") if len(tables) > len(runs) else ""
    for run, folder in _folders(tables).items():
        if folder == run and (part / folder).exists():
            raise ValueError(f"A run cannot be called {run!r}: the book has a folder of that name.")
        (part / folder).mkdir(exist_ok=True)
        synthetic = tables[run].kind == "synthetic"
        notice = SYNTHETIC if synthetic else ""
        built = date.fromisoformat(made.date) if made.time else None
        page = summary_page(tables[run], notice=notice, code=code, today=built)
        (part / folder / f"{SUMMARY}.md").write_text(page, encoding="utf-8")
        if run not in settings:
            continue
        notebooks = {name: _executed(run, name, root) for name in own[run]}
        if settings[run].get("credentialed"):
            guard(run, notebooks | story, root=root / "results")
        title = tables[run].title
        told[run] = f"{title}{' (synthetic)' if synthetic else ''}", glued_text(notebooks.values(), run)
        few = told[run][1].setdefault("size-caution", "")
        notice += f"\n\n{few}" if few else ""
        for name, executed in notebooks.items():
            _write(stage_notebook(executed, run, title, notice), part, folder, name)
    for page in (part / "book").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        text = without_run(text) if PREDICTIONS in own[runs[0]] else label(text, runs[0])
        text = put_address(text, origin.get("url", ""))
        page.write_text(put_answers(text, told, glued_text(story.values(), BOOK)), encoding="utf-8")
    mathjax = part / "book" / "_static" / "mathjax"
    mathjax.mkdir(parents=True)
    shutil.copy(distribution("sphinx-mathjax-offline").locate_file(MATHJAX), mathjax)
    toc = stage_toc(toc, tables, own)
    (part / "_toc.yml").write_text(MARK + yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    for file in _files(toc):
        if not any((part / f"{file}{suffix}").is_file() for suffix in ("", ".md", ".ipynb")):
            raise FileNotFoundError(f"_toc.yml names {file!r}, but there is no such page or notebook.")

    shutil.rmtree(out, ignore_errors=True)
    os.replace(part, out)
    return out


def stage_config(config: str, origin: Mapping[str, str], foot: str) -> str:
    """Configuration of the book, with buttons that lead to the repository and to Binder if it has an address.

    Parameters
    ----------
    config : str
        Text of ``_config.yml``.
    origin : mapping of str to str
        From `mmlib.runs.origin.repository`.
    foot : str
        HTML for the foot of every page, after what the configuration has there.
    """
    read = yaml.safe_load(config)
    html = read.get("html", {})
    html["extra_footer"] = f"{html.get('extra_footer', '')} {foot}".strip()
    added = {"html": html}
    if origin:
        html |= dict.fromkeys(("use_repository_button", "use_issues_button", "use_edit_page_button"), True)
        launch = {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"}
        added |= {"repository": dict(origin), "launch_buttons": launch}
    return yaml.safe_dump(read | added, sort_keys=False, allow_unicode=True)


def label(text: str, run: str) -> str:
    """Text with the run's name in place of the token ``RUN-`` of labels and glue keys."""
    return re.sub(r"\bRUN-", f"{run}-", text)


def without_run(text: str) -> str:
    """Page of a book in which no run has all chapters: words in place of what it quotes from one.

    Examples
    --------
    >>> without_run("as {numref}`RUN-tab-audit` shows")
    'as a table or figure of a run with all chapters shows'
    """
    text = re.sub(r"{numref}`RUN-[^`]*`", "a table or figure of a run with all chapters", text)
    return re.sub(r"{glue:\w+}`[^`]*RUN-[^`]*`", "the", text)


def stage_notebook(
    notebook: Mapping, run: str, title: str = "", notice: str = "", *, lesson: bool = False
) -> dict:
    """An executed notebook as it appears in the book for one run.

    Parameters
    ----------
    notebook : mapping
        The notebook's JSON.
    run, title : str
        Name and title of the run; without a title the heading stays.
    notice : str
        Markdown to insert under the first heading.
    lesson : bool
        Whether code is shown, solutions folded.

    Returns
    -------
    dict
        A copy: labels carry the run, the first heading its title, code is folded, parameters that were not given stand
        beside those that were. Times, and what two executions draw at random, are gone, and so are cells with the tag
        ``if-any`` that show nothing.
    """
    notebook = copy.deepcopy(dict(notebook))
    for of_one_execution in ("papermill", "sha256"):
        notebook["metadata"].pop(of_one_execution, None)
    notebook["cells"] = [cell for cell in notebook["cells"] if not _says_nothing(cell)]
    _show_defaults(notebook["cells"])
    headed, tables = False, {}
    for cell in notebook["cells"]:
        for times in ("papermill", "execution"):
            cell["metadata"].pop(times, None)
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["id"] = "injected"  # papermill draws one
        for output in cell.get("outputs", []):
            _drop_chance(output.get("data", {}), tables)
            if {"image/png", "image/svg+xml"} <= set(output.get("data", {})):  # others keep SVG to be searched
                output["data"].pop("image/png" if run == BOOK else "image/svg+xml")
        if "mystnb" in cell["metadata"]:
            cell["metadata"]["mystnb"] = _relabel(cell["metadata"]["mystnb"], run)
        if cell["cell_type"] == "code":
            tags = set(cell["metadata"].get("tags", []))
            hidden = {"remove-input" if run == BOOK else FOLDED}  # the story shows no code
            if lesson:
                hidden = {FOLDED} if "solution" in tags else set()
            cell["metadata"]["tags"] = sorted(tags | hidden)
        if cell["cell_type"] == "markdown":
            text = label("".join(cell["source"]), run)
            if title and not headed:
                text, headed = re.subn(
                    r"^(# .*?)([?!.]?)[ \t]*$",
                    lambda found: (
                        found[1] + (f"{found[2]} ({title})" if found[2] else f", {title}") + notice.rstrip()
                    ),
                    text,
                    count=1,
                    flags=re.M,
                )
            cell["source"] = text.splitlines(keepends=True)
    return notebook


def _drop_chance(data: dict, tables: dict[str, str]) -> None:
    """Number tables, whose names pandas draws at random, and drop places in memory: equal numbers give equal pages."""
    if "text/html" in data:
        html = "".join(data["text/html"])
        data["text/html"] = STYLED.sub(lambda found: tables.setdefault(found[0], f"T_{len(tables)}"), html)
    if "text/plain" in data:
        data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", "".join(data["text/plain"]))


def _show_defaults(cells: list[dict]) -> None:
    """Show the cell of parameters, without those that papermill's cell sets anew."""
    tagged = {tag: cell for cell in cells for tag in cell["metadata"].get("tags", [])}
    if not {"parameters", "injected-parameters"} <= tagged.keys():
        return
    own, given = ("".join(tagged[tag]["source"]) for tag in ("parameters", "injected-parameters"))
    names = {target.id for s in ast.parse(given).body if isinstance(s, ast.Assign) for target in s.targets}
    gone = {
        line
        for s in ast.parse(own).body
        if isinstance(s, ast.Assign) and s.targets[0].id in names
        for line in range(s.lineno, s.end_lineno + 1)
    }
    kept = [text for line, text in enumerate(own.splitlines(), 1) if line not in gone]
    if kept:
        tagged["parameters"]["source"] = "\n".join(["# left at their defaults", *kept])
        tagged["parameters"]["metadata"]["tags"] = ["parameters"]


def _says_nothing(cell: Mapping) -> bool:
    return "if-any" in cell["metadata"].get("tags", []) and not cell.get("outputs")


def named_images(notebook: Mapping) -> dict[str, bytes]:
    """Image of every code cell whose figure has a name, as ``<name>.png`` or ``<name>.svg``."""
    images = {}
    for cell in notebook["cells"]:
        name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []) if name else []:
            data = output.get("data", {})
            if "image/png" in data:
                images[f"{name}.png"] = base64.b64decode("".join(data["image/png"]))
            elif "image/svg+xml" in data:
                images[f"{name}.svg"] = "".join(data["image/svg+xml"]).encode()
    return images


def glued_text(notebooks: Iterable[Mapping], run: str) -> dict[str, str]:
    """Sentences that the notebooks of a run glued, by key without the run's name, without their opening words."""
    found = {}
    for cell in (cell for notebook in notebooks for cell in notebook["cells"]):
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name", "")
            text = output.get("data", {}).get("application/papermill.record/text/markdown")
            if text is not None:
                found[name.removeprefix(f"{run}-")] = "".join(text).removeprefix(IN_SHORT)
    return found


def put_answers(
    page: str, told: Mapping[str, tuple[str, Mapping[str, str]]], story: Mapping[str, str] | None = None
) -> str:
    """Page with sentences in place of its lines ``% answer KEY`` (story or first run) and ``% answers KEY`` (all runs).

    Parameters
    ----------
    page : str
    told : mapping of str to (title, mapping of key to text)
        By run, the first one first. Runs without the key are left out.
    story : mapping of str to str, optional
        Sentences of the notebooks over all runs, by key.

    Raises
    ------
    ValueError
        If neither the story nor the first run has such a key.

    Examples
    --------
    >>> print(put_answers("% answers n", {"a": ("A", {"n": "One."}), "b": ("B", {"n": "Two."})}))
    - **A.** One.
    - **B.** Two.
    """

    def replacement(line):
        key, first = line[2], {**next(iter(told.values()))[1], **(story or {})}
        if key not in first:
            raise ValueError(
                f"A page asks for the answer {key!r}; the chapters of {next(iter(told))!r} tell none."
            )
        if line[1] == "answer":
            return first[key]
        return "\n".join(f"- **{title}.** {texts[key]}" for title, texts in told.values() if key in texts)

    return re.sub(r"^% (answers?) ([\w-]+)$", replacement, page, flags=re.M)


def stage_toc(toc: Mapping, runs: Iterable[str], own: Mapping[str, Sequence[str]]) -> dict:
    """Table of contents with an entry for each run in place of the study chapters.

    Parameters
    ----------
    toc : mapping
        Table of contents with parts. One whose chapters are study notebooks stands for the runs.
    runs : iterable of str
        In the order in which they appear.
    own : mapping of str to sequence of str
        Run computed here to the names of its chapters. Others have a summary only.

    Returns
    -------
    dict
        A copy in which that part names the summary of each run and, folded under it, its chapters.
    """
    parts = []
    for part in toc["parts"]:
        if not _is_results(part):
            parts.append(part)
            continue
        chapters = []
        for run, folder in _folders(runs).items():
            entry = {"file": f"{folder}/{SUMMARY}"}
            if run in own:
                entry["sections"] = [{"file": f"{folder}/{name}"} for name in own[run]]
            chapters.append(entry)
        parts.append({**part, "chapters": chapters})
    return {**toc, "parts": parts}


def _settings(run, root):
    notebooks = Path(root) / "notebooks"
    return run_parameters(notebooks / "params" / f"{run}.yml", sorted(notebooks.glob("*.ipynb")))


def _folders(runs):
    return {run: "notebooks" if place == 0 else run for place, run in enumerate(runs)}


def _is_results(part, folder="notebooks"):
    return all(file.rpartition("/")[0] == folder for file in _files(part))


def _chapters(toc, folder="notebooks"):
    files = (file for part in toc["parts"] if _is_results(part, folder) for file in _files(part))
    return [file.removeprefix(f"{folder}/") for file in files]


def _write(notebook, part, folder, name):
    (part / folder).mkdir(parents=True, exist_ok=True)
    content = json.dumps(notebook, indent=1, ensure_ascii=False)
    (part / folder / f"{name}.ipynb").write_text(content + "\n", encoding="utf-8")
    for figure, image in named_images(notebook).items():
        (part / "figures" / figure).write_bytes(image)


def _files(entry):
    """Every file that an entry of a table of contents names, in order of appearance."""
    if isinstance(entry, list):
        return [file for item in entry for file in _files(item)]
    if not isinstance(entry, dict):
        return []
    own = [entry[key] for key in ("root", "file") if key in entry]
    return own + [file for value in entry.values() for file in _files(value)]


def _executed(run, name, root):
    file = root / "results" / run / "notebooks" / f"{name}.ipynb"
    if not file.is_file():
        command = "make book" if run == BOOK else f'make book RUNS="{run}"'
        raise FileNotFoundError(f"{file} is missing; `{command}` executes it.")
    return json.loads(file.read_text(encoding="utf-8"))


def _relabel(value, run):
    if isinstance(value, dict):
        return {key: _relabel(item, run) for key, item in value.items()}
    return label(value, run) if isinstance(value, str) else value


def _is_staged(folder):
    toc = folder / "_toc.yml"
    return toc.is_file() and toc.read_text(encoding="utf-8").startswith(MARK)


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if all went well, 1 after a message that says what failed."""
    parser = argparse.ArgumentParser(prog="python -m mmlib stage", description=__doc__.partition(":")[0])
    parser.add_argument(
        "--runs", nargs="+", required=True, metavar="RUN", help="the first is that of the pages"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the assembled source")
    parser.add_argument("--render", action="store_true", help="then make its pages, in the folder html beside it")
    options = parser.parse_args(arguments)
    try:
        stage(options.runs, options.out)
        if options.render:
            _render(options.out)
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _render(source):
    """Have jupyter-book make the pages, none of an earlier book among them; warnings are errors."""
    from jupyter_book.cli.main import main as jupyter_book

    pages = source.with_name("html")
    shutil.rmtree(pages, ignore_errors=True)
    # --all, since pages show numbers of other pages; -W, since a missing number is only a warning
    words = ["build", str(source), "--path-output", str(source.parents[1]), "--all", "-W", "--keep-going", "--quiet"]
    gc.disable()  # its trees stay in memory to the end: searching them for garbage takes a fifth of the time
    jupyter_book(words, standalone_mode=False)
