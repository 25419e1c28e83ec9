import io
import json
from contextlib import chdir, redirect_stderr
from pathlib import Path

import pandas as pd
import pytest

from mmlib.__main__ import main
from mmlib.runs import artefacts
from tests.check_verdicts import disagreements

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / "notebooks/story").glob("*.ipynb"))
#: Executed once per book, with what; of a smaller twin here.
SIZES = "{training: 1000, validation: 1000, tested: 1500, population: 20000}"
SMOKE = "{smoke: {title: smoke test, kind: health}}"
ACROSS = {path.stem: ["-p", "runs", SMOKE] for path in NOTEBOOKS if path.parent.name == "story"}
ACROSS["1_paradox"] = ["-p", "sizes", SIZES]
OF_TWINS = ["10_leak", "11_finetune"]  # the first of runs of MIMIC-Eye or its twin, the second a recipe
OF_SCORES = ["14_predictions", "15_adding", "16_missing"]  # of runs of predictions
OF_SIGNALS = ["12_learned", "13_elsewhere"]  # of runs with signals, or with several places


def execute(notebook, results, *extra, file=ROOT / "notebooks" / "params" / "smoke.yml"):
    """Exit code and standard error of ``python -m mmlib execute``, and where the executed copy is."""
    out = results / file.stem / "notebooks" / notebook.name
    words = ["execute", str(notebook.relative_to(ROOT)), str(out)]
    words += [*ACROSS.get(notebook.stem, ["-f", str(file)]), *extra]
    if notebook.stem != "1_paradox":  # reads and writes nothing
        words += ["-p", "results", str(results)]
    with chdir(ROOT), redirect_stderr(io.StringIO()) as said:
        code = main(words)
    return code, said.getvalue(), out


@pytest.fixture(scope="module")
def study(tmp_path_factory, warm_kernels):
    """The notebooks, executed one after another on a small piece of real data."""
    results = tmp_path_factory.mktemp("results")
    executed = {}
    for notebook in NOTEBOOKS:
        if notebook.stem not in OF_TWINS + OF_SIGNALS + OF_SCORES:
            code, said, executed[notebook.stem] = execute(notebook, results)
            assert code == 0, said
    return results, executed


def test_every_artefact_is_written_and_keeps_its_contract(study):
    results, _ = study
    for name, (_, notebook) in artefacts.ARTEFACTS.items():
        if notebook not in OF_TWINS + OF_SIGNALS + OF_SCORES:
            artefacts.read("smoke", name, root=results)


def test_results_carry_intervals_and_sizes(study):
    results, _ = study
    for name in ("rq1", "rq2", "fairness", "selection", "mitigation"):
        table = artefacts.read("smoke", name, root=results)
        known = table[table.estimate.notna() & table.low.notna()]
        assert len(known) > 0.5 * len(table)
        assert (known.low <= known.high + 1e-9).all()
        assert (table.n > 0).all()


def shows_only_results(path):
    """Say whether no cell of an executed notebook shows an error, a warning or a path of this machine."""
    outputs = [o for cell in json.loads(path.read_text())["cells"] for o in cell.get("outputs", [])]
    bad = [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr" or str(ROOT) in json.dumps(o)]
    assert not bad, bad
    return True


def test_every_page_gives_a_declared_comparison_the_same_verdict(study):
    """The tables, the sentences of all chapters and the claims page; and a page that says otherwise is found."""
    results, executed = study
    asked = results, ["smoke"], executed["7_claims"]
    assert disagreements(*asked) == []
    for name in ("05_fairness", "7_claims"):
        text = executed[name].read_text()
        executed[name].write_text(text.replace("undecided", "differs"))
        assert disagreements(*asked)
        executed[name].write_text(text)


def test_no_notebook_shows_an_error_a_warning_or_a_path(study):
    _, executed = study
    assert all(shows_only_results(path) for path in executed.values())
    assert all('"image/png"' in path.read_text() for path in executed.values())


def test_every_figure_has_a_caption_and_every_picture_words():
    for notebook in NOTEBOOKS:
        for cell in json.loads(notebook.read_text())["cells"]:
            source = "".join(cell["source"])
            drawn = source.endswith(";") and "artefacts.write" not in source
            shown = cell["metadata"].get("mystnb", {})
            assert not drawn or (shown["figure"]["caption"] and shown["image"]["alt"]), source


def test_the_same_seed_gives_the_same_numbers(study):
    results, _ = study
    notebook = ROOT / "notebooks" / "05_fairness.ipynb"
    before = artefacts.read("smoke", "fairness", root=results)
    code, said, _ = execute(notebook, results)
    assert code == 0, said
    pd.testing.assert_frame_equal(before, artefacts.read("smoke", "fairness", root=results))


def test_a_notebook_without_its_input_names_the_command_that_makes_it(tmp_path, warm_kernels):
    code, said, _ = execute(ROOT / "notebooks" / "02_encoding.ipynb", tmp_path)
    assert code == 1
    assert "papermill notebooks/01_cohort.ipynb" in said
    assert not list(tmp_path.rglob("*.nc"))
