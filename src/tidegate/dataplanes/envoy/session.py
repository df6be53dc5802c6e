"""One stream between the plane and an Envoy: the ADS state machine with a way to wake its writer.

In: requests from ``server``, changed names from ``plane``. Out: responses, and confirmations to the plane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from envoy.service.discovery.v3 import discovery_pb2

from tidegate.dataplanes.envoy.ads import AdsStream, Confirmation
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.resources import Kind


class Session:
    """A conversation in the sense of ``server``. Every callback also gets the session.

    ``on_sent`` gets the kind and the names of resources that go out, before Envoy can answer. ``whole_start`` is that
    of ``AdsStream``.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        on_sent: Callable[[Session, Kind, Sequence[str]], None],
        on_confirmations: Callable[[Session, Sequence[Confirmation]], None],
        on_end: Callable[[Session], None],
        whole_start: bool = False,
    ) -> None:
        self._stream = AdsStream(catalog, whole_start=whole_start)
        self._on_sent = on_sent
        self._on_confirmations = on_confirmations
        self._on_end = on_end
        self._wake = asyncio.Event()
        self._over = False

    @property
    def wake(self) -> asyncio.Event:
        """Set when there may be something to send."""
        return self._wake

    @property
    def over(self) -> bool:
        """Whether we end the stream."""
        return self._over

    @property
    def settled(self) -> bool:
        """Whether Envoy has asked for everything and answered everything."""
        return self._stream.settled

    def mark(self, changed: Mapping[Kind, Iterable[str]], *, force: bool = False) -> None:
        """Resources changed, or, with ``force``, are to be sent again."""
        self._stream.mark(changed, force=force)
        self._wake.set()

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        """A request arrived."""
        confirmations = self._stream.receive(request)
        self._wake.set()
        self._on_confirmations(self, confirmations)

    def take(self) -> Sequence[discovery_pb2.DeltaDiscoveryResponse]:
        """The responses to send now."""
        responses = self._stream.take()
        for response in responses:
            self._on_sent(self, Kind(response.type_url), [one.name for one in response.resources])
        return responses

    def close(self) -> None:
        """End the stream, soon."""
        self._over = True
        self._wake.set()

    def end(self) -> None:
        """The stream is over."""
        self._on_end(self)
