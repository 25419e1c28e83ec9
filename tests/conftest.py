import nbformat
import pytest


@pytest.fixture(scope="session")
def write_notebook():
    """Write a notebook; a cell is its code, (tag, code), (metadata, code) or ("markdown", text)."""

    def write(path, *cells):
        notebook = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        for number, cell in enumerate(cells):
            about, source = cell if isinstance(cell, tuple) else ({}, cell)
            if about == "markdown":
                new = nbformat.v4.new_markdown_cell(source)
            else:
                metadata = {"tags": [about]} if isinstance(about, str) else about
                new = nbformat.v4.new_code_cell(source, metadata=metadata)
            new["id"] = f"cell-{number}"
            notebook.cells.append(new)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write
