"""Chapters run as plain code in this process: for what they write, where no page and no kernel is needed."""

import json
from contextlib import chdir
from pathlib import Path

import matplotlib.pyplot as plt

from mmlib.runs.parameters import own_parameters

ROOT = Path(__file__).parents[1]


def run_chapter(name: str, file: Path | None = None, *, folder: Path = ROOT, **changed) -> dict:
    """Names that a notebook leaves behind, run in a folder with the parameters of a run's file and some of its own."""
    notebook, names = ROOT / "notebooks" / f"{name}.ipynb", {}
    given = (own_parameters(notebook, file) if file else {}) | changed
    with chdir(folder), plt.rc_context({"backend": "agg"}):
        for cell in json.loads(notebook.read_text())["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), notebook.name, "exec"), names)
                plt.close("all")
            if "parameters" in cell["metadata"].get("tags", []):
                names |= given
    return names
