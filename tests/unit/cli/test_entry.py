from __future__ import annotations

import subprocess
import sys

import pytest

from tidegate.cli import entry, failures

INTERRUPTING = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "tidegate.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv = ["tidegate", "--version"]
"""


@pytest.mark.parametrize(
    "start",
    [
        "from tidegate.cli.entry import main; main()",
        "import runpy; runpy.run_module('tidegate', run_name='__main__')",
    ],
)
def test_interrupt_while_loading(start: str) -> None:
    """Ctrl-C before the command line is loaded ends with the status of an interrupt and says nothing."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTING + start], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (failures.INTERRUPTED, "", "")


def test_command_line_is_handed_over_to(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments and exit status are those of the command."""
    monkeypatch.setattr(sys, "argv", ["tidegate", "--version"])
    with pytest.raises(SystemExit) as end:
        entry.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("tidegate ")
