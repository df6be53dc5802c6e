"""Ports that cannot be had: the outcome says so soon, others serve, and it recovers by itself."""

from __future__ import annotations

import os
import socket
import sys
import time

import pytest

from support.backends import Backend
from support.clients import ask_many, who_serves
from support.envoys import serving_envoy
from support.plans import forward, pool
from support.ports import Ports
from support.strangers import stranger
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every port")
async def test_low_port_without_permission() -> None:
    """A port below 1024 that this user may not open says how to allow it."""
    async with serving_envoy() as envoy:
        envoy.apply(forward(1, (None, 1)))
        failed = await envoy.until(1, Failed)
        assert failed.reason is FailureReason.PORT_UNAVAILABLE
        assert "ip_unprivileged_port_start" in failed.message
