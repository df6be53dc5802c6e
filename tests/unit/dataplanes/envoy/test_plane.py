"""The plane says clearly when it cannot work. What it does when it can is shown with real Envoys, in
tests/contract and tests/integration.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.envoys import envoy_plane
from support.planes import serving, short_directory
from support.plans import forward, pool
from support.ports import Ports
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.dataplanes.envoy.plane import EnvoyDataPlane
from tidegate.errors import DataPlaneError


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short directory."""
    with short_directory() as path:
        yield path


async def test_missing_program_is_an_error(directory: Path) -> None:
    """A wrong path says what to do; closing afterwards does no harm."""
    plane = EnvoyDataPlane(directory=directory, envoy=directory / "envoy", options=EnvoyOptions())
    with pytest.raises(DataPlaneError, match="no Envoy program at"):
        await plane.start()
    await plane.close(drain=0)


async def test_long_directory_is_an_error(tmp_path: Path) -> None:
    """Sockets need short paths."""
    plane = EnvoyDataPlane(directory=tmp_path / ("x" * 100), envoy=None, options=EnvoyOptions())
    with pytest.raises(DataPlaneError, match="choose a shorter directory"):
        await plane.start()


async def test_closing_twice_is_closing_once(directory: Path, ports: Ports) -> None:
    """A second close does nothing."""
    port = ports.reserve()
    plane = envoy_plane(directory)
    async with serving(plane) as present:
        await present.until_applied(pool("a", 1), forward(port, "a"))
    await plane.close(drain=0)


async def test_few_open_files_are_told(directory: Path) -> None:
    """When this user may open few files per process, people are told at start how many connections that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    plane = envoy_plane(directory)
    async with serving(plane):
        if hard != resource.RLIM_INFINITY and hard < 16_384:
            assert str(hard) in plane.notes[0]
        else:
            assert plane.notes == ()
    assert soft <= hard
