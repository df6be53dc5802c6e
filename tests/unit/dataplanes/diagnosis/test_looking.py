"""Looking at this host, as whoever runs the tests."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tidegate.dataplanes.diagnosis import looking
from tidegate.dataplanes.diagnosis.looking import Wanted


def test_a_holder_of_a_port_is_seen() -> None:
    """Whoever listens on a listener's port is named, unless it is our own Envoy that serves it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        wanted = [Wanted(name="edge/web", addresses=("*",), port=server.getsockname()[1])]
        [held] = looking.listeners(wanted, served=False)
        [served] = looking.listeners(wanted, served=True)
    assert "python" in held.holder or "pytest" in held.holder
    assert (served.name, served.holder) == ("edge/web", "")


def test_envoy_is_looked_for(tmp_path: Path) -> None:
    """A program that is not there is told as a trouble, and limits are read all the same."""
    found = looking.envoy(tmp_path / "none")
    assert "no Envoy program" in found.trouble
    assert found.open_files > 0
    assert found.workers > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel plane is for Linux")
def test_the_kernel_is_looked_at() -> None:
    """Whatever the rights of this process are: without the capability, rules of others are unknown, not empty."""
    found = looking.kernel()
    assert found.linux
    assert found.net_admin or found.grips is None
