"""What one change costs a controller in a cluster does not grow with the routes there are.

Steps of the interpreter are counted, not time: they are the same in every run.
"""

from __future__ import annotations

import datetime as dt
import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from support import manifests
from support.manifests import Manifest, backend, gateway, gateway_class, listener, parent, tcproute
from tidegate.app.cluster import cluster_config
from tidegate.controller.board import StatusBoard
from tidegate.core.decision import Decision
from tidegate.dataplanes.envoy.fleet import EnvoyFleet
from tidegate.model.kinds import KINDS
from tidegate.names import CONTROLLER_NAME
from tidegate.reporting.ledger import Ledger
from tidegate.sources.kubernetes_decoding import KindReader
from tidegate.sources.kubernetes_view import View

EACH = 8
"""So many listeners has a Gateway."""


class Controller:
    """What a controller does between two requests, with an API server that takes every status."""

    def __init__(self) -> None:
        self.view = View()
        self.decision = Decision(cluster_config(CONTROLLER_NAME))
        self.board = StatusBoard()
        self.ledger = Ledger(CONTROLLER_NAME)
        self.fleet = EnvoyFleet(address="127.0.0.1:0", server_name="x", credentials=_no_credentials)
        self.readers = {kind.kind: KindReader(kind, kind.versions[0]) for kind in KINDS}
        self.versions = itertools.count(1)
        self.ledger.begin(0.0)

    def sees(self, *documents: Manifest) -> int:
        """The watch shows objects; how many have to be looked after because of that."""
        for document in documents:
            metadata = {
                "namespace": "default", "uid": document["metadata"]["name"], "generation": 1,
                "resourceVersion": str(next(self.versions)), **document["metadata"],
            }  # fmt: skip
            reading = self.readers[document["kind"]].read({**document, "metadata": metadata})
            if reading.observed is not None:
                self.ledger.observe(reading.key, reading.observed, 0.0)
            self.view.change(reading)
        for change in self.view.take_changes():
            self.decision.set_object(change.key, change.resource)
        decided = self.decision.decide()
        self.fleet.apply(decided.plan)
        self.fleet.set_infrastructure(decided.infrastructure)
        self.ledger.publish(self.board.take(decided.verdicts, monotonic=0.0, now=_NOW), 0.0)
        turns = 0
        while (key := self.ledger.take(1e6)) is not None:
            self.ledger.attempt(key, 1e6, _NOW)
            self.ledger.release(key)
            turns += 1
        return turns


_NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def _no_credentials() -> Any:
    raise AssertionError("nobody connects")


def steps(act: Callable[[], object]) -> int:
    """How many steps the interpreter does meanwhile."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def cost(shape: str, routes: int) -> tuple[int, int]:
    """Of a route that gets another backend, among so many: turns and steps."""
    controller = Controller()
    controller.sees(gateway_class())
    spread = shape == "spread"
    for first in range(0, routes if spread else 1, EACH):
        listeners = [listener(f"l{number}", 2000 + number) for number in range(first, first + EACH)]
        controller.sees(gateway(f"gw-{first // EACH}", listeners))
    for number in range(routes):
        name = f"service-{number}"
        controller.sees(manifests.service(name), *manifests.slice_of(name, [("192.0.2.9", 7000)]))
        controller.sees(_route(number, spread=spread, service=name))
    turns: list[int] = []
    taken = steps(lambda: turns.append(controller.sees(_route(0, spread=spread, service="service-1"))))
    return turns[0], taken


def _route(number: int, *, spread: bool, service: str) -> Manifest:
    place = number if spread else 0
    to = parent(f"gw-{place // EACH}", sectionName=f"l{place}")
    return tcproute(f"route-{number:04}", [to], [backend(service)])


@pytest.mark.parametrize("shape", ["crowded", "spread"])
def test_a_change_costs_the_same_among_many_routes(shape: str) -> None:
    """From the object on the wire to what is written: as much among 400 routes as among 16."""
    few_turns, few = cost(shape, 16)
    many_turns, many = cost(shape, 400)
    assert many_turns == few_turns
    assert many <= 1.2 * few, f"{few} steps among 16 routes, {many} among 400"
