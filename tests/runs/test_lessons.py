import json
import zipfile

import pytest

from mmlib.runs.lessons import copy_lessons, other_errors, student_copy, write_editions
from mmlib.runs.staging import stage_notebook

STUB = ({"tags": ["exercise"]}, "def f():\n    raise NotImplementedError('fill in')")
SOLUTION = ({"tags": ["solution"]}, "def f():\n    return 42")
CHECK = ({"tags": ["check"]}, "assert f() == 42")


@pytest.fixture
def lesson(tmp_path, monkeypatch, write_notebook):
    monkeypatch.chdir(tmp_path)
    text = ("markdown", "# One\n\nThe {term}`TPR <true positive rate>`.")
    return write_notebook(tmp_path / "notebooks" / "lessons" / "1_one.ipynb", text, STUB, SOLUTION, CHECK)


def test_both_editions_are_written_and_zipped_the_same_every_time(lesson, tmp_path):
    archives = write_editions([lesson], "out")
    assert [a.as_posix() for a in archives] == ["out/students.zip", "out/solutions.zip"]
    with zipfile.ZipFile(archives[0]) as archive:
        student = archive.read("students/1_one.ipynb").decode()
    assert "42" in student and "return 42" not in student and "The TPR." in student
    with zipfile.ZipFile(archives[1]) as archive:
        assert "return 42" in archive.read("solutions/1_one.ipynb").decode()
    before = archives[0].read_bytes()
    assert write_editions([lesson], "out")[0].read_bytes() == before


def test_a_copy_that_stops_elsewhere_is_refused(lesson, write_notebook):
    write_notebook(lesson, STUB, SOLUTION, CHECK, "f() + nowhere", "1 / 0")
    assert other_errors(student_copy(json.loads(lesson.read_text()))) == ["ZeroDivisionError: division by zero"]
    with pytest.raises(ValueError, match="1_one.ipynb stops with ZeroDivisionError"):
        write_editions([lesson], "out")


def test_a_student_keeps_what_was_written(lesson):
    assert [file.name for file in copy_lessons("mine")] == ["1_one.ipynb"]
    (lesson.parents[2] / "mine" / "1_one.ipynb").write_text("my work")
    assert copy_lessons("mine") == [] and (lesson.parents[2] / "mine" / "1_one.ipynb").read_text() == "my work"


def test_in_the_book_code_of_a_lesson_is_shown_and_solutions_are_folded(lesson):
    staged = stage_notebook(json.loads(lesson.read_text()), "book", lesson=True)
    tags = [c["metadata"]["tags"] for c in staged["cells"] if c["cell_type"] == "code"]
    assert tags == [["exercise"], ["hide-input", "solution"], ["check"]]
