"""The objects of a cluster at one moment."""

from __future__ import annotations

from typing import Any

import pytest

from support.manifests import tcproute
from support.scripted_api import listed, raw, refused, scripted
from tidegate.errors import KubeError
from tidegate.kube.config import connected
from tidegate.model.kinds import BY_GROUP_KIND
from tidegate.names import GATEWAY_GROUP
from tidegate.sources.kubernetes_snapshot import snapshot

ROUTES = BY_GROUP_KIND[GATEWAY_GROUP, "TCPRoute"]
GRANTS = BY_GROUP_KIND[GATEWAY_GROUP, "ReferenceGrant"]
UNKNOWN = raw("404 page not found", 404)


def route(name: str, version: str = "v1") -> dict[str, Any]:
    """A route as a list has it."""
    document = tcproute(name, [{"name": "g"}], [{"name": "svc", "port": 1}], version=version, namespace="ns")
    metadata = {**document["metadata"], "resourceVersion": "7", "managedFields": [{"manager": "kubectl"}]}
    return {**document, "metadata": metadata}


async def test_newest_version_that_is_served_is_read() -> None:
    """Where v1 is not served, v1alpha2 is; a kind that is served in no version is absent."""
    script = (UNKNOWN, listed(route("a", "v1alpha2"), version="9", kind="TCPRouteList"), UNKNOWN, UNKNOWN)
    async with scripted(*script) as api, connected(kubeconfig=api.kubeconfig) as client:
        found = await snapshot(client, (ROUTES, GRANTS))
    assert [request.path.split("/")[3] for request in api.asked] == ["v1", "v1alpha2", "v1", "v1beta1"]
    assert [reading.key.name for reading in found.readings] == ["a"]
    assert found.readings[0].resource is not None
    assert found.absent == (GRANTS,)


async def test_objects_are_as_stored_but_for_who_set_what() -> None:
    """Like kubectl, without managedFields."""
    async with (
        scripted(listed(route("a"), version="9", kind="TCPRouteList")) as api,
        connected(kubeconfig=api.kubeconfig) as client,
    ):
        (item,) = (await snapshot(client, [ROUTES], namespace="ns")).stored
    assert "managedFields" not in item["metadata"]
    assert (item["kind"], item["metadata"]["resourceVersion"]) == ("TCPRoute", "7")
    assert api.asked[0].path.endswith("/namespaces/ns/tcproutes")


async def test_refusal_is_an_error() -> None:
    """Who may not list a kind is told so; nothing is taken for absent."""
    async with (
        scripted(refused(403, "Forbidden", "tcproutes is forbidden")) as api,
        connected(kubeconfig=api.kubeconfig) as client,
    ):
        with pytest.raises(KubeError, match="tcproutes is forbidden"):
            await snapshot(client, [ROUTES])
