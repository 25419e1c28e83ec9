"""Beyond Jupyter Book: tables are numbered, aligned and cut, repeated runs link to their source, docstrings cite."""

import csv
import io
import os
import re
from pathlib import Path
from urllib.parse import quote

from bs4 import BeautifulSoup
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.parsers.rst.directives.tables import CSVTable
from docutils.statemachine import StringList
from numpydoc import docscrape_sphinx
from pybtex.plugin import find_plugin, register_plugin
from sphinx.jinja2glue import SandboxedEnvironment
from sphinx.transforms import SphinxTransform


class table_figure(nodes.figure):  # noqa: N801, docutils finds its visitors by this name
    """A figure that holds a table and is counted among the tables."""


class NumberTables(SphinxTransform):
    """Turn the output of code cells named ``...-tab-...`` from figures into numbered tables."""

    default_priority = 300  # after the cells are parsed, before labels are collected

    def apply(self):
        """Replace the nodes."""
        for figure in list(self.document.findall(nodes.figure)):
            if not any("-tab-" in name for name in figure["names"]):
                continue
            table = table_figure("", *figure.children, **figure.attributes)
            table["classes"].append("table-figure")  # book.css moves the caption above the table
            figure.replace_self(table)
            for identifier in table["ids"]:
                self.document.ids[identifier] = table


class TableInPart(CSVTable):
    """First rows, or some columns, of a CSV file; below it how it was made, once, and a link to the whole of it.

    ``:columns:`` takes names with semicolons between them. The columns ``date`` and ``command`` say how rows were made.
    """

    option_spec = {
        "file": directives.unchanged_required,
        "rows": directives.positive_int,
        "columns": directives.unchanged_required,
        "name": directives.unchanged,
    }

    def run(self):
        """Nodes of the table and of what stands below it."""
        env = self.state.document.settings.env
        relative, path = env.relfn2path(self.options.pop("file"))
        env.note_dependency(path)
        lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        made = {}
        for row in (row for row in rows if "date" in row):
            made.setdefault(row.pop("command"), set()).add(row.pop("date"))
        names = self.options.pop("columns", None)
        names = [name.strip() for name in names.split(";")] if names else list(rows[0])
        shown = rows[: self.options.pop("rows", len(rows))]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([names, *([row[name] for name in names] for row in shown)])
        self.content = StringList(text.getvalue().splitlines(), path)
        self.options |= {"header-rows": 1, "widths": "auto"}
        below = nodes.paragraph(classes=["data-links"])
        link = f"{{download}}`{len(rows)} rows, CSV </{relative}>`"
        how = [f"made on {' and '.join(sorted(dates))} by `{command}`" for command, dates in made.items()]
        self.state.nested_parse(StringList([", ".join([link, *how]) + "."], path), 0, below)
        return [*super().run(), *below.children]


#: A cell that holds a number, perhaps with its interval or what stands beside it in brackets; or that there is none.
NUMBER = re.compile(r"[-+\u2212<]?\s?\d[\d,.]*\s?%?(\s*[(/\[\u00b1].*)?")
NO_NUMBER = {"", "-", "\u2013", "no interval", "not computed", "nan"}


def align(html):
    """Table with the class ``number`` on cells of columns of numbers, ``statement`` on those of long texts."""
    table = BeautifulSoup(html, "html.parser")
    rows = [row.find_all(["th", "td"]) for row in table.select("tbody tr")]
    head = [row.find_all("th") for row in table.select("thead tr")]
    for place, cells in enumerate(zip(*rows, strict=False)):
        texts = [cell.get_text().strip() for cell in cells]
        numbers = [bool(NUMBER.fullmatch(text)) for text in texts]
        kind = "statement" if max(map(len, texts)) > 40 else ""
        if any(numbers) and all(n or text in NO_NUMBER for n, text in zip(numbers, texts, strict=True)):
            kind = "number"
        above = [row[place] for row in head if len(row) == len(rows[0])]
        for cell in (*cells, *above) if kind else ():
            cell["class"] = [*cell.get("class", []), kind]
    return str(table)


class AlignTables(SphinxTransform):
    """Put the numbers of tables from code at the right and give room to statements; book.css does the rest."""

    default_priority = 300

    def apply(self):
        """Replace the HTML of tables."""
        for raw in list(self.document.findall(nodes.raw)):
            if "<tbody" in raw.astext() and "<script" not in raw.astext():
                raw.replace_self(nodes.raw("", align(raw.astext()), **raw.attributes))


def link_source(app, page, template, context, doctree):
    """Point the buttons of ``<run>/<notebook>`` to ``notebooks/<notebook>``, which the repository has."""
    folder, _, name = page.partition("/")
    if name == "summary":  # written by the build: there is nothing to edit
        for group in (button for button in context["header_buttons"] if "buttons" in button):
            group["buttons"] = [item for item in group["buttons"] if f"/{page}." not in item.get("url", "")]
        return
    if folder in ("notebooks", "book") or context.get("page_source_suffix") != ".ipynb":
        return
    for button in context["header_buttons"]:
        for item in button.get("buttons", [button]):
            if item.get("url", "").startswith("http"):
                item["url"] = item["url"].replace(f"/{page}.", f"/notebooks/{name}.")


def drop_launch(app, page, template, context, doctree):
    """Leave out the launch button where the notebook is not `standalone`: a fresh clone has no results.

    The theme leaves the slashes of other repositories than those of GitHub, at which Binder would end their address.
    """
    groups = context.get("header_buttons", [])
    if "standalone" not in app.env.metadata.get(page, {}):
        context["header_buttons"] = [b for b in groups if b.get("label") != "launch-buttons"]
        return
    options = app.config.html_theme_options
    for item in (item for b in groups if b.get("label") == "launch-buttons" for item in b["buttons"]):
        host, binder, rest = item["url"].partition("/v2/")
        if binder and not rest.startswith("gh/"):
            address = quote(options["repository_url"], safe="")
            item["url"] = f"{host}/v2/git/{address}/{options['repository_branch']}?{rest.partition('?')[2]}"


def drop_thebe(app, page, template, context, doctree):
    """Leave out Thebe, which the book does not use: its script is added twice, an error in every console."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script} {getattr(script, 'attributes', '')}"
    ]


def cite(app, what, name, obj, options, lines):
    """Let docstrings cite ``[Key]_`` as in running text: the key is one of references.bib."""
    lines[:] = [re.sub(r"\[([A-Z][A-Za-z]+\d{4}[a-z]?)\]_", r":cite:p:`\1`", line) for line in lines]


def compile_once():
    """Let numpydoc compile its template once, not for each docstring: that is a tenth of the time of a book."""
    made = []

    def environment(loader):
        made[:] = made or [SandboxedEnvironment(loader=loader)]
        return made[0]

    docscrape_sphinx.SandboxedEnvironment = environment


def search_once():
    """Let pybtex know its plugin for plain text, which it searches among all packages for each citation."""
    group, name = "pybtex.backends", "plaintext"
    register_plugin(group, name, find_plugin(group, name))


#: Extensions that do not say whether pages may be read side by side: one numbers them afterwards, one is of LaTeX.
SILENT = ("sphinx_multitoc_numbering", "sphinx_jupyterbook_latex")


def read_side_by_side(app):
    """Read and write pages on all cores, for which jupyter-book has no option; who shares them out only waits."""
    app.parallel = (os.cpu_count() or 1) + 1
    for name in SILENT:
        app.extensions[name].parallel_read_safe = True


def setup(app):
    """Register with Sphinx."""
    compile_once()
    search_once()
    app.connect("builder-inited", read_side_by_side)
    app.config.html_search_scorer = str(Path(__file__).parents[1] / "_static" / "scorer.js")
    app.add_enumerable_node(table_figure, "table")
    app.add_directive("table-in-part", TableInPart)
    app.add_transform(NumberTables)
    app.add_transform(AlignTables)
    app.connect("html-page-context", link_source, priority=900)  # after the theme made its buttons
    app.connect("html-page-context", drop_launch, priority=900)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("autodoc-process-docstring", cite, priority=400)  # before numpydoc renames references
    return {"parallel_read_safe": True, "parallel_write_safe": True}
