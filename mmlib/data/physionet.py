"""Fetch files of an open PhysioNet project into the user's cache: several at once, resumable, sums checked."""

import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from mmlib.core.storage import cache_folder, check_fetching, digest_file

ADDRESS = "https://physionet.org/files"
SUMS = "SHA256SUMS.txt"
TRIES = 4  # a file is asked for again, from where it broke off, this many times in all
PAUSE = 1.0  # s before the second try, doubled before each further one
TIMEOUT = 30  # s without a byte
AT_ONCE = 4  # connections: PhysioNet asks for few


def fetch_files(project: str, files: Sequence[str]) -> Path:
    """Fetch those files of an open project that the cache lacks.

    Parameters
    ----------
    project : str
        Name and version, such as ``"ptb-xl/1.0.3"``.
    files : sequence of str
        Paths inside the project.

    Returns
    -------
    pathlib.Path
        Folder of the project in the cache, laid out as published. A file lies there only once it is whole and its
        sha256 is that of the project's ``SHA256SUMS.txt``; what was interrupted goes on where it broke off, and what
        was damaged since is fetched again.

    Raises
    ------
    ConnectionError
        If PhysioNet cannot be reached or keeps closing the connection.
    ValueError
        If a file is not in the published list, or what arrived differs from it.
    """
    folder = cache_folder() / "physionet" / project
    if absent := [file for file in [SUMS, *files] if not (folder / file).is_file()]:
        check_fetching(f"{len(absent):,} files of {ADDRESS}/{project}")
    if SUMS in absent:
        _fetch(project, SUMS, folder, None)
    sums = {}
    for line in (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition(" ")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    for file in files:
        if file not in sums:
            (folder / SUMS).unlink()  # it may be damaged: the next call fetches it again
            raise ValueError(
                f"{file} is not in {SUMS} of {project}; expected a file that PhysioNet publishes."
            )
    missing = [file for file in files if file in absent or digest_file(folder / file) != sums[file]]
    if missing:
        check_fetching(f"{len(missing):,} files of {ADDRESS}/{project}")
    stop = threading.Event()  # the first failure ends the others at their next file
    pool = ThreadPoolExecutor(AT_ONCE)

    def work(file):
        if not stop.is_set():
            _fetch(project, file, folder, sums[file])

    try:
        done = pool.map(work, missing)
        for _ in tqdm(done, desc=f"fetching {project}", total=len(missing), unit="file", disable=None):
            pass
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return folder


def _fetch(project: str, file: str, folder: Path, digest: str | None) -> None:
    """Fetch one file into place, going on from an earlier part of it."""
    address = f"{ADDRESS}/{project}/{file}"
    part = folder / f"{file}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    problem = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            _download(address, part)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in (408, 416, 429):
                raise ConnectionError(
                    f"{address} answered {error.code} ({error.reason}); is it still there?"
                ) from error
            if error.code == 416:  # the part is not a beginning of the file
                part.unlink(missing_ok=True)
            problem = error
        except (OSError, http.client.HTTPException) as error:
            problem = error
        else:
            break
    else:
        raise ConnectionError(
            f"{address} could not be fetched in {TRIES} tries ({type(problem).__name__}: {problem}): connect and run "
            f"again, which goes on where it stopped, or give the folder of your own copy as root."
        ) from problem
    if digest is not None:
        found = digest_file(part)
        if found != digest:
            part.unlink()
            (folder / SUMS).unlink(missing_ok=True)  # it may be the one that is damaged
            raise ValueError(
                f"{address} arrived with sha256 {found}, but {SUMS} says {digest}, so it was not used; run again."
            )
    os.replace(part, folder / file)


def _download(address: str, part: Path) -> None:
    """Append to ``part`` what is still missing of a file."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        goes_on = answer.status == 206
        expected = answer.headers.get("Content-Length")
        received = 0
        with open(part, "ab" if goes_on else "wb") as out:
            while chunk := answer.read(1 << 16):
                out.write(chunk)
                received += len(chunk)
        if expected is not None and received < int(expected):
            raise ConnectionError(f"the connection closed after {received} of {expected} bytes")
