"""Servers that stand in for a package index and for PhysioNet: honest, slow, or sending what they should not."""

import hashlib
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

#: What a server may do wrong with every file it sends.
LIES = ("another content", "half of it", "a page instead", "only errors")
CHUNK = 1 << 16


class Server(ThreadingHTTPServer):
    """Sends files by path, at most so many bytes a second, and lies if told so."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes], *, lie: str = "", speed: float = 0):
        self.files, self.lie, self.speed = files, lie, speed
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers with a file, from where the request says."""

    def do_GET(self):
        server, path = self.server, self.path.rstrip("/")
        content = server.files.get(path)
        listed = path.startswith("/simple") or path.endswith("SHA256SUMS.txt")  # lies are about what is listed
        lie = "" if listed else server.lie
        if content is None or lie == "only errors":
            return self.send_error(404 if content is None else 503)
        if lie == "another content":
            place = len(content) // 2
            content = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        if lie == "a page instead":
            content = b"<html><body>Please sign in to this network.</body></html>"
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", "text/html" if path.startswith("/simple") else "application/octet-stream")
        self.end_headers()
        end = (start + len(content)) // 2 if lie == "half of it" else len(content)
        for place in range(start, end, CHUNK):
            self.wfile.write(content[place : min(place + CHUNK, end)])
            time.sleep(CHUNK / server.speed if server.speed else 0)

    def handle(self):
        with suppress(OSError):  # who asked is gone
            super().handle()

    def log_message(self, *_):
        pass


@contextmanager
def serving(files: Mapping[str, bytes], **about) -> Iterator[Server]:
    """Context in which a server runs in threads of its own."""
    server = Server(files, **about)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def index_of(packaged: Path, scratch: Path) -> dict[str, bytes]:
    """Files of a package index whose wheels hold what the cache has of each package."""
    files = {}
    for folder in sorted(packaged.iterdir()):
        name, _, version = folder.name.partition("==")
        stem = f"{name.replace('-', '_')}-{version}"
        wheel = scratch / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as content:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    content.write(file, file.relative_to(folder))
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            content.writestr(f"{stem}.dist-info/METADATA", about)
            kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            content.writestr(f"{stem}.dist-info/WHEEL", kind)
            content.writestr(f"{stem}.dist-info/RECORD", "")
        files[f"/wheels/{wheel.name}"] = wheel.read_bytes()
        files[f"/simple/{name}"] = f'<a href="/wheels/{wheel.name}">{wheel.name}</a>'.encode()
    return files


def pip_settings(address: str) -> dict[str, str]:
    """Environment in which pip asks that index only, and keeps nothing."""
    own = {"INDEX_URL": f"{address}/simple", "CONFIG_FILE": os.devnull, "NO_CACHE_DIR": "1", "RETRIES": "1"}
    own |= {"EXTRA_INDEX_URL": "", "FIND_LINKS": "", "DEFAULT_TIMEOUT": "5"}
    return {f"PIP_{name}": value for name, value in own.items()} | {"no_proxy": "127.0.0.1"}


def published(count: int, size: int, project: str) -> dict[str, bytes]:
    """Files of a PhysioNet project, with their list of sums."""
    files = {f"records/{i:03d}.dat": hashlib.sha256(bytes([i])).digest() * (size // 32) for i in range(count)}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in files.items())
    return {f"/{project}/{name}": content for name, content in (files | {"SHA256SUMS.txt": sums.encode()}).items()}
