"""The resources that Envoy should have now, kept up to date one plan change at a time.

In: plan changes, and which sockets must wait. Out: the current ``Resource`` of each kind and name, and the
names whose resource changed. The cost of a change depends on what it touches, not on how much there is, which
``planindex`` knows. What no socket leads to has no resource. Sending belongs to ``ads``, confirmation to
``settlement``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from google.protobuf.message import Message

from tidegate.dataplanes.envoy import naming, translate
from tidegate.dataplanes.envoy.localities import split
from tidegate.dataplanes.envoy.resources import Kind, Resource
from tidegate.dataplanes.planindex import PlanIndex, target_key
from tidegate.dataplanes.traffic import Series
from tidegate.names import ListenerKey, ObjectKey, SocketKey, TargetKey
from tidegate.plan.types import PlanChange, Socket, Target

Changed = Mapping[Kind, Collection[str]]
"""Names whose resource changed, came or went."""

LoggersFor = Callable[[str, ListenerKey, ObjectKey | None], Sequence[Message]]
"""Gives the loggers of the connections of one route on one listener; the text is their statistics prefix."""

MAX_FORMER_SERIES = 1_000
"""How many prefixes that left the plan are remembered: those of some seconds of fast changes."""


class Catalog:
    """All resources of one plan. Resources have the same bytes whatever the order of the changes was.

    ``ready`` says that the catalog is complete enough to be compared with what an Envoy has: nothing may
    be removed from an Envoy before. The owner sets it after the first plan.
    """

    def __init__(self, options: translate.TranslateOptions, loggers: LoggersFor) -> None:
        self.ready = False
        self._options = options
        self._loggers = loggers
        self._plan = PlanIndex()
        self._resources: dict[Kind, dict[str, Resource]] = {kind: {} for kind in Kind}
        self._withheld: set[str] = set()
        self._series: dict[str, Series] = {}
        self._former_series: dict[str, Series] = {}
        self._prefix_of: dict[TargetKey, str] = {}
        self._socket_of: dict[tuple[Kind, str], SocketKey] = {}

    def get(self, kind: Kind, name: str) -> Resource | None:
        """The resource that Envoy should have under this name; None: it should have none."""
        if kind is Kind.LISTENER and name in self._withheld:
            return None
        return self._resources[kind].get(name)

    def names(self, kind: Kind) -> list[str]:
        """All names of a kind that Envoy should have, in the order in which they came."""
        withheld = self._withheld if kind is Kind.LISTENER else ()
        return [name for name in self._resources[kind] if name not in withheld]

    def sockets(self) -> Mapping[SocketKey, Socket]:
        """The sockets of the plan."""
        return self._plan.sockets

    def series(self) -> Mapping[str, Series]:
        """Whose connections are counted under each statistics prefix."""
        return self._series

    def former_series(self) -> Mapping[str, Series]:
        """Likewise, of prefixes that left the plan not long ago: their connections may still be open."""
        return self._former_series

    def socket_of(self, kind: Kind, name: str) -> SocketKey | None:
        """The socket that a resource serves; None when there is no such resource now."""
        return self._socket_of.get((kind, name))

    def target_of(self, key: SocketKey) -> Target | None:
        """Where the connections of a socket go; None when the plan has no such socket."""
        plan_socket = self._plan.sockets.get(key)
        return self._plan.target(target_key(plan_socket)) if plan_socket is not None else None

    def resources_of(self, key: SocketKey) -> tuple[Resource, ...]:
        """What an Envoy must have confirmed for the socket to serve; nothing for an unknown socket."""
        plan_socket = self._plan.sockets.get(key)
        if plan_socket is None:
            return ()
        return tuple(self._resources[kind][name] for kind, name in _names(plan_socket))

    def withhold(self, keys: Iterable[SocketKey]) -> Changed:
        """Keep the listeners of these sockets from Envoy, until released; the rest of them is sent."""
        names = {naming.socket_name(key) for key in keys} - self._withheld
        self._withheld |= names
        return {Kind.LISTENER: names}

    def release(self, keys: Iterable[SocketKey]) -> Changed:
        """Let Envoy have the listeners of these sockets."""
        names = {naming.socket_name(key) for key in keys} & self._withheld
        self._withheld -= names
        return {Kind.LISTENER: names}

    def is_withheld(self, key: SocketKey) -> bool:
        """Whether the socket's listener is kept from Envoy."""
        return naming.socket_name(key) in self._withheld

    def apply(self, change: PlanChange) -> Changed:
        """Take a change of the plan; returns what is different now."""
        touched = self._plan.apply(change)
        gone = [key for key in touched.sockets if key not in self._plan.sockets]
        self._withheld.difference_update(naming.socket_name(key) for key in gone)
        changed: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        for target in touched.targets:
            self._refresh(target, changed)
        for pool in touched.pools:
            for target, plan_socket in self._plan.users(pool):
                if target not in touched.targets:
                    self._put(self._assignment(target), plan_socket.key, changed)
        return changed

    def refresh(self) -> Changed:
        """Ask for the loggers of everything again; returns what is different now."""
        changed: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        for plan_socket in self._plan.sockets.values():
            self._refresh(target_key(plan_socket), changed)
        return changed

    def _assignment(self, key: TargetKey) -> Resource:
        return translate.assignment_resource(key, split(self._plan.target(key).backends, self._plan.endpoints))

    def _refresh(self, key: TargetKey, changed: dict[Kind, set[str]]) -> None:
        """Make the resources of a target and of its socket what they should be."""
        plan_socket = self._plan.leading_to(key)
        self._leave_series(key)
        if plan_socket is None:
            self._drop(Kind.LISTENER, naming.socket_name(key.socket), changed)
            for kind in (Kind.FILTER, Kind.ASSIGNMENT, Kind.CLUSTER):
                self._drop(kind, _name_at(kind, key), changed)
            return
        target = self._plan.target(key)
        prefix = naming.traffic_prefix(key, plan_socket.listener, target.route)
        self._prefix_of[key] = prefix
        self._former_series.pop(prefix, None)
        self._series[prefix] = Series(plan_socket.listener, target.route)
        loggers = self._loggers(prefix, plan_socket.listener, target.route)
        self._put(translate.cluster_resource(key), plan_socket.key, changed)
        self._put(self._assignment(key), plan_socket.key, changed)
        self._put(translate.filter_resource(plan_socket, target, loggers), plan_socket.key, changed)
        self._put(translate.listener_resource(plan_socket.key, key, self._options), plan_socket.key, changed)

    def _leave_series(self, key: TargetKey) -> None:
        prefix = self._prefix_of.pop(key, None)
        if prefix is None:
            return
        self._former_series[prefix] = self._series.pop(prefix)
        if len(self._former_series) > MAX_FORMER_SERIES:
            del self._former_series[next(iter(self._former_series))]

    def _put(self, new: Resource, owner: SocketKey, changed: dict[Kind, set[str]]) -> None:
        shelf = self._resources[new.kind]
        self._socket_of[new.kind, new.name] = owner
        old = shelf.get(new.name)
        if old is None or old.version != new.version:
            shelf[new.name] = new
            changed[new.kind].add(new.name)

    def _drop(self, kind: Kind, name: str, changed: dict[Kind, set[str]]) -> None:
        if self._resources[kind].pop(name, None) is not None:
            del self._socket_of[kind, name]
            changed[kind].add(name)


def _name_at(kind: Kind, key: TargetKey) -> str:
    return naming.filter_name(key) if kind is Kind.FILTER else naming.target_name(key)


def _names(plan_socket: Socket) -> tuple[tuple[Kind, str], ...]:
    target = target_key(plan_socket)
    name = naming.target_name(target)
    return (
        (Kind.CLUSTER, name),
        (Kind.ASSIGNMENT, name),
        (Kind.FILTER, naming.filter_name(target)),
        (Kind.LISTENER, naming.socket_name(plan_socket.key)),
    )
