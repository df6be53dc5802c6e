"""tidegate's own path from a file to Envoy resources, driven step by step: what ``core.py`` measures.

It holds what ``tidegate run`` holds (source, decision, statuses, Envoy catalog, stream) and does the same in the
same order, with an Envoy that confirms everything at once in place of a real one.
"""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import yaml
from envoy.service.discovery.v3 import discovery_pb2

from tidegate.controller.board import StatusBoard
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision, DecisionChange
from tidegate.dataplanes.envoy.ads import AdsStream
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.model.decode import Decoded, decode
from tidegate.model.kinds import Resource, key_of
from tidegate.names import SocketKey
from tidegate.plan.features import Features
from tidegate.plan.outcome import AddressReport, Live, SocketReport
from tidegate.plan.types import Socket
from tidegate.sources.ages import Ages
from tidegate.sources.base import Batch
from tidegate.sources.fileset import FileSet


class Engine:
    """One configuration in one file. Call ``load``, ``decide``, ``apply``, ``confirm``, then change."""

    def __init__(self, file: Path, ages: Path) -> None:
        self._file = str(file)
        self._ages = Ages(ages)
        self._files = FileSet([self._file], ages=self._ages, read_stdin=lambda: b"")
        self._decision = Decision(CoreConfig(features=Features(name="envoy", protocols=frozenset({"TCP"}))))
        self._board = StatusBoard()
        self._catalog = Catalog(TranslateOptions(wildcard="::"), lambda *_: [])
        self._stream = AdsStream(self._catalog)
        self._change = DecisionChange(plan={}, verdicts={})
        self._subscribed: set[tuple[Kind, str]] = set()
        self._request(Kind.CLUSTER)
        self._request(Kind.LISTENER)

    def load(self) -> None:
        """Read and decode the file and hand all objects to the decision."""
        self._take_batch(self._files.load())

    def reread(self) -> int:
        """Read the changed file; returns how many objects changed."""
        batch = self._files.read([self._file], patient=False).batch
        return len(batch.changes)

    def parsed(self, text: str) -> Resource:
        """One document as the object that the source would deliver."""
        found = decode(yaml.load(text, yaml.CSafeLoader))
        assert isinstance(found, Decoded)
        return self._ages.stamp(key_of(found.resource), found.resource, seen=self._ages.now())

    def take(self, resource: Resource) -> None:
        """An object has this version now."""
        self._decision.set_object(key_of(resource), resource)

    def decide(self) -> None:
        """Decide on what was taken, and publish the statuses that need no outcome."""
        self._change = self._decision.decide()
        self._publish(self._change)

    def apply(self) -> None:
        """Bring the Envoy resources up to date and make the responses for the stream."""
        self._stream.mark(self._catalog.apply(self._change.plan))
        self._catalog.ready = True
        self._exchange()

    def confirm(self) -> None:
        """Report everything that changed as live, and decide on that."""
        self._decision.set_report(AddressReport(scope="standalone", addresses=("192.0.2.1",)))
        for key, value in self._change.plan.items():
            if isinstance(key, SocketKey):
                outcome = Live(revision=value.revision) if isinstance(value, Socket) else None
                self._decision.set_report(SocketReport(socket=key, outcome=outcome))
        self._publish(self._decision.decide())

    def _take_batch(self, batch: Batch) -> None:
        for change in batch.changes:
            self._decision.set_object(change.key, change.resource)

    def _publish(self, change: DecisionChange) -> None:
        self._board.take(change.verdicts, monotonic=time.monotonic(), now=dt.datetime.now(dt.UTC))

    def _request(self, kind: Kind, nonce: str = "", names: tuple[str, ...] = ()) -> None:
        self._stream.receive(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=kind.type_url, response_nonce=nonce, resource_names_subscribe=names
            )
        )

    def _exchange(self) -> None:
        """Talk until Envoy has all: it confirms what comes and asks for what that names."""
        kinds = {kind.type_url: kind for kind in Kind}
        needs = {Kind.CLUSTER: (Kind.ASSIGNMENT, ""), Kind.LISTENER: (Kind.FILTER, "/tcp")}
        while responses := self._stream.take():
            for response in responses:
                kind = kinds[response.type_url]
                self._request(kind, response.nonce)
                if kind in needs:
                    wanted, suffix = needs[kind]
                    names = tuple(one.name + suffix for one in response.resources)
                    new = tuple(name for name in names if (wanted, name) not in self._subscribed)
                    self._subscribed.update((wanted, name) for name in new)
                    if new:
                        self._request(wanted, names=new)
