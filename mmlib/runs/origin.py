"""Where the repository of this checkout lies, so that no page names an address that does not exist."""

import re
import subprocess
from pathlib import Path

#: Token of a page's line that is left out where the repository has no address.
TOKEN = "ORIGIN-URL"
#: Remotes whose pages, edit links and issues can be named: GitHub and GitLab, by https or ssh; a password is not kept.
REMOTE = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://(?:[^@/]+@)?|[^@/:]+@)"
    r"(?P<host>(?:[\w-]+\.)*git(?:hub|lab)(?:\.[\w-]+)+)(?::\d+)?[:/]/?"
    r"(?P<path>(?:[\w.~-]+/)+[\w.~-]+?)(?:\.git)?/?"
)


def web_address(remote: str) -> str:
    """Address of a repository's page, from that of its git remote; empty if it is not on GitHub or GitLab.

    Examples
    --------
    >>> web_address("git@gitlab.example.org:a-team/book.git")
    'https://gitlab.example.org/a-team/book'
    >>> web_address("/srv/book.git")
    ''
    """
    found = REMOTE.fullmatch(remote.strip())
    return f"https://{found['host']}/{found['path']}" if found else ""


def repository(root: str | Path = ".") -> dict[str, str]:
    """Address and main branch of the repository of a checkout: ``url`` and ``branch``, or nothing."""
    url = web_address(_git(root, "remote", "get-url", "origin"))
    branch = _git(root, "rev-parse", "--abbrev-ref", "origin/HEAD").removeprefix("origin/")
    return {"url": url, "branch": branch or "main"} if url else {}


def put_address(page: str, url: str) -> str:
    r"""Page with the address in place of its token; without an address, lines that hold the token are left out.

    Examples
    --------
    >>> put_address("Here.\n<ORIGIN-URL>\n", "")
    'Here.\n'
    """
    if url:
        return page.replace(TOKEN, url)
    return "".join(line for line in page.splitlines(keepends=True) if TOKEN not in line)


def _git(root, *words):
    if not (Path(root) / ".git").exists():  # a folder within another repository is not its checkout
        return ""
    done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
