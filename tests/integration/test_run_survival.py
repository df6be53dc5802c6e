"""No configuration change closes an established connection, and new ones always follow the newest configuration."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import crowd, who_serves
from support.instances import Instance, Instances
from support.manifests import (
    Manifest,
    backend,
    flat,
    gateway,
    listener,
    parent,
    service,
    slice_of,
    tcproute,
    write,
    write_text,
)
from support.ports import Ports
from support.waiting import eventually

CHANGES = 100
CONNECTIONS = 200
STREAK = 15
CLOSED = "closed without a byte"


class World:
    """A configuration that changes at random, and what a new connection to the main port must meet.

    The main listener's route moves between backends, weights and endpoints; around it, listeners, routes
    and unrelated objects come and go.
    """

    def __init__(self, seed: int, folder: Path, main: int, spare: list[int], backends: dict[str, int]) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.main = main
        self.spare = spare
        self.ports = backends
        self.weights = dict.fromkeys(backends, 1)
        self.endpoints = {name: {name} for name in backends}
        self.others: set[int] = set()
        self.labels = 0
        self.override: str | None = None
        self.last = "start"

    def shares(self) -> dict[str, float]:
        """The answers that a new connection to the main port may get, each with its share of them."""
        if self.override is not None:
            return {self.override: 1}
        total = sum(self.weights.values())
        shares: dict[str, float] = {} if total else {CLOSED: 1}
        for name, weight in self.weights.items():
            answers = self.endpoints[name] or {CLOSED}
            for answer in answers if weight else ():
                shares[answer] = shares.get(answer, 0) + weight / total / len(answers)
        return shares

    def change(self) -> None:
        """One random change, written to the files."""
        changes: list[Callable[[], None]] = [
            self.change_weights,
            self.change_endpoints,
            self.change_route,
            self.change_listeners,
            self.change_unrelated,
            self.change_to_broken,
        ]
        chosen = self.random.choice(changes)
        self.last = chosen.__name__
        chosen()

    def change_weights(self) -> None:
        """New weights; some may be 0."""
        self.weights = {name: self.random.choice([0, 1, 5, 100]) for name in self.weights}
        self.write()

    def change_endpoints(self) -> None:
        """A Service gets the endpoints of a random set of backends, or none."""
        name = self.random.choice(sorted(self.endpoints))
        self.endpoints[name] = {other for other in sorted(self.ports) if self.random.random() < 0.5}
        self.write()

    def change_route(self) -> None:
        """An older route takes the listener over, or goes again."""
        self.override = None if self.override else self.random.choice(sorted(self.ports))
        self.write()

    def change_listeners(self) -> None:
        """Another listener appears or goes."""
        self.others ^= {self.random.choice(self.spare)}
        self.write()

    def change_unrelated(self) -> None:
        """An object that concerns nobody changes."""
        self.labels += 1
        self.write()

    def change_to_broken(self) -> None:
        """A file that cannot be parsed appears beside the others; it changes nothing."""
        write_text(self.folder / "broken.yaml", "kind: [Gateway\n" + "x" * self.random.randint(0, 9))

    def write(self) -> None:
        """Write everything but the broken file."""
        refs = [backend(name, weight=weight) for name, weight in self.weights.items()]
        sockets = [listener("main", self.main), *(listener(f"other-{port}", port) for port in sorted(self.others))]
        documents: list[Manifest | list[Manifest]] = [
            gateway("edge", sockets),
            tcproute("app", [parent("edge", sectionName="main")], refs, created="2024-06-01T00:00:00Z"),
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "nobody", "labels": {"count": str(self.labels)}},
            },
        ]
        for name in self.ports:
            documents.append(service(name))
            documents.append(self.slices(name, sorted(self.endpoints[name])))
            documents.append(service(f"{name}-only"))
            documents.append(slice_of(f"{name}-only", [("127.0.0.1", self.ports[name])]))
        if self.override is not None:
            documents.append(
                tcproute(
                    "older",
                    [parent("edge", sectionName="main")],
                    [backend(f"{self.override}-only")],
                    created="2024-01-01T00:00:00Z",
                )
            )
        write(self.folder / "all.yaml", *flat(documents))

    def slices(self, name: str, members: list[str]) -> list[Manifest]:
        """The EndpointSlices of a Service whose endpoints are these backends."""
        return slice_of(name, [("127.0.0.1", self.ports[member]) for member in members])


async def follows(port: int, shares: dict[str, float]) -> bool:
    """Whether several new connections get allowed answers only, and every answer that has a fair share."""
    answers = {await who_serves(port) for _ in range(STREAK)}
    return answers <= shares.keys() and all(answer in answers for answer, share in shares.items() if share >= 0.2)


async def check_listeners(instance: Instance, world: World) -> None:
    """The other listeners that exist now accept, and no others do."""
    for port in world.spare:
        accepts = port in world.others
        await eventually(
            lambda port=port: who_serves(port),
            lambda who, accepts=accepts: (who == CLOSED) == accepts,
            what=f"port {port} {'accepts' if accepts else 'is closed'}; {instance.log.name}",
        )


@pytest.mark.timeout(240)
async def test_hundred_random_changes_reset_nobody(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """200 echo connections live through 100 random changes; each change holds for new connections."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    main, spare = ports.reserve(), [ports.reserve() for _ in range(3)]
    async with Backend("red") as red, Backend("green") as green, Backend("blue") as blue:
        backends = {entry.name: entry.port for entry in (red, green, blue)}
        world = World(20240601, folder, main, spare, backends)
        world.write()
        instance = tidegate.start(folder)
        await instance.wait_ready()
        async with crowd(main, CONNECTIONS) as people:
            assert people.backends.total() == CONNECTIONS
            for number in range(CHANGES):
                world.change()
                await eventually(
                    lambda: follows(main, world.shares()),
                    what=f"change {number} ({world.last}) leads new connections to {world.shares()}",
                )
                assert not people.broken, f"after change {number} ({world.last})"
            await check_listeners(instance, world)
            await people.check()
            assert not people.broken
            assert people.rounds > 10
