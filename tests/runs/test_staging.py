import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mmlib import Groups
from mmlib.questions import size_table
from mmlib.runs import artefacts, share
from mmlib.runs.staging import (
    glued_text,
    label,
    main,
    named_images,
    put_answers,
    stage,
    stage_notebook,
    stage_toc,
)
from tests.runs.shared_run import make_cohort, make_tables, write_run

TOC = {
    "format": "jb-book",
    "root": "book/index",
    "parts": [
        {"caption": "Read", "chapters": [{"file": "book/methods", "sections": [{"file": "book/more"}]}]},
        {
            "caption": "Results",
            "chapters": [{"file": "notebooks/01_a"}, {"file": "notebooks/02_b"}],
        },
    ],
}
IMAGE = base64.b64encode(b"an image").decode()


def executed():
    figure = {
        "mystnb": {"figure": {"name": "RUN-fig-a", "caption": "See {numref}`RUN-tab-a`."}},
        "papermill": {},
    }
    outputs = [{"output_type": "display_data", "data": {"image/png": IMAGE}, "metadata": {}}]
    return {
        "cells": [
            {
                "cell_type": "markdown",
                "metadata": {},
                "source": ["(RUN-top)=\n", "# A question? \n", "# no heading"],
            },
            {"cell_type": "code", "metadata": figure, "source": ["x = 'RUN-'"], "outputs": outputs},
            {"cell_type": "code", "metadata": {}, "source": ["y"], "outputs": outputs},
            {"cell_type": "markdown", "metadata": {}, "source": ["# Later, `RUN-n` but not PRERUN-n"]},
        ],
        "metadata": {"papermill": {"start_time": "now"}, "kernelspec": {"name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_sizes(results, run):
    cohort = pd.DataFrame({"patient_id": map(str, range(100)), "label": np.arange(100) % 2, "sex": "Male"})
    sizes = size_table(cohort, pd.DataFrame({"labs": np.arange(100) % 4 > 0}), Groups({"sex": "Male"}))
    artefacts.write(sizes.assign(run=run), run, "sizes", settings={"task": "death"}, root=results)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Results of two runs."""
    folder = tmp_path_factory.mktemp("tables")
    for run in ("one", "two"):
        write_sizes(folder, run)
    return folder


@pytest.fixture
def checkout(tmp_path, monkeypatch, write_notebook, tables):
    """Two runs of two notebooks, executed, and three pages."""
    monkeypatch.chdir(tmp_path)
    for name in ("index", "methods", "more"):
        (tmp_path / "book").mkdir(exist_ok=True)
        (tmp_path / "book" / f"{name}.md").write_text(
            "# Page\n\n{glue:text}`/notebooks/01_a.ipynb::RUN-n:d`\n"
        )
    (tmp_path / "_config.yml").write_text("title: T\n")
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(TOC))
    shutil.copytree(tables, tmp_path / "results")
    for run in ("one", "two"):
        (tmp_path / "notebooks" / "params").mkdir(parents=True, exist_ok=True)
        (tmp_path / "notebooks" / "params" / f"{run}.yml").write_text(f"run: {run}\ntitle: Run {run}\n")
        for name in ("01_a", "02_b"):
            write_notebook(tmp_path / "notebooks" / f"{name}.ipynb", ("parameters", 'run = "one"'))
            folder = tmp_path / "results" / run / "notebooks"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.ipynb").write_text(json.dumps(executed()))
    return tmp_path


def test_pages_of_synthetic_data_say_so_under_their_heading(checkout):
    params = checkout / "notebooks" / "params" / "two.yml"
    params.write_text(params.read_text() + "kind: synthetic\n")
    out = stage(["one", "two"], "_build/src")
    for folder, told in (("notebooks", False), ("two", True)):
        for name in ("01_a", "02_b"):
            cells = json.loads((out / folder / f"{name}.ipynb").read_text())["cells"]
            lines = "".join(cells[0]["source"]).split("\n")
            heading = next(i for i, line in enumerate(lines) if line.startswith("# A question?"))
            following = "\n".join(lines[heading + 1 : heading + 4])
            assert ("{admonition} Synthetic data" in following) == told
            assert lines[-1] == "# no heading"


def test_pages_of_a_run_of_few_samples_say_so_under_their_heading(checkout):
    file = checkout / "results" / "two" / "notebooks" / "01_a.ipynb"
    notebook = executed()
    notebook["cells"] += told("two", "```{admonition} Very few samples\n```\n", "size-caution")["cells"]
    file.write_text(json.dumps(notebook))
    out = stage(["one", "two"], "_build/src")
    for folder, few in (("notebooks", False), ("two", True)):
        for name in ("01_a", "02_b"):
            cells = json.loads((out / folder / f"{name}.ipynb").read_text())["cells"]
            assert ("Run two)\n\n```{admonition} Very few samples\n```\n" in "".join(cells[0]["source"])) == few


def test_a_cell_that_may_say_nothing_is_left_out_when_it_does():
    notebook = executed()
    for outputs in ([], notebook["cells"][1]["outputs"]):
        notebook["cells"].append(
            {"cell_type": "code", "metadata": {"tags": ["if-any"]}, "source": ["z"], "outputs": outputs}
        )
    staged = stage_notebook(notebook, "demo")["cells"]
    assert ["".join(cell["source"]) for cell in staged].count("z") == 1 and len(staged) == 5


def test_a_credentialed_run_is_searched_before_anything_of_it_is_staged(checkout, monkeypatch):
    params = checkout / "notebooks" / "params" / "two.yml"
    params.write_text(params.read_text() + "credentialed: true\n")
    searched = []

    def refuse(run, notebooks, root):
        searched.append((run, list(notebooks), root.as_posix()))
        raise ValueError("01_a: cell 1 shows an identifier")

    monkeypatch.setattr("mmlib.runs.staging.guard", refuse)
    assert stage(["one"], "_build/src") and not searched
    with pytest.raises(ValueError, match="shows an identifier"):
        stage(["two"], "_build/other")
    assert searched == [("two", ["01_a", "02_b"], "results")]
    assert not (checkout / "_build" / "other").exists()


def test_two_executions_with_equal_numbers_give_the_same_page():
    def once(name, time, place):
        table = f"<style>#{name} td {{}}</style><table id='{name}'><td id='{name}_row0_col0'>1</td></table><p>T_a</p>"
        data = {"text/html": [table], "text/plain": [f"<Styler at {place}>"]}
        given = {"cell_type": "code", "id": name, "metadata": {"tags": ["injected-parameters"]}, "source": "y = 1"}
        cell = {"cell_type": "code", "metadata": {"execution": {"shell": time}}, "source": "x"}
        outputs = [{"data": dict(data)}, {"data": dict(data)}]
        return {"cells": [cell | {"outputs": outputs}, given], "metadata": {"sha256": name}}

    first = stage_notebook(once("T_1fd38", "2026-01-01", "0x7f01"), "book")
    assert first == stage_notebook(once("T_00c56", "2026-01-02", "0x7fab"), "book")
    assert first["cells"][0]["outputs"][1]["data"]["text/html"].count("T_0") == 3


def test_drawings_that_were_kept_to_be_searched_are_not_shown():
    notebook = executed()
    notebook["cells"][1]["outputs"][0]["data"]["image/svg+xml"] = "<svg/>"
    data = stage_notebook(notebook, "one", "One")["cells"][1]["outputs"][0]["data"]
    assert list(data) == ["image/png"]
    story = stage_notebook(notebook, "book")
    assert named_images(story) == {"book-fig-a.svg": b"<svg/>"}  # only the story is drawn in SVG


def test_parameters_that_were_not_given_stand_beside_those_that_were():
    def cell(tags, source):
        return {"cell_type": "code", "metadata": {"tags": tags}, "source": source, "outputs": []}

    source = "rule = 'f1'  # a rule\nrates = [\n    0.1,\n]  # rates\nseed = 0  # a seed"
    default = cell(["parameters", "remove-cell"], source)
    given = cell(["injected-parameters"], "# Parameters\nrates = [0.2]\n")
    staged = stage_notebook({"cells": [default, given], "metadata": {}}, "a")["cells"][0]
    assert staged["source"] == "# left at their defaults\nrule = 'f1'  # a rule\nseed = 0  # a seed"
    assert "remove-cell" not in staged["metadata"]["tags"]
    every = cell(["injected-parameters"], "rates = []\nrule = 'half'\nseed = 1")
    alone = stage_notebook({"cells": [default, every], "metadata": {}}, "a")["cells"][0]
    assert "remove-cell" in alone["metadata"]["tags"]


def test_labels_carry_the_run_and_code_does_not():
    notebook = stage_notebook(executed(), "support2", "SUPPORT2")
    first, figure, _, last = notebook["cells"]
    assert "".join(first["source"]) == "(support2-top)=\n# A question? (SUPPORT2)\n# no heading"
    assert figure["metadata"] == {
        "mystnb": {"figure": {"name": "support2-fig-a", "caption": "See {numref}`support2-tab-a`."}},
        "tags": ["hide-input"],
    }
    assert figure["source"] == ["x = 'RUN-'"]
    assert "".join(last["source"]) == "# Later, `support2-n` but not PRERUN-n"
    assert notebook["metadata"] == {"kernelspec": {"name": "python3"}}


@pytest.mark.parametrize(
    ("heading", "staged"),
    [("# RQ1", "# RQ1, Demo"), ("# Why?", "# Why? (Demo)"), ("# RQ1  \n# more", "# RQ1, Demo\n# more")],
)
def test_the_first_heading_names_the_run(heading, staged):
    notebook = {"metadata": {}, "cells": [{"cell_type": "markdown", "metadata": {}, "source": heading}]}
    assert "".join(stage_notebook(notebook, "demo", "Demo")["cells"][0]["source"]) == staged


def test_the_executed_copy_is_left_alone():
    notebook = executed()
    stage_notebook(notebook, "support2", "SUPPORT2")
    assert notebook == executed()


def test_images_of_named_cells_are_found():
    assert named_images(stage_notebook(executed(), "one", "One")) == {"one-fig-a.png": b"an image"}


@pytest.mark.parametrize("remote", ["", "../book.git", "https://example.org/a-team/book"])
def test_without_an_address_of_the_repository_none_is_named(checkout, remote):
    page = checkout / "book" / "more.md"
    page.write_text("# More\n\ngit clone ORIGIN-URL\nmake book\n")
    subprocess.run(["git", "init"], check=True, capture_output=True)
    if remote:
        subprocess.run(["git", "remote", "add", "origin", remote], check=True)
    out = stage(["one", "two"], "_build/src")
    assert (out / "book" / "more.md").read_text() == "# More\n\nmake book\n"
    config = yaml.safe_load((out / "_config.yml").read_text())
    assert set(config) == {"title", "html"} and set(config["html"]) == {"extra_footer"}


def test_buttons_and_pages_lead_to_the_address_of_the_repository(checkout):
    (checkout / "book" / "more.md").write_text("# More\n\ngit clone ORIGIN-URL\n")
    subprocess.run(["git", "init"], check=True, capture_output=True)
    remote = "https://me:secret@gitlab.com/a-team/part/book.git"
    subprocess.run(["git", "remote", "add", "origin", remote], check=True)
    out = stage(["one", "two"], "_build/src")
    address = "https://gitlab.com/a-team/part/book"
    assert (out / "book" / "more.md").read_text() == f"# More\n\ngit clone {address}\n"
    config = yaml.safe_load((out / "_config.yml").read_text())
    assert config["repository"] == {"url": address, "branch": "main"} and config["title"] == "T"
    assert config["html"]["use_edit_page_button"] and "colab_url" not in config["launch_buttons"]


def test_label_leaves_longer_words_alone():
    assert label("`RUN-a` (RUN-b)= TRUN-c RUNS-d", "x") == "`x-a` (x-b)= TRUN-c RUNS-d"


def test_the_part_of_notebooks_holds_an_entry_for_each_run_with_its_chapters_folded_under_it():
    own = {"one": ["01_a", "02_b"], "two": ["01_a", "02_b", "03_c"]}
    pages, cohorts = stage_toc(TOC, ["one", "two", "three"], own)["parts"]
    assert pages == TOC["parts"][0]
    assert cohorts["caption"] == "Results" and "numbered" not in cohorts
    one, two, shared = cohorts["chapters"]
    assert [entry["file"] for entry in (one, two, shared)] == ["notebooks/summary", "two/summary", "three/summary"]
    assert [chapter["file"] for chapter in one["sections"]] == ["notebooks/01_a", "notebooks/02_b"]
    assert [chapter["file"] for chapter in two["sections"]] == ["two/01_a", "two/02_b", "two/03_c"]
    assert "sections" not in shared


def test_a_shared_run_has_a_summary_that_says_where_it_is_from_and_no_chapters(checkout):
    write_run(checkout / "elsewhere", tables=make_tables(make_cohort()), public=True)
    elsewhere = {"results": checkout / "elsewhere/results", "params": checkout / "elsewhere/notebooks/params"}
    folder = share("toy", checkout / "book" / "runs", by="A group", **elsewhere)
    out = stage(["one"], "_build/src")
    assert not (out / "book" / "runs").exists()  # read, not shown
    assert [file.name for file in (out / "toy").iterdir()] == ["summary.md"]
    page = (out / "toy" / "summary.md").read_text()
    assert "Nothing on this page was computed when this book was built" in page and "by A group" in page
    assert "have changed since" in page  # here are other chapters
    assert "{admonition} Synthetic data" in page and "| race | Black | 400 | 120 | 50 |" in page
    assert "| race | Other | 20 | 4 | 2 of 4 |" in page
    assert "Nothing on this page" not in (out / "notebooks" / "summary.md").read_text()
    cohorts = yaml.safe_load((out / "_toc.yml").read_text())["parts"][1]["chapters"]
    assert [entry["file"] for entry in cohorts] == ["notebooks/summary", "toy/summary"]
    about = folder / "run.yml"
    about.write_text(about.read_text().replace("schema: 1", "schema: 0"))
    assert not (stage(["one"], "_build/src") / "toy").exists()


def test_a_tree_holds_pages_first_run_and_further_runs(checkout):
    out = stage(["two", "one"], "_build/src")
    names = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    notebooks = {f"{folder}/{name}.ipynb" for folder in ("notebooks", "one") for name in ("01_a", "02_b")}
    assert names == notebooks | {
        "notebooks/summary.md",
        "one/summary.md",
        "_config.yml",
        "_toc.yml",
        "book/index.md",
        "book/methods.md",
        "book/more.md",
        "book/_static/mathjax/tex-svg.js",
        "figures/one-fig-a.png",
        "figures/two-fig-a.png",
    }
    assert "::two-n:d" in (out / "book" / "index.md").read_text()
    assert "A question? (Run two)" in (out / "notebooks" / "01_a.ipynb").read_text()
    assert "A question? (Run one)" in (out / "one" / "01_a.ipynb").read_text()


def test_a_chapter_over_all_runs_is_there_once_without_a_title(checkout):
    parts = [*TOC["parts"], {"caption": "Across", "chapters": [{"file": "notebooks/story/8_c"}]}]
    (checkout / "_toc.yml").write_text(yaml.safe_dump(TOC | {"parts": parts}))
    with pytest.raises(
        FileNotFoundError, match=r"book/notebooks/8_c\.ipynb is missing; `make book` executes it"
    ):
        stage(["one", "two"], "_build/src")
    (checkout / "results" / "book" / "notebooks").mkdir(parents=True)
    (checkout / "results" / "book" / "notebooks" / "8_c.ipynb").write_text(json.dumps(executed()))
    out = stage(["one", "two"], "_build/src")
    first, figure, *_ = json.loads((out / "notebooks" / "story" / "8_c.ipynb").read_text())["cells"]
    assert "".join(first["source"]).startswith("(book-top)=\n# A question? \n")
    assert figure["metadata"]["mystnb"]["figure"]["name"] == "book-fig-a"
    assert (out / "figures" / "book-fig-a.png").is_file()
    captions = [part["caption"] for part in yaml.safe_load((out / "_toc.yml").read_text())["parts"]]
    assert captions == ["Read", "Results", "Across"]


def test_a_credentialed_run_is_looked_for_in_the_chapter_over_all_runs(checkout, monkeypatch):
    parts = [*TOC["parts"], {"caption": "Across", "chapters": [{"file": "notebooks/story/8_c"}]}]
    (checkout / "_toc.yml").write_text(yaml.safe_dump(TOC | {"parts": parts}))
    (checkout / "results" / "book" / "notebooks").mkdir(parents=True)
    (checkout / "results" / "book" / "notebooks" / "8_c.ipynb").write_text(json.dumps(executed()))
    params = checkout / "notebooks" / "params" / "two.yml"
    params.write_text(params.read_text() + "credentialed: true\n")
    searched = []
    guard = "mmlib.runs.staging.guard"
    monkeypatch.setattr(guard, lambda run, notebooks, root: searched.append((run, list(notebooks))))
    stage(["one", "two"], "_build/src")
    assert searched == [("two", ["01_a", "02_b", "8_c"])]


def test_a_chapter_that_one_run_has_is_searched_and_staged_for_it_alone(
    checkout, write_notebook, monkeypatch
):
    write_notebook(checkout / "notebooks" / "03_c.ipynb", ("parameters", 'run = "one"'))
    params = checkout / "notebooks" / "params" / "two.yml"
    params.write_text(params.read_text() + "credentialed: true\nchapters: [03_c]\n")
    searched = []
    guard = "mmlib.runs.staging.guard"
    monkeypatch.setattr(guard, lambda run, notebooks, root: searched.append((run, list(notebooks))))
    with pytest.raises(
        FileNotFoundError, match=r'two/notebooks/03_c\.ipynb is missing; `make book RUNS="two"`'
    ):
        stage(["one", "two"], "_build/src")
    (checkout / "results" / "two" / "notebooks" / "03_c.ipynb").write_text(json.dumps(executed()))
    out = stage(["one", "two"], "_build/src")
    assert searched == [("two", ["01_a", "02_b", "03_c"])]
    assert [file.parent.name for file in out.rglob("03_c.ipynb")] == ["two"]
    one, two = yaml.safe_load((out / "_toc.yml").read_text())["parts"][1]["chapters"]
    assert (len(one["sections"]), two["sections"][-1]["file"]) == (2, "two/03_c")


def test_a_tree_is_replaced_as_a_whole(checkout):
    stage(["one", "two"], "_build/src")
    out = stage(["one"], "_build/src")
    assert not (out / "two").exists()
    assert len(yaml.safe_load((out / "_toc.yml").read_text())["parts"][1]["chapters"]) == 1


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (
            ["three"],
            "There is no run file notebooks/params/three.yml; the runs in that folder are: one, two.",
        ),
        (["one", "one"], "The runs of the book are ['one', 'one'], expected one or more different ones."),
    ],
)
def test_bad_runs_end_in_one_sentence(checkout, capsys, runs, message):
    assert main(["--runs", *runs, "--out", "_build/src"]) == 1
    assert capsys.readouterr().err == message + "\n"
    assert not (checkout / "_build" / "src").exists()


def test_what_was_not_executed_names_the_command(checkout):
    (checkout / "results" / "two" / "notebooks" / "02_b.ipynb").unlink()
    with pytest.raises(
        FileNotFoundError, match=r'two/notebooks/02_b\.ipynb is missing; `make book RUNS="two"`'
    ):
        stage(["one", "two"], "_build/src")
    assert not (checkout / "_build" / "src").exists()


def test_a_page_of_the_contents_has_to_exist(checkout):
    (checkout / "book" / "more.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"_toc\.yml names 'book/more', but there is no such page"):
        stage(["one"], "_build/src")


@pytest.mark.parametrize(("name", "message"), [("book", "A run cannot be called 'book'"), ("figures", "'figures'")])
def test_a_run_cannot_take_a_name_with_another_meaning(checkout, name, message):
    (checkout / "notebooks" / "params" / f"{name}.yml").write_text(f"run: {name}\n")
    write_sizes(checkout / "results", name)
    with pytest.raises(ValueError, match=message):
        stage(["one", name], "_build/src")


def test_nothing_but_an_earlier_tree_is_overwritten(checkout):
    with pytest.raises(ValueError, match="holds something else than a staged book"):
        stage(["one"], "results")
    with pytest.raises(ValueError, match="holds something else than a staged book"):
        stage(["one"], ".")
    assert (checkout / "results" / "one" / "notebooks" / "01_a.ipynb").exists()


def told(run, text, key="rq1-answer"):
    data = {"application/papermill.record/text/markdown": text}
    output = {
        "output_type": "display_data",
        "data": data,
        "metadata": {"scrapbook": {"name": f"{run}-{key}"}},
    }
    return {"cells": [{"cell_type": "code", "metadata": {}, "source": [], "outputs": [output]}]}


def test_pages_quote_the_answers_of_the_first_run_or_of_every_run():
    found = {
        run: (title, glued_text([told(run, f"**In short.** AUROC of {title}.")], run))
        for run, title in (("one", "One"), ("two", "Two"))
    }
    assert found["two"] == ("Two", {"rq1-answer": "AUROC of Two."})
    page = "# Page\n\n% answer rq1-answer\n\n% answers rq1-answer\n% a comment\n"
    assert (
        put_answers(page, found)
        == "# Page\n\nAUROC of One.\n\n- **One.** AUROC of One.\n- **Two.** AUROC of Two.\n% a comment\n"
    )
    with pytest.raises(ValueError, match="no-answer.*'one' tell none"):
        put_answers("% answer no-answer", found)
    assert put_answers("% answers rq1-answer", found | {"three": ("Three", {})}).count("**") == 4


def as_scores(checkout, write_notebook):
    """Turn the run ``one`` into one of predictions."""
    for name in ("14_predictions", "05_fairness"):
        parameters = 'run = "one"\ncohort = "predictions"'
        write_notebook(checkout / "notebooks" / f"{name}.ipynb", ("parameters", parameters))
        (checkout / "results" / "one" / "notebooks" / f"{name}.ipynb").write_text(json.dumps(executed()))
    (checkout / "notebooks" / "params" / "one.yml").write_text("run: one\ntitle: Scores\ncohort: predictions\n")


def test_a_run_of_predictions_has_its_own_chapters_and_pages_quote_another_run(checkout, write_notebook):
    as_scores(checkout, write_notebook)
    out = stage(["one", "two"], "_build/src")
    cohorts = yaml.safe_load((out / "_toc.yml").read_text())["parts"][1]["chapters"]
    assert [entry["file"] for entry in cohorts] == ["notebooks/summary", "one/summary"]
    assert [s["file"] for s in cohorts[1]["sections"]] == ["one/14_predictions", "one/05_fairness"]
    assert "::two-n:d" in (out / "book" / "methods.md").read_text()


def test_pages_of_a_book_of_predictions_alone_quote_no_number(checkout, write_notebook):
    as_scores(checkout, write_notebook)
    page = (stage(["one"], "_build/src") / "book" / "methods.md").read_text()
    assert page == "# Page\n\nthe\n"


def test_every_page_says_at_its_foot_what_was_computed_here(checkout):
    shutil.copy(Path(__file__).parents[2] / "_config.yml", checkout)
    write_run(checkout / "elsewhere", tables=make_tables(make_cohort()), public=True)
    config = yaml.safe_load((stage(["one", "two"], "_build/src") / "_config.yml").read_text())
    assert "Computed in this build: Run one, Run two. Shown from shared" in config["html"]["extra_footer"]
    assert "commit unknown, date unknown" in config["html"]["extra_footer"]
    assert "CC BY 4.0" in config["html"]["extra_footer"]
