"""What a listener is worth: protocol, kinds, conflicts, sockets."""

from __future__ import annotations

import msgspec
import pytest

from support.manifests import Manifest, gateway, listener
from support.resources import FEATURES, gateway_key, listener_key, on_one_port, socket_key, typed
from tidegate.core.config import CoreConfig
from tidegate.core.listeners import ListenerDecision, evaluate_listeners, supported_kinds
from tidegate.core.reasons import Reason
from tidegate.model.gateway import AllowedRoutes, Gateway, Listener, RouteGroupKind
from tidegate.names import GATEWAY_GROUP

CONFIG = CoreConfig(features=FEATURES)
OWNER = gateway_key("gw")


def judged(
    *listeners: Manifest, addresses: tuple[str, ...] = ("*",), config: CoreConfig = CONFIG
) -> list[ListenerDecision]:
    """The decisions on the listeners of one Gateway."""
    resource = typed(gateway("gw", listeners))
    assert isinstance(resource, Gateway)
    return list(evaluate_listeners(OWNER, resource, addresses, config))


def test_a_tcp_listener_is_accepted() -> None:
    """No route is needed, all references resolve, and it wants one socket per address."""
    (one,) = judged(listener("tcp", 80), addresses=("192.0.2.1", "2001:db8::1"))
    assert one.key == listener_key("gw", "tcp")
    assert (one.rejection, one.conflict, one.unresolved) == (None, False, None)
    assert one.supported_kinds == (RouteGroupKind(group=GATEWAY_GROUP, kind="TCPRoute"),)
    assert one.sockets == (socket_key(80, "192.0.2.1"), socket_key(80, "2001:db8::1"))


@pytest.mark.parametrize("protocol", ["UDP", "HTTP", "HTTPS", "INVALID", "example.com/own"])
def test_unsupported_protocol(protocol: str) -> None:
    """It is rejected with what is served instead, takes no kind and wants no socket."""
    (one,) = judged(listener("odd", 80, protocol=protocol))
    assert one.rejection is not None
    assert one.rejection.reason is Reason.UNSUPPORTED_PROTOCOL
    assert protocol in one.rejection.message
    assert "served: TCP" in one.rejection.message
    assert (one.supported_kinds, one.sockets, one.conflict, one.unresolved) == ((), (), False, None)


def test_ports_that_no_pod_can_open_in_the_network_of_its_node() -> None:
    """Privileged ports are refused there with a reason; routes attach all the same, and other ports are fine."""
    resource = typed(gateway("gw", [listener("web", 1023), listener("free", 1024)]))
    assert isinstance(resource, Gateway)
    cluster = CoreConfig(features=FEATURES, scope_per_gateway=True)
    web, free = evaluate_listeners(OWNER, resource, ("*",), cluster, host_network=True)
    assert web.rejection is not None
    assert web.rejection.reason is Reason.PORT_UNAVAILABLE
    assert web.rejection.message.startswith("port 1023 cannot be opened in the network of a node")
    assert [kind.kind for kind in web.supported_kinds] == ["TCPRoute"]
    assert (web.sockets, web.conflict) == ((), False)
    assert free.rejection is None
    for config, host_network in ((cluster, False), (CONFIG, True)):
        decisions = evaluate_listeners(OWNER, resource, ("*",), config, host_network=host_network)
        assert [one.rejection for one in decisions] == [None, None]


def test_a_port_that_the_data_plane_keeps_for_itself() -> None:
    """It is refused with a reason; its neighbours are not."""
    features = msgspec.structs.replace(FEATURES, reserved_ports=frozenset({15021}))
    config = CoreConfig(features=features)
    kept, free = judged(listener("kept", 15021), listener("free", 15022), config=config)
    assert kept.rejection is not None
    assert (kept.rejection.reason, kept.sockets) == (Reason.PORT_UNAVAILABLE, ())
    assert kept.rejection.message == "port 15021 is one that the data plane keeps for itself: choose another"
    assert free.rejection is None


def test_unsupported_protocols_do_not_conflict() -> None:
    """A listener that is not served takes the port from nobody."""
    tcp, http = judged(listener("tcp", 80), listener("http", 80, protocol="HTTP"))
    assert (tcp.rejection, tcp.conflict) == (None, False)
    assert not http.conflict


def test_all_who_clash_in_one_gateway_lose() -> None:
    """Without validation two TCP listeners may share a port: there is no winner, others are unharmed."""
    both = on_one_port(typed(gateway("gw", [listener("a", 80), listener("b", 81)])), 81)
    third = Listener(name="c", port=82, protocol="TCP")
    spec = msgspec.structs.replace(both.spec, listeners=(*both.spec.listeners, third))
    clashing = msgspec.structs.replace(both, spec=spec)
    a, b, c = evaluate_listeners(OWNER, clashing, ("*",), CONFIG)
    for one, other in ((a, b), (b, a)):
        assert one.conflict
        assert one.rejection is not None
        assert one.rejection.reason is Reason.PROTOCOL_CONFLICT
        assert f"clashes with {other.spec.name}" in one.rejection.message
        assert (one.sockets, one.supported_kinds) == ((), ())
    assert (c.conflict, c.rejection) == (False, None)


def test_scope_and_position() -> None:
    """Sockets belong to the Gateway's scope; positions are those of the spec; no address, no socket."""
    config = CoreConfig(features=FEATURES, scope_per_gateway=True)
    first, second = judged(listener("b", 80), listener("a", 81), config=config)
    assert first.sockets == (socket_key(80, scope="default/gw"),)
    assert (first.position, second.position) == (0, 1)
    assert [one.sockets for one in judged(listener("tcp", 80), addresses=())] == [()]


def kind(name: str, group: str = GATEWAY_GROUP) -> RouteGroupKind:
    """A kind of routes."""
    return RouteGroupKind(group=group, kind=name)


@pytest.mark.parametrize(
    ("wanted", "kept", "dropped"),
    [
        ((), ("TCPRoute",), ()),
        ((kind("TCPRoute"),), ("TCPRoute",), ()),
        ((kind("TCPRoute"), kind("TCPRoute")), ("TCPRoute",), ()),
        ((kind("UDPRoute"),), (), ("UDPRoute",)),
        ((kind("InvalidRoute"), kind("TCPRoute")), ("TCPRoute",), ("InvalidRoute",)),
        ((kind("TCPRoute", "example.com"),), (), ("example.com/TCPRoute",)),
        ((kind("TCPRoute", ""),), (), ("core/TCPRoute",)),
    ],
)
def test_supported_kinds(wanted: tuple[RouteGroupKind, ...], kept: tuple[str, ...], dropped: tuple[str, ...]) -> None:
    """Kinds that fit are kept once; any other one makes the references unresolved, and is named."""
    found, unresolved = supported_kinds(
        Listener(name="tcp", port=80, protocol="TCP", allowed_routes=AllowedRoutes(kinds=wanted))
    )
    assert tuple(one.kind for one in found) == kept
    assert (unresolved is not None) == bool(dropped)
    if unresolved is not None:
        assert unresolved.reason is Reason.INVALID_ROUTE_KINDS
        assert all(name in unresolved.message for name in dropped)
