"""Execute one notebook for one run: ``python -m mmlib execute NOTEBOOK OUT [-f RUN.yml] [-p NAME VALUE]``."""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import yaml

from mmlib.runs.parameters import (
    check_type,
    check_value,
    notebook_parameters,
    own_parameters,
    run_parameters,
    sources,
    unknown_parameter,
)

#: Figures are saved as SVG with searchable words, without a date, which the guard would report; the same every time.
READABLE = """\
c.InlineBackend.figure_formats = FORMATS
c.InlineBackend.rc = {'svg.fonttype': 'none', 'svg.hashsalt': 'mmlib'}
c.InlineBackend.print_figure_kwargs = {'bbox_inches': 'tight', 'metadata': {'Date': None}}
"""


def execute(notebook: str | Path, out: str | Path, parameters: dict, *, figures: tuple = ("png",)) -> None:
    """Run a notebook through papermill and move the executed copy into place when it is complete.

    Parameters
    ----------
    notebook, out : path
        Source notebook and executed copy.
    parameters : dict
        Values to inject, already checked.
    figures : tuple of str
        How each is saved: as ``"png"``, as ``"svg"``, whose words `mmlib.runs.disclosure` can read, or as both.

    Raises
    ------
    FileNotFoundError
        If there is no such notebook.
    RuntimeError
        If a cell fails: one sentence that names its error. What was executed up to there is kept beside
        ``out``, as ``<name>.failed.ipynb``.
    """
    import papermill  # slow to import: only once everything is known to be in order
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    # papermill writes both paths into the copy that readers download: keep this machine's folders out of it.
    notebook, out = Path(os.path.relpath(notebook)), Path(os.path.relpath(out))
    # the copy holds them as JSON, whose keys are text and which has no dates: a modality may be called 7
    parameters = json.loads(json.dumps(parameters, default=str))
    failed, part = out.with_suffix(".failed.ipynb"), out.with_name(f".{out.stem}.part.ipynb")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        # a port that is free now may be another kernel's before this one listens: sockets are files
        drawing = _readable_figures(figures) if "svg" in figures else nullcontext()
        with tempfile.TemporaryDirectory() as sockets, drawing:
            papermill.execute_notebook(
                notebook,
                part,
                parameters,
                kernel_name="python3",
                progress_bar=sys.stderr.isatty(),
                config=Config(
                    {
                        "KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"},
                        # what stops a notebook comes as a message, not from this log
                        "NotebookClient": {"extra_arguments": ["--log-level=CRITICAL"]},
                    }
                ),
                request_save_on_cell_execute=False,  # once, at its end or where it stops
            )
        content = json.loads(part.read_text(encoding="utf-8"))
        content["metadata"]["papermill"]["output_path"] = out.as_posix()
        content["metadata"]["drawn_by"] = drawing_digest(notebook)
        content["metadata"]["sha256"] = copy_digest(content)
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, out)
        failed.unlink(missing_ok=True)
    except papermill.PapermillExecutionError as error:
        os.replace(part, failed)
        message = str(error.evalue).strip().partition("\n")[0]
        raise RuntimeError(
            f"{notebook} stopped in cell [{error.exec_count}] with {error.ename}: {message} "
            f"(executed up to there: {failed})"
        ) from None
    except DeadKernelError:
        raise RuntimeError(
            f"{notebook} stopped because its kernel was killed; is there enough memory?"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def copy_digest(content: dict) -> str:
    """Sha256 of an executed copy, without the one that is written in it."""
    metadata = {key: value for key, value in content["metadata"].items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content | {"metadata": metadata}).encode()).hexdigest()


def drawing_digest(notebook: str | Path) -> str:
    """Sha256 of those modules of the room ``show`` that a notebook imports."""
    files = [Path(file) for file in sources(notebook)]
    drawing = [file for file in files if file.resolve().parent == Path(__file__).resolve().parents[1] / "show"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in drawing)).hexdigest()


def drawn_earlier(notebook: str | Path, executed: str | Path) -> bool:
    """Whether the drawing modules have changed since the figures of an executed copy were drawn."""
    if not Path(executed).is_file():
        return False
    drawn_by = json.loads(Path(executed).read_text(encoding="utf-8"))["metadata"].get("drawn_by")
    return drawn_by is not None and drawn_by != drawing_digest(notebook)


@contextmanager
def _readable_figures(formats):
    """Context in which new kernels save figures as in ``READABLE``."""
    before = os.environ.get("IPYTHONDIR")
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile_default"
        profile.mkdir()
        settings = READABLE.replace("FORMATS", repr(set(formats)))
        (profile / "ipython_kernel_config.py").write_text(settings, encoding="utf-8")
        os.environ["IPYTHONDIR"] = folder
        try:
            yield
        finally:
            os.environ.pop("IPYTHONDIR")
            if before is not None:
                os.environ["IPYTHONDIR"] = before


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if all went well, 1 after a message that says what failed."""
    parser = argparse.ArgumentParser(prog="python -m mmlib execute", description=__doc__.partition(":")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path, help="where the executed copy goes")
    parser.add_argument("-f", "--file", type=Path, help="the run: a YAML of parameters; not over all runs")
    parser.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="one parameter of this notebook, over what the file says; may be repeated",
    )
    options = parser.parse_args(arguments)
    try:
        parameters = own_parameters(options.notebook, options.file) if options.file else {}
        defaults = notebook_parameters(options.notebook)
        for name, text in options.parameter:
            if name not in defaults:
                raise unknown_parameter(name, defaults, owner=str(options.notebook))
            parameters[name] = _value(text, defaults[name])
            check_type(name, parameters[name], defaults[name])
            check_value(name, parameters[name])
        figures = ("svg",)  # without a file, it may show data of any run
        if options.file:
            run = run_parameters(options.file, sorted(options.notebook.parent.glob("*.ipynb")))
            figures = ("png", "svg") if run.get("credentialed") else ("png",)
        execute(options.notebook, options.out, parameters, figures=figures)
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _value(text, default):
    """Value of the command line: text stays text, all else is YAML, and 1e-3 is a number."""
    if isinstance(default, str):
        return text
    try:
        return float(text) if isinstance(default, float) else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text  # not of the default's type: the check of types reports it
