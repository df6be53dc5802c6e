"""All proxies of a fleet that are known here, and what they make of each planned socket.

In: the revisions that are planned, the addresses that are ready, and what happened to proxies, wherever their streams
are: ``source`` tells the replicas apart. Out: one outcome per socket, and the sockets whose outcome may be another.
Pure: whoever knows the time passes it.

A proxy counts when its address is ready and it has *settled*, which means that it has answered all that there was for
it. One that loses its stream counts for some seconds more, at what it had: it goes on serving that, and comes back,
perhaps to another replica. It stops to count at once when another process has taken its name.

What two replicas say of one proxy is kept apart. One that was cut off may still believe in a stream whose proxy is
with another one by now, and tell so later than that one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from tidegate.dataplanes.entries import put
from tidegate.dataplanes.envoy.merging import merged
from tidegate.dataplanes.envoy.proxyevents import Changed, Connecting, Lost, ProxyEvent, Settled
from tidegate.dataplanes.envoy.proxynode import canonical
from tidegate.names import SocketKey
from tidegate.plan.outcome import Outcome, Pending, SocketReport


class _Proxy:
    """A proxy that has settled, by one source. ``leaves_at``: once it has no stream there, when it stops to count."""

    def __init__(self, event: Settled) -> None:
        self.instance = event.instance
        self.addresses = frozenset(canonical(event.addresses))
        self.outcomes: dict[SocketKey, Outcome] = {}
        self.leaves_at = math.inf
        self.learn(event.reports)

    def learn(self, reports: Iterable[SocketReport]) -> None:
        for report in reports:
            put(self.outcomes, report.socket, report.outcome)


class _Scope:
    """What is known of one Gateway: proxies by node and source.

    ``connecting`` names the source of each stream that has not settled.
    """

    def __init__(self) -> None:
        self.planned: dict[SocketKey, str] = {}
        self.ready: frozenset[str] = frozenset()
        self.proxies: dict[tuple[str, str], _Proxy] = {}
        self.connecting: dict[str, str] = {}

    def sources(self, node: str) -> list[str]:
        """Who has said that a proxy has settled."""
        return [source for name, source in self.proxies if name == node]

    @property
    def is_empty(self) -> bool:
        return not (self.planned or self.ready or self.proxies or self.connecting)


class Roster:
    """The proxies of all Gateways. A proxy without a stream counts for ``grace`` more seconds."""

    def __init__(self, *, grace: float) -> None:
        self._grace = grace
        self._scopes: dict[str, _Scope] = {}
        self._leaving: set[tuple[str, str, str]] = set()

    def plan(self, key: SocketKey, revision: str | None) -> None:
        """What is planned for a socket now; None: it is gone."""
        with self._scope(key.scope) as scope:
            put(scope.planned, key, revision)

    def set_ready(self, name: str, addresses: Iterable[str]) -> Collection[SocketKey]:
        """The addresses of the proxies of a scope to which traffic is sent."""
        ready = frozenset(canonical(addresses))
        with self._scope(name) as scope:
            if ready == scope.ready:
                return ()
            scope.ready = ready
            return tuple(scope.planned)

    def take(self, source: str, event: ProxyEvent, now: float) -> Collection[SocketKey]:
        """Something happened to a proxy whose stream is at ``source``."""
        with self._scope(event.scope) as scope:
            node, proxy = event.node, scope.proxies.get((event.node, source))
            match event:
                case Connecting():
                    scope.connecting[node] = source
                    for where in scope.sources(node):
                        self._leave(event.scope, node, where, now)
                        if scope.proxies[node, where].instance != event.instance:
                            self._remove(event.scope, node, where)
                case Settled():
                    scope.connecting.pop(node, None)
                    for where in scope.sources(node):
                        if where == source or self._leaves(event.scope, node, where):
                            self._remove(event.scope, node, where)
                    scope.proxies[node, source] = _Proxy(event)
                case Changed():
                    if proxy is None:
                        return ()
                    proxy.learn(event.reports)
                    return [report.socket for report in event.reports]
                case Lost():
                    if scope.connecting.get(node) == source:
                        del scope.connecting[node]
                    if proxy is not None:
                        self._lose(event.scope, node, source, now)
            return tuple(scope.planned)

    def lose(self, source: str, now: float) -> Collection[SocketKey]:
        """All streams of a replica are lost to us, because it is."""
        touched: set[SocketKey] = set()
        for name, scope in tuple(self._scopes.items()):
            theirs = {node for node, where in scope.proxies if where == source}
            theirs |= {node for node, where in scope.connecting.items() if where == source}
            for node in theirs:
                touched.update(self.take(source, Lost(scope=name, node=node), now))
        return touched

    def expire(self, now: float) -> Collection[SocketKey]:
        """Let go of those that did not come back in time."""
        touched: set[SocketKey] = set()
        for name, node, source in tuple(self._leaving):
            with self._scope(name) as scope:
                if scope.proxies[node, source].leaves_at <= now:
                    self._remove(name, node, source)
                    touched.update(scope.planned)
        return touched

    def covers(self, name: str) -> bool:
        """Whether every address of a scope that is ready is that of a proxy that is known here."""
        scope = self._scopes.get(name)
        return scope is None or scope.ready <= {
            address for proxy in scope.proxies.values() for address in proxy.addresses
        }

    def outcome(self, key: SocketKey) -> Outcome | None:
        """The outcome of a socket now; None when it is not planned."""
        scope = self._scopes.get(key.scope)
        revision = scope.planned.get(key) if scope is not None else None
        if scope is None or revision is None:
            return None
        ready = list(_ready(scope))
        if not ready:
            return Pending(revision=revision, message=_absence(scope))
        return merged(revision, [proxy.outcomes.get(key) for proxy in ready])

    @contextmanager
    def _scope(self, name: str) -> Iterator[_Scope]:
        """A scope to look at and to change; one of which nothing is known any more is forgotten."""
        scope = self._scopes.setdefault(name, _Scope())
        yield scope
        if scope.is_empty:
            del self._scopes[name]

    def _lose(self, name: str, node: str, source: str, now: float) -> None:
        """A stream has ended. Who has another one has not gone, and what it serves is told by that."""
        if any(not self._leaves(name, node, other) for other in self._scopes[name].sources(node) if other != source):
            self._remove(name, node, source)
        else:
            self._leave(name, node, source, now)

    def _leaves(self, name: str, node: str, source: str) -> bool:
        return (name, node, source) in self._leaving

    def _leave(self, name: str, node: str, source: str, now: float) -> None:
        if not self._leaves(name, node, source):
            self._scopes[name].proxies[node, source].leaves_at = now + self._grace
            self._leaving.add((name, node, source))

    def _remove(self, name: str, node: str, source: str) -> None:
        self._leaving.discard((name, node, source))
        del self._scopes[name].proxies[node, source]


def _ready(scope: _Scope) -> Iterator[_Proxy]:
    """In a fixed order, so that the first is always the same."""
    return (proxy for _, proxy in sorted(scope.proxies.items()) if proxy.addresses & scope.ready)


def _absence(scope: _Scope) -> str:
    if scope.proxies or scope.connecting:
        return "no proxy of this Gateway is ready yet"
    return "no proxy of this Gateway is connected"
