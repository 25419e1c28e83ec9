import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mmlib.core.storage import cache_folder
from mmlib.data import physionet
from mmlib.data.physionet import fetch_files
from tests.sentences import one_sentence


class Server(ThreadingHTTPServer):
    """Stands in for PhysioNet: files by path; a path in ``cuts`` is broken off after so many bytes, once each time."""

    daemon_threads = True

    def __init__(self, files, project="demo/1.0"):
        sums = "".join(f"{hashlib.sha256(c).hexdigest()} {name}\n" for name, c in files.items())
        everything = files | {"SHA256SUMS.txt": sums.encode()}
        self.files = {f"/{project}/{name}": content for name, content in everything.items()}
        self.cuts, self.asked, self.refuse_ranges = {}, [], False
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        content = server.files.get(self.path)
        start = 0
        if "Range" in self.headers and not server.refuse_ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        server.asked.append((self.path, start))
        if content is None:
            return self.send_error(404)
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        left = server.cuts.get(self.path, [])
        self.wfile.write(content[start : start + left.pop(0)] if left else content[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Start a server of some files and let it be PhysioNet."""
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(physionet, "PAUSE", 0)
    started = []

    def start(files, project="demo/1.0"):
        server = Server(files, project)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(physionet, "ADDRESS", f"http://127.0.0.1:{server.server_port}")
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


FILES = {"a.csv": b"x\n1\n", "records/b.dat": bytes(range(256)) * 400}


def test_files_arrive_as_published_and_are_not_fetched_twice(serve):
    server = serve(FILES)
    folder = fetch_files("demo/1.0", list(FILES))
    assert folder == cache_folder() / "physionet" / "demo/1.0"
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert not list(folder.rglob("*.part"))
    asked = len(server.asked)
    fetch_files("demo/1.0", list(FILES))
    assert len(server.asked) == asked


def test_a_connection_that_closes_in_the_middle_goes_on_from_there(serve):
    server = serve(FILES)
    path = "/demo/1.0/records/b.dat"
    server.cuts[path] = [1000, 70_000]
    folder = fetch_files("demo/1.0", ["records/b.dat"])
    assert (folder / "records/b.dat").read_bytes() == FILES["records/b.dat"]
    assert [start for asked, start in server.asked if asked == path] == [0, 1000, 71_000]


def test_a_server_that_cannot_go_on_sends_the_file_again(serve):
    server = serve(FILES)
    server.refuse_ranges = True
    server.cuts["/demo/1.0/records/b.dat"] = [1000]
    folder = fetch_files("demo/1.0", ["records/b.dat"])
    assert (folder / "records/b.dat").read_bytes() == FILES["records/b.dat"]


def test_interrupted_work_resumes_in_a_later_call(serve):
    server = serve(FILES)
    path = "/demo/1.0/records/b.dat"
    server.cuts[path] = [1000] * physionet.TRIES
    with pytest.raises(
        ConnectionError, match="could not be fetched in 4 tries .* closed after 1000 of"
    ) as error:
        fetch_files("demo/1.0", ["records/b.dat"])
    assert "\n" not in str(error.value)
    folder = fetch_files("demo/1.0", ["records/b.dat"])
    assert server.asked[-1] == (path, 4000)
    assert (folder / "records/b.dat").read_bytes() == FILES["records/b.dat"]


@pytest.mark.bad_input
def test_another_content_than_published_is_not_used(serve):
    server = serve(FILES)
    server.files["/demo/1.0/a.csv"] = b"x\n2\n"
    with one_sentence("a.csv arrived with sha256 .* so it was not used; run again"):
        fetch_files("demo/1.0", ["a.csv"])
    assert not list(cache_folder().rglob("a.csv*"))


@pytest.mark.bad_input
def test_what_is_not_published_is_one_sentence(serve):
    server = serve(FILES)
    with one_sentence("c.csv is not in SHA256SUMS.txt of demo/1.0"):
        fetch_files("demo/1.0", ["c.csv"])
    del server.files["/demo/1.0/a.csv"]
    with one_sentence("a.csv answered 404"):
        fetch_files("demo/1.0", ["a.csv"])


@pytest.mark.bad_input
def test_no_connection_is_one_sentence(serve):
    server = serve(FILES)
    server.shutdown()
    server.server_close()
    with one_sentence("connect and run again, .* your own copy as root"):
        fetch_files("demo/1.0", ["a.csv"])


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(serve):
    server = serve(FILES)
    folder = fetch_files("demo/1.0", list(FILES))
    content = bytearray(FILES["records/b.dat"])
    content[1000] ^= 1
    (folder / "records/b.dat").write_bytes(bytes(content))
    server.asked.clear()
    fetch_files("demo/1.0", list(FILES))
    assert server.asked == [("/demo/1.0/records/b.dat", 0)]
    assert (folder / "records/b.dat").read_bytes() == FILES["records/b.dat"]


def test_a_list_of_sums_that_does_not_fit_is_fetched_again_by_the_next_call(serve):
    serve(FILES)
    folder = fetch_files("demo/1.0", ["a.csv"])
    for wrong in ("<html>", f"{'0' * 64} a.csv\n"):
        (folder / "SHA256SUMS.txt").write_text(wrong)
        with pytest.raises(ValueError, match="a.csv"):
            fetch_files("demo/1.0", ["a.csv"])
        assert fetch_files("demo/1.0", ["a.csv"]) == folder
