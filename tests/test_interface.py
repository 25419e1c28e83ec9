"""The way in: few names, whose examples run; rooms that export lazily what their pages list."""

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmlib

ROOT = Path(__file__).parent.parent
#: What comparing scores needs.
COMPARING = """
from mmlib import Run, choose_groups, load_groups, resample_patients
from mmlib.models import load_scored, read_predictions
from mmlib.questions import addition_table, compare_declared, drop_table, evaluate_drops, observed_absence
from mmlib.show import absence_dots, addition_dots, calibration_dots, declared_table, drop_curve, group_bars
"""
ROOMS = ["core", "data", "measure", "twins", "text", "models", "questions", "show", "runs"]


def examples(thing):
    """A name and its public methods, in order."""
    methods = [member for name, member in vars(thing).items() if name[0] != "_"] if inspect.isclass(thing) else []
    methods = [member.fget if isinstance(member, property) else member for member in methods]
    return [thing, *filter(callable, methods)]


def test_an_author_learns_at_most_25_names():
    assert len(mmlib.__all__) <= 25
    assert {"Run", "Groups", "Estimate", "Evaluation"} <= set(mmlib.__all__)
    for name in mmlib.__all__:
        assert inspect.getdoc(getattr(mmlib, name)), name


@pytest.mark.parametrize("name", mmlib.__all__)
def test_the_examples_of_the_interface_run(name):
    thing = getattr(mmlib, name)
    names = dict(vars(sys.modules[thing.__module__]))
    tried = 0
    for member in examples(thing):
        test = doctest.DocTestParser().get_doctest(inspect.getdoc(member) or "", names, f"{name}", None, 0)
        assert test.examples or member is not thing, f"{name} has no example"
        if inspect.isclass(thing) and name in ("Run", "Groups", "Estimate", "Evaluation"):
            assert test.examples or isinstance(getattr(thing, member.__name__, None), property), member.__name__
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        runner.run(test, clear_globs=False)
        assert runner.failures == 0
        names, tried = test.globs, tried + len(test.examples)
    assert tried


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_exports_what_its_page_lists(room):
    module = importlib.import_module(f"mmlib.{room}")
    for name in module.__all__:
        thing = getattr(module, name)
        if callable(thing):  # else a constant
            assert thing.__module__.startswith(f"mmlib.{room}."), name
        assert not (ROOT / "mmlib" / room / f"{name}.py").exists(), f"{name} is also a module"
    page = (ROOT / "book" / "api" / f"{room}.md").read_text()
    listed = [name for members in re.findall(r":members: (.+)", page) for name in members.split(", ")]
    assert sorted(listed) == sorted(module.__all__)
    assert len(set(listed)) == len(listed)


def test_what_is_slow_to_load_waits_until_it_is_used():
    code = "import sys"
    for line in ("import mmlib", "import mmlib.runs.execution", "import mmlib.show.story", COMPARING):
        code += f"\n{line}\nprint(*(m for m in ('pandas', 'sklearn', 'torch') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["", "", "pandas", "pandas sklearn"], done.stderr
    with pytest.raises(AttributeError, match="Group"):
        mmlib.Group  # noqa: B018


def test_every_module_is_in_the_library_reference():
    modules = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in (ROOT / "mmlib").rglob("*.py")
    } - {"mmlib"}
    listed = re.findall(r"^   (mmlib\.[\w.]+)$", (ROOT / "book" / "api.md").read_text(), re.MULTILINE)
    pages = "".join(file.read_text() for file in (ROOT / "book" / "api").glob("*.md"))
    documented = re.findall(r"automodule:: (mmlib\.[\w.]+)$", pages, re.MULTILINE)
    assert sorted(listed) == sorted(documented) == sorted(modules)


def test_notebooks_import_names_of_rooms():
    for notebook in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        modules = re.findall(r"from (mmlib[\w.]*) import|import (mmlib[\w.]*)", notebook.read_text())
        deep = [name for pair in modules for name in pair if name.count(".") > 1]
        assert not deep, f"{notebook.name} imports {deep[0]}"
