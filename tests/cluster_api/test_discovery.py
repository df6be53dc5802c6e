"""Definitions as they come, change and go on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from support.cluster import Cluster
from tidegate.kube.config import connected
from tidegate.kube.discovery import BUNDLE_VERSION_ANNOTATION, Definition, Discovery

GROUP, NAME = "sea.example.com", "tides.sea.example.com"


def definition(*served: str, bundle: str | None = None) -> dict[str, Any]:
    versions = [
        {
            "name": name,
            "served": name in served,
            "storage": name == "v1",
            "schema": {"openAPIV3Schema": {"type": "object"}},
        }
        for name in ("v1", "v1alpha2")
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME, "annotations": {BUNDLE_VERSION_ANNOTATION: bundle} if bundle else {}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Tide", "plural": "tides"},
            "versions": versions,
        },
    }


async def test_definitions_are_followed(cluster: Cluster) -> None:
    """Nothing, then the versions that are served once it is established, then others, then nothing again."""

    async def until(expected: Mapping[str, Definition]) -> None:
        async with asyncio.timeout(20):
            while await anext(views) != expected:
                pass

    def only(*served: str, bundle: str = "") -> Mapping[str, Definition]:
        return {NAME: Definition(name=NAME, bundle_version=bundle, served=served)}

    async with connected(kubeconfig=cluster.kubeconfig) as client:
        discovery = Discovery(client, groups=[GROUP], inspect=[NAME])
        async with contextlib.aclosing(discovery.definitions()) as views:
            await until({})
            await cluster.api.apply(definition("v1alpha2"))
            await until(only("v1alpha2"))
            await cluster.api.apply(definition("v1", "v1alpha2", bundle="v9"))
            await until(only("v1", "v1alpha2", bundle="v9"))
            await cluster.api.delete("CustomResourceDefinition", NAME)
            await until({})


async def test_gateway_api_of_the_channels(cluster: Cluster, experimental_cluster: Cluster) -> None:
    """In the standard channel TCPRoute is served in v1, in the experimental one in v1alpha2 as well."""
    routes = "tcproutes.gateway.networking.k8s.io"

    async def first(kubeconfig: Any) -> Mapping[str, Definition]:
        async with connected(kubeconfig=kubeconfig) as client:
            discovery = Discovery(client, groups=["gateway.networking.k8s.io"], inspect=[routes])
            async with contextlib.aclosing(discovery.definitions()) as views:
                return await anext(views)

    standard, experimental = await first(cluster.kubeconfig), await first(experimental_cluster.kubeconfig)
    assert standard[routes].served == ("v1",)
    assert sorted(experimental[routes].served) == ["v1", "v1alpha2"]
    for found in (standard, experimental):
        assert {one.bundle_version for one in found.values()} == {"v1.6.1"}
        assert "httproutes.gateway.networking.k8s.io" in found
