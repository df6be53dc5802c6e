"""The command line as a whole, without running anything."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tidegate import __version__
from tidegate.cli.main import app

COMMANDS = ("run", "check", "status", "get", "doctor", "demo", "manifests")


def test_the_version_is_shown() -> None:
    """--version prints it and ends."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"tidegate {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    """The help shows how the command is used, in 80 columns."""
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert f"  tidegate {command}" in result.output
    assert max(map(len, result.output.splitlines())) <= 100


def test_help_lists_the_commands() -> None:
    """Without arguments, and with -h, the commands are listed."""
    for arguments in ([], ["-h"]):
        output = CliRunner().invoke(app, arguments).output
        assert all(f"\n  {command} " in output for command in COMMANDS)


def test_commands_that_ask_an_instance_load_no_data_plane() -> None:
    """status, get and help stay quick: neither gRPC nor Envoy's API nor a web framework is imported."""
    heavy = ("grpc", "envoy", "aiohttp", "watchfiles", "prometheus_client", "structlog")
    script = f"import sys, tidegate.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_package_can_be_run() -> None:
    """Python -m tidegate is the same command."""
    done = subprocess.run([sys.executable, "-m", "tidegate", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"tidegate {__version__}\n"


def test_completion_knows_the_commands() -> None:
    """The shell's completion is answered."""
    done = subprocess.run(
        [sys.executable, "-c", "from tidegate.cli.main import app; app(prog_name='tidegate')"],
        env={"_TIDEGATE_COMPLETE": "complete_bash", "COMP_WORDS": "tidegate get gate", "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["gatewayclasses", "gateways", "gatewayparameters"]
