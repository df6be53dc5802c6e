"""A configuration that changes at random, and what new connections must meet after each change."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from support.clients import who_serves
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

STREAK = 15


class Changes:
    """A configuration that changes at random, and what a new connection to the main port must meet.

    The main listener's route moves between backends, weights and endpoints; around it, listeners, routes
    and unrelated objects come and go. ``backends`` has the places of each, one in every address family that clients
    use; ``refused`` is the answer where nothing can serve.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        main: int,
        spare: list[int],
        backends: Mapping[str, Sequence[tuple[str, int]]],
        *,
        refused: str,
    ) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.main = main
        self.spare = spare
        self.places = backends
        self.refused = refused
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
        shares: dict[str, float] = {} if total else {self.refused: 1}
        for name, weight in self.weights.items():
            answers = self.endpoints[name] or {self.refused}
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
        self.endpoints[name] = {other for other in sorted(self.places) if self.random.random() < 0.5}
        self.write()

    def change_route(self) -> None:
        """An older route takes the listener over, or goes again."""
        self.override = None if self.override else self.random.choice(sorted(self.places))
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
        for name in self.places:
            documents.append(service(name))
            documents.append(self.slices(name, self.endpoints[name]))
            documents.append(service(f"{name}-only"))
            documents.append(self.slices(f"{name}-only", {name}))
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

    def slices(self, name: str, members: Iterable[str]) -> list[Manifest]:
        """The EndpointSlices of a Service whose endpoints are these backends."""
        return slice_of(name, [place for member in sorted(members) for place in self.places[member]])


async def follows(port: int, shares: Mapping[str, float], *, host: str = "127.0.0.1") -> bool:
    """Whether several new connections get allowed answers only, and every answer that has a fair share."""
    answers = {await who_serves(port, host=host) for _ in range(STREAK)}
    return answers <= shares.keys() and all(answer in answers for answer, share in shares.items() if share >= 0.2)
