"""A controller in a process of its own, to be killed: serves one port with one backend through Envoy.

Usage: ``python controller_main.py DIRECTORY PORT BACKEND_PORT``; prints ``live`` when it serves.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from support.envoys import envoy_plane
from support.planes import serving
from support.plans import forward, pool


async def main(directory: str, port: int, backend: int) -> None:
    """Serve until killed."""
    async with serving(envoy_plane(Path(directory)), drain=None) as envoy:
        await envoy.until_applied(pool("a", backend), forward(port, "a"))
        print("live", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
