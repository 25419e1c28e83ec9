"""Snakemake in processes that start in a moment: forked from one that has it in memory, and none of our modules."""

import os
import sys
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess

CONTEXT = get_context("forkserver")
#: What Snakemake imports once it is called.
ON_ITS_WAY = ["snakemake.profiles", "snakemake.report.html_reporter", "snakemake.storage", "smart_open", "pandas"]
CONTEXT.set_forkserver_preload(["snakemake.cli", *ON_ITS_WAY])


def run_snakemake(folder: Path, *arguments: str) -> CompletedProcess:
    """Exit code, standard output and standard error of ``snakemake`` in a checkout, with the library that is there."""
    process = CONTEXT.Process(target=_main, args=(folder, arguments))
    process.start()
    process.join()
    said = ((folder / f".{name}").read_text() for name in ("stdout", "stderr"))
    return CompletedProcess(arguments, process.exitcode, *said)


def _main(folder, arguments):
    os.chdir(folder)
    os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(folder)}
    sys.path.insert(0, str(folder))
    for stream in (sys.stdout, sys.stderr):
        with open(f".{stream.name.strip('<>')}", "w") as file:
            os.dup2(file.fileno(), stream.fileno())
    from snakemake.cli import main

    main(list(arguments))
