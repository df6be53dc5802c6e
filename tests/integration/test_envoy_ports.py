"""Ports that cannot be had: the outcome says so soon, others serve, and it recovers by itself."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import ask_many, who_serves
from support.envoys import serving_envoy
from support.planes import serving, short_directory
from support.plans import forward, pool
from support.ports import Ports
from support.strangers import stranger
from tidegate.dataplanes.envoy import binary
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.dataplanes.envoy.plane import EnvoyDataPlane
from tidegate.plan.outcome import Failed, FailureReason, Live

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows who shares a port")


@pytest.mark.parametrize("share", [False, pytest.param(True, marks=linux)], ids=["alone", "shared"])
async def test_port_held_before_start(ports: Ports, share: bool) -> None:
    """Failed within a second naming port and holder, the other listener serves; Live when the port is free."""
    held, free = ports.reserve(), ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        with stranger(held, share=share) as process:
            start = time.monotonic()
            envoy.apply(pool("a", a.port), forward(held, "a"), forward(free, "a"))
            failed = await envoy.until(held, Failed, within=2)
            assert time.monotonic() - start < 1
            assert failed.reason is FailureReason.PORT_UNAVAILABLE
            assert str(held) in failed.message
            assert str(process.pid) in failed.message
            await envoy.until(free, Live)
            assert await who_serves(free) == "a"
        await envoy.until(held, Live, within=5)
        assert (await ask_many(held, 20)).served == {"a": 20}


async def test_bind_failure_is_retried(ports: Ports) -> None:
    """A port that is bound but not listened on fails in Envoy itself; it serves soon after it becomes free."""
    port, other = ports.reserve(), ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", port))
            envoy.apply(pool("a", a.port), forward(port, "a"), forward(other, "a"))
            failed = await envoy.until(port, Failed)
            assert failed.reason is FailureReason.PORT_UNAVAILABLE
            assert str(port) in failed.message
            await envoy.until(other, Live)
        await envoy.until(port, Live, within=8)
        assert await who_serves(port) == "a"


@linux
async def test_later_intruder(ports: Ports) -> None:
    """A process that comes to share a serving port is reported within five seconds, until it is gone."""
    port, other = ports.reserve(), ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        await envoy.until_applied(pool("a", a.port), forward(port, "a"), forward(other, "a"))
        with stranger(port, share=True) as process:
            failed = await envoy.until(port, Failed, within=5)
            assert failed.reason is FailureReason.PORT_UNAVAILABLE
            assert str(process.pid) in failed.message
            assert isinstance(await envoy.until(other, Live), Live)
        await envoy.until(port, Live, within=5)


async def test_address_of_another_host(ports: Ports) -> None:
    """An address that this host does not have is AddressNotUsable; others serve."""
    port = ports.reserve()
    async with Backend("a") as a, serving_envoy() as envoy:
        envoy.apply(pool("a", a.port), forward(port, "a", address="192.0.2.77"), forward(port, "a"))
        failed = await envoy.until(port, Failed, address="192.0.2.77")
        assert failed.reason is FailureReason.ADDRESS_NOT_USABLE
        assert "192.0.2.77" in failed.message
        await envoy.until(port, Live)


@pytest.fixture
def humble_envoy(tmp_path: Path) -> Path:
    """An Envoy that may not open ports below 1024, also when the tests run as root."""
    start = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not start.exists() or int(start.read_text()) < 1024:
        pytest.skip("every user may open ports below 1024 here")
    program = binary.find(None).path
    if os.geteuid() != 0:
        return program
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may open every port, and there is no setpriv to take that away")
    wrapper = tmp_path / "envoy"
    wrapper.write_text(f'#!/bin/sh\nexec {setpriv} --bounding-set=-net_bind_service {program} "$@"\n')
    wrapper.chmod(0o700)
    return wrapper


async def test_low_port_without_permission(humble_envoy: Path, ports: Ports) -> None:
    """A port below 1024 that this user may not open says how to allow it; others serve."""
    port = ports.reserve()
    with short_directory() as directory:
        plane = EnvoyDataPlane(directory=directory, envoy=humble_envoy, options=EnvoyOptions(concurrency=1))
        async with serving(plane) as envoy:
            envoy.apply(forward(1, (None, 1)), forward(port, (None, 1)))
            failed = await envoy.until(1, Failed)
            assert failed.reason is FailureReason.PORT_UNAVAILABLE
            assert "ip_unprivileged_port_start=1" in failed.message
            await envoy.until(port, Live)
