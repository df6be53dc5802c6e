"""Whose connections hang is said once, and not of those that only wait a moment."""

from __future__ import annotations

from support.plans import listener_key
from tidegate.dataplanes.nftables.silence import PATIENCE_S, Silence
from tidegate.dataplanes.traffic import Series

ONE, OTHER = (Series(listener_key("tcp"), None, backend) for backend in ("one", "other"))


def test_named_once_after_a_while() -> None:
    """A handshake that takes its time is no silence; a lasting one is said a single time, for each concerned."""
    silence = Silence()
    assert silence.look(0.0, {ONE}, set()) == []
    assert silence.look(PATIENCE_S - 0.1, {ONE, OTHER}, set()) == []
    assert silence.look(PATIENCE_S, {ONE, OTHER}, set()) == [ONE]
    assert silence.look(2 * PATIENCE_S, {ONE, OTHER}, set()) == [OTHER]
    assert silence.look(3 * PATIENCE_S, {ONE, OTHER}, set()) == []


def test_answers_in_between() -> None:
    """Who has open connections is not silent; silence that comes back is said again."""
    silence = Silence()
    silence.look(0.0, {ONE}, set())
    assert silence.look(PATIENCE_S, {ONE}, {ONE}) == []
    assert silence.look(2 * PATIENCE_S, {ONE}, set()) == []
    assert silence.look(3 * PATIENCE_S, {ONE}, set()) == [ONE]
    silence.look(4 * PATIENCE_S, {ONE}, {ONE})
    silence.look(5 * PATIENCE_S, {ONE}, set())
    assert silence.look(6 * PATIENCE_S, {ONE}, set()) == [ONE]


def test_nothing_is_kept_of_who_is_gone() -> None:
    """Without connections there is nothing to look at."""
    silence = Silence()
    silence.look(0.0, {ONE}, set())
    assert silence
    silence.look(1.0, set(), set())
    assert not silence
