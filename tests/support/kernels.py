"""The kernel data plane on a test's own hosts: `tidegate run --dataplane nftables`, or the plane alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.backends import Backend
from support.instances import Finished, Instance, Instances
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute, write
from support.netns import Host, World
from support.planes import Serving, serving, short_directory
from tidegate.dataplanes.nftables.options import NftablesOptions
from tidegate.dataplanes.nftables.plane import NftablesDataPlane

PORT = 8080
TABLE = "tidegate-default"


class KernelRuns:
    """Starts tidegate on the gateway of ``world``, with the manifests in ``file``."""

    def __init__(self, tidegate: Instances, world: World, file: Path) -> None:
        self.tidegate = tidegate
        self.world = world
        self.file = file

    def start(self, *arguments: str, state_dir: Path | None = None) -> Instance:
        """Start it. The same ``state_dir`` makes it a successor."""
        return self.tidegate.start(
            self.file, "--dataplane", "nftables", *arguments, state_dir=state_dir, under=self.world.gateway.under
        )

    async def serve(self, *documents: Manifest | list[Manifest], arguments: tuple[str, ...] = ()) -> Instance:
        """Start it with these documents, and wait until they are served."""
        write(self.file, *documents)
        instance = self.start(*arguments)
        await instance.wait_ready()
        return instance

    async def forward(self, *backends: Backend, arguments: tuple[str, ...] = ()) -> Instance:
        """Serve ``PORT`` from backends, evenly."""
        names = dict.fromkeys(one.name for one in backends)
        return await self.serve(*forwarding(*names), arguments=(*to(*backends), *arguments))

    async def run(self, *arguments: str | Path) -> Finished:
        """Run a command of tidegate on the gateway, to its end."""
        with self.world.gateway.entered():
            return await self.tidegate.run(*arguments)


@asynccontextmanager
async def serving_kernel(options: NftablesOptions | None = None) -> AsyncIterator[Serving]:
    """The plane, on a host where the test itself is during the block; its table is gone afterwards."""
    with Host("plane") as host, host.entered(), short_directory() as directory:
        plane = NftablesDataPlane(name="default", directory=directory, options=options or NftablesOptions())
        async with serving(plane) as present:
            yield present


def forwarding(*names: str, port: int = PORT, **spec: Any) -> list[Manifest | list[Manifest]]:
    """A Gateway with one listener, and a route from there to Services of these names."""
    return [
        gateway("edge", [listener("tcp", port)], **spec),
        tcproute("app", [parent("edge")], [backend(name) for name in names]),
    ]


def to(*backends: Backend) -> tuple[str, ...]:
    """The flags that say where backends are; several of one name are the endpoints of one Service."""
    names = dict.fromkeys(one.name for one in backends)
    places = {name: ",".join(one.address for one in backends if one.name == name) for name in names}
    return tuple(text for name, place in places.items() for text in ("--backend", f"{name}:6000={place}"))
