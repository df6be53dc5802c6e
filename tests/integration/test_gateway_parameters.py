"""GatewayParameters: an API server accepts by the CRD exactly what tidegate accepts by its own rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster import Cluster, install
from support.cluster_api import ApiError
from support.documents import ABSENT, GATEWAY_PARAMETERS, Document, edited
from support.verdicts import problem_texts
from tidegate.installation.crd import definition

VALUES: tuple[Any, ...] = (
    *(ABSENT, None, True, False),
    *(0, 1, -1, 2, 100, 101, 3600, 3601, 2**31, 2**63 - 1, 2.0, 0.5, 1e3),
    *("", "a", "1", "0.5", "-1", ".5Gi", "1e3", "64MB", "1Gi\n", "off", "OFF", "text", "Local", "ClusterIP", "Exists"),
    *("NoExecute", "example.com/lb", "x" * 63, "x" * 64, "x" * 253, "x" * 254, "x" * 317, "x" * 318, "x" * 1025),
    *([], [{}], ["a"], [{"key": "a"}], [{"key": ""}], [{"value": ""}], [{"effect": ""}], [{"tolerationSeconds": -1}]),
    *([{}] * number for number in (64, 65)),
    *({}, {"a": "b"}, {"a": ""}, {"a": 1}, {"a": True}, {"a": {}}, {"unknown": 1}),
    *({f"n{number}": "1" for number in range(count)} for count in (64, 65)),
)

AT_ONCE = 10


def paths(value: Any, path: str) -> Iterator[str]:
    """The path of a value, and those of all values in it."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, f"{path}.{key}")


MAPS = ("spec.pod.nodeSelector.", "spec.pod.resources.requests.", "spec.pod.resources.limits.")
"""An API server drops keys whose value is null, without a word; in a file that is a mistake, which is told."""

BASE = edited(GATEWAY_PARAMETERS, "spec.pod.nodeSelector", {"edge": "yes"})

DOCUMENTS = [
    (f"{path}={value!r:.40}", edited(BASE, path, value))
    for path in paths(BASE["spec"], "spec")
    for value in VALUES
    if not (value is None and path.startswith(MAPS))
]


@pytest.fixture
async def installed(cluster: Cluster) -> Cluster:
    """A cluster that has the kind, and the namespace of the document."""
    await install(cluster.api, [definition()])
    await cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "infra"}})
    await cluster.api.kinds(again=True)
    return cluster


async def refusal(cluster: Cluster, document: Document) -> str:
    """Why the API server refuses a document; empty: it does not."""
    try:
        await cluster.api.create(document, dry_run=True)
    except ApiError as error:
        if error.status not in (400, 422):
            raise
        return error.message
    return ""


async def test_server_and_model_agree(installed: Cluster) -> None:
    """Every field with every value: both accept it, or both refuse it."""
    gate = asyncio.Semaphore(AT_ONCE)
    disagreements = []

    async def compare(name: str, document: Document) -> None:
        async with gate:
            server = await refusal(installed, document)
        ours = problem_texts(document)
        if bool(server) != bool(ours):
            disagreements.append(f"{name}: server: {server or 'fine'}; tidegate: {ours or 'fine'}")

    async with asyncio.TaskGroup() as tasks:
        for name, document in DOCUMENTS:
            tasks.create_task(compare(name, document))
    assert sorted(disagreements) == []
