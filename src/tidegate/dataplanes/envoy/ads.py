"""One delta-ADS stream as a state machine without I/O: requests and changes in, responses out.

In: Envoy's requests, names that changed. Out: responses to send now, and *confirmations* that say which
version of which resource Envoy has taken or rejected. Reading, writing and waiting belong to ``server``.

What it makes sure of:

* nothing is answered before the catalog is ready, because an empty answer removes everything;
* an Envoy that comes back with what it has is sent only the differences;
* additions go in the order cluster, endpoints, filter, listener, removals after them in reverse; removals and
  additions of listeners that change together share one response;
* endpoints are sent again with their cluster, which otherwise waits for them in vain;
* many changes at once go in batches, each after Envoy has confirmed the one before, and a change of few
  resources passes them: Envoy works through a large response for seconds, and nothing overtakes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.resources import WILDCARD_KINDS, Kind, Resource

BULK = 64
"""A change of more resources than this is sent in batches."""

BATCH = {Kind.CLUSTER: 50, Kind.ASSIGNMENT: 250, Kind.FILTER: 50, Kind.LISTENER: 50}
"""How many resources go into one batch: Envoy takes some 30 ms for 50 listeners."""

_KIND_OF = {kind.type_url: kind for kind in Kind}


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """Envoy's answer to one response: it has taken ``versions``, or, with ``error``, rejected some of them.

    ``versions`` maps names to the version sent, None for a removal.
    """

    kind: Kind
    versions: Mapping[str, str | None]
    error: str = ""


class _Sent(msgspec.Struct, frozen=True):
    """A response on its way."""

    versions: dict[str, str | None]
    bulk: bool


class _Channel:
    """What a stream knows of one kind. ``dirty`` and ``bulk`` map names to "send even if unchanged"."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.seen = False
        self.wildcard = False
        self.synced = False
        self.must_answer = False
        self.subscribed: set[str] = set()
        self.has: dict[str, str] = {}
        self.dirty: dict[str, bool] = {}
        self.bulk: dict[str, bool] = {}

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.subscribed

    def mark(self, name: str, *, force: bool, bulk: bool) -> None:
        # What is urgent already stays urgent; what becomes urgent leaves the bulk.
        forced = force or self.dirty.get(name, False) or self.bulk.get(name, False)
        if bulk and name not in self.dirty:
            self.bulk[name] = forced
        else:
            self.bulk.pop(name, None)
            self.dirty[name] = forced


class AdsStream:
    """The conversation with one Envoy on one stream.

    ``whole_start``: an Envoy that has nothing yet is sent all clusters, and all listeners, in one response each. It
    calls itself ready after the first response, so others may rely on that; but nothing passes until it is through.
    """

    def __init__(self, catalog: Catalog, *, whole_start: bool = False) -> None:
        self._catalog = catalog
        self._whole_start = whole_start
        self._channels = {kind: _Channel(kind) for kind in Kind}
        self._in_flight: dict[str, _Sent] = {}
        self._bulk_in_flight = 0
        self._nonce = 0

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> list[Confirmation]:
        """Take a request; returns what it confirms. Requests for unknown kinds are ignored."""
        kind = _KIND_OF.get(request.type_url)
        if kind is None:
            return []
        channel = self._channels[kind]
        confirmations = []
        sent = self._in_flight.pop(request.response_nonce, None)
        if sent is not None:
            self._bulk_in_flight -= sent.bulk
            confirmations.append(Confirmation(kind=kind, versions=sent.versions, error=_error(request)))
        if not channel.seen:
            confirmations.extend(self._open(channel, request))
        self._subscribe(channel, request)
        return confirmations

    def mark(self, changed: Mapping[Kind, Iterable[str]], *, force: bool = False) -> None:
        """Names whose resource may differ from what Envoy has; ``force`` sends them even if it does not."""
        names = {kind: list(some) for kind, some in changed.items()}
        bulk = sum(len(some) for some in names.values()) > BULK
        for kind, some in names.items():
            channel = self._channels[kind]
            for name in some:
                channel.mark(name, force=force, bulk=bulk)

    def take(self) -> list[discovery_pb2.DeltaDiscoveryResponse]:
        """The responses to send now, in order. Call again after every ``receive`` and ``mark``."""
        if not self._catalog.ready:
            return []
        for channel in self._channels.values():
            if channel.wildcard and not channel.synced:
                self._sync(channel)
        responses = self._turn(bulk=False)
        if not self._bulk_in_flight:
            responses.extend(self._turn(bulk=True))
            # A batch of clusters asks for their endpoints to be sent again.
            responses.extend(self._turn(bulk=False))
        return responses

    @property
    def settled(self) -> bool:
        """Whether Envoy has asked for everything, was told everything, and has answered."""
        told = all(self._channels[kind].synced for kind in WILDCARD_KINDS)
        waiting = any(channel.dirty or channel.bulk or channel.must_answer for channel in self._channels.values())
        return told and not waiting and not self._in_flight

    def _open(self, channel: _Channel, request: discovery_pb2.DeltaDiscoveryRequest) -> list[Confirmation]:
        """The first request of a kind on this stream says what Envoy has from before."""
        channel.seen = True
        channel.wildcard = channel.kind in WILDCARD_KINDS and (
            not request.resource_names_subscribe or "*" in request.resource_names_subscribe
        )
        channel.has.update(request.initial_resource_versions)
        channel.must_answer = channel.wildcard and not channel.has
        if not channel.has:
            return []
        return [Confirmation(kind=channel.kind, versions=dict(channel.has))]

    def _subscribe(self, channel: _Channel, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        for name in request.resource_names_unsubscribe:
            channel.subscribed.discard(name)
            if not channel.wildcard:
                channel.has.pop(name, None)
        names = [name for name in request.resource_names_subscribe if name != "*"]
        channel.subscribed.update(names)
        # Envoy asks anew only for what it lost, except in the first request, where it says what it has.
        lost = [name for name in names if name not in request.initial_resource_versions]
        for name in names:
            channel.mark(name, force=name not in request.initial_resource_versions, bulk=len(lost) > BULK)

    def _sync(self, channel: _Channel) -> None:
        """Compare all that Envoy has of a kind with all that it should have."""
        channel.synced = True
        expected = self._catalog.names(channel.kind)
        gone = [name for name in channel.has if self._catalog.get(channel.kind, name) is None]
        channel.dirty.clear()
        channel.bulk.clear()
        starting = self._whole_start and channel.must_answer
        bulk = len(expected) + len(gone) > BULK and not starting
        for name in (*expected, *gone):
            channel.mark(name, force=False, bulk=bulk)

    def _turn(self, *, bulk: bool) -> list[discovery_pb2.DeltaDiscoveryResponse]:
        """One response per kind: additions in order, then removals in reverse."""
        responses = []
        removals: dict[Kind, list[str]] = {}
        for kind, channel in self._channels.items():
            lane = channel.bulk if bulk else channel.dirty
            if not lane and not channel.must_answer:
                continue
            if channel.kind in WILDCARD_KINDS and not channel.wildcard:
                continue
            additions, gone = self._pick(channel, lane, limit=BATCH[kind] if bulk else None)
            if kind is Kind.CLUSTER:
                self._resend_endpoints(additions)
            if kind is not Kind.LISTENER and gone:
                removals[kind] = gone
                gone = []
            if additions or gone or channel.must_answer:
                responses.append(self._respond(channel, additions, gone, bulk=bulk))
        responses.extend(
            self._respond(self._channels[kind], [], removals[kind], bulk=bulk)
            for kind in (Kind.FILTER, Kind.CLUSTER)
            if kind in removals
        )
        return responses

    def _pick(self, channel: _Channel, lane: dict[str, bool], limit: int | None) -> tuple[list[Resource], list[str]]:
        """Take from the lane what to add, at most ``limit``, and, once nothing is left to add, what to remove."""
        additions: list[Resource] = []
        later: dict[str, bool] = {}
        gone: list[str] = []
        for name in list(lane):
            if limit is not None and len(additions) >= limit:
                break
            force = lane.pop(name)
            if not channel.wants(name):
                continue
            new = self._catalog.get(channel.kind, name)
            if new is None:
                later[name] = force
            elif force or channel.has.get(name) != new.version:
                additions.append(new)
        if lane:
            lane.update(later)
        else:
            gone = [name for name in later if channel.has.pop(name, None) is not None]
        return additions, gone

    def _resend_endpoints(self, clusters: Iterable[Resource]) -> None:
        endpoints = self._channels[Kind.ASSIGNMENT]
        for cluster in clusters:
            if cluster.name in endpoints.subscribed:
                endpoints.mark(cluster.name, force=True, bulk=False)

    def _respond(
        self, channel: _Channel, additions: list[Resource], gone: list[str], *, bulk: bool
    ) -> discovery_pb2.DeltaDiscoveryResponse:
        self._nonce += 1
        nonce = str(self._nonce)
        channel.must_answer = False
        versions: dict[str, str | None] = {new.name: new.version for new in additions}
        channel.has.update((new.name, new.version) for new in additions)
        versions.update(dict.fromkeys(gone))
        self._in_flight[nonce] = _Sent(versions, bulk)
        self._bulk_in_flight += bulk
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=channel.kind.type_url,
            nonce=nonce,
            resources=[_wire(new) for new in additions],
            removed_resources=gone,
        )


def _error(request: discovery_pb2.DeltaDiscoveryRequest) -> str:
    if not request.HasField("error_detail"):
        return ""
    return request.error_detail.message or f"rejected with code {request.error_detail.code}"


def _wire(new: Resource) -> discovery_pb2.Resource:
    body = any_pb2.Any(type_url=new.kind.type_url, value=new.body)
    return discovery_pb2.Resource(name=new.name, version=new.version, resource=body)
