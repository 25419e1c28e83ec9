"""A headless Chromium for tests: a page part by itself, or built pages that are asked questions as they stand."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import websocket
from bs4 import BeautifulSoup

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def browse(html, folder):
    """Load a page part in a browser and return what its scripts made of it."""
    file = folder / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{html}")
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=2000", "--dump-dom"]
    shown = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=60).stdout
    return BeautifulSoup(shown, "html.parser")


class Browser:
    """A page that does what the protocol of Chromium's developer tools says."""

    def __init__(self, address):
        self._socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._counter = itertools.count(1)

    def close(self):
        """End the connection."""
        self._socket.close()

    def call(self, method, **parameters):
        """Result of a call."""
        number = next(self._counter)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            if answer.get("method") == "Page.loadEventFired":
                self.loaded = True
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def evaluate(self, script):
        """Value of a script, awaited."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", "a script failed"))
        return found["result"].get("value")

    def open(self, page: Path, *, dark: bool = False, width: int = 1280):
        """Show a page, as wide as this, for a reader who prefers dark or light pages."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.enable")
        self.loaded = False
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not self.loaded:
            self.loaded = json.loads(self._socket.recv()).get("method") == "Page.loadEventFired"


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with its profile in a folder; it ends with the block."""
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if found := re.search(r"ws://\S+", line):
                break
        else:
            raise RuntimeError("Chromium ended before it could be asked anything.")
        with closing(Browser(found[0])) as root:
            target = root.call("Target.createTarget", url="about:blank")["targetId"]
            with closing(Browser(f"{found[0].partition('/devtools')[0]}/devtools/page/{target}")) as page:
                yield page
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stderr.close()
