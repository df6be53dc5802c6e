from __future__ import annotations

import subprocess
import sys

import pytest

from tidegate.cli import entry, failures

INTERRUPTING = """
import os, signal, sys

class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            {interrupt}

sys.meta_path.insert(0, Interrupting())
sys.argv = ["tidegate", "--version"]
{before}
"""
STARTS = {
    "console script": "from tidegate.cli.entry import main; main()",
    "module": "import runpy; runpy.run_module('tidegate', run_name='__main__')",
}
INTERRUPTS = {
    "between statements": "os.kill(os.getpid(), signal.SIGINT)",
    # There, Python prints an exception and goes on.
    "in a finalizer": "Dying()",
}


def _started(start: str, module: str, interrupt: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = INTERRUPTING.format(module=module, interrupt=interrupt, before=before) + start
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("interrupt", INTERRUPTS.values(), ids=INTERRUPTS)
@pytest.mark.parametrize("module", ["tidegate.cli.main", "typer"])
def test_interrupt_while_loading(start: str, interrupt: str, module: str) -> None:
    """Ctrl-C while the command line is loaded ends with the status of an interrupt and says nothing."""
    done = _started(start, module, interrupt)
    assert (done.returncode, done.stdout, done.stderr) == (failures.INTERRUPTED, "", "")


def test_an_ignored_interrupt_stays_ignored() -> None:
    """Who starts it with Ctrl-C ignored gets what the command prints."""
    interrupt = INTERRUPTS["between statements"]
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    done = _started(STARTS["console script"], "typer", interrupt, before)
    assert (done.returncode, done.stdout.partition(" ")[0]) == (0, "tidegate")


def test_command_line_is_handed_over_to(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments and exit status are those of the command."""
    monkeypatch.setattr(sys, "argv", ["tidegate", "--version"])
    with pytest.raises(SystemExit) as end:
        entry.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("tidegate ")
