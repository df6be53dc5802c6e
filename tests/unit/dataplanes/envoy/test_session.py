"""A session wakes its writer for everything that may lead to a response, and passes confirmations on."""

from __future__ import annotations

from collections.abc import Sequence

from support.discovery import catalog_of, request
from support.plans import forward, socket_key
from tidegate.dataplanes.envoy.ads import Confirmation
from tidegate.dataplanes.envoy.catalog import Catalog
from tidegate.dataplanes.envoy.naming import socket_name
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.dataplanes.envoy.session import Session

NAME = socket_name(socket_key(80))


class Owner:
    """What a plane learns from its session."""

    def __init__(self, catalog: Catalog) -> None:
        self.confirmed: list[tuple[Session, list[Confirmation]]] = []
        self.ended: list[Session] = []
        self.sent: list[tuple[Kind, list[str]]] = []
        self.session = Session(catalog, on_sent=self._sent, on_confirmations=self._confirmed, on_end=self.ended.append)

    def _sent(self, session: Session, kind: Kind, names: Sequence[str]) -> None:
        assert session is self.session
        self.sent.append((kind, list(names)))

    def _confirmed(self, session: Session, confirmations: Sequence[Confirmation]) -> None:
        self.confirmed.append((session, list(confirmations)))


def test_nothing_to_do_at_first() -> None:
    """A new session has nothing to send and wakes nobody."""
    session = Owner(catalog_of(forward(80, "a"))).session
    assert not session.wake.is_set()
    assert list(session.take()) == []
    assert not session.settled


def test_a_request_wakes_the_writer() -> None:
    """A request may have an answer, which take gives."""
    owner = Owner(catalog_of(forward(80, "a")))
    session = owner.session
    session.receive(request(Kind.LISTENER))
    assert session.wake.is_set()
    (response,) = session.take()
    assert [one.name for one in response.resources] == [NAME]
    assert owner.sent == [(Kind.LISTENER, [NAME])]
    assert not session.settled


def test_a_change_wakes_the_writer() -> None:
    """A mark may have something to send, by force even if nothing changed."""
    session = Owner(catalog_of(forward(80, "a"))).session
    session.receive(request(Kind.LISTENER))
    session.take()
    session.wake.clear()
    session.mark({})
    assert session.wake.is_set()
    assert list(session.take()) == []
    session.mark({Kind.LISTENER: [NAME]}, force=True)
    assert len(session.take()) == 1


def test_confirmations_come_with_their_session() -> None:
    """The owner learns what Envoy confirmed and on which session, since it may have several."""
    owner = Owner(catalog_of(forward(80, "a")))
    session = owner.session
    session.receive(request(Kind.LISTENER))
    (response,) = session.take()
    session.receive(request(Kind.LISTENER, nonce=response.nonce))
    version = response.resources[0].version
    assert owner.confirmed == [
        (session, []),
        (session, [Confirmation(kind=Kind.LISTENER, versions={NAME: version})]),
    ]


def test_the_end_is_told() -> None:
    """When the stream is over the owner learns which."""
    owner = Owner(catalog_of())
    owner.session.end()
    assert owner.ended == [owner.session]
