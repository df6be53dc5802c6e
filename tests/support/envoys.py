"""The Envoy data plane under test, in a directory of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.planes import Serving, serving, short_directory
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.dataplanes.envoy.plane import EnvoyDataPlane


def envoy_plane(directory: Path, options: EnvoyOptions | None = None) -> EnvoyDataPlane:
    """A plane with one worker, which is enough for most tests and makes shares exact to the connection."""
    return EnvoyDataPlane(directory=directory, envoy=None, options=options or EnvoyOptions(concurrency=1))


@asynccontextmanager
async def serving_envoy(options: EnvoyOptions | None = None, *, drain: float = 0.0) -> AsyncIterator[Serving]:
    """An Envoy that serves nothing yet and is gone after the block."""
    with short_directory() as directory:
        async with serving(envoy_plane(directory, options), drain=drain) as present:
            yield present
