"""scripts/layout finds what it promises to find, in trees made for the purpose."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/layout"

LOGIC = "def double(x):\n    return 2 * x\n"
DECLARATION = 'class Seam:\n    def double(self, x):\n        """Twice x."""\n        ...\n'
TEST = 'def test_it():\n    """It holds."""\n'


def layout(root: Path) -> tuple[int, list[str]]:
    result = subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True, timeout=30, check=False)
    assert not result.stderr
    return result.returncode, result.stdout.splitlines()


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_mirrored_tree_is_in_order(tmp_path: Path) -> None:
    """A module with its test file, aspects of it in further files, and bare declarations pass."""
    files = {
        "src/tidegate/core/listeners.py": LOGIC,
        "src/tidegate/core/base.py": DECLARATION,
        "src/tidegate/core/__init__.py": "",
        "tests/unit/core/test_listeners.py": TEST,
        "tests/unit/core/test_listeners_conflicts.py": TEST,
    }
    assert layout(write(tmp_path, files)) == (0, ["Layout: in order"])


@pytest.mark.parametrize(
    ("files", "finding"),
    [
        (
            {"src/tidegate/core/listeners.py": LOGIC},
            "src/tidegate/core/listeners.py:1: has no unit test: expected tests/unit/core/test_listeners.py",
        ),
        (
            {"src/tidegate/core/base.py": DECLARATION, "tests/unit/core/test_gone.py": TEST},
            "tests/unit/core/test_gone.py:1: mirrors no module of src/tidegate/core",
        ),
        (
            {"tests/feature/test_x.py": "class TestX:\n    async def test_it(self):\n        assert True\n"},
            "tests/feature/test_x.py:2: test_it has no docstring",
        ),
        (
            {"src/tidegate/kube_utils.py": ""},
            "src/tidegate/kube_utils.py:1: the name says nothing about what it owns",
        ),
    ],
    ids=["module without test", "test without module", "test without docstring", "empty name"],
)
def test_misplaced_file_is_named(tmp_path: Path, files: dict[str, str], finding: str) -> None:
    """Each kind of finding fails the check and is printed with its place."""
    code, lines = layout(write(tmp_path, files))
    assert code == 1
    assert lines == [finding, "Layout: 1 findings"]


def test_test_of_a_longer_name_does_not_cover_the_shorter(tmp_path: Path) -> None:
    """test_admin_client.py is the test of admin_client, not an aspect of admin."""
    files = {
        "src/tidegate/admin.py": LOGIC,
        "src/tidegate/admin_client.py": LOGIC,
        "tests/unit/test_admin_client.py": TEST,
    }
    code, lines = layout(write(tmp_path, files))
    assert code == 1
    assert lines[0].startswith("src/tidegate/admin.py:1: has no unit test")


def test_size_is_a_note(tmp_path: Path) -> None:
    """A long function is shown but fails nothing."""
    body = "def long():\n" + "    x = 1\n" * 60
    files = {"src/tidegate/core/long.py": body, "tests/unit/core/test_long.py": TEST}
    code, lines = layout(write(tmp_path, files))
    assert code == 0
    assert lines[0].startswith("src/tidegate/core/long.py:1: long has 61 lines")
