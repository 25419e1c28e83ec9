"""The lessons: short cells, solutions that their assertions need, copies that stop only at exercises."""

import ast
import copy
import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mmlib import questions
from mmlib.runs.lessons import student_copy
from mmlib.show.quizzes import quiz_questions
from tests.lessons.quoted import QUOTED

matplotlib.use("Agg")
FOLDER = Path(__file__).parents[2] / "notebooks" / "lessons"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
LONGEST = 10


def cells(lesson, *tags):
    """Code cells with one of some tags, or all."""
    found = [c for c in json.loads(lesson.read_text())["cells"] if c["cell_type"] == "code"]
    return [c for c in found if not tags or set(tags) & set(c["metadata"].get("tags", []))]


def tagged(cell, tag):
    return tag in cell["metadata"].get("tags", [])


def source(cell):
    """Code that runs outside of a notebook."""
    return "".join(cell["source"])


def run(cell, space):
    """Run a cell in a space of names; what its last line shows is kept in ``_shown``."""
    tree = ast.parse(source(cell))
    if isinstance(tree.body[-1], ast.Expr):
        shows = ast.parse("_shown.append(None)").body[0]
        shows.value.args = [tree.body[-1].value]
        tree.body[-1] = shows
    exec(compile(ast.fix_missing_locations(tree), "cell", "exec"), space)


def perturbed(value):
    """Another value of the same kind."""
    if isinstance(value, str):
        return value + " or so"
    if isinstance(value, dict):
        return {key: perturbed(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(perturbed(part) for part in value)
    if isinstance(value, pd.DataFrame | pd.Series | np.ndarray):
        return value * 1.2 + 0.05
    if isinstance(value, bool | np.bool_):
        return not value
    return value * 1.2 + 0.05


def spoiled(function):
    return lambda *a, **k: perturbed(function(*a, **k))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda n: n.stem)
def test_no_cell_is_long_and_only_public_names_are_used(lesson):
    assert not [source(c) for c in cells(lesson) if len(source(c).splitlines()) > LONGEST]
    for cell in cells(lesson):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("mmlib"):
                room = __import__(node.module, fromlist=["__all__"])
                assert node.module.count(".") <= 1 and {n.name for n in node.names} <= set(room.__all__)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda n: n.stem)
def test_a_lesson_has_its_parts(lesson):
    text = "\n".join("".join(c["source"]) for c in json.loads(lesson.read_text())["cells"])
    order = ["Afterwards you can", "You need", "## Predict", "from mmlib", "## Exercise 1", "## Exercise 2"]
    order += ["## Quiz", "## Key points", "Read on"]
    places = [text.find(part) for part in order]
    assert -1 not in places and places == sorted(places)
    assert len(cells(lesson, "solution")) == len(cells(lesson, "exercise")) == len(cells(lesson, "check")) == 2


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda n: n.stem)
def test_all_five_questions_are_asked_and_the_first_before_a_figure(lesson):
    asked = [source(c) for c in cells(lesson) if source(c).startswith("quiz(")]
    (name,) = {call.split('"')[1] for call in asked}
    assert len(quiz_questions()[name]) == 5 and [call.split(",", 1)[1] for call in asked] == [" [1])", " [2, 3, 4, 5])"]
    at = [source(c) for c in cells(lesson)].index(asked[0])
    assert "alt" in cells(lesson)[at + 1]["metadata"].get("mystnb", {}).get("image", {})


@pytest.fixture
def format_kept():
    """Numbers look afterwards as before: a lesson sets how pandas shows them."""
    with pd.option_context("display.float_format", None):
        yield


@pytest.mark.whole
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda n: n.stem)
def test_a_perturbed_solution_fails_its_assertion_and_sentences_quote_what_is_computed(
    lesson, monkeypatch, format_kept
):
    monkeypatch.chdir(FOLDER.parents[1])
    space, left_open, solved = {"_shown": []}, {}, 0
    for cell in cells(lesson):
        if tagged(cell, "exercise"):
            exec(source(cell), space)
            left_open = {f.name: space[f.name] for f in ast.parse(source(cell)).body if isinstance(f, ast.FunctionDef)}
        elif tagged(cell, "check"):
            solutions = {name: space[name] for name in left_open}
            for name in solutions:
                space |= {name: left_open[name]}
                with pytest.raises(NotImplementedError):
                    exec(source(cell), space)
                space |= {name: spoiled(solutions[name])}
                with pytest.raises(AssertionError):
                    exec(source(cell), space)
                space |= {name: solutions[name]}
                solved += 1
            exec(source(cell), space)
        else:
            run(cell, space)
            plt.close("all")
    assert solved >= 2
    QUOTED[lesson.stem](space)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda n: n.stem)
def test_a_students_copy_holds_no_solution_and_the_source_is_left_alone(lesson):
    notebook = json.loads(lesson.read_text())
    before = copy.deepcopy(notebook)
    student = student_copy(notebook)
    assert notebook == before
    told = json.dumps(student)
    for cell in cells(lesson, "solution"):
        assert json.dumps(source(cell))[1:-1] not in told
    assert "{term}" not in told and not [c for c in student["cells"] if "solution" in c["metadata"].get("tags", [])]
    assert len(student["cells"]) == len(notebook["cells"]) - len(cells(lesson, "solution"))


def test_quick_scores_rank_by_what_is_given(small_cohort):
    labs = questions.quick_scores(small_cohort, ["labs"])
    y = small_cohort.samples["label"].to_numpy()
    assert labs[y == 1].mean() > labs[y == 0].mean() + 0.2
    nothing = questions.quick_scores(small_cohort, [])
    assert np.ptp(nothing) == 0 and nothing[0] == y.mean()
    with pytest.raises(ValueError, match="no modality 'lbas'; small has labs"):
        questions.quick_scores(small_cohort, ["lbas"])


@pytest.fixture
def small_cohort():
    """Patients whose laboratory value is higher among positives and lacking in some."""
    from mmlib.core.schema import Cohort, Field

    rng, n = np.random.default_rng(0), 400
    y = rng.integers(0, 2, n)
    value = rng.normal(size=n) + 2 * y
    value[rng.random(n) < 0.1] = np.nan
    samples = pd.DataFrame({"sample_id": np.arange(n).astype(str), "label": y.astype("int8"), "sex": "Male"})
    samples["patient_id"] = samples["sample_id"]
    fields = (Field("labs", "crp", "CRP"),)
    return Cohort("small", "outcome", samples, pd.DataFrame({"labs.crp": value}), fields, ("sex",))
