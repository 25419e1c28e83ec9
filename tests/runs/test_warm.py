"""Warm starts: the same as cold ones, and gone when the build is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmlib.runs.warm import PLACE, hand_over

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forking after imports is safe on Linux only")
TOLD = "import os, torch; print(torch.get_num_threads(), os.getcwd(), os.environ.get('MINE'), os.getppid())"


@pytest.fixture
def environment(warm_kernels):
    if PLACE not in os.environ:
        pytest.skip("there is a GPU, beside which nothing is forked")
    return dict(os.environ)


@contextmanager
def executing(notebook, out, **options):
    command = [sys.executable, "-m", "mmlib", "execute", str(notebook), str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options) as process:
        yield process


def run(*words, **options):
    with executing(*words, **options) as process:
        said = process.stderr.read()
    return process.returncode, said


def printed(executed):
    (output,) = json.loads(executed.read_text())["cells"][-1]["outputs"]
    return "".join(output["text"])


def alive(pid):
    status = Path(f"/proc/{pid}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()


def wait_for(happened):
    until = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_forked_notebook_has_the_folder_variables_and_threads_of_its_command(environment, tmp_path, write_notebook):
    notebook = write_notebook(tmp_path / "told.ipynb", ("parameters", ""), TOLD)
    own = environment | {"MINE": "here", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    assert run(notebook, tmp_path / "out.ipynb", cwd=tmp_path, env=own) == (0, "")
    threads, folder, mine, parent = printed(tmp_path / "out.ipynb").split()
    assert (threads, folder, mine) == ("1", str(tmp_path), "here")
    assert "mmlib.runs.warm" in Path(f"/proc/{parent}/cmdline").read_text()


def test_a_figure_is_shown_and_not_drawn_before_that(environment, tmp_path, write_notebook):
    count = "from matplotlib.backends.backend_agg import FigureCanvasAgg as Canvas\nfrom mmlib.show.style import plt\n"
    count += "own, drawn = Canvas.draw, []\nCanvas.draw = lambda canvas: drawn.append(1) or own(canvas)"
    cells = ("parameters", ""), count, "plt.subplots();", "print(len(drawn))"
    notebook, own = write_notebook(tmp_path / "figure.ipynb", *cells), environment | {"PYTHONPATH": os.getcwd()}
    assert run(notebook, tmp_path / "out.ipynb", cwd=tmp_path, env=own) == (0, "")
    assert '"image/svg+xml"' in (tmp_path / "out.ipynb").read_text()
    assert printed(tmp_path / "out.ipynb") == "0\n"


def test_a_figure_is_the_same_file_every_time(environment, tmp_path, write_notebook):
    cells = ("parameters", ""), "import matplotlib.pyplot as plt\nplt.plot([0, 1], marker='o');"
    notebook = write_notebook(tmp_path / "figure.ipynb", *cells)
    drawn = []
    for name in ("once.ipynb", "again.ipynb"):
        assert run(notebook, tmp_path / name, cwd=tmp_path, env=environment) == (0, "")
        (output,) = json.loads((tmp_path / name).read_text())["cells"][-1]["outputs"]
        drawn.append(output["data"]["image/svg+xml"])
    assert drawn[0] == drawn[1]


def test_a_message_and_the_exit_code_reach_the_terminal_that_asked(environment, tmp_path):
    code, said = run(tmp_path / "none.ipynb", tmp_path / "out.ipynb", env=environment)
    assert code == 1
    assert said.startswith("There is no notebook")


def test_what_was_forked_ends_with_a_command_that_is_killed(environment, tmp_path, write_notebook):
    code = "import os, time; from pathlib import Path; Path('pid').write_text(str(os.getpid())); time.sleep(600)"
    notebook = write_notebook(tmp_path / "long.ipynb", ("parameters", ""), code)
    own = environment | {"PYTHONPATH": os.getcwd()}
    with executing(notebook, tmp_path / "out.ipynb", cwd=tmp_path, env=own) as process:
        wait_for(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
        kernel = int((tmp_path / "pid").read_text())
        assert alive(kernel)
        process.kill()
    wait_for(lambda: not alive(kernel))


def test_the_process_that_forks_ends_with_its_build_and_takes_its_folder_along():
    code = "import sys, time; from mmlib.runs.warm import _STARTED, start_warm; told = start_warm(); "
    code += f"print(_STARTED[0].pid, told[{PLACE!r}], flush=True); time.sleep(600)"
    own = {name: value for name, value in os.environ.items() if name != PLACE}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=own) as build:
        pid, place = build.stdout.readline().split()
        assert alive(pid)
        build.send_signal(signal.SIGKILL)
    wait_for(lambda: not alive(pid))
    assert not Path(place).parent.exists()


def test_without_that_process_everything_starts_as_always(tmp_path, write_notebook):
    assert hand_over(None, ["plan"]) is None
    assert hand_over(str(tmp_path / "line"), ["plan"]) is None
    notebook = write_notebook(tmp_path / "cold.ipynb", ("parameters", ""), "print(1 + 1)")
    assert run(notebook, tmp_path / "out.ipynb", env=os.environ | {PLACE: str(tmp_path / "line")})[0] == 0
    assert printed(tmp_path / "out.ipynb") == "2\n"
