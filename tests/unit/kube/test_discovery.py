"""How definitions are read; that they are noticed as they come and go is seen in tests/cluster_api."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from support.scripted_api import Step, answered, event, listed, refused, scripted, watched
from tidegate.kube.config import connected
from tidegate.kube.discovery import BUNDLE_VERSION_ANNOTATION, Definition, Discovery

GROUP = "gateway.networking.k8s.io"
ROUTES, GATEWAYS = f"tcproutes.{GROUP}", f"gateways.{GROUP}"


def metadata(name: str, version: str = "1", bundle: str = "") -> dict[str, Any]:
    annotations = {"annotations": {BUNDLE_VERSION_ANNOTATION: bundle}} if bundle else {}
    return {"kind": "PartialObjectMetadata", "metadata": {"name": name, "resourceVersion": version, **annotations}}


def definition(*served: str, unserved: tuple[str, ...] = (), established: bool = True) -> Step:
    versions = [{"name": name, "served": name in served, "schema": {}} for name in (*served, *unserved)]
    conditions = [{"type": "Established", "status": "True" if established else "False"}]
    return answered({"spec": {"versions": versions}, "status": {"conditions": conditions}})


async def found(count: int, *steps: Step, inspect: tuple[str, ...] = (ROUTES,)) -> list[Mapping[str, Definition]]:
    """The first views of the definitions."""
    async with scripted(*steps) as api, connected(kubeconfig=api.kubeconfig) as client:
        discovery = Discovery(client, groups=[GROUP], inspect=inspect)
        async with asyncio.timeout(10), contextlib.aclosing(discovery.definitions()) as views:
            return [await anext(views) for _ in range(count)]


async def test_versions_are_read_only_where_they_matter() -> None:
    """Of definitions in the group the bundle is known, of those to inspect the versions; others are left out."""
    steps = (
        listed(
            metadata(ROUTES, bundle="v1.6.1"), metadata(GATEWAYS), metadata("crontabs.stable.example.com"), version="5"
        ),
        definition("v1", unserved=("v1alpha2",)),
    )
    assert await found(1, *steps) == [
        {
            ROUTES: Definition(name=ROUTES, bundle_version="v1.6.1", served=("v1",)),
            GATEWAYS: Definition(name=GATEWAYS, bundle_version=""),
        }
    ]


async def test_definition_counts_once_it_is_established() -> None:
    """Before the API server has taken a definition up, its kind cannot be asked for."""
    steps = (
        listed(metadata(ROUTES), version="5"),
        definition("v1", established=False),
        watched(event("MODIFIED", metadata(ROUTES, "6"))),
        definition("v1"),
    )
    before, after = await found(2, *steps)
    assert before[ROUTES].served == ()
    assert after[ROUTES].served == ("v1",)


async def test_change_that_changes_nothing_for_us_is_no_news() -> None:
    """Definitions are touched by many; only what we read of them counts."""
    steps = (
        listed(metadata(ROUTES), version="5"),
        definition("v1"),
        watched(
            event("MODIFIED", metadata(ROUTES, "6")),
            event("ADDED", metadata("crontabs.stable.example.com", "7")),
            event("DELETED", metadata(ROUTES, "8")),
        ),
        definition("v1"),
    )
    before, after = await found(2, *steps)
    assert list(before) == [ROUTES]
    assert after == {}


async def test_definition_that_goes_while_it_is_read_is_gone() -> None:
    """Between the list and the look at it, a definition may be deleted."""
    assert await found(1, listed(metadata(ROUTES), version="5"), refused(404, "NotFound")) == [{}]


async def test_failing_server_is_asked_again() -> None:
    """Nothing is concluded from an error."""
    steps = (
        listed(metadata(ROUTES), version="5"),
        refused(503, "ServiceUnavailable"),
        refused(500, "InternalError"),
        definition("v1", "v1alpha2"),
    )
    assert (await found(1, *steps))[0][ROUTES].served == ("v1", "v1alpha2")
