"""Processes that start in a moment, since they are forked from one that has the heavy libraries in memory.

A build starts some twenty notebooks, and each would import torch and the others anew, for seconds. `start_warm` starts
the process that forks. What ``python -m MODULE`` would do is then asked of it by a small client, this file run as a
script, which passes on its words, folder, environment and streams, and lives as long as what was forked. Kernels named
python3 are started so, and ``python -m mmlib VERB`` does it by itself.
"""

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from runpy import run_module

#: What most chapters import through the library. Not its room that draws, nor the backend of notebooks: these have to
#: find the shell that shows their figures.
HEAVY = """
ipykernel.kernelapp ipykernel.zmqshell ipykernel.debugger pandas pyarrow.parquet scipy.stats scipy.optimize xarray
h5netcdf pandera.pandas matplotlib.pyplot matplotlib.backends.backend_agg seaborn sklearn.linear_model sklearn.metrics
sklearn.ensemble sklearn.feature_extraction.text sklearn.model_selection sklearn.pipeline fairlearn.metrics
statsmodels.stats.multitest scipy.signal skimage.measure skimage.morphology wfdb torch torch._dynamo torch.onnx
safetensors.torch transformers transformers.models.auto.modeling_auto transformers.models.bert.modeling_bert
transformers.quantizers tokenizers.implementations
"""
#: What executes them.
ENGINE = "papermill papermill.clientwrap nbclient nbformat.v4 threadpoolctl"
#: What renders the pages.
PAGES = "jupyter_book.cli.main myst_nb.sphinx_ext numpydoc sphinx.ext.autosummary sphinx_book_theme"
#: The address of the process that forks, for those that it may serve.
PLACE = "MMLIB_WARM"
#: Processes that fork, which end when the one that started them does: it holds the other end of their input.
_STARTED = []


def start_warm() -> dict[str, str]:
    """Environment in which kernels and verbs of ``python -m mmlib`` are forked, as long as this process lives.

    It is empty where one has been started before, and where forking would be unsafe, so that everything starts as
    always: beside a GPU, which a forked process cannot use once it was asked for, and on systems other than Linux.
    """
    if PLACE in os.environ:
        return {}
    if sys.platform != "linux" or any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd")):
        return {}
    # asked for once, by matplotlib; and no warning of a debugger that nobody uses
    asked = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    command = [sys.executable, "-c", "from mmlib.runs.warm import serve; serve()"]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | asked
    )
    _STARTED.append(server)
    folder = server.stdout.readline().strip()
    search = os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH")]))
    return {PLACE: f"{folder}/line", "JUPYTER_PATH": search} if folder else {}


def stop_warm() -> None:
    """End the process that was started last, and with it what it has forked."""
    with _STARTED.pop() as server:
        server.stdin.close()


def hand_over(place: str | None, words: list[str]) -> int | None:
    """Exit code of a forked process that did as ``python -m`` with these words; None if nobody answers there."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(place or "")
        except OSError:
            return None
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches the forked process too, which tells how it ended
        socket.send_fds(line, [b" "], [0, 1, 2])
        own_session = os.getsid(0) == os.getpid()
        line.sendall(json.dumps([words, os.getcwd(), dict(os.environ), own_session]).encode() + b"\n")
        line.settimeout(1)
        parent = os.getppid()
        while os.getppid() == parent:
            with suppress(TimeoutError):
                return int(line.recv(9) or 1)
        return 1


def serve() -> None:
    """Fork a process for every client, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = tempfile.mkdtemp()
    with socket.socket(socket.AF_UNIX) as listener:
        spec = Path(folder) / "kernels" / "python3" / "kernel.json"
        spec.parent.mkdir(parents=True)
        words = ["ipykernel_launcher", "-f", "{connection_file}", f"--IPKernelApp.parent_handle={os.getpid()}"]
        argv = [sys.executable, "-I", "-S", __file__, f"{folder}/line", *words]
        spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"}))
        listener.bind(f"{folder}/line")
        listener.listen(64)  # clients wait from now on
        print(folder, flush=True)
        threading.Thread(target=_end_with_input, args=(folder,), daemon=True).start()
        load()
        gc.collect()
        gc.freeze()  # forked processes need not search these modules for garbage, nor copy their pages
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks the system how they ended: they tell it
        while True:
            line, _ = listener.accept()
            _, streams, *_ = socket.recv_fds(line, 1, 3)
            asked = json.loads(line.makefile().readline())
            if not os.fork():
                listener.close()
                _be(line, streams, *asked)
            for stream in streams:
                os.close(stream)
            line.close()


def load(step: int = 1) -> None:
    """Import the libraries; with -1 in reverse, so that two processes, one from each end, compile them sooner."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in [*HEAVY.split(), *ENGINE.split(), *PAGES.split(), *_own()][::step]:
            import_module(name)


def _own():
    """Names of the library's modules, without the room that draws."""
    library = Path(__file__).parents[1]
    files = [file.relative_to(library.parent) for file in sorted(library.glob("*/*.py")) if file.stem[0] != "_"]
    return [".".join(file.with_suffix("").parts) for file in files if file.parent.name != "show"]


def _end_with_input(folder):
    """End this process when the one that started it has ended."""
    while os.read(0, 1):  # not sys.stdin: what is forked while it is read could never close its own
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _be(line, streams, words, cwd, environment, own_session):
    """Do as ``python -m`` with these words would in that folder, tell how it ended, and end."""
    if own_session:
        os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    _use_threads(environment.get("OMP_NUM_THREADS"))
    code, sys.argv = 1, list(words)
    try:
        if words[0].startswith("-"):  # -u -c CODE: so a worker of pytest is started
            exec(words[-1], {"__name__": "__main__"})
        else:
            os.environ.pop(PLACE, None)  # for modules that would hand over what was handed over
            run_module(words[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with suppress(OSError):
            line.sendall(str(code).encode())
        os._exit(code)


def _end_with(line):
    """End this process when its client was killed."""
    with suppress(OSError):
        line.recv(1)
    os._exit(1)


def _use_threads(most):
    """Libraries ask the environment when they are loaded; these have been loaded before."""
    if most:
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(int(most))
        threadpool_limits(int(most))


if __name__ == "__main__":
    place, *words = sys.argv[1:]
    code = hand_over(place, words)
    if code is None:
        os.execv(sys.executable, [sys.executable, *([] if words[0].startswith("-") else ["-m"]), *words])
    sys.exit(code)
