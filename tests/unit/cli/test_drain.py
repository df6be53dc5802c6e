"""The way that Pods take to the end of a proxy; what happens there is in ``test_poddrain``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.infrastructures import infrastructure
from tidegate.cli import drain, failures
from tidegate.dataplanes.envoy import pod

MEASURED = """
import pathlib, re, sys
from tidegate.cli.entry import main
try:
    main()
finally:
    print(sorted({"typer", "rich", "aiohttp", "asyncio", "grpc", "google"} & sys.modules.keys()))
    print(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def test_it_is_what_pods_call() -> None:
    """The arguments that the container is given; others go the long way."""
    container = pod.container(infrastructure(), control_plane="controller:18000", server_name="controller")
    assert drain.is_meant(list(container.drain_arguments))
    assert not drain.is_meant(["proxy", "drain", "--help"])
    assert not drain.is_meant(["proxy", "drain", "--time", "1s"])
    assert not drain.is_meant(["status"])


@pytest.mark.skipif(sys.platform != "linux", reason="it is read from /proc")
def test_it_takes_little_memory(tmp_path: Path) -> None:
    """It runs in the container of an Envoy at work: the whole command line took 52 MiB and more."""
    arguments = ["proxy", "drain", "--run-dir", str(tmp_path), "--time", "1s"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    loaded, kibibytes = done.stdout.splitlines()
    assert loaded == "[]"
    assert int(kibibytes) < 32 * 1024
    assert done.returncode == failures.UNUSABLE
    assert done.stderr == "tidegate: Envoy does not answer POST /healthcheck/fail: No such file or directory\n"
