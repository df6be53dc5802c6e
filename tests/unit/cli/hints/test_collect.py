"""All hints together, and the order of routes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from support.checking import checked
from support.manifests import Manifest, backend, gateway, listener, parent, tcproute
from tidegate.cli.hints.collect import hints_about

GATEWAY = gateway("g", [listener("foo", 8080), listener("bar", 8090)])


def messages(folder: Path, *documents: Manifest) -> list[str]:
    state = checked(folder, GATEWAY, *documents, backends=["svc:6000=127.0.0.1:7001"]).state
    return [f"{hint.object}: {hint.message}" for hint in hints_about(state)]


def route(name: str, section: str | None = "foo", created: str | None = None) -> Manifest:
    reference = parent("g", sectionName=section) if section else parent("g")
    return tcproute(name, [reference], [backend("svc")], created=created)


def test_it_is_said_when_only_the_order_decides(tmp_path: Path) -> None:
    """Of two routes on a listener, both without a creation time, the first one serves, and the hint says why."""
    found = messages(tmp_path, route("b"), route("a", section=None))
    assert found == [
        (
            "TCPRoute default/b: it serves listener foo of Gateway default/g, and not default/a, only because it comes "
            "first in the input: set metadata.creationTimestamp to say which is older"
        )
    ]


def test_ages_that_are_given_decide_without_a_word(tmp_path: Path) -> None:
    """Creation times are what the user wants."""
    ages = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert messages(tmp_path, route("b", created=ages[1]), route("a", created=ages[0])) == []


def test_routes_on_other_listeners_are_no_rivals(tmp_path: Path) -> None:
    """Each listener has its own order."""
    assert messages(tmp_path, route("b", "foo"), route("a", "bar")) == []


def test_a_hint_is_given_once(tmp_path: Path) -> None:
    """A mistake that is made in several places of an object is told once."""
    twice = tcproute("r", [parent("g", sectionName="foo"), parent("g", sectionName="bar")], [backend("nope")])
    assert len(messages(tmp_path, twice)) == 1


def test_only_what_is_asked_about_is_said(tmp_path: Path) -> None:
    """Hints about other objects are left out, and take no room."""
    state = checked(tmp_path, GATEWAY, route("a", "nope"), route("b", "neither")).state
    assert {hint.object for hint in hints_about(state, only={"TCPRoute default/b"})} == {"TCPRoute default/b"}


def test_in_a_cluster_order_decides_nothing(tmp_path: Path) -> None:
    """An API server gives every object its age, so there is no advice to set one."""
    state = msgspec.structs.replace(checked(tmp_path, GATEWAY, route("b"), route("a")).state, cluster=True)
    assert [hint for hint in hints_about(state) if "comes first" in hint.message] == []
