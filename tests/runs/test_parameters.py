import json
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
import yaml

import mmlib
from mmlib.data.cohorts import LOADERS
from mmlib.runs.parameters import (
    chapters_of,
    check_value,
    notebook_parameters,
    own_parameters,
    run_parameters,
    shared_runs,
    sources,
)
from tests.sentences import one_sentence

PACKAGE = Path(mmlib.__file__).parent
FIRST = """\
run = "demo"  # name of the run
folds = 5
rate = 0.1
protected = {
    "sex": "Male",
    "race": "White",
}  # attribute: reference group
flags = True
root = None
"""


@pytest.fixture
def notebooks(tmp_path, write_notebook):
    write_notebook(tmp_path / "01_first.ipynb", ("parameters", FIRST))
    write_notebook(tmp_path / "02_second.ipynb", ("parameters", 'run = "demo"\nwidth = 32\nheads = [1, 2]'))
    return sorted(tmp_path.glob("*.ipynb"))


def run_file(folder, text):
    file = folder / "demo.yml"
    file.write_text(text)
    return file


def test_parameters_are_those_papermill_sees(notebooks):
    found = notebook_parameters(notebooks[0])
    assert list(found) == list(papermill.inspect_notebook(notebooks[0]))
    assert found["protected"] == {"sex": "Male", "race": "White"}
    assert (found["folds"], found["rate"], found["flags"], found["root"]) == (5, 0.1, True, None)


def test_no_parameters_cell_means_no_parameters(tmp_path, write_notebook):
    assert notebook_parameters(write_notebook(tmp_path / "plain.ipynb", "x = 1")) == {}


@pytest.mark.bad_input
@pytest.mark.parametrize("code", ["n = len('abc')", "n: int = 3", "print('hello')", "n = = 3", "a, b = 1, 2"])
def test_anything_but_literals_is_refused(tmp_path, write_notebook, code):
    notebook = write_notebook(tmp_path / "odd.ipynb", ("parameters", code))
    with one_sentence(r"odd\.ipynb: the cell tagged 'parameters' .* write plain"):
        notebook_parameters(notebook)


@pytest.mark.bad_input
def test_files_that_are_no_notebooks(tmp_path):
    (tmp_path / "broken.ipynb").write_text("{")
    with one_sentence(r"broken\.ipynb is not a notebook"):
        notebook_parameters(tmp_path / "broken.ipynb")
    with one_sentence(r"no notebook .*other\.ipynb; .* are: broken\.ipynb\."):
        notebook_parameters(tmp_path / "other.ipynb")


def test_a_notebook_gets_its_own_parameters_in_its_own_order(tmp_path, notebooks):
    file = run_file(tmp_path, "title: Demo\nwidth: 64\nrate: 1\nfolds: 3\nrun: demo\n")
    assert list(own_parameters(notebooks[0], file).items()) == [("run", "demo"), ("folds", 3), ("rate", 1)]
    assert own_parameters(notebooks[1], file) == {"run": "demo", "width": 64}


@pytest.mark.bad_input
def test_a_misspelt_name_is_refused_with_the_nearest_one(tmp_path, notebooks):
    file = run_file(tmp_path, "run: demo\nwidht: 64\n")
    with one_sentence(r"demo\.yml: parameter 'widht' .* nearest known name is 'width'\."):
        own_parameters(notebooks[0], file)  # even by the notebook that does not take it


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ("folds: five", "text", "a whole number"),
        ("folds: 5.0", "a number", "a whole number"),
        ("folds: true", "true or false", "a whole number"),
        ("folds:", "empty", "a whole number"),
        ("rate: 1e-3", "text", "a number"),
        ("flags: 1", "a whole number", "true or false"),
        ("protected: [sex]", "a list", "a mapping"),
        ("heads: 4", "a whole number", "a list"),
        ("title: 3", "a whole number", "text"),
    ],
)
def test_an_ill_typed_value_is_refused(tmp_path, notebooks, line, found, expected):
    name = line.partition(":")[0]
    with one_sentence(rf"demo\.yml: parameter '{name}' is {found} \(.*expected {expected} "):
        run_parameters(run_file(tmp_path, line), notebooks)


@pytest.mark.parametrize("line", ["rate: 1", "rate: 1.0e-3", "root: data.csv", "root: 7", "title: Demo"])
def test_fitting_values_pass(tmp_path, notebooks, line):
    assert len(run_parameters(run_file(tmp_path, line), notebooks)) == 1


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("text", "message"), [("- a\n- b", "a list"), ("", "empty"), ("a: [1", "not readable")]
)
def test_a_run_is_a_mapping(tmp_path, notebooks, text, message):
    with one_sentence(rf"demo\.yml .*{message}"):
        run_parameters(run_file(tmp_path, text), notebooks)


def test_a_run_can_have_chapters_of_its_own_that_exist(tmp_path, notebooks):
    assert run_parameters(run_file(tmp_path, "chapters: [02_second]"), notebooks) == {"chapters": ["02_second"]}
    with pytest.raises(ValueError, match="chapters names '02_secnd', expected some of 01_first, 02_second"):
        run_parameters(run_file(tmp_path, "chapters: [02_secnd]"), iter(notebooks))


def test_a_run_is_of_one_kind(tmp_path, notebooks):
    assert run_parameters(run_file(tmp_path, "kind: other"), notebooks) == {"kind": "other"}
    with pytest.raises(ValueError, match="kind is 'twin', expected one of health, other, synthetic"):
        run_parameters(run_file(tmp_path, "kind: twin"), notebooks)


def test_a_run_is_public_or_credentialed(tmp_path, notebooks):
    assert run_parameters(run_file(tmp_path, "public: true"), notebooks) == {"public": True}
    with pytest.raises(ValueError, match="demo.yml is marked both public and credentialed; expected one of the two"):
        run_parameters(run_file(tmp_path, "public: true\ncredentialed: true"), notebooks)


@pytest.mark.bad_input
def test_an_unknown_run_names_those_there_are(tmp_path, notebooks):
    run_file(tmp_path, "run: demo")
    with one_sentence(r"no run file .*dmeo\.yml; .* are: demo\."):
        run_parameters(tmp_path / "dmeo.yml", notebooks)


def test_sources_are_what_python_loads(tmp_path, write_notebook):
    code = "from mmlib.runs.staging import label\nimport json"
    modules = "(m.__file__ for name, m in sys.modules.items() if name.split('.')[0] == 'mmlib')"
    script = f"import sys\n{code}\nprint(*{modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    notebook = write_notebook(tmp_path / "nb.ipynb", "%matplotlib inline\n!ls\n" + code)
    loaded = {Path(file).resolve() for file in loaded.split()}
    found = {Path(file).resolve() for file in sources(notebook)}
    assert found == {file for file in loaded if file.name != "__init__.py"}  # these only name what they export


def test_sources_see_every_way_to_import(tmp_path, write_notebook):
    cells = [
        "from mmlib.data import cohorts",
        "import mmlib.runs.parameters as r",
        "if True:\n    from mmlib.core.schema import Field",
    ]
    names = [Path(file).name for file in sources(write_notebook(tmp_path / "nb.ipynb", *cells))]
    assert {"parameters.py", "schema.py", "support2.py"} <= set(names)
    assert "stage.py" not in names
    assert sources(write_notebook(tmp_path / "none.ipynb", "import json")) == []


def test_sources_hold_the_pages_scripts_and_styles_of_a_module(tmp_path, write_notebook):
    def files(code):
        return {Path(file).name for file in sources(write_notebook(tmp_path / "nb.ipynb", code))}

    own = {"adding.html", "adding.js", "adding.css"}
    assert own <= files("from mmlib.show.adding import try_adding")
    assert not own & files("from mmlib.show import paradox")


def test_no_file_of_the_library_escapes_the_sources():
    others = [f for f in PACKAGE.rglob("*.*") if f.suffix not in (".py", ".pyc")]
    assert others and [f for f in others if not f.with_suffix(".py").is_file()] == []


def test_a_room_is_no_source_but_what_its_names_lead_to(tmp_path, write_notebook):
    def files(code):
        found = sources(write_notebook(tmp_path / "nb.ipynb", code))
        return {"/".join(Path(file).parts[-2:]) for file in found}

    assert files("from mmlib.core import subset_masks") == {"core/subsets.py"}
    assert {"measure/groups.py", "measure/metrics.py"} <= files("from mmlib import Groups")
    assert not [file for file in files("from mmlib import Groups") if "__init__" in file or "show/" in file]
    assert files("from mmlib import core") == files("import mmlib.core") > {"core/subsets.py", "core/schema.py"}


def test_weights_and_coefficients_beside_a_module_belong_to_its_sources(tmp_path, write_notebook):
    notebook = write_notebook(tmp_path / "nb.ipynb", "from mmlib.text import signals")
    names = {Path(file).name for file in sources(notebook)}
    assert {"signals.py", "delineation.py", "delineation.safetensors", "rhythm.py", "rhythm.json"} <= names


def test_code_that_is_not_python_is_named(tmp_path, write_notebook):
    with pytest.raises(ValueError, match=r"bad\.ipynb is not Python: .*'x = = 3'"):
        sources(write_notebook(tmp_path / "bad.ipynb", "x = = 3"))


def test_shared_runs_of_another_schema_and_runs_computed_here_are_left_out(tmp_path):
    for name, schema in (("one", 1), ("two", 1), ("old", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.yml").write_text(f"schema: {schema}\ntitle: {name}\n")
    assert shared_runs(tmp_path, besides=["two"]) == {"one": {"schema": 1, "title": "one"}}
    assert shared_runs(tmp_path / "nowhere") == {}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["book", "all"])
def test_no_run_takes_a_reserved_name(tmp_path, name):
    (tmp_path / f"{name}.yml").write_text("title: a\n")
    with one_sentence(f"A run cannot be called '{name}'"):
        run_parameters(tmp_path / f"{name}.yml", [])


@pytest.mark.bad_input
def test_no_run_is_public_and_credentialed(tmp_path):
    (tmp_path / "mine.yml").write_text("public: true\ncredentialed: true\n")
    with one_sentence("marked both public and credentialed"):
        run_parameters(tmp_path / "mine.yml", [])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cohort", "suport2", "parameter 'cohort' is 'suport2', expected one of mds_ed, meds, .*support2, table"),
        ("rule", "youden", "parameter 'rule' is 'youden', expected one of prevalence, f1, half"),
        ("unit", "notes", "parameter 'unit' is 'notes', expected one of field, note"),
        ("folds", 1, "parameter 'folds' holds 1, expected numbers from 2 to 100"),
        ("resamples", -5, "parameter 'resamples' holds -5, expected numbers from 1 to 1,000,000"),
        ("rates", [0.1, 20], "parameter 'rates' holds 20, expected numbers from 0 to 1"),
        ("rates", [0.1, "much"], "parameter 'rates' holds 'much', expected numbers"),
        ("validation", 0.9, "parameter 'validation' holds 0.9, expected numbers from 0.01 to 0.5"),
    ],
)
def test_a_value_that_no_chapter_could_use_is_refused_before_one_starts(tmp_path, write_notebook, name, value, message):
    default = value if not isinstance(value, list) else [0.5]
    notebook = write_notebook(tmp_path / "a.ipynb", ("parameters", f"{name} = {default!r}"))
    (tmp_path / "demo.yml").write_text(json.dumps({name: value}))
    with one_sentence(message):
        run_parameters(tmp_path / "demo.yml", [notebook])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cohort": "table", "cohort_options": {"lable": "x"}}, "cohort_options has 'lable', expected some of label"),
        ({"cohort": "support2", "cohort_options": {"limits": 5}}, "has 'limits', expected some of label, limit"),
        ({"architecture": {"epohcs": 5}}, "architecture has 'epohcs', expected some of family, width, heads"),
        ({"declared": [{"question": "rq3"}]}, "entry 1 .*: expected a mapping whose question is one of rq1, rq2, gap"),
        ({"declared": [{"question": "gap", "metric": "tpr"}]}, "entry 1 .*: expected both attribute and group"),
        ({"declared": ["rq1"]}, r"entry 1 \(rq1\): expected a mapping"),
        ({"declared": [{"question": "rq1", "metric": "auroc", 7: 1}]}, "'7' does not go with rq1"),
    ],
)
def test_names_that_no_chapter_knows_are_refused_before_one_starts(tmp_path, write_notebook, values, message):
    parameters = 'cohort = "support2"\ncohort_options = {}\narchitecture = {}\ndeclared = []'
    notebook = write_notebook(tmp_path / "a.ipynb", ("parameters", parameters))
    (tmp_path / "demo.yml").write_text(yaml.safe_dump(values))
    with one_sentence(rf"demo\.yml: .*{message}"):
        run_parameters(tmp_path / "demo.yml", [notebook])


def test_the_cohorts_are_those_that_have_a_loader():
    for name in [*LOADERS, "predictions"]:
        check_value("cohort", name)


def test_a_run_of_predictions_has_the_chapters_of_scores():
    usual = ["01_cohort", "05_fairness"]
    assert chapters_of({"cohort": "support2", "chapters": ["10_leak"]}, usual) == [*usual, "10_leak"]
    found = chapters_of({"cohort": "predictions", "chapters": ["16_missing"]}, usual)
    assert found == ["14_predictions", "16_missing", "05_fairness"]
