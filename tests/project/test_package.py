"""The wheel holds what users need, and nothing of the tests."""

import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of the sources with the pinned tools."""
    copy = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", copy / "dist", copy]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = (copy / "dist").glob("tidegate-*.whl")
    return zipfile.ZipFile(path)


def test_wheel_has_every_module_and_data_file(wheel: zipfile.ZipFile) -> None:
    """All of src/tidegate is in it, the demo's manifest and the type marker included."""
    source = ROOT / "src"
    expected = {
        str(path.relative_to(source))
        for path in (source / "tidegate").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"tidegate/py.typed", "tidegate/cli/demo.yaml"} <= expected
    assert expected <= set(wheel.namelist())
    others = {name.split("/")[0] for name in wheel.namelist()} - {"tidegate"}
    assert len(others) == 1


def test_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    """The command, the license and the oldest Python are declared."""
    info = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "tidegate = tidegate.cli.entry:main" in entry_points
    metadata = message_from_string(wheel.read(f"{info}/METADATA").decode())
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
