"""The recipe of the image agrees with the project. To build the image itself needs a container engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tidegate.fleet.pod import USER as PROXY_USER
from tidegate.installation.options import USER_ID

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The instructions with their arguments, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(instruction, arguments.strip()) for instruction, _, arguments in found]


def of(steps: list[tuple[str, str]], instruction: str) -> list[str]:
    """The arguments of all instructions of a name."""
    return [arguments for name, arguments in steps if name == instruction]


def copied(steps: list[tuple[str, str]]) -> list[str]:
    """The names that are copied from the project into the image."""
    copies = [arguments.split()[:-1] for arguments in of(steps, "COPY") if not arguments.startswith("--from=")]
    return [name.rstrip("/") for names in copies for name in names]


def test_user_is_the_one_of_the_pods(steps: list[tuple[str, str]]) -> None:
    """The image runs as the number that the Pods of controller and proxies ask for; a kubelet sees it is not root."""
    assert of(steps, "USER") == [f"{USER_ID}:{USER_ID}"]
    assert PROXY_USER == USER_ID
    assert any(f"--uid {USER_ID} " in arguments for arguments in of(steps, "RUN"))


def test_entry_point_is_the_command(steps: list[tuple[str, str]]) -> None:
    """The arguments of a container are those of tidegate."""
    assert [json.loads(arguments) for arguments in of(steps, "ENTRYPOINT")] == [["tidegate"]]
    assert "tidegate" in PROJECT["scripts"]


def test_python_is_one_that_the_project_supports(steps: list[tuple[str, str]]) -> None:
    """Both stages have the same base, and it is new enough."""
    version = dict(arguments.split("=") for arguments in of(steps, "ARG") if "=" in arguments)["PYTHON_VERSION"]
    assert {arguments.split()[0] for arguments in of(steps, "FROM")} == {"python:${PYTHON_VERSION}-slim-bookworm"}
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, version.split("."))) >= tuple(map(int, oldest.split(".")))


def test_context_holds_what_is_copied(steps: list[tuple[str, str]]) -> None:
    """The ignore file lets exactly those names through that the recipe copies; Docker reads the same file."""
    lines = (ROOT / ".containerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(copied(steps))
    assert all((ROOT / name).exists() for name in copied(steps))
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_requirements_are_pinned_files(steps: list[tuple[str, str]]) -> None:
    """What is installed beside the wheel is what the project's requirement files pin, the cluster's extra included."""
    (install, wheel, _) = of(steps, "RUN")
    files = re.findall(r"-r (\S+)", install)
    assert files == ["requirements/build.txt", "requirements/kubernetes.txt"]
    assert all((ROOT / name).exists() for name in files)
    assert "--no-deps --no-build-isolation" in wheel
    assert "--no-deps --no-index" in wheel


def test_wheel_is_made_of_what_is_copied(steps: list[tuple[str, str]], tmp_path: Path) -> None:
    """The names that the recipe copies are all that the wheel needs."""
    context = tmp_path / "context"
    context.mkdir()
    for name in copied(steps):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, context / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
    result = subprocess.run([*command, tmp_path, context], capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert list(tmp_path.glob("tidegate-*.whl"))
