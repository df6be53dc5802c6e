"""The requests that statuses need, answered from memory: for what a real API server does not do on demand, such as
being slow, away or unwilling.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import copy
from collections.abc import AsyncIterator
from typing import Any

from support.running import running
from support.statuses import Raw
from tidegate.errors import KubeError
from tidegate.model.observed import Observed
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.reporting.base import Subject, Written
from tidegate.reporting.kubernetes import KubernetesStatusWriter, WriteOutcome

PLURALS = {"GatewayClass": "gatewayclasses", "Gateway": "gateways", "TCPRoute": "tcproutes"}


class MemoryServer:
    """Objects by path. ``failures`` are raised one after the other instead of doing what was asked; while ``open`` is
    not set, requests wait.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Raw] = {}
        self.requests: list[str] = []
        self.failures: collections.deque[KubeError] = collections.deque()
        self.open = asyncio.Event()
        self.open.set()
        self.active = 0
        self.most_active = 0
        self._version = 0

    def put(self, key: ObjectKey, status: Raw, *, generation: int = 1) -> Observed:
        """Store an object with a status; what its source sees."""
        self._version += 1
        metadata = {"uid": "u", "resourceVersion": str(self._version), "generation": generation}
        self.objects[path_of(key)] = {"metadata": metadata, "status": copy.deepcopy(status)}
        return observed(self.objects[path_of(key)])

    def status(self, key: ObjectKey) -> Any:
        """What is stored."""
        return self.objects[path_of(key)]["status"]

    async def get(self, path: str) -> Raw:
        """Read an object."""
        async with self._request(f"GET {path}"):
            return copy.deepcopy(self._found(path))

    async def merge_patch(self, path: str, body: Raw) -> Raw:
        """Change the status of an object, if it still has the version that the body names."""
        async with self._request(f"PATCH {path}"):
            found = self._found(path.removesuffix("/status"))
            if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                raise KubeError("the object has been modified", status=409, reason="Conflict")
            merged = {**found["status"], **body["status"]}
            found["status"] = {name: value for name, value in merged.items() if value is not None}
            self._version += 1
            found["metadata"]["resourceVersion"] = str(self._version)
            return copy.deepcopy(found)

    def _found(self, path: str) -> Raw:
        if path not in self.objects:
            raise KubeError("not found", status=404, reason="NotFound")
        return self.objects[path]

    @contextlib.asynccontextmanager
    async def _request(self, text: str) -> AsyncIterator[None]:
        self.requests.append(text)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await asyncio.sleep(0)
            await self.open.wait()
            if self.failures:
                raise self.failures.popleft()
            yield
        finally:
            self.active -= 1


def path_of(key: ObjectKey) -> str:
    """Where an object lies."""
    within = f"/namespaces/{key.namespace}" if key.namespace else ""
    return f"/apis/{key.group}/v1{within}/{PLURALS[key.kind]}/{key.name}"


def observed(found: Raw) -> Observed:
    """What the source of an object sees of it."""
    metadata = found["metadata"]
    return Observed(
        version="v1",
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata["generation"],
        status=copy.deepcopy(found.get("status", {})),
    )


class Writing:
    """A status writer, and what it said."""

    def __init__(self, client: Any) -> None:
        self.counts: collections.Counter[tuple[str, WriteOutcome]] = collections.Counter()
        self.written: list[Written] = []
        self.crowded: list[tuple[Subject, str]] = []
        self.writer = KubernetesStatusWriter(
            client,
            controller_name=CONTROLLER_NAME,
            counted=lambda kind, outcome: self.counts.update([(kind.kind, outcome)]),
            written=self.written.append,
            crowded=lambda subject, text: self.crowded.append((subject, text)),
        )

    def count(self, outcome: WriteOutcome, kind: str = "") -> int:
        """How often something became of an object of a kind, or of any."""
        return sum(count for (name, one), count in self.counts.items() if one == outcome and kind in ("", name))

    @contextlib.asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        """Let it lead while the block runs."""
        async with running(self.writer.run()):
            yield
