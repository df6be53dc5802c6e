"""The picture for people."""

from __future__ import annotations

import asyncio
import datetime as dt

from support.manifests import backend, gateway, listener, parent, service, slice_of, tcproute
from support.resources import FEATURES, HOST_ADDRESS, listener_key, route_key, typed
from tidegate.admin.view import Instance, State
from tidegate.controller.foresight import settle
from tidegate.controller.picture import SLICE, picture, picture_in_slices
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision
from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.model.kinds import key_of
from tidegate.plan.outcome import Traffic

INSTANCE = Instance(
    name="test", version="0", pid=1, started_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), data_plane="test", ready=True
)


def draw(*documents: dict[str, object], traffic: tuple[Traffic, ...] = (), objects: bool = True) -> State:
    """The picture of these manifests once a data plane serves them."""
    decision = Decision(CoreConfig(features=FEATURES))
    for order, document in enumerate(documents):
        resource = typed(document, order)
        decision.set_object(key_of(resource), resource)
    statuses = settle(decision, [HOST_ADDRESS])
    problem = Diagnostic(severity=Severity.WARNING, location=Location("a.yaml", 3), path="spec.x", message="unknown")
    return picture(decision, statuses, [problem], traffic, INSTANCE, objects=objects)


DOCUMENTS = (
    gateway("edge", [listener("db", 5432), listener("web", 8081, protocol="HTTP"), listener("idle", 9000)]),
    tcproute("db", [parent("edge", sectionName="db")], [backend("db", weight=3), backend("missing")]),
    service("db"),
    *slice_of("db", [("127.0.0.1", 7000), ("127.0.0.2", 7000)]),
)


def test_listeners_show_state_route_and_backends() -> None:
    """A listener shows whether it serves, which route, and what each share's endpoints are."""
    db, web, idle = draw(*DOCUMENTS).listeners
    assert (db.state, db.route, db.attached_routes) == ("Live", "default/db", 1)
    assert [(one.name, one.weight, one.endpoints) for one in db.backends] == [
        ("default/db:6000", 3, 2),
        ("default/missing:6000", 1, 0),
    ]
    assert "does not exist" in db.backends[1].refused
    assert web.state == "Rejected"
    assert "HTTP" in web.message
    assert (idle.state, idle.route, idle.backends) == ("Live", None, ())


def test_traffic_is_summed_over_the_routes_of_a_listener() -> None:
    """Counters of a listener hold what every route that it ever served counted."""
    one = Traffic(
        listener=listener_key("edge", "db"), route=route_key("db"), opened=5, refused=1, active=2, received=10, sent=20
    )
    other = Traffic(listener=listener_key("edge", "db"), route=None, opened=1, refused=1, active=0, received=0, sent=0)
    db = draw(*DOCUMENTS, traffic=(one, other)).listeners[0]
    assert (db.opened, db.refused, db.active, db.received, db.sent) == (6, 2, 2, 10, 20)


def test_objects_carry_their_status_as_an_api_server_prints_them() -> None:
    """Objects of ours have a status; others are shown without."""
    objects = {item["kind"]: item for item in draw(*DOCUMENTS).objects}
    assert objects["Gateway"]["status"]["addresses"] == [{"type": "IPAddress", "value": HOST_ADDRESS}]
    assert objects["TCPRoute"]["status"]["parents"][0]["conditions"][0]["type"] == "Accepted"
    assert "status" not in objects["Service"]
    assert draw(*DOCUMENTS, objects=False).objects == ()


def test_problems_keep_file_line_and_path() -> None:
    """What is wrong with the input is shown with its place."""
    problem = draw(*DOCUMENTS).problems[0]
    assert (problem.severity, problem.file, problem.line, problem.path) == ("warning", "a.yaml", 3, "spec.x")


async def test_others_have_their_turn_between_slices() -> None:
    """A picture of many is the same picture, and made with a pause after every ``SLICE`` of them."""
    decision = Decision(CoreConfig(features=FEATURES))
    count = 64
    gateways = [
        gateway(f"g{one}", [listener(f"l{number}", 1_000 + one * count + number) for number in range(count)])
        for one in range(3)
    ]
    for order, document in enumerate([*gateways, *(service(f"s{number}") for number in range(3 * count))]):
        resource = typed(document, order)
        decision.set_object(key_of(resource), resource)
    statuses = settle(decision, [HOST_ADDRESS])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(others())
        found = await picture_in_slices(decision, statuses, (), (), INSTANCE)
        task.cancel()
    assert found == picture(decision, statuses, (), (), INSTANCE)
    assert turns >= 2 * 3 * count // SLICE
