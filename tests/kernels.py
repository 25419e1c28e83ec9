"""Kernels that start in a moment: forked from one process that has the heavy libraries in memory, none of ours.

``python -m tests.kernels FOLDER`` is that process. The kernel specification in its folder starts a small client that
passes on where it was started, and lives as long as the kernel.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from unittest import mock

#: What most chapters import through the library; its own modules are imported anew by every kernel.
HEAVY = """
ipykernel.kernelapp ipykernel.zmqshell pandas pyarrow.parquet scipy.stats scipy.optimize xarray h5netcdf pandera.pandas
matplotlib.axes matplotlib.backends.backend_agg sklearn.linear_model sklearn.metrics sklearn.ensemble
sklearn.feature_extraction.text sklearn.model_selection sklearn.pipeline fairlearn.metrics
statsmodels.stats.multitest scipy.signal skimage.measure skimage.morphology wfdb
torch torch._dynamo torch.onnx safetensors.torch transformers transformers.models.auto.modeling_auto
transformers.models.bert.modeling_bert transformers.quantizers tokenizers.implementations
"""
CLIENT = """\
import json, os, signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
with socket.socket(socket.AF_UNIX) as line:
    line.connect(sys.argv[1])
    line.sendall(json.dumps([sys.argv[2], os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    sys.exit(int(line.recv(9) or 1))
"""


@contextmanager
def forked_kernels(folder: Path):
    """Context in which kernels named python3 are forked from one process, which ends with it."""
    place, spec = folder / "line", folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-S", "-E", "-c", CLIENT, str(place), "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"}))
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # asked for once, by matplotlib
    command = [sys.executable, "-m", "tests.kernels", str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | inline) as server:
        try:
            assert server.stdout.readline() == "ready\n"
            with mock.patch.dict(os.environ, {"JUPYTER_PATH": str(folder)}):
                yield
        finally:
            server.terminate()


def serve(place: str) -> None:
    """Fork a kernel for every client, until this process is ended."""
    for name in HEAVY.split():
        import_module(name)
    # these have to find the shell that shows their figures
    assert not {"matplotlib.pyplot", "matplotlib_inline.backend_inline"} & set(sys.modules)
    gc.freeze()  # kernels need not search these modules for garbage, nor copy their pages
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        print("ready", flush=True)
        while True:
            line, _ = listener.accept()
            file, cwd, environment = json.loads(line.makefile().readline())
            pid = os.fork()
            if not pid:
                listener.close()
                line.close()
                start_kernel(file, cwd, environment)
            threading.Thread(target=_watch, args=(line, pid), daemon=True).start()


def _watch(line, pid):
    """Tell the client how its kernel ended; end the kernel of a client that was killed."""
    ended = threading.Event()

    def wait():
        _, status = os.waitpid(pid, 0)
        ended.set()
        with line:
            try:
                line.sendall(str(abs(os.waitstatus_to_exitcode(status))).encode())
            except OSError:  # the client is gone
                return
            line.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=wait, daemon=True).start()
    try:
        gone = not line.recv(1)
    except OSError:
        return
    if gone and not ended.is_set():
        os.kill(pid, signal.SIGKILL)


def start_kernel(file: str, cwd: str, environment: dict) -> None:
    """Be the kernel of a connection file."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    from ipykernel.kernelapp import launch_new_instance

    sys.argv = ["ipykernel_launcher", "-f", file]
    try:
        launch_new_instance()
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
