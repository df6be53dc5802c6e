"""What became of each socket: confirmations of its resources, and trouble on its port, become an outcome.

In: Envoy's confirmations, whether Envoy runs, who holds a port. Out: the outcome of a socket now. Pure:
no clock, no I/O. A socket is Live when Envoy has confirmed the current version of its listener, filter,
cluster and endpoints. It stays Live at the same revision while newer endpoints are on their way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidegate.dataplanes.entries import put
from tidegate.dataplanes.envoy.ads import Confirmation
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.rejections import Rejection, explain, rejected_names
from tidegate.dataplanes.envoy.resources import Kind, Resource
from tidegate.names import SocketKey
from tidegate.plan.outcome import Failed, FailureReason, Live, Outcome, Pending


class Settlement:
    """Outcomes of the sockets of a catalog, for one Envoy process at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._confirmed: dict[tuple[Kind, str], str] = {}
        self._rejected: dict[tuple[Kind, str], tuple[str, str]] = {}
        self._holders: dict[SocketKey, str] = {}
        self._live: dict[SocketKey, str] = {}
        self._down = "Envoy is starting"

    def down(self, message: str) -> None:
        """No Envoy serves, and ``message`` says why; what it had confirmed is void. Changes every outcome."""
        self._down = message
        self._confirmed.clear()
        self._rejected.clear()
        self._live.clear()

    def up(self) -> None:
        """An Envoy is there; its confirmations count. Changes every outcome."""
        self._down = ""

    def sent(self, kind: Kind, names: Iterable[str]) -> None:
        """Other versions are on their way: what Envoy confirmed before says nothing about them any more.

        Without this, a change that is taken back before Envoy answered would count as confirmed already.
        """
        for name in names:
            self._confirmed.pop((kind, name), None)

    def confirm(self, confirmation: Confirmation) -> set[SocketKey]:
        """Take Envoy's answer; returns the sockets whose outcome may be another."""
        kind = confirmation.kind
        rejected = rejected_names(confirmation.error, confirmation.versions.keys()) if confirmation.error else {}
        touched = set()
        for name, version in confirmation.versions.items():
            if version is None:
                self._confirmed.pop((kind, name), None)
                self._rejected.pop((kind, name), None)
            elif name in rejected:
                self._rejected[kind, name] = (version, rejected[name])
            else:
                self._confirmed[kind, name] = version
                self._rejected.pop((kind, name), None)
            owner = self._catalog.socket_of(kind, name)
            if owner is not None:
                touched.add(owner)
        return touched

    def hold(self, checked: Iterable[SocketKey], holders: Mapping[SocketKey, str]) -> set[SocketKey]:
        """Who else holds the ports of the ``checked`` sockets, in words; returns those for which that is new."""
        return {key for key in checked if put(self._holders, key, holders.get(key))}

    def forget(self, key: SocketKey) -> None:
        """The socket is gone from the plan."""
        self._live.pop(key, None)
        self._holders.pop(key, None)

    def outcome(self, key: SocketKey) -> Outcome | None:
        """The outcome of a socket now; None when the plan does not have it."""
        plan_socket = self._catalog.sockets().get(key)
        if plan_socket is None:
            return None
        revision = plan_socket.revision
        if self._down:
            return Pending(revision=revision, message=self._down)
        holder = self._holders.get(key)
        if holder is not None:
            self._live.pop(key, None)
            return Failed(revision=revision, reason=FailureReason.PORT_UNAVAILABLE, message=holder)
        resources = self._catalog.resources_of(key)
        rejection = self._rejection(key, resources)
        if rejection is not None:
            self._live.pop(key, None)
            return Failed(revision=revision, reason=rejection.reason, message=rejection.message)
        if self._catalog.is_withheld(key):
            return Pending(revision=revision)
        if self._live.get(key) == revision or self._all_confirmed(resources):
            self._live[key] = revision
            return Live(revision=revision)
        self._live.pop(key, None)
        return Pending(revision=revision)

    def retriable(self) -> list[SocketKey]:
        """The sockets whose listener Envoy rejected for a reason that may pass."""
        found = []
        for kind, name in self._rejected:
            key = self._catalog.socket_of(kind, name)
            if key is not None and key not in self._holders:
                rejection = self._rejection(key, self._catalog.resources_of(key))
                if rejection is not None and rejection.retry:
                    found.append(key)
        return found

    def _all_confirmed(self, resources: Iterable[Resource]) -> bool:
        return all(self._confirmed.get((one.kind, one.name)) == one.version for one in resources)

    def _rejection(self, key: SocketKey, resources: Iterable[Resource]) -> Rejection | None:
        for one in resources:
            version, text = self._rejected.get((one.kind, one.name), ("", ""))
            if version == one.version:
                if one.kind is Kind.LISTENER:
                    return explain(key, text)
                return Rejection(
                    reason=FailureReason.INVALID, message=f"Envoy rejected the configuration: {text}", retry=False
                )
        return None
