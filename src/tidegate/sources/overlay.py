"""Backends from flags and DNS, laid over the input as Service and EndpointSlice objects. Pure.

In: batches of the input, and the addresses of names as they are found. Out: the same batches, where
Services that a flag or ``--dns`` speaks of are completed, and EndpointSlices added. So the core knows
nothing of flags. A port whose endpoints come from here gets a reserved name, which only the slices from
here carry: that is how a flag that names a port wins over slices of the input. The work of one change
depends on the Services that it touches, not on how many there are.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from tidegate.model.corev1 import (
    SERVICE_NAME_LABEL,
    EndpointPort,
    EndpointSlice,
    Service,
    ServicePort,
    ServiceSpec,
    SliceEndpoint,
)
from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.model.kinds import Resource, key_of
from tidegate.model.meta import ObjectMeta
from tidegate.model.routes import TCPRoute
from tidegate.names import CORE_GROUP, ObjectKey
from tidegate.sources.backends import BackendFlag, HostPort, ServiceName
from tidegate.sources.base import Batch, Change

RESERVED: Final = "tidegate-backend"
"""Begins the names of ports and slices made here."""

_Names = tuple[str, ...]
"""Names for one thing, the first that resolves counts."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a look-up gave. ``addresses`` stay those of the last success; ``failure`` is for people."""

    names: _Names
    addresses: tuple[str, ...]
    failure: str = ""


class _Known(msgspec.Struct):
    """What the input says about one Service."""

    document: Service | None = None
    slices: dict[ObjectKey, EndpointSlice] = {}
    used_ports: Counter[int] = msgspec.field(default_factory=Counter)
    made: dict[ObjectKey, Resource] = {}
    lookups: frozenset[_Names] = frozenset()


class _Target(msgspec.Struct, frozen=True):
    """Where connections of a port go: to addresses, or to what names resolve to."""

    names: _Names
    port: int


class BackendOverlay:
    """Lays flags and DNS over batches. ``created`` is the age that objects made here claim."""

    def __init__(self, flags: Sequence[BackendFlag], *, dns: bool, created: dt.datetime) -> None:
        self._flags = tuple(flags)
        self._dns = dns
        self._created = created
        self._flagged: dict[ServiceName, list[BackendFlag]] = defaultdict(list)
        for flag in flags:
            self._flagged[flag.service].append(flag)
        self._known: dict[ServiceName, _Known] = {name: _Known() for name in self._flagged}
        self._service_of: dict[ObjectKey, ServiceName] = {}
        self._uses: dict[ObjectKey, Counter[tuple[ServiceName, int]]] = {}
        self._answers: dict[_Names, Answer] = {}
        self._waiting: dict[_Names, set[ServiceName]] = {}
        self._failing: set[_Names] = set()
        self._lookups_changed = True
        self._input_diagnostics: tuple[Diagnostic, ...] = ()
        self._said: tuple[Diagnostic, ...] | None = None
        self._first = True

    @property
    def lookups(self) -> Iterable[_Names]:
        """The names whose addresses are wanted now."""
        return self._waiting.keys()

    def take_lookups(self) -> Iterable[_Names] | None:
        """The same, if they changed since the last call."""
        changed, self._lookups_changed = self._lookups_changed, False
        return self._waiting.keys() if changed else None

    def apply(self, batch: Batch) -> Batch:
        """The batch with what it means for flags and DNS."""
        changes: list[Change] = []
        dirty: dict[ServiceName, None] = dict.fromkeys(self._flagged) if self._first else {}
        self._first = False
        for change in batch.changes:
            if not self._is_ours(change):
                changes.append(change)
            dirty.update(dict.fromkeys(self._note(change)))
        for name in dirty:
            changes.extend(self._remake(name))
        if batch.diagnostics is not None:
            self._input_diagnostics = batch.diagnostics
        return Batch(changes=tuple(changes), diagnostics=self._new_diagnostics())

    def answered(self, answers: Iterable[Answer]) -> Batch:
        """What newly found addresses change."""
        dirty: dict[ServiceName, None] = {}
        for answer in answers:
            if answer.names not in self._waiting:
                continue
            self._answers[answer.names] = answer
            (self._failing.add if answer.failure else self._failing.discard)(answer.names)
            dirty.update(dict.fromkeys(sorted(self._waiting[answer.names])))
        changes = [change for name in dirty for change in self._remake(name)]
        return Batch(changes=tuple(changes), diagnostics=self._new_diagnostics())

    def _concerns(self, name: ServiceName) -> bool:
        return self._dns or name in self._flagged

    def _is_ours(self, change: Change) -> bool:
        """Whether the change is passed on in our version of the object."""
        key = change.key
        return (key.group, key.kind) == (CORE_GROUP, Service.KIND) and self._concerns(
            ServiceName(key.namespace, key.name)
        )

    def _note(self, change: Change) -> Iterator[ServiceName]:
        """Keeps what matters of a change; the Services that it touches."""
        key, resource = change.key, change.resource
        if (key.group, key.kind) == (Service.GROUP, Service.KIND):
            name = ServiceName(key.namespace, key.name)
            if self._concerns(name):
                assert resource is None or isinstance(resource, Service)
                self._of(name).document = resource
                yield name
        elif (key.group, key.kind) == (EndpointSlice.GROUP, EndpointSlice.KIND):
            assert resource is None or isinstance(resource, EndpointSlice)
            yield from self._note_slice(key, resource)
        elif (key.group, key.kind) == (TCPRoute.GROUP, TCPRoute.KIND):
            assert resource is None or isinstance(resource, TCPRoute)
            yield from self._note_route(key, resource)

    def _note_slice(self, key: ObjectKey, resource: EndpointSlice | None) -> Iterator[ServiceName]:
        before = self._service_of.pop(key, None)
        if before is not None:
            del self._of(before).slices[key]
            yield before
        if resource is None:
            return
        label = resource.metadata.labels.get(SERVICE_NAME_LABEL)
        name = ServiceName(key.namespace, label) if label else None
        if name is not None and self._concerns(name):
            self._of(name).slices[key] = resource
            self._service_of[key] = name
            yield name

    def _note_route(self, key: ObjectKey, route: TCPRoute | None) -> Iterator[ServiceName]:
        before = self._uses.pop(key, Counter())
        after = Counter(use for use in _uses(route) if self._concerns(use[0])) if route is not None else Counter()
        if after:
            self._uses[key] = after
        if before == after:
            return
        for name, port in before.keys() | after.keys():
            used = self._of(name).used_ports
            used[port] += after[name, port] - before[name, port]
            if used[port] <= 0:
                del used[port]
            yield name

    def _of(self, name: ServiceName) -> _Known:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known()
        return known

    def _remake(self, name: ServiceName) -> Iterator[Change]:
        """Makes the objects of one Service again; what changed of them."""
        known = self._of(name)
        targets = self._targets(name, known)
        self._want(name, known, targets)
        made = {key_of(resource): resource for resource in self._objects(name, known, targets)}
        for key in known.made.keys() - made.keys():
            yield Change(key=key, resource=None)
        for key, resource in made.items():
            if known.made.get(key) != resource:
                yield Change(key=key, resource=resource)
        known.made = made
        if not (made or known.slices or known.used_ports or known.lookups or name in self._flagged):
            del self._known[name]

    def _targets(self, name: ServiceName, known: _Known) -> dict[int, tuple[_Target, ...]]:
        """Where the ports go whose endpoints come from here."""
        explicit: dict[int, list[_Target]] = defaultdict(list)
        every_port: list[_Target] = []
        for flag in self._flagged.get(name, ()):
            (every_port if flag.port is None else explicit[flag.port]).extend(map(_target, flag.endpoints))
        result = {port: tuple(targets) for port, targets in explicit.items()}
        for port, dialled in _open_ports(known).items():
            if port not in result and every_port:
                result[port] = tuple(every_port)
            elif port not in result and self._dns:
                result[port] = (_Target(_own_names(name), dialled),)
        return result

    def _want(self, name: ServiceName, known: _Known, targets: dict[int, tuple[_Target, ...]]) -> None:
        """Brings the names that are looked up for this Service up to date."""
        wanted = frozenset(
            target.names
            for of_port in targets.values()
            for target in of_port
            if not HostPort(target.names[0], target.port).is_address
        )
        for names in known.lookups - wanted:
            self._waiting[names].discard(name)
            if not self._waiting[names]:
                del self._waiting[names]
                self._answers.pop(names, None)
                self._failing.discard(names)
                self._lookups_changed = True
        for names in wanted - known.lookups:
            self._lookups_changed = self._lookups_changed or names not in self._waiting
            self._waiting.setdefault(names, set()).add(name)
        known.lookups = wanted

    def _objects(self, name: ServiceName, known: _Known, targets: dict[int, tuple[_Target, ...]]) -> Iterator[Resource]:
        flagged = {flag.port for flag in self._flagged.get(name, ())}
        ready = {
            port: places
            for port, of_port in targets.items()
            if (places := self._places(of_port)) or known.document is not None or port in flagged or None in flagged
        }
        if not ready and known.document is None:
            return
        service = self._service(name, known.document, sorted(ready))
        yield service
        for port in service.spec.ports:
            if port.port in ready:
                yield from self._slices(name, port, ready[port.port])

    def _places(self, targets: tuple[_Target, ...]) -> tuple[HostPort, ...]:
        """The addresses that targets stand for now."""
        found: dict[HostPort, None] = {}
        for target in targets:
            if HostPort(target.names[0], target.port).is_address:
                found[HostPort(target.names[0], target.port)] = None
            elif answer := self._answers.get(target.names):
                found.update(dict.fromkeys(HostPort(address, target.port) for address in answer.addresses))
        return tuple(found)

    def _service(self, name: ServiceName, document: Service | None, ports: list[int]) -> Service:
        """The document with reserved names on our ports and missing ports added; or a Service made of them."""
        if document is None:
            spec = ServiceSpec(ports=tuple(_port(port) for port in ports))
            return Service(metadata=self._metadata(name, name.name), spec=spec)
        if not ports:
            return document
        present = tuple(
            msgspec.structs.replace(port, name=_port_name(port.port)) if port.port in ports else port
            for port in document.spec.ports
        )
        numbers = {port.port for port in present}
        added = tuple(_port(port) for port in ports if port not in numbers)
        return msgspec.structs.replace(document, spec=msgspec.structs.replace(document.spec, ports=(*present, *added)))

    def _slices(self, name: ServiceName, port: ServicePort, places: tuple[HostPort, ...]) -> Iterator[EndpointSlice]:
        """One slice per address family and target port, as all endpoints of a slice share its ports."""
        groups: dict[tuple[str, int], list[str]] = defaultdict(list)
        for place in places:
            groups["IPv6" if ":" in place.host else "IPv4", place.port].append(place.host)
        for (family, target), addresses in groups.items():
            slice_name = f"{RESERVED}-{name.name}-{port.port}-{port.protocol}-{family}-{target}".lower()
            yield EndpointSlice(
                metadata=self._metadata(name, slice_name),
                address_type=family,
                endpoints=tuple(SliceEndpoint(addresses=(address,)) for address in addresses),
                ports=(EndpointPort(name=port.name, protocol=port.protocol, port=target),),
            )

    def _metadata(self, name: ServiceName, own_name: str) -> ObjectMeta:
        return ObjectMeta(
            name=own_name,
            namespace=name.namespace,
            labels={SERVICE_NAME_LABEL: name.name},
            creation_timestamp=self._created,
            generation=1,
        )

    def _new_diagnostics(self) -> tuple[Diagnostic, ...] | None:
        said = (*self._input_diagnostics, *self._about_flags(), *self._about_names())
        if said == self._said:
            return None
        self._said = said
        return said

    def _about_flags(self) -> Iterator[Diagnostic]:
        for flag in self._flags:
            known = self._of(flag.service)
            location = Location(f"--backend {flag.text}")
            if not known.used_ports or (flag.port is not None and flag.port not in known.used_ports):
                port = f" port {flag.port}" if flag.port is not None else ""
                message = f"no route sends anything to Service {flag.service}{port}"
                yield Diagnostic(severity=Severity.NOTE, location=location, message=message)
            elif flag.port is None and known.document is not None and len(_open_ports(known)) == 0:
                message = "EndpointSlices of the input win over a flag without a port; name the port to override them"
                yield Diagnostic(severity=Severity.NOTE, location=location, message=message)

    def _about_names(self) -> Iterator[Diagnostic]:
        for names in sorted(self._failing):
            answer = self._answers[names]
            kept = "; its last addresses stay" if answer.addresses else ""
            for user in sorted(self._waiting[names]):
                yield Diagnostic(
                    severity=Severity.WARNING,
                    location=Location(names[0]),
                    object=ObjectKey(CORE_GROUP, Service.KIND, user.namespace, user.name),
                    message=f"{answer.failure}{kept}",
                )


def _uses(route: TCPRoute) -> Iterator[tuple[ServiceName, int]]:
    for rule in route.spec.rules:
        for ref in rule.backend_refs:
            if (ref.group, ref.kind) == (Service.GROUP, Service.KIND) and ref.port is not None:
                yield ServiceName(ref.namespace or route.metadata.namespace, ref.name), ref.port


def _open_ports(known: _Known) -> dict[int, int]:
    """The ports that no slice of the input speaks of, each with the port to dial by DNS."""
    if known.document is None:
        return {port: port for port in sorted(known.used_ports)}
    covered = {(port.name, port.protocol) for one in known.slices.values() for port in one.ports}
    return {
        port.port: port.target_port if isinstance(port.target_port, int) else port.port
        for port in known.document.spec.ports
        if (port.name, port.protocol) not in covered
    }


def _target(place: HostPort) -> _Target:
    return _Target((place.host,), place.port)


def _own_names(name: ServiceName) -> _Names:
    """A Service's own name; outside of the default namespace its qualified one is tried next."""
    return (name.name,) if name.namespace == "default" else (name.name, f"{name.name}.{name.namespace}")


def _port_name(port: int) -> str:
    return f"{RESERVED}-{port}"


def _port(port: int) -> ServicePort:
    return ServicePort(name=_port_name(port), port=port)
