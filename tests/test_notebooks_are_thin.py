"""A student unfolds a cell and sees one call: what counts as thin, counted."""

import ast
import json
from pathlib import Path

import pytest

CHAPTERS = sorted((Path(__file__).parents[1] / "notebooks").glob("0[1-7]*.ipynb"))
LINES, LONGEST = 650, 12


def cells(notebook):
    """Code of every cell but the one of parameters."""
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
            yield "".join(cell["source"])


def lines_of(source):
    """Numbers of the lines that are neither blank nor import."""
    imports = [s for s in ast.parse(source).body if isinstance(s, ast.Import | ast.ImportFrom)]
    skipped = {line for s in imports for line in range(s.lineno, s.end_lineno + 1)}
    return [i for i, line in enumerate(source.splitlines(), 1) if line.strip() and i not in skipped]


def is_position(index):
    """Whether a subscript counts: a whole number, a slice or an ellipsis, alone or among others."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    values = [part.operand if isinstance(part, ast.UnaryOp) else part for part in parts]
    return any(
        isinstance(v, ast.Slice) or (isinstance(v, ast.Constant) and type(v.value) in (int, type(...))) for v in values
    )


def faults(source):
    """Statements that loop and results that are indexed by position."""
    for node in ast.walk(ast.parse(source)):
        loops = isinstance(node, ast.For | ast.While)
        if loops or (isinstance(node, ast.Subscript) and is_position(node.slice)):
            yield ast.unparse(node)


def test_the_chapters_of_a_run_hold_few_lines_and_no_long_cell():
    lengths = {(n.stem, source): len(lines_of(source)) for n in CHAPTERS for source in cells(n)}
    assert len(CHAPTERS) == 7 and sum(lengths.values()) <= LINES
    assert not [key for key, length in lengths.items() if length > LONGEST]


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda n: n.stem)
def test_no_cell_loops_or_counts_positions(notebook):
    assert not [fault for source in cells(notebook) for fault in faults(source)]


@pytest.mark.parametrize("source", ["x[0]", "x[..., 1]", "x[-1]", "t.iloc[:3]", "for a in b:\n    c(a)", "x['a', 1:]"])
def test_what_is_not_thin_is_found(source):
    assert list(faults(source)) and not list(faults("x['a'].sel(rate=0.5)[name]"))


def test_blank_lines_and_imports_do_not_count():
    assert lines_of("import a\nfrom b import (\n    c,\n)\n\nd = 1\n# e\n") == [6, 7]
