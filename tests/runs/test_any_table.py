"""Twenty tables of new users: each becomes a book without a warning, or one sentence of chapter 1."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.runs.tables import TABLES, write_run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BUILT = [name for name, table in TABLES.items() if not table.refused]
REFUSED = [name for name, table in TABLES.items() if table.refused]


def call(folder, *command):
    settings = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(folder),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | settings)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository with a run for every table."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("mmlib", "book", "notebooks"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for part in ("Snakefile", "_config.yml", "_toc.yml"):
        shutil.copy(ROOT / part, folder)
    for name, table in TABLES.items():
        settings = yaml.safe_dump(write_run(name, table, folder), sort_keys=False, allow_unicode=True)
        (folder / "notebooks" / "params" / f"{name}.yml").write_text(settings, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def executed(checkout):
    """What Snakemake says of the book of all tables that are not refused; a run that fails does not stop the others."""
    options = ["--cores", "all", "--keep-going", "--show-failed-logs", "--quiet", "host", "reason"]
    return call(checkout, "snakemake", *options, "--config", f"runs={' '.join(BUILT)}")


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_used_is_one_sentence_of_chapter_1(checkout, name):
    chapter, out = "notebooks/01_cohort.ipynb", f"results/{name}/notebooks/01_cohort.ipynb"
    command = ["-m", "mmlib", "execute", chapter, out, "-f", f"notebooks/params/{name}.yml"]
    done = call(checkout, sys.executable, *command)
    assert done.returncode == 1 and TABLES[name].refused in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", BUILT)
def test_a_table_becomes_a_book_without_a_warning(checkout, executed, name):
    for notebook in sorted((ROOT / "notebooks").glob("0[1-7]*.ipynb")):
        assert (checkout / f"results/{name}/notebooks/{notebook.name}").is_file(), (
            executed.stdout + executed.stderr
        )
    alone = f"_build/alone/{name}"  # beside the book of all: one of the tables is called html
    options = ["--runs", name, "--out", f"{alone}/_build/src", "--render"]
    built = call(checkout, sys.executable, "-m", "mmlib", "stage", *options)
    assert built.returncode == 0, built.stdout + built.stderr
    shutil.rmtree(checkout / alone)


def test_all_tables_become_one_book(checkout, executed):
    assert executed.returncode == 0, executed.stdout + executed.stderr
    assert (checkout / "_build" / "html" / "index.html").is_file()
