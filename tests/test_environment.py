import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
LOCK = {
    canonicalize_name(name): Version(pinned)
    for name, _, pinned in (
        line.partition("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line[:1] != "#"
    )
}
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_the_lock_pins_every_line_exactly():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line[:1] != "#"]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    assert len(lines) == len(LOCK)
    assert LOCK["torch"] == Version("2.13.0")  # a local version such as +cpu exists on some machines only


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_the_lock_satisfies_the_project(requirement):
    assert LOCK[canonicalize_name(requirement.name)] in requirement.specifier


def installed_from_the_lock():
    """Yield what is installed here in the locked version: other versions say nothing about the lock."""
    for name, pinned in LOCK.items():
        try:
            if Version(version(name)).public == str(pinned):
                yield name
        except PackageNotFoundError:  # for another platform
            continue


def test_the_lock_is_complete():
    """Whatever a locked package asks for is locked too, so that no install resolves anything by itself."""
    missing, installers = set(), {"pip", "setuptools", "wheel"}
    for name in installed_from_the_lock():
        needs = [Requirement(line) for line in requires(name) or []]
        needs = [need for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
        missing |= {canonicalize_name(need.name) for need in needs} - set(LOCK) - installers
    # The torch of PyPI brings CUDA libraries; which ones depends on the build, so they are not in the lock.
    assert {name for name in missing if not re.match("nvidia-|cuda-|triton", name)} == set()


def test_the_lock_installs_on_the_python_of_debian_12():
    allowed = {
        name: SpecifierSet(metadata(name).get("Requires-Python", "")) for name in installed_from_the_lock()
    }
    assert [name for name, pythons in allowed.items() if "3.11.2" not in pythons] == []
    assert len(allowed) > len(LOCK) / 2


def test_conda_and_binder_install_the_same_list():
    (pip,) = (entry["pip"] for entry in CONDA if isinstance(entry, dict))
    assert [line for line in pip if not line.startswith("--extra-index-url")] == [
        "-r requirements.lock",
        "-e .",
    ]
    (python,) = (entry for entry in CONDA if str(entry).startswith("python="))
    assert (
        Version(python.removeprefix("python="))
        in Requirement(f"python{PROJECT['requires-python']}").specifier
    )


def test_make_installs_the_same_list():
    commands = (ROOT / "Makefile").read_text()
    assert re.findall(r"^LOCKED = (.*)$", commands, flags=re.M) == ["--requirement requirements.lock --editable ."]
    (setup,) = re.findall(r"^\.venv/ready:.*\n((?:\t.*\n)+)", commands, flags=re.M)
    assert re.findall(r"pip install.* (\S+)$", setup, flags=re.M) == ["uv", "$(LOCKED)"]
    assert "$(UV) $(LOCKED) || " in setup


def test_version_and_licence_are_told_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert "repository-code" not in citation and "urls" not in PROJECT  # `origin` alone says where it lies
    assert config["copyright"] in (ROOT / "LICENSE").read_text()
