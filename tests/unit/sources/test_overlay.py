"""Flags and DNS become Services and EndpointSlices; the core's own rule (port name and protocol) reads them."""

from __future__ import annotations

import datetime as dt

from support.input_files import endpoint_slice, route, route_key, service, service_key, slice_key
from tidegate.model.corev1 import SERVICE_NAME_LABEL, EndpointSlice, Service
from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.model.kinds import Resource
from tidegate.names import ObjectKey
from tidegate.sources.backends import parse_backends
from tidegate.sources.base import Batch, Change
from tidegate.sources.chunks import read_chunk
from tidegate.sources.overlay import Answer, BackendOverlay

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class World:
    """An overlay and the objects that came out of it."""

    def __init__(self, *flags: str, dns: bool = False) -> None:
        self.overlay = BackendOverlay(parse_backends(flags), dns=dns, created=EPOCH)
        self.objects: dict[ObjectKey, Resource] = {}
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.last = Batch(changes=())

    def put(self, *texts: str) -> World:
        """Documents come or change."""
        entries = [entry for text in texts for entry in read_chunk("f", text).entries]
        return self._keep(
            self.overlay.apply(Batch(changes=tuple(Change(key=one.key, resource=one.resource) for one in entries)))
        )

    def delete(self, *keys: ObjectKey) -> World:
        """Documents go."""
        return self._keep(self.overlay.apply(Batch(changes=tuple(Change(key=key, resource=None) for key in keys))))

    def answer(self, *names: str, addresses: tuple[str, ...] = (), failure: str = "") -> World:
        """A look-up is answered."""
        return self._keep(self.overlay.answered([Answer(names=names, addresses=addresses, failure=failure)]))

    def _keep(self, batch: Batch) -> World:
        self.last = batch
        for change in batch.changes:
            if change.resource is None:
                del self.objects[change.key]
            else:
                self.objects[change.key] = change.resource
        if batch.diagnostics is not None:
            self.diagnostics = batch.diagnostics
        return self

    def endpoints(self, name: str, port: int, namespace: str = "default") -> list[str] | None:
        """Where a Service's port leads, as the core finds it; None: no such Service or port."""
        found = self.objects.get(service_key(name, namespace))
        if found is None:
            return None
        assert isinstance(found, Service)
        (service_port,) = [one for one in found.spec.ports if one.port == port] or [None]
        if service_port is None:
            return None
        return sorted(
            f"{address}:{slice_port.port}"
            for one in self.objects.values()
            if isinstance(one, EndpointSlice)
            and one.metadata.namespace == namespace
            and one.metadata.labels.get(SERVICE_NAME_LABEL) == name
            for slice_port in one.ports
            if (slice_port.name, slice_port.protocol) == (service_port.name, service_port.protocol)
            for endpoint in one.endpoints
            for address in endpoint.addresses
        )


def test_a_flag_makes_a_service() -> None:
    """Without a document, the Service exists by the flag, with or without a route that uses it."""
    world = World("web:6000=127.0.0.1:7001,[::1]:7002,127.0.0.1:7003").put()
    assert world.endpoints("web", 6000) == ["127.0.0.1:7001", "127.0.0.1:7003", "::1:7002"]
    assert world.endpoints("web", 6001) is None
    made = world.objects[service_key("web")].metadata
    assert (made.generation, made.creation_timestamp) == (1, EPOCH)


def test_slices_hold_one_family_and_one_port_each() -> None:
    """As EndpointSlices must."""
    world = World("web:6000=127.0.0.1:7001,[::1]:7002,127.0.0.1:7003").put()
    slices = [one for one in world.objects.values() if isinstance(one, EndpointSlice)]
    assert sorted((one.address_type, one.ports[0].port) for one in slices) == [
        ("IPv4", 7001),
        ("IPv4", 7003),
        ("IPv6", 7002),
    ]


def test_a_portless_flag_serves_what_routes_use() -> None:
    """Without a document, each port that a route refers to, as long as it does."""
    world = World("web=10.0.0.1:7000").put()
    assert world.endpoints("web", 6000) is None
    world.put(route("a"), route("b"), route("c", port=6001))
    assert world.endpoints("web", 6000) == world.endpoints("web", 6001) == ["10.0.0.1:7000"]
    world.delete(route_key("c"))
    assert world.endpoints("web", 6001) is None
    world.delete(route_key("a"))
    assert world.endpoints("web", 6000) == ["10.0.0.1:7000"]
    world.put(route("b", service="other"))
    assert world.objects.get(service_key("web")) is None


def test_a_portless_flag_serves_every_port_of_a_document() -> None:
    """With a document, its ports and no others."""
    world = World("web=10.0.0.1:7000").put(service("web", ports="[{name: a, port: 1}, {name: b, port: 2}]"), route("r"))
    assert world.endpoints("web", 1) == world.endpoints("web", 2) == ["10.0.0.1:7000"]
    assert world.endpoints("web", 6000) is None


def test_a_flag_adds_its_port_to_a_document() -> None:
    """The document's other ports stay as they are."""
    world = World("web:6000=10.0.0.1:7000").put(service("web", ports="[{port: 80}]"), endpoint_slice("s", of="web"))
    assert world.endpoints("web", 6000) == ["10.0.0.1:7000"]
    assert world.endpoints("web", 80) == ["10.0.0.1:7000"]
    world.delete(service_key("web"))
    assert world.endpoints("web", 6000) == ["10.0.0.1:7000"]
    assert world.endpoints("web", 80) is None


def test_a_flag_that_names_the_port_wins_over_slices() -> None:
    """Others lose against them, port by port."""
    documents = (
        service("web", ports="[{name: a, port: 1}, {name: b, port: 2}]"),
        endpoint_slice("s", of="web", port_name="a", port=9, address="10.9.9.9"),
    )
    named = World("web:1=10.0.0.1:7000").put(*documents)
    assert named.endpoints("web", 1) == ["10.0.0.1:7000"]
    portless = World("web=10.0.0.1:7000").put(*documents)
    assert portless.endpoints("web", 1) == ["10.9.9.9:9"]
    assert portless.endpoints("web", 2) == ["10.0.0.1:7000"]
    portless.delete(slice_key("s"))
    assert portless.endpoints("web", 1) == ["10.0.0.1:7000"]


def test_a_slice_may_change_its_service() -> None:
    """The one that loses it falls back to the flag."""
    world = World("web=10.0.0.1:7000").put(service("web"), service("other"), endpoint_slice("s", of="web", port=1))
    assert world.endpoints("web", 6000) == ["10.0.0.1:1"]
    world.put(endpoint_slice("s", of="other", port=1))
    assert world.endpoints("web", 6000) == ["10.0.0.1:7000"]
    world.put(endpoint_slice("s", of="''", port=1))


def test_flags_of_one_service_add_up() -> None:
    """Several flags for one port, and for several ports."""
    world = World("web:1=10.0.0.1:1", "web:1=10.0.0.2:1", "web:2=10.0.0.3:1").put()
    assert world.endpoints("web", 1) == ["10.0.0.1:1", "10.0.0.2:1"]
    assert world.endpoints("web", 2) == ["10.0.0.3:1"]


def test_namespaces_are_kept_apart() -> None:
    """A flag speaks of one namespace."""
    world = World("web.shop:1=10.0.0.1:1").put(service("web"))
    assert world.endpoints("web", 1, "shop") == ["10.0.0.1:1"]
    assert world.endpoints("web", 1) is None


def test_names_are_looked_up_and_followed() -> None:
    """A name has no endpoints until it resolves; a failure keeps what was, with a message."""
    world = World("web:1=db:7000,10.0.0.9:7").put(route("r", port=1))
    assert list(world.overlay.lookups) == [("db",)]
    assert world.endpoints("web", 1) == ["10.0.0.9:7"]
    world.answer("db", addresses=("10.0.0.1", "10.0.0.2"))
    assert world.endpoints("web", 1) == ["10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.9:7"]
    world.answer("db", addresses=("10.0.0.1", "10.0.0.2"), failure="the name db does not resolve")
    assert world.last.changes == ()
    assert [(one.severity, str(one.object), str(one)) for one in world.diagnostics] == [
        (Severity.WARNING, "Service default/web", "db: the name db does not resolve; its last addresses stay")
    ]
    world.answer("db", addresses=("10.0.0.3",))
    assert world.endpoints("web", 1) == ["10.0.0.3:7000", "10.0.0.9:7"]
    assert world.diagnostics == ()


def test_dns_serves_services_that_have_nothing_else() -> None:
    """By their own name, once it resolves; at the ref's port, or at a numeric targetPort of a document."""
    world = World(dns=True).put(route("r"), route("t", service="api", port=80))
    world.put(service("api", ports="[{name: a, port: 80, targetPort: 8080}, {name: b, port: 81, targetPort: http}]"))
    assert sorted(world.overlay.lookups) == [("api",), ("web",)]
    assert world.endpoints("web", 6000) is None
    assert world.endpoints("api", 80) == []
    world.answer("web", addresses=("10.0.0.1",)).answer("api", addresses=("10.0.0.2",))
    assert world.endpoints("web", 6000) == ["10.0.0.1:6000"]
    assert world.endpoints("api", 80) == ["10.0.0.2:8080"]
    assert world.endpoints("api", 81) == ["10.0.0.2:81"]
    world.delete(route_key("r"))
    assert world.endpoints("web", 6000) is None
    assert list(world.overlay.lookups) == [("api",)]


def test_dns_leaves_alone_what_has_slices_or_flags() -> None:
    """Slices of the input and flags come first."""
    world = World("flagged:6000=10.0.0.7:7", dns=True)
    world.put(service("web"), endpoint_slice("s", of="web"), route("r"), route("f", service="flagged"))
    assert list(world.overlay.lookups) == []
    assert world.endpoints("web", 6000) == ["10.0.0.1:7000"]
    assert world.endpoints("flagged", 6000) == ["10.0.0.7:7"]


def test_dns_in_another_namespace_tries_the_qualified_name_next() -> None:
    """The plain name first."""
    world = World(dns=True).put(route("r").replace("    - name: web\n", "    - name: web\n      namespace: shop\n"))
    assert list(world.overlay.lookups) == [("web", "web.shop")]


def test_other_objects_pass_unchanged() -> None:
    """Without flags and DNS nothing is touched; with them, other Services are not either."""
    world = World().put(service("web"), route("r"), endpoint_slice("s", of="web"))
    assert [change.key for change in world.last.changes] == [service_key("web"), route_key("r"), slice_key("s")]
    world = World("web:1=10.0.0.1:1").put(service("other"))
    document = world.objects[service_key("other")]
    assert isinstance(document, Service)
    assert document.spec.ports[0].name == ""


def test_a_change_that_changes_nothing_is_empty() -> None:
    """The same documents again give no change for what is made here."""
    world = World("web=10.0.0.1:7000").put(route("r"), service("web"))
    world.put(service("web"))
    assert world.last.changes == ()


def test_flags_without_use_are_noted() -> None:
    """No route, no route to that port, and a flag that slices outdo."""
    world = World("web:6000=10.0.0.1:1", "web:1=10.0.0.1:1", "other=10.0.0.1:1", "api=10.0.0.1:1")
    world.put(route("r"), route("a", service="api"), service("api"), endpoint_slice("s", of="api"))
    assert [(one.severity, str(one.location), one.message[:30]) for one in world.diagnostics] == [
        (Severity.NOTE, "--backend web:1=10.0.0.1:1", "no route sends anything to Ser"),
        (Severity.NOTE, "--backend other=10.0.0.1:1", "no route sends anything to Ser"),
        (Severity.NOTE, "--backend api=10.0.0.1:1", "EndpointSlices of the input wi"),
    ]


def test_diagnostics_of_the_input_are_passed_on() -> None:
    """They stay until the input says otherwise; what did not change is not said again."""
    overlay = BackendOverlay((), dns=False, created=EPOCH)
    problem = Diagnostic(severity=Severity.ERROR, location=Location("f", 1), message="x")
    assert overlay.apply(Batch(changes=(), diagnostics=(problem,))).diagnostics == (problem,)
    assert overlay.apply(Batch(changes=())).diagnostics is None
    assert overlay.apply(Batch(changes=(), diagnostics=())).diagnostics == ()


def test_one_change_touches_one_service() -> None:
    """With thousands of Services, a changed route yields the changes of its own only."""
    world = World(dns=True)
    world.put(*(route(f"r{i}", service=f"s{i}") for i in range(2_000)))
    for i in range(2_000):
        world.answer(f"s{i}", addresses=(f"10.1.{i // 250}.{i % 250}",))
    world.put(route("r7", service="s7", port=7))
    kinds = sorted(change.key.kind for change in world.last.changes)
    assert kinds == ["EndpointSlice", "EndpointSlice", "Service", "TCPRoute"]
