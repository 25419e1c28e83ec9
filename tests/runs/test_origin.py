import subprocess
from pathlib import Path

import pytest

from mmlib.runs.origin import repository, web_address

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/a-team/book.git", "https://github.com/a-team/book"),
        ("https://github.com/a-team/book/", "https://github.com/a-team/book"),
        ("https://me:secret@github.com/a-team/book.git", "https://github.com/a-team/book"),
        ("git@github.com:a-team/book.js.git", "https://github.com/a-team/book.js"),
        ("ssh://git@gitlab.example.org:2222/a/b/c.git", "https://gitlab.example.org/a/b/c"),
        ("/srv/github.com/a-team/book", ""),
        ("file:///srv/book.git", ""),
        ("http://github.com/a-team/book", ""),
        ("git@work:a-team/book.git", ""),
        ("https://notgithub.org/a-team/book", ""),
        ("https://github.com/a-team", ""),
        ("", ""),
    ],
)
def test_only_addresses_whose_pages_are_known_are_named_and_without_a_password(remote, address):
    assert web_address(remote) == address


def test_the_branch_is_that_of_origin(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)

    assert repository(tmp_path) == {}  # no checkout at all
    git("init")
    git("remote", "add", "origin", "git@github.com:a-team/book.git")
    assert repository(tmp_path) == {"url": "https://github.com/a-team/book", "branch": "main"}
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    (tmp_path / ".git/refs/remotes/origin").mkdir(parents=True, exist_ok=True)
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--allow-empty", "-m", "x")
    git("update-ref", "refs/remotes/origin/trunk", "HEAD")
    assert repository(tmp_path)["branch"] == "trunk"


def test_no_file_of_the_repository_names_an_address_of_its_own():
    named = subprocess.run(
        ["git", "-C", ROOT, "grep", "-lI", "multimodal-" + "paradox/"], capture_output=True, text=True
    )
    assert named.stdout == ""
