"""What `make` does first on a new machine: find a Python that will do, and prepare a virtual environment once."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INTERPRETER = """\
#!/bin/sh
case "$2" in
*version_info*) echo "{version} {new} $0" ;;
*ensurepip*) exit {ensurepip} ;;
esac
"""

PIP_LOG = """\
#!/bin/sh
case "$2" in
venv) rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
pip) echo "$*" >>pip.log ;;
*version_info*) echo "3.11 True $0" ;;
esac
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def interpreter(path: Path, *, version: str = "3.11", venv: bool = True) -> Path:
    """A program that answers as a Python of that version would."""
    new = tuple(map(int, version.split("."))) >= (3, 11)
    return script(path, INTERPRETER.format(version=version, new=new, ensurepip=0 if venv else 1))


def find_python(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What scripts/find-python says where only the interpreters of a folder exist."""
    return subprocess.run(
        ["/bin/sh", ROOT / "scripts/find-python"],
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_default_python_is_preferred(tmp_path: Path) -> None:
    """python3 is taken when it will do, whatever else is there."""
    wanted = interpreter(tmp_path / "python3", version="3.12")
    interpreter(tmp_path / "python3.13", version="3.13")
    found = find_python(tmp_path)
    assert (found.returncode, found.stdout.strip(), found.stderr) == (0, str(wanted), "")


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_newer_python_is_found_beside_an_old_default(tmp_path: Path, name: str) -> None:
    """Where python3 is too old, a version with its own name serves."""
    interpreter(tmp_path / "python3", version="3.9")
    wanted = interpreter(tmp_path / name, version=name.removeprefix("python"))
    assert find_python(tmp_path).stdout.strip() == str(wanted)


def test_shim_without_an_interpreter_is_passed_over(tmp_path: Path) -> None:
    """A version manager's command that fails is no Python."""
    script(tmp_path / "python3", "#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    wanted = interpreter(tmp_path / "python3.11")
    found = find_python(tmp_path)
    assert (found.stdout.strip(), found.stderr) == (str(wanted), "")


def test_too_old_python_is_named(tmp_path: Path) -> None:
    """The message says what was found and what is needed."""
    old = interpreter(tmp_path / "python3", version="3.9")
    found = find_python(tmp_path)
    assert found.returncode == 1
    assert f"needs Python 3.11 or later; found only {old} (3.9)" in found.stderr


def test_missing_venv_says_what_to_install(tmp_path: Path) -> None:
    """Debian without python3-venv: the message is the command that mends it."""
    interpreter(tmp_path / "python3", venv=False)
    found = find_python(tmp_path)
    assert found.returncode == 1
    assert "apt install python3-venv" in found.stderr


def test_chosen_python_is_the_only_candidate(tmp_path: Path) -> None:
    """PYTHON decides; what it names must do."""
    interpreter(tmp_path / "python3")
    old = interpreter(tmp_path / "old", version="3.8")
    found = find_python(tmp_path, PYTHON=str(old))
    assert found.returncode == 1
    assert "3.8" in found.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with what scripts/venv reads, and a Python that only writes down what pip is told."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    shutil.copytree(ROOT / "requirements", copy / "requirements")
    shutil.copy(ROOT / "pyproject.toml", copy)
    script(copy / "fake/python3", PIP_LOG)
    return copy


def prepare(checkout: Path, need: str) -> list[str]:
    """What pip was told while the environment was made ready for a need."""
    log = checkout / "pip.log"
    log.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHON": str(checkout / "fake/python3")}
    subprocess.run([checkout / "scripts/venv", ".venv", need], env=environment, timeout=30, check=True)
    return log.read_text().splitlines() if log.exists() else []


def test_environment_is_prepared_once(checkout: Path) -> None:
    """The second call installs nothing, and who has the development tools has what the demo needs."""
    (install,) = prepare(checkout, "dev")
    assert "-r requirements/dev.txt --editable ." in install
    assert prepare(checkout, "dev") == []
    assert prepare(checkout, "run") == []


def test_another_need_is_installed_on_top(checkout: Path) -> None:
    """Who has only what the demo needs gets the development tools when they are asked for."""
    assert len(prepare(checkout, "run")) == 1
    assert len(prepare(checkout, "dev")) == 1


@pytest.mark.parametrize("name", ["requirements/run.txt", "pyproject.toml"])
def test_changed_requirements_are_installed(checkout: Path, name: str) -> None:
    """A change of what is needed is noticed by the next call."""
    prepare(checkout, "dev")
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    assert len(prepare(checkout, "dev")) == 1


def test_moved_checkout_gets_a_new_environment(checkout: Path) -> None:
    """An environment that came along from elsewhere is made anew: its scripts name the old place."""
    prepare(checkout, "dev")
    moved = checkout.rename(checkout.with_name("moved"))
    assert len(prepare(moved, "dev")) == 1
    assert prepare(moved, "dev") == []
