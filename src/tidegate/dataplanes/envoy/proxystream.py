"""One stream of one proxy of a fleet: what it is told, and what became of that.

In: its requests, and what changed in its scope. Out: responses, and what happened, as events for the ``roster``. Until
it has settled, nothing is said about single sockets: an Envoy that comes back has to tell first what it has already.
Which scope it may have is decided elsewhere, by ``fleetserver``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from envoy.service.discovery.v3 import discovery_pb2

from tidegate.dataplanes.entries import put
from tidegate.dataplanes.envoy import naming
from tidegate.dataplanes.envoy.ads import Confirmation
from tidegate.dataplanes.envoy.catalog import Catalog, Changed
from tidegate.dataplanes.envoy.proxyevents import Changed as OutcomesChanged
from tidegate.dataplanes.envoy.proxyevents import Connecting, Lost, ProxyEvent, Settled
from tidegate.dataplanes.envoy.proxynode import ProxyNode
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.dataplanes.envoy.session import Session
from tidegate.dataplanes.envoy.settlement import Settlement
from tidegate.dataplanes.retries import BindRetries
from tidegate.names import SocketKey
from tidegate.plan.outcome import Outcome, Pending, SocketReport

PATIENCE_SECONDS = 3.0
"""How long a proxy that has nothing left to answer may owe the outcome of a socket, before it counts without."""


class ProxyStream:
    """A conversation in the sense of ``server``.

    ``happened`` gets every event after the ``introduction``, in order; ``ended`` is called after the last one. Neither
    is called any more once the stream is superseded.
    """

    def __init__(
        self,
        scope: str,
        node: ProxyNode,
        catalog: Catalog,
        *,
        happened: Callable[[ProxyEvent], None],
        ended: Callable[[ProxyStream], None],
    ) -> None:
        self.scope = scope
        self.node = node
        self.has_settled = False
        self._catalog = catalog
        self._happened = happened
        self._ended = ended
        self._settlement = Settlement(catalog)
        self._settlement.up()
        self._session = Session(
            catalog,
            on_sent=self._sent,
            on_confirmations=self._confirmed,
            on_end=self._lost,
            # The kubelet asks Envoy, not us, whether the Pod is ready for clients.
            whole_start=True,
        )
        self._outcomes: dict[SocketKey, Outcome] = {}
        self._retries = BindRetries()
        self._owed: set[SocketKey] | None = None
        self._owing_since: float | None = None

    @property
    def wake(self) -> asyncio.Event:
        """Set when there may be something to send."""
        return self._session.wake

    @property
    def over(self) -> bool:
        """Whether the stream is to be ended by us."""
        return self._session.over

    def supersede(self) -> None:
        """The proxy has opened another stream: this one is ended, and says nothing more."""
        self._session.close()

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        """A request arrived."""
        self._session.receive(request)

    def take(self) -> Sequence[discovery_pb2.DeltaDiscoveryResponse]:
        """The responses to send now."""
        responses = self._session.take()
        # When it has everything already, no answer of it will show that.
        self._settle()
        return responses

    def end(self) -> None:
        """The stream is over."""
        self._session.end()

    def changed(self, changed: Changed, sockets: Iterable[SocketKey]) -> None:
        """Resources of its catalog changed, and these sockets came, went, or have another revision."""
        self._session.mark(changed)
        known = self._catalog.sockets()
        touched = list(sockets)
        for key in touched:
            if key not in known:
                self._settlement.forget(key)
        self._tell(touched)

    def tick(self, now: float) -> None:
        """Some time has passed. Offers listeners again that it could not open, which Envoy tries only once."""
        if self._owed and not self.has_settled:
            self._owing_since = now if self._owing_since is None else self._owing_since
            if now - self._owing_since >= PATIENCE_SECONDS:
                self._owed.clear()
                self._settle()
        due = self._retries.due(self._settlement.retriable(), now)
        if due:
            self._session.mark({Kind.LISTENER: [naming.socket_name(key) for key in due]}, force=True)

    def introduction(self) -> ProxyEvent:
        """All there is to know about it now, in one event."""
        scope, node = self.scope, self.node
        if not self.has_settled:
            return Connecting(scope=scope, node=node.name, instance=node.instance)
        reports = tuple(SocketReport(socket=key, outcome=outcome) for key, outcome in self._outcomes.items())
        return Settled(scope=scope, node=node.name, instance=node.instance, addresses=node.addresses, reports=reports)

    def _sent(self, _: Session, kind: Kind, names: Sequence[str]) -> None:
        self._settlement.sent(kind, names)

    def _confirmed(self, _: Session, confirmations: Sequence[Confirmation]) -> None:
        touched: set[SocketKey] = set()
        for confirmation in confirmations:
            touched |= self._settlement.confirm(confirmation)
        self._tell(touched)
        self._settle()

    def _settle(self) -> None:
        """Settle once everything that there was for it has an outcome, whatever has come since."""
        if self.has_settled or not self._session.settled or self.over:
            return
        owed = self._catalog.sockets() if self._owed is None else self._owed
        self._owed = {key for key in owed if isinstance(self._settlement.outcome(key), Pending)}
        if self._owed:
            return
        self.has_settled = True
        self._news(self._catalog.sockets())
        self._happened(self.introduction())

    def _tell(self, keys: Collection[SocketKey]) -> None:
        if not self.has_settled or self.over:
            return
        reports = self._news(keys)
        if reports:
            self._happened(OutcomesChanged(scope=self.scope, node=self.node.name, reports=reports))

    def _news(self, keys: Iterable[SocketKey]) -> tuple[SocketReport, ...]:
        """The outcomes of these sockets that are others than before."""
        reports = []
        for key in keys:
            outcome = self._settlement.outcome(key)
            if put(self._outcomes, key, outcome):
                reports.append(SocketReport(socket=key, outcome=outcome))
        return tuple(reports)

    def _lost(self, _: Session) -> None:
        if not self.over:
            self._happened(Lost(scope=self.scope, node=self.node.name))
            self._ended(self)
