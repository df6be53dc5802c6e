"""Keeps a GatewayClass from going while a Gateway uses it (Gateway API, GatewayClass), while this replica leads.

In: our classes, and whether each is in use. Out: the specification's finalizer on those in use, and only on those.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from tidegate.errors import KubeError
from tidegate.kube.resources import ApiResource
from tidegate.names import GATEWAY_GROUP
from tidegate.reporting.base import StatusClient
from tidegate.reporting.jitter import jitter
from tidegate.reporting.pacing import backoff
from tidegate.reporting.refusals import conflicts, is_gone
from tidegate.telemetry.logs import logger

FINALIZER: Final = "gateway-exists-finalizer.gateway.networking.k8s.io"

RECHECK_S: Final = 600.0
"""After so many seconds all classes are looked at again: nobody tells us when somebody removes a finalizer."""


class ClassFinalizers:
    """Puts the finalizer on classes and takes it away. ``version`` is the one that GatewayClass is served in."""

    def __init__(self, client: StatusClient, *, version: str = "v1") -> None:
        self._client = client
        self._resource = ApiResource(GATEWAY_GROUP, version, "gatewayclasses", namespaced=False)
        self._wanted: Mapping[str, bool] = {}
        self._settled: dict[str, bool] = {}
        self._failures = 0
        self._news = asyncio.Event()
        self._log = logger("finalizers")

    def set(self, classes: Mapping[str, bool]) -> None:
        """Take the names of all our classes, and whether any Gateway uses each. Returns at once."""
        self._wanted = dict(classes)
        self._news.set()

    async def run(self) -> None:
        """Keep the finalizers until cancelled. Only one replica may do that at a time."""
        self._failures = 0
        while True:
            self._settled = {}
            end = time.monotonic() + RECHECK_S
            while (now := time.monotonic()) < end:
                self._news.clear()
                wait = await self._round()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, end - now)):
                        await self._news.wait()

    async def _round(self) -> float:
        """Look at every class that is not settled; how long to wait for the next time."""
        wanted = self._wanted
        self._settled = {name: used for name, used in self._settled.items() if wanted.get(name) is used}
        open_ = sorted(wanted.keys() - self._settled.keys())
        failed = [name for name in open_ if not await self._try(name, used=wanted[name])]
        self._failures = self._failures + 1 if failed else 0
        return backoff(self._failures, first=0.1, longest=60.0, jitter=jitter()) if failed else RECHECK_S

    async def _try(self, name: str, *, used: bool) -> bool:
        try:
            await self._settle(name, used=used)
        except KubeError as error:
            if not is_gone(error):
                if not conflicts(error) and not self._failures:
                    self._log.warning("finalizer of a class not kept, trying again", name=name, error=str(error))
                return False
        self._settled[name] = used
        return True

    async def _settle(self, name: str, *, used: bool) -> None:
        path = self._resource.object("", name)
        metadata = (await self._client.get(path))["metadata"]
        finalizers = metadata.get("finalizers", [])
        kept = [one for one in finalizers if one != FINALIZER]
        if used and "deletionTimestamp" not in metadata:
            # To what is about to go no finalizer can be added.
            kept = finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]
        elif used:
            kept = finalizers
        if kept != finalizers:
            change: dict[str, Any] = {"resourceVersion": metadata["resourceVersion"], "finalizers": kept}
            await self._client.merge_patch(path, {"metadata": change})
