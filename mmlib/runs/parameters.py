"""Parameters of runs and notebooks, checked by name and type, and the files that a notebook imports.

papermill accepts any parameter; here a misspelt or ill-typed one stops the run before anything is
computed.
"""

import ast
import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import yaml

from mmlib.core.words import RULES, RUN_KINDS, SHARED_SCHEMA

#: Keys of a run that no notebook has to read, each with an example: the type it must have.
#: ``title`` names the run in the book: in the table of contents and behind the heading of each chapter. ``kind`` is one
#: of ``mmlib.core.words.RUN_KINDS``: only real health cohorts are counted together. Pages of synthetic data say so at
#: the top; those of ``credentialed`` data are searched for what must not be shown. ``public`` data are open to anybody.
#: ``twin`` holds the arguments of ``python -m mmlib twins`` that make the folder ``root``.
#: ``encode_shards`` is the number of jobs that share the encoding, one after the other if there is one machine.
#: ``chapters`` names notebooks that only some runs have; they follow those that every run has.
RUN_KEYS = {
    "title": "SUPPORT2",
    "kind": "health",
    "credentialed": True,
    "public": True,
    "twin": "mimic_eye --patients 2000",
    "encode_shards": 1,
    "chapters": ["10_leak"],
}

#: Parameters of few values, and those with a smallest and a largest one, each element of a list too.
CHOICES = {
    "rule": RULES,
    "unit": ("field", "note"),
    "protected_inputs": ("none", "modality", "lineage"),
}
RANGES = {
    "folds": (2, 100),
    **dict.fromkeys(("seeds", "retrainings", "realisations", "dimensions"), (1, 10_000)),
    **dict.fromkeys(("resamples", "permutations", "test_permutations"), (1, 1_000_000)),
    **dict.fromkeys(("rates", "paper_rates", "structured_rates", "modality_dropout"), (0, 1)),
    "validation": (0.01, 0.5),
    "margin": (0, 1),
}

#: What a run of ``cohort: predictions`` starts and ends with.
PREDICTIONS, FAIRNESS = "14_predictions", "05_fairness"

#: Folder of the lessons, which are executed once per book, with their solutions.
LESSONS = "notebooks/lessons"
#: Names that no run may have: that of chapters over all runs, and that of all runs.
RESERVED = ("book", "all")

#: Suffixes of what a module may have beside it under its own name.
BESIDE = (".yml", ".html", ".js", ".css", ".safetensors", ".json", ".csv")

_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
    type(None): "empty",
}


def notebook_parameters(notebook: str | Path) -> dict:
    """Parameters of a notebook, with their defaults.

    Parameters
    ----------
    notebook : path
        A notebook with one code cell tagged ``parameters`` that assigns plain literals; without such a cell
        it has no parameters.

    Returns
    -------
    dict
        Name to default, in the order of the cell.

    Raises
    ------
    ValueError
        If the file is not a notebook, or the cell holds anything but assignments of literals.
    """
    for cell in _code_cells(notebook):
        if "parameters" not in cell["metadata"].get("tags", []):
            continue
        try:
            statements = ast.parse("".join(cell["source"])).body
            pairs = [(node.targets[0].id, ast.literal_eval(node.value)) for node in statements]
        except (AttributeError, SyntaxError, ValueError):
            raise ValueError(
                f"{notebook}: the cell tagged 'parameters' holds more than `name = literal`; "
                "write plain numbers, text, lists or dictionaries there."
            ) from None
        return dict(pairs)
    return {}


def run_parameters(file: str | Path, notebooks: Iterable[str | Path]) -> dict:
    """Parameters of a run, every key and type checked against all notebooks.

    Parameters
    ----------
    file : path
        A flat mapping; each key is a parameter of at least one of the notebooks, or one of `RUN_KEYS`.
    notebooks : iterable of paths
        The notebooks a run may go through.

    Returns
    -------
    dict
        Name to value, as written.

    Raises
    ------
    FileNotFoundError
        If there is no such run.
    ValueError
        If the file is not a mapping, a name is unknown, a value is of another type than its default, or there is
        no such chapter.
    """
    file = Path(file)
    if not file.is_file():
        runs = ", ".join(sorted(path.stem for path in file.parent.glob("*.yml"))) or "none"
        raise FileNotFoundError(f"There is no run file {file}; the runs in that folder are: {runs}.")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not readable as YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{file} holds {_kind(values)}, expected a mapping of parameter names to values.")
    if file.stem in RESERVED:
        raise ValueError(f"A run cannot be called {file.stem!r}, which has a meaning of its own; rename {file}.")
    notebooks = list(notebooks)
    known = [RUN_KEYS, *map(notebook_parameters, notebooks)]
    for name, value in values.items():
        owners = [defaults for defaults in known if name in defaults]
        if not owners:
            raise unknown_parameter(name, set().union(*known), owner="any notebook", where=f"{file}: ")
        for defaults in owners:
            check_type(name, value, defaults[name], where=f"{file}: ")
        check_value(name, value, where=f"{file}: ")
    if values.get("kind", "health") not in RUN_KINDS:
        raise ValueError(f"{file}: kind is {values['kind']!r}, expected one of {', '.join(RUN_KINDS)}.")
    if values.get("public") and values.get("credentialed"):
        raise ValueError(f"{file} is marked both public and credentialed; expected one of the two.")
    there = [Path(notebook).stem for notebook in notebooks]
    if unknown := [name for name in values.get("chapters", []) if name not in there]:
        raise ValueError(f"{file}: chapters names {unknown[0]!r}, expected some of {', '.join(there)}.")
    return values


def shared_runs(folder: str | Path, besides: Iterable[str] = ()) -> dict[str, dict]:
    """What ``run.yml`` says of every shared run whose tables have the schema of this version, by name.

    Parameters
    ----------
    folder : path
        Folder of shared runs.
    besides : iterable of str
        Runs that are computed here, and so are left out.
    """
    files = [file for file in sorted(Path(folder).glob("*/run.yml")) if file.parent.name not in besides]
    found = {file.parent.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
    return {name: about for name, about in found.items() if about.get("schema") == SHARED_SCHEMA}


def chapters_of(about: Mapping, usual: Iterable[str]) -> list[str]:
    """Notebooks that a run goes through, in order.

    Parameters
    ----------
    about : mapping
        What the file of the run says.
    usual : iterable of str
        The chapters of a run whose models are trained here. A run of predictions reads scores instead, and goes on
        with the chapters that it names and with fairness.
    """
    own = list(about.get("chapters", []))
    return [PREDICTIONS, *own, FAIRNESS] if about.get("cohort") == "predictions" else [*usual, *own]


def own_parameters(notebook: str | Path, file: str | Path) -> dict:
    """Parameters of a run that one notebook takes, after a check of all of them.

    The order is the notebook's, so reordering the YAML makes no result out of date.
    """
    values = run_parameters(file, sorted(Path(notebook).parent.glob("*.ipynb")))
    return {name: values[name] for name in notebook_parameters(notebook) if name in values}


def check_type(name: str, value, default, *, where: str = "") -> None:
    """Raise a `ValueError` unless ``value`` has the type of ``default``; a whole number passes for a number.

    A default of None says nothing about the type, so anything passes.
    """
    expected = type(default)
    if default is None or type(value) is expected or (expected is float and type(value) is int):
        return
    hint = "; write 1.0e-3 for 1e-3" if expected is float and isinstance(value, str) else ""
    raise ValueError(
        f"{where}parameter {name!r} is {_kind(value)} ({value!r}), expected {_kind(default)} "
        f"like its default {default!r}{hint}."
    )


def check_value(name: str, value, *, where: str = "") -> None:
    """Raise a `ValueError` if a value is not one of the few, or outside of the range, that a parameter has."""
    few = _cohorts() if name == "cohort" else CHOICES.get(name, (value,))
    if value not in few:
        raise ValueError(f"{where}parameter {name!r} is {value!r}, expected one of {', '.join(few)}.")
    low, high = RANGES.get(name, (None, None))
    for one in (value if isinstance(value, list) else [value]) if low is not None else ():
        if isinstance(one, bool) or not isinstance(one, int | float) or not low <= one <= high:
            raise ValueError(f"{where}parameter {name!r} holds {one!r}, expected numbers from {low} to {high:,}.")


def _cohorts() -> list[str]:
    """Modules of the room `data` with a loader, found without importing them, and predictions."""
    files = (Path(__file__).resolve().parents[1] / "data").glob("*.py")
    return sorted({file.stem for file in files if "\ndef load(" in file.read_text(encoding="utf-8")} | {"predictions"})


def unknown_parameter(name: str, known: Iterable[str], *, owner: str, where: str = "") -> ValueError:
    """Error for an unknown parameter, with the nearest known name."""
    near = difflib.get_close_matches(str(name), sorted(known), n=1, cutoff=0)
    hint = f"the nearest known name is {near[0]!r}" if near else "it has no parameters"
    return ValueError(f"{where}parameter {name!r} is unknown to {owner}; {hint}.")


def sources(notebook: str | Path) -> list[str]:
    """Files of ``mmlib`` that a notebook imports, directly or through another one.

    Imports are read, not run, so a module imported inside a function counts too; so do the pages, scripts,
    styles, weights and lists beside a module that have its name.

    Parameters
    ----------
    notebook : path
        The notebook.

    Returns
    -------
    list of str
        Paths relative to the working directory, sorted.
    """
    waiting, found = set(), set()
    for cell in _code_cells(notebook):
        # IPython's magics are not Python: replace them before parsing.
        code = re.sub(r"^([ \t]*)[%!].*$", r"\1pass", "".join(cell["source"]), flags=re.M)
        waiting |= _imported(code, notebook)
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= _imported(file.read_text(encoding="utf-8"), file) - found
    beside = {file.with_suffix(suffix) for file in found for suffix in BESIDE}
    return sorted(os.path.relpath(file) for file in found | set(filter(Path.is_file, beside)))


def _code_cells(notebook):
    if not Path(notebook).is_file():
        there = ", ".join(sorted(path.name for path in Path(notebook).parent.glob("*.ipynb"))) or "none"
        raise FileNotFoundError(
            f"There is no notebook {notebook}; the notebooks in that folder are: {there}."
        )
    try:
        content = json.loads(Path(notebook).read_text(encoding="utf-8"))
        return [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{notebook} is not a notebook: expected the JSON of an .ipynb file.") from None


def _imported(code, where):
    """Files of this package that a piece of code names in its import statements."""
    package, files = Path(__file__).resolve().parents[1], set()
    try:
        names = _names(code)
    except SyntaxError as error:
        raise ValueError(f"{where} is not Python: {error.msg} in {str(error.text).strip()!r}.") from None
    for root, *rest in (name.split(".") for name in names):
        if root == package.name:
            files |= _files_behind(package, rest)
    return files


@cache
def _names(code):
    """Dotted names in the import statements of a piece of code; most modules are behind many notebooks."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def _files_behind(folder, rest):
    """Files that the dotted name ``rest`` of a package stands for.

    A package that only exports names lazily is no source itself; the module that holds the name is. The last
    part may be a function: then there is no such file.
    """
    own = folder / "__init__.py"
    exports = _exports(own.read_text(encoding="utf-8")) if own.is_file() else None
    found = {own} if own.is_file() and exports is None else set()
    if not rest:
        modules = exports or {}  # the whole package
        return found.union(*(_files_behind(folder, module.split(".")) for module in modules))
    first = rest[0]
    if (folder / first).is_dir():
        return found | _files_behind(folder / first, rest[1:])
    if (module := (folder / first).with_suffix(".py")).is_file():
        return found | {module}
    owners = [module for module, exported in (exports or {}).items() if first in exported]
    return found.union(*(_files_behind(folder, owner.split(".")) for owner in owners))


@cache
def _exports(code):
    """Lazy exports of a package, by module: ``EXPORTS`` of its ``__init__``; None without such a table."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXPORTS":
            return ast.literal_eval(node.value)
    return None


def _kind(value):
    return _NAMES.get(type(value), type(value).__name__)
