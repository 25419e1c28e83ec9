import json

import pytest

from mmlib.runs.execution import execute, main
from mmlib.runs.mend import remove_damaged

PARAMETERS = ("parameters", 'run = "demo"\nrate = 0.1\nname = "a"\nknobs = {}')


@pytest.fixture
def folder(tmp_path, monkeypatch, write_notebook):
    """A checkout with one notebook and one run, as working directory."""
    monkeypatch.chdir(tmp_path)
    write_notebook(tmp_path / "notebooks" / "01_demo.ipynb", PARAMETERS, "print(run, rate, name, knobs)")
    write_notebook(tmp_path / "notebooks" / "02_other.ipynb", ("parameters", "width = 32"))
    (tmp_path / "run.yml").write_text("run: demo\ntitle: Demo\nrate: 0.5\nwidth: 64\n")
    return tmp_path


def printed(file):
    outputs = [output for cell in json.loads(file.read_text())["cells"] for output in cell.get("outputs", [])]
    return "".join(
        "".join(output.get("text", "")) for output in outputs if output.get("name") == "stdout"
    ).strip()


def test_file_and_command_line_reach_the_notebook(folder, capfd):
    arguments = ["notebooks/01_demo.ipynb", "results/demo/01_demo.ipynb", "-f", "run.yml"]
    more = ["-p", "rate", "1e-3", "-p", "name", "12", "-p", "knobs", "{7: 2026-01-31, a: [1, 2]}"]
    assert main(arguments + more) == 0
    out = folder / "results" / "demo" / "01_demo.ipynb"
    assert printed(out) == "demo 0.001 12 {'7': '2026-01-31', 'a': [1, 2]}"
    assert "width" not in out.read_text()  # belongs to the other notebook
    assert str(folder) not in out.read_text()  # no path of this machine reaches a reader
    assert json.loads(out.read_text())["metadata"]["papermill"]["output_path"] == "results/demo/01_demo.ipynb"
    assert [file.name for file in out.parent.iterdir()] == ["01_demo.ipynb"]
    assert "%|" not in capfd.readouterr().err  # no progress bar: standard error is not a terminal


def test_a_notebook_over_all_runs_needs_no_file(folder):
    assert main(["notebooks/01_demo.ipynb", "results/book/01_demo.ipynb", "-p", "knobs", '{"one": "One, 1st"}']) == 0
    assert printed(folder / "results" / "book" / "01_demo.ipynb") == "demo 0.1 a {'one': 'One, 1st'}"


def test_a_changed_number_in_an_executed_copy_is_noticed(folder):
    out = folder / "results" / "demo" / "notebooks" / "01_demo.ipynb"
    assert main(["notebooks/01_demo.ipynb", str(out), "-f", "run.yml"]) == 0
    assert remove_damaged() == []
    out.write_text(out.read_text().replace("demo 0.5 a", "demo 0.7 a"))
    assert remove_damaged() == [f"{out.relative_to(folder)} is damaged; it was removed and will be made again."]
    assert not out.exists()


def test_a_failing_cell_leaves_one_sentence_and_a_copy(folder, write_notebook, capsys):
    out = folder / "out" / "bad.ipynb"
    write_notebook(
        folder / "notebooks" / "bad.ipynb", "print('so far')", "raise KeyError('cohort.parquet has no fold')"
    )
    assert main(["notebooks/bad.ipynb", str(out), "-f", "run.yml"]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(
        "notebooks/bad.ipynb stopped in cell [2] with KeyError: 'cohort.parquet has no fold'"
    )
    assert [file.name for file in out.parent.iterdir()] == ["bad.failed.ipynb"]
    assert printed(out.parent / "bad.failed.ipynb") == "so far"

    write_notebook(folder / "notebooks" / "bad.ipynb", "print('mended')")
    execute("notebooks/bad.ipynb", out, {})
    assert [file.name for file in out.parent.iterdir()] == ["bad.ipynb"]


def test_a_killed_kernel_is_said_to_be_one(folder, write_notebook):
    write_notebook(folder / "notebooks" / "big.ipynb", "import os; os._exit(1)")
    with pytest.raises(RuntimeError, match=r"big\.ipynb stopped because its kernel was killed"):
        execute(folder / "notebooks" / "big.ipynb", folder / "out" / "big.ipynb", {})
    assert list((folder / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["-p", "raet", "1"],
            "parameter 'raet' is unknown to notebooks/01_demo.ipynb; the nearest known name is 'rate'.",
        ),
        (["-p", "width", "1"], "parameter 'width' is unknown to notebooks/01_demo.ipynb"),
        (["-p", "rate", "high"], "parameter 'rate' is text ('high'), expected a number"),
        (["-p", "knobs", "{a"], "parameter 'knobs' is text ('{a'), expected a mapping"),
        (["-f", "no.yml"], "There is no run file no.yml; the runs in that folder are: run."),
    ],
)
def test_bad_parameters_stop_before_anything_runs(folder, capsys, more, message):
    assert main(["notebooks/01_demo.ipynb", "out/demo.ipynb", "-f", "run.yml", *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert not (folder / "out").exists()
