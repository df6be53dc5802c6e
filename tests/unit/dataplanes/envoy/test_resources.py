"""A resource's version is its content's: equal bytes have equal versions, in every process."""

from __future__ import annotations

from tidegate.dataplanes.envoy.resources import WILDCARD_KINDS, Kind, resource


def test_equal_content_has_an_equal_version() -> None:
    """The version depends on the bytes alone, so that a restarted controller sends nothing again."""
    one, other = resource(Kind.CLUSTER, "a", b"bytes"), resource(Kind.LISTENER, "b", b"bytes")
    assert one.version == other.version
    assert one == resource(Kind.CLUSTER, "a", b"bytes")


def test_the_version_is_the_same_in_every_process() -> None:
    """The version is a hash that does not change between processes and releases."""
    assert resource(Kind.CLUSTER, "a", b"").version == "e4a6a0577479b2b4"


def test_other_content_has_another_version() -> None:
    """Any difference in the bytes makes a new version."""
    assert resource(Kind.CLUSTER, "a", b"one").version != resource(Kind.CLUSTER, "a", b"two").version


def test_kinds_are_in_the_order_of_additions() -> None:
    """Clusters come before their endpoints, and listeners after everything that they need."""
    assert list(Kind) == [Kind.CLUSTER, Kind.ASSIGNMENT, Kind.FILTER, Kind.LISTENER]
    assert {Kind.CLUSTER, Kind.LISTENER} == WILDCARD_KINDS


def test_type_urls_are_envoys() -> None:
    """On the wire a kind is called by the type of its message."""
    assert Kind.LISTENER.type_url == "type.googleapis.com/envoy.config.listener.v3.Listener"
    assert all(kind.type_url.startswith("type.googleapis.com/envoy.config.") for kind in Kind)
