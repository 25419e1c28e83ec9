import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup

from mmlib.runs.execution import execute
from tests.browser import CHROMIUM, browse
from tests.runs.test_staging import write_sizes

pytestmark = pytest.mark.whole
ROOT = Path(__file__).parents[2]
IMPORTS = """\
import sys
import warnings

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown
from myst_nb import glue
"""
ANSWER = """\
glue(f"{run}-auroc", value, display=False)
glue(f"{run}-n", 9105, display=False)
glue(f"{run}-name", "a plain sentence.", display=False)
glue(f"{run}-answer", Markdown(f"It is **{value}**, see {{numref}}`{run}-fig-line`."), display=False)
"""
QUESTION = """\
# What happens?

```{glue:md} RUN-answer
:format: myst
```

Value {glue:text}`RUN-auroc:.2f`, {numref}`RUN-fig-line`, {numref}`RUN-tab-sizes`, {eq}`RUN-eq-mean`,
and {cite:t}`Sampath2025`.

$$ m = \\frac{1}{n} \\sum_i x_i $$ (RUN-eq-mean)
"""
EXERCISE = """\
```{exercise} Try it
:label: RUN-ex-try

What if?
```

```{solution} RUN-ex-try
:class: dropdown

So.
```
"""
FIGURE = {
    "figure": {"name": "RUN-fig-line", "caption": "From {glue:text}`RUN-n:,d` samples."},
    "image": {"alt": "A line."},
}
TABLE = {"figure": {"name": "RUN-tab-sizes", "caption": "Sizes."}}
LANDING = """\
# Landing

Number {glue:text}`/notebooks/01_first.ipynb::RUN-auroc:.2f`;
words: {glue:text}`/notebooks/01_first.ipynb::RUN-name:s`
See {numref}`RUN-fig-line`, {numref}`RUN-tab-sizes`, {mod}`mmlib.runs.staging`
and [the chapter](../notebooks/01_first.ipynb).

```{figure} /figures/RUN-fig-line.png
:name: fig-landing
:alt: The same line.

The one figure.
```

<ORIGIN-URL>

```{table-in-part}
:file: tables/rate_coverage.csv
:columns: quantity; coverage
:rows: 2
```
"""


def git(folder, *words):
    subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True)


def build(folder, tree):
    """Stage the book and make its pages as `make book` does."""
    words = ["-m", "mmlib", "stage", "--runs", "alpha", "beta_run", "--out", tree, "--render"]
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=here, capture_output=True, text=True)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, write_notebook, warm_kernels):
    """The book's real configuration, extension and a page of its reference around two small notebooks, run twice."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "_config.yml", folder)
    (folder / "book" / "index.md").write_text(LANDING)
    (folder / "book" / "share.md").write_text("# Share a run\n")  # to which a summary leads
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [entry for part in toc["parts"] for entry in part["chapters"]]
    pages = [page for entry in chapters for page in (entry, *entry.get("sections", []))]
    chapters = [{"file": "notebooks/01_first"}, {"file": "notebooks/02_second"}]
    keep = [entry for entry in pages if entry["file"] in ("book/api/runs", "book/references", "book/share")]
    parts = [
        {"caption": "Cohort by cohort", "chapters": chapters},
        {"caption": "Look up", "chapters": keep},
    ]
    (folder / "_toc.yml").write_text(
        yaml.safe_dump({"format": "jb-book", "root": toc["root"], "parts": parts})
    )

    first = write_notebook(
        folder / "notebooks" / "01_first.ipynb",
        ("markdown", QUESTION),
        ({"tags": ["parameters", "remove-cell"]}, 'run = "none"\nvalue = 0.5\nseed = 7'),
        IMPORTS,
        ({"mystnb": FIGURE}, "fig, ax = plt.subplots()\nax.plot([1, 3, 2]);"),
        ({"mystnb": TABLE}, 'pd.DataFrame({"group": ["a", "b"], "n": [30, 12]}).style.hide(axis="index")'),
        'warnings.warn("a warning with a path")',
        ANSWER,
        ("markdown", EXERCISE),
    )
    second = write_notebook(
        folder / "notebooks" / "02_second.ipynb",
        (
            "markdown",
            "# And then?\n\nBefore: {glue:text}`01_first.ipynb::RUN-auroc:.1%`, {numref}`RUN-fig-line`.",
        ),
        ("parameters", 'run = "none"'),
    )
    alone = json.loads(second.read_text())
    alone["metadata"]["standalone"] = True
    second.write_text(json.dumps(alone))
    git(folder, "init")
    git(folder, "remote", "add", "origin", "git@github.com:a-team/book.git")
    (folder / "notebooks" / "params").mkdir()
    for run, title, value in (("alpha", "Alpha", 0.8312), ("beta_run", "Beta run", 0.2468)):
        (folder / "notebooks" / "params" / f"{run}.yml").write_text(f"run: {run}\ntitle: {title}\n")
        write_sizes(folder / "results", run)
        out = folder / "results" / run / "notebooks"
        execute(first, out / first.name, {"run": run, "value": value})
        execute(second, out / second.name, {"run": run})
    return folder


@pytest.fixture(scope="module")
def html(checkout):
    result = build(checkout, "_build/src")
    assert result.returncode == 0, result.stderr
    return checkout / "_build" / "html"


@pytest.fixture
def page(html):
    return lambda name: BeautifulSoup((html / f"{name}.html").read_text(), "html.parser")


def text_of(soup):
    return " ".join(soup.find("article").get_text().split())


def test_the_book_opens_at_index_html(html):
    assert "book/index.html" in (html / "index.html").read_text()


def test_the_landing_page_shows_the_first_run(page):
    text = text_of(page("book/index"))
    assert "Number 0.83; words: a plain sentence." in text
    assert "See Fig. 2, Table 1" in text
    links = [link["href"] for link in page("book/index").find("article").find_all("a", class_="internal")]
    assert {"../notebooks/01_first.html", "api/runs.html#module-mmlib.runs.staging"} <= set(links)
    figure = page("book/index").find("figure")
    assert figure.find("img")["alt"] == "The same line."


@pytest.mark.parametrize(
    ("folder", "number", "value", "title"),
    [("notebooks", "1", "0.83", "Alpha"), ("beta_run", "2", "0.25", "Beta run")],
)
def test_each_run_has_its_own_numbers_and_labels(page, folder, number, value, title):
    soup = page(f"{folder}/01_first")
    # only the story is numbered; figures of all study pages are counted together, after that of the landing page
    figure_number = int(number) + 1
    assert soup.find("article").find("h1").get_text().startswith(f"What happens? ({title})")
    text = text_of(soup)
    assert f"It is {'0.8312' if value == '0.83' else '0.2468'}, see Fig. {figure_number}." in text
    assert f"Value {value}, Fig. {figure_number}, Table {number}, ({number}), and Sampath" in text
    assert f"Exercise {number}" in text
    figure, table = soup.find_all("figure")
    assert (figure.find("img")["alt"], figure.find("figcaption").get_text().strip("#\n ")) == (
        "A line.",
        f"Fig. {figure_number} From 9,105 samples.",
    )
    assert f"Table {number} Sizes." in table.find("figcaption").get_text()
    assert table.find("td").get_text() == "a"


@pytest.mark.parametrize(
    ("folder", "percent", "number"), [("notebooks", "83.1%", "2"), ("beta_run", "24.7%", "3")]
)
def test_a_chapter_reads_the_earlier_one_of_its_own_run(page, folder, percent, number):
    assert f"Before: {percent}, Fig. {number}." in text_of(page(f"{folder}/02_second"))


def test_the_contents_name_the_runs(page):
    captions = [caption.get_text() for caption in page("book/index").find_all("p", class_="caption")]
    assert captions == ["Cohort by cohort", "Look up"]
    contents = page("book/index").find("nav", class_="bd-links")
    folded = contents.find_all("li", class_="toctree-l1")
    assert [entry.find("a").get_text(strip=True) for entry in folded[1:3]] == ["Alpha", "Beta run"]
    assert len(folded[1].find_all("li", class_="toctree-l2")) == 2
    links = [link["href"] for link in page("beta_run/summary").find_all("a", href=True)]
    # there is no such file in the repository, but an issue can be about the page
    assert not [link for link in links if link.startswith("http") and "summary" in link.partition("?")[0]]


@pytest.mark.parametrize("folder", ["notebooks", "beta_run"])
def test_launch_and_source_buttons_lead_to_the_file_in_the_repository(page, folder):
    pages = (page(f"{folder}/{name}") for name in ("01_first", "02_second"))
    first, second = ({link["href"] for link in one.find_all("a", href=True)} for one in pages)
    assert "https://github.com/a-team/book/edit/main/notebooks/01_first.ipynb" in first
    assert f"../_sources/{folder}/01_first.ipynb" in first  # the download is the executed copy
    binder = "https://mybinder.org/v2/gh/a-team/book/main?urlpath=lab/tree/notebooks/"
    assert f"{binder}02_second.ipynb" in second
    assert not [link for link in first if "binder" in link]  # it reads results, which the repository lacks


def test_numbers_of_tables_stand_at_the_right_and_words_at_the_left(page):
    table = page("notebooks/01_first").find("table")
    assert [cell.get("class", []) for cell in table.select("td")][:2] == [
        ["data", "row0", "col0"],
        ["data", "row0", "col1", "number"],
    ]
    assert "number" in table.select("th")[1]["class"] and "number" not in table.select("th")[0]["class"]


def test_a_long_csv_is_shown_in_part_with_how_it_was_made_and_a_link_to_the_whole(page):
    article = page("book/index").find("article")
    source = pd.read_csv(ROOT / "book" / "tables" / "rate_coverage.csv", dtype=str)
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in article.find("table").find_all("tr")]
    assert rows == [["quantity", "coverage"], *source[["quantity", "coverage"]].head(2).to_numpy().tolist()]
    link = article.find("a", class_="download")
    assert link.get_text() == f"{len(source)} rows, CSV" and link["href"].endswith("/rate_coverage.csv")
    assert f"made on {source.date[0]} by {source.command[0]}." in " ".join(link.find_parent("p").get_text().split())


def test_a_column_of_ages_or_of_long_texts_holds_no_numbers(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    from companion import align

    columns = {"age": ["18-49", "50-64"], "found": ["12", "9 of 19"], "why": ["x" * 50, "y"]}
    columns |= {
        "change": ["-0.02 [-0.04, +0.01]", "no interval"],
        "share": ["12.5%", "-"],
        "of": ["3 (1)", "1,000/2"],
    }
    shown = BeautifulSoup(align(pd.DataFrame(columns).to_html(index=False)), "html.parser")
    kinds = [(cell.get("class") or [""])[0] for cell in shown.select("tbody tr:first-child td")]
    assert kinds == ["", "", "statement", "number", "number", "number"]
    assert [(cell.get("class") or [""])[0] for cell in shown.select("th")] == kinds


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_search_puts_the_story_before_titles_elsewhere_and_the_library_last(html, tmp_path):
    script = (html / "_static" / "language_data.js").read_text()
    found = {
        "notebooks/story/3_adding": 5,
        "book/share": 15,
        "notebooks/03_rq1_addition": 5,
        "book/api/runs": 26,
    }
    ask = f"""<body><script>{script};
    const found = Object.entries({found}).map(([page, score]) => [page, "", "", null, score, ""]);
    found.forEach(item => {{ item[4] = Scorer.score(item); }});
    document.body.textContent = found.sort((a, b) => b[4] - a[4]).map(item => item[0]).join(" ");
    </script>"""
    assert browse(ask, tmp_path).body.text.split() == list(found)


def test_binder_gets_the_whole_address_of_a_repository_that_is_not_on_github(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    from companion import drop_launch

    options = {"repository_url": "https://gitlab.com/a-team/part/book", "repository_branch": "main"}
    app = SimpleNamespace(config=SimpleNamespace(html_theme_options=options))
    app.env = SimpleNamespace(metadata={"a": {"standalone": True}})
    url = "https://mybinder.org/v2/gl/a-team/part%2Fbook/main?urlpath=lab/tree/a.ipynb"
    context = {"header_buttons": [{"label": "launch-buttons", "buttons": [{"url": url}]}]}
    drop_launch(app, "a", "", context, None)
    address = "https%3A%2F%2Fgitlab.com%2Fa-team%2Fpart%2Fbook"
    (launch,) = context["header_buttons"]
    assert (
        launch["buttons"][0]["url"] == f"https://mybinder.org/v2/git/{address}/main?urlpath=lab/tree/a.ipynb"
    )
    drop_launch(app, "another", "", context, None)
    assert not context["header_buttons"]


def test_the_address_of_the_repository_is_that_of_origin(page):
    assert page("book/index").find("article").find("a", href="https://github.com/a-team/book")


def test_the_parameters_used_are_shown_and_defaults_only_where_they_were_used(page):
    text = text_of(page("beta_run/01_first"))
    assert "value = 0.2468" in text and "seed = 7" in text
    assert "value = 0.5" not in text


def test_warnings_and_paths_do_not_reach_readers(html, checkout):
    for file in [*html.rglob("*.html"), *html.rglob("*.ipynb")]:
        assert str(checkout) not in file.read_text(), file
    for file in html.glob("*/01_first.html"):
        assert "UserWarning" not in file.read_text()


def test_reading_needs_no_network(html):
    assert (html / "_static" / "mathjax" / "tex-svg.js").stat().st_size > 1_000_000
    for file in {*html.glob("*/**/*.html")} - {*html.glob("_static/**/*.html")}:
        loaded = re.findall(
            r'(?:<script[^>]*src|<img[^>]*src|<link[^>]*stylesheet[^>]*href)="([^"]*)"', file.read_text()
        )
        assert loaded
        assert not [source for source in loaded if source.startswith(("http", "//"))], file
        assert all((file.parent / source.partition("?")[0]).exists() for source in loaded), file


def test_what_is_missing_stops_the_build(checkout):
    page, contents = checkout / "book" / "index.md", checkout / "_toc.yml"
    page.write_text(
        "# Landing\n\n{glue:text}`/notebooks/01_first.ipynb::alpha-no:.2f`\n\n{numref}`alpha-fig-no`\n\n"
        "{func}`mmlib.runs.staging.no_such_thing`\n\n{class}`array-like`\n"
    )
    toc = yaml.safe_load(contents.read_text())
    (part,) = (part for part in toc["parts"] if part["caption"] == "Look up")
    part["chapters"] = [entry for entry in part["chapters"] if entry["file"] != "book/api/runs"]
    contents.write_text(yaml.safe_dump(toc))
    result = build(checkout, "again/_build/src")
    assert result.returncode != 0
    warnings = [line for line in result.stderr.splitlines() if "WARNING" in line]
    assert len(warnings) == 3, result.stderr  # array-like is no reference of ours
    assert all(
        name in result.stderr for name in ("alpha-no", "alpha-fig-no", "mmlib.runs.staging.no_such_thing")
    )
