"""The plan: sockets, targets, weights and revisions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from support.manifests import Manifest, backend, gateway, listener, parent, service, slice_of, tcproute
from support.resources import World, listener_key, route_key, socket_key
from tidegate.core.compile import revision
from tidegate.names import PoolKey, TargetKey
from tidegate.plan.types import Match, PlanValue, Socket, Target, WeightedBackend

GATEWAY = gateway("gw", [listener("tcp", 80)])
ENDPOINTS = slice_of("web", [("10.0.0.1", 30)])
POOL = PoolKey("default", "web", 6000, "TCP")


def route(*backends: Manifest, **fields: Any) -> Manifest:
    """A route to the Gateway's listener."""
    return tcproute("route", [parent("gw")], backends or [backend("web")], **fields)


def target(world: World, port: int = 80) -> Target:
    """The planned target of a port."""
    found = world.plan[TargetKey(socket_key(port))]
    assert isinstance(found, Target)
    return found


def test_socket_and_target() -> None:
    """A socket says whose it is and has one match, which takes everything; a share per backendRef."""
    world = World(GATEWAY, route(backend("web", weight=3), backend("missing", weight=7)), service("web"), *ENDPOINTS)
    socket = world.socket(80)
    assert socket.listener == listener_key("gw", "tcp")
    assert socket.matches == (Match(target=TargetKey(socket_key(80))),)
    assert target(world).route == route_key("route")
    assert target(world).backends == (
        WeightedBackend(ref="0", weight=3, pool=POOL, label="default/web:6000"),
        WeightedBackend(ref="1", weight=7, pool=None, label="default/missing:6000"),
    )


@pytest.mark.parametrize("weights", [(0,), (1,), (70, 30, 0), (1_000_000,) * 16, (1, 1, 1)])
def test_weights_are_kept(weights: tuple[int, ...]) -> None:
    """Every backendRef keeps its weight and its place, equal ones and unresolved ones included."""
    world = World(GATEWAY, route(*(backend("web", weight=weight) for weight in weights)))
    assert [(one.ref, one.weight) for one in target(world).backends] == [
        (str(number), weight) for number, weight in enumerate(weights)
    ]


def test_a_listener_without_a_route_is_planned() -> None:
    """Its socket is there, with a target that refuses all."""
    world = World(GATEWAY)
    assert target(world) == Target(key=TargetKey(socket_key(80)), route=None, backends=())


@pytest.mark.parametrize(
    ("documents", "moves"),
    [
        ([*slice_of("web", [("10.0.0.9", 30)])], False),
        ([gateway("gw", [listener("tcp", 80)], infrastructure={"labels": {"a": "b"}})], False),
        ([gateway("gw", [listener("tcp", 80), listener("more", 81)])], False),
        ([tcproute("later", [parent("gw")], [backend("db")])], False),
        ([service("db")], False),
        ([route(backend("web", weight=2))], True),
        ([route(backend("web"), backend("web"))], True),
        ([route(backend("db"))], True),
        ([tcproute("route", [], [backend("web")])], True),
        ([gateway("gw", [listener("renamed", 80)])], True),
    ],
)
def test_revision_follows_what_is_planned(documents: list[Manifest], moves: bool) -> None:
    """The revision moves with targets, weights and the holder; endpoints and other objects do not move it."""
    world = World(GATEWAY, route(), service("web"), *ENDPOINTS)
    before = world.socket(80).revision
    world.apply(*documents)
    assert (world.socket(80).revision != before) is moves


def test_revision_does_not_depend_on_history() -> None:
    """The same plan has the same revision, in another instance and after a detour."""
    world = World(GATEWAY, route(), service("web"))
    first = world.socket(80).revision
    world.apply(route(backend("web", weight=9)))
    world.apply(route())
    assert world.socket(80).revision == first == World(GATEWAY, route(), service("web")).socket(80).revision


def test_a_renamed_listener_keeps_its_socket() -> None:
    """Two listeners that swap their ports change no socket's and no target's identity."""
    world = World(
        gateway("gw", [listener("a", 80), listener("b", 81)]),
        tcproute("r", [parent("gw", sectionName="a")], [backend("web")]),
    )
    assert (target(world, 80).route, target(world, 81).route) == (route_key("r"), None)
    change = world.apply(gateway("gw", [listener("a", 81), listener("b", 80)]))
    assert None not in change.plan.values()
    assert (target(world, 80).route, target(world, 81).route) == (None, route_key("r"))


def test_what_goes_is_withdrawn() -> None:
    """A removed listener takes its socket and target along and nothing else."""
    world = World(gateway("gw", [listener("a", 80), listener("b", 81)]), route())
    change = world.apply(gateway("gw", [listener("b", 81)]))
    assert change.plan == {socket_key(80): None, TargetKey(socket_key(80)): None}
    kept: list[PlanValue] = [one for one in world.plan.values() if isinstance(one, Socket)]
    assert kept == [world.socket(81)]


def test_a_revision_is_the_same_in_every_version() -> None:
    """Two versions run side by side during an upgrade. Who changes this value changes the meaning of plans, and says so
    in the changelog, under *Plans differently*.
    """
    world = World(GATEWAY, route(backend("web", weight=3), backend("missing", weight=7)), service("web"))
    assert world.socket(80).revision == "b1d3a2e260f15e72"


def test_a_field_that_a_later_version_adds_moves_no_revision_before_it_is_used() -> None:
    """Its default means what was meant before."""
    socket = World(GATEWAY, route()).socket(80)
    later = msgspec.defstruct(
        "Target", [("idle", int, 0)], bases=(Target,), frozen=True, kw_only=True, omit_defaults=True
    )
    fields: dict[str, Any] = {"key": TargetKey(socket.key), "route": route_key("route"), "backends": ()}

    def revised(target: Any) -> str:
        return revision(socket.key, socket.listener, socket.matches, target)

    assert revised(later(**fields)) == revised(Target(**fields))
    assert revised(later(idle=5, **fields)) != revised(Target(**fields))
