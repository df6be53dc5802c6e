"""The pinned requirement files agree with pyproject.toml and with each other."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, Requirement]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-r "))]
    requirements = [Requirement(line) for line in lines]
    return {canonical(requirement.name): requirement for requirement in requirements}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_requirement_is_one_exact_version(path: Path) -> None:
    """Nothing but exact pins: no ranges, no addresses, no hashes."""
    for requirement in pins(path).values():
        assert re.fullmatch(r"==[0-9][0-9A-Za-z.]*", str(requirement.specifier)), requirement
        assert requirement.url is None


def test_files_agree() -> None:
    """A package that two files need has the same version in both."""
    seen: dict[str, str] = {}
    for path in FILES:
        for name, requirement in pins(path).items():
            assert seen.setdefault(name, str(requirement)) == str(requirement), path


def test_pins_satisfy_what_the_package_declares() -> None:
    """What we test with is within the ranges that users install by."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    files = {"run.txt": project["dependencies"], "kubernetes.txt": project["optional-dependencies"]["kubernetes"]}
    for name, texts in files.items():
        pinned = pins(ROOT / "requirements" / name)
        for text in texts:
            requirement = Requirement(text)
            version = str(pinned[canonical(requirement.name)].specifier).removeprefix("==")
            assert requirement.specifier.contains(version), text
