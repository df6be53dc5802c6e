"""References across namespaces: exactly what a grant says, in the target's namespace."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from support.manifests import GROUP, Manifest, backend, gateway, grant, listener, parent, service, slice_of, tcproute
from support.resources import World, said

FROM = {"group": GROUP, "kind": "TCPRoute", "namespace": "apps"}
TO = {"group": "", "kind": "Service"}


def granting(
    name: str = "g", *, namespace: str = "data", origins: Sequence[Manifest] = (FROM,), to: Sequence[Manifest] = (TO,)
) -> Manifest:
    """A grant with these origins and targets."""
    document = grant(name, namespace=namespace, from_namespace="apps")
    document["spec"] = {"from": list(origins), "to": list(to)}
    return document


def world(*documents: Manifest) -> World:
    """A route in ``apps`` with a backend in ``data``, and these grants."""
    return World(
        gateway("gw", [listener("tcp", 80)], namespace="apps"),
        tcproute("route", [parent("gw")], [backend("db", namespace="data")], namespace="apps"),
        service("db", namespace="data"),
        slice_of("db", [("10.0.0.1", 5432)], namespace="data"),
        *documents,
    )


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([], False),
        ([granting()], True),
        ([granting(to=[{**TO, "name": "db"}])], True),
        ([granting(origins=[{**FROM, "namespace": "other"}, FROM], to=[{**TO, "kind": "Secret"}, TO])], True),
        ([granting(namespace="apps")], False),
        ([granting(origins=[{**FROM, "group": ""}])], False),
        ([granting(origins=[{**FROM, "kind": "UDPRoute"}])], False),
        ([granting(origins=[{**FROM, "namespace": "data"}])], False),
        ([granting(to=[{**TO, "group": "apps"}])], False),
        ([granting(to=[{**TO, "kind": "Secret"}])], False),
        ([granting(to=[{**TO, "name": "db2"}])], False),
        (
            [granting("half", to=[{**TO, "name": "x"}]), granting("other-half", origins=[{**FROM, "kind": "X"}])],
            False,
        ),
        ([granting("wrong", to=[{**TO, "name": "x"}]), granting("right")], True),
    ],
)
def test_grant(documents: list[Manifest], expected: bool) -> None:
    """One grant must name the referrer and the target; halves of two do not add up."""
    (status,) = world(*documents).parents("route", "apps")
    assert said(status, "ResolvedRefs") == ("True/ResolvedRefs" if expected else "False/RefNotPermitted")


def test_grant_is_revocable() -> None:
    """Without the grant the share is refused again, and says so."""
    granted = world(granting())
    assert granted.plan
    granted.remove(granting())
    (status,) = granted.parents("route", "apps")
    assert said(status, "ResolvedRefs") == "False/RefNotPermitted"
    granted.apply(granting())
    assert said(granted.parents("route", "apps")[0], "ResolvedRefs") == "True/ResolvedRefs"


def test_own_namespace_needs_no_grant() -> None:
    """A namespace that is spelled out and is the route's own is no crossing."""
    here = World(
        gateway("gw", [listener("tcp", 80)]),
        tcproute("route", [parent("gw")], [backend("db", namespace="default")]),
        service("db"),
    )
    assert said(here.parents("route")[0], "ResolvedRefs") == "True/ResolvedRefs"
