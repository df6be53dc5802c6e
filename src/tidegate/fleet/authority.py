"""The certificate authority of an installation: in a Secret of the controller's namespace, the same for all replicas.

Every replica follows the Secret, and makes its own certificate from it, in memory. Only the leader writes it: the
first authority, successors, and the end of those whose time is over. What is due when, and how an old and a new
authority overlap, is in `trust`.

The Secret is the truth. Once it is deleted, the leader begins anew with an authority that has nothing to do with the
old one; connections that stand are not touched, new ones come about when both sides have the new certificates.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncGenerator
from typing import Final

from tidegate.errors import KubeError
from tidegate.fleet import pki, trust
from tidegate.fleet.credentials import Credentials, Subject, credentials
from tidegate.fleet.kinds import SECRET
from tidegate.fleet.metadata import MANAGED_BY, MANAGER, NAME
from tidegate.fleet.pki import KeyPair
from tidegate.fleet.secretdata import decoded, encoded
from tidegate.fleet.trust import LIFETIMES, Lifetimes, Trust
from tidegate.kube.backoff import Backoff
from tidegate.kube.client import KubeClient
from tidegate.kube.reflector import Reflector, Removed, Replaced
from tidegate.kube.resources import Object
from tidegate.kube.rules import AUTHORITY_SECRET
from tidegate.kube.trouble import Trouble
from tidegate.names import CONTROLLER_IDENTITY, proxy_identity
from tidegate.telemetry.logs import logger

LONGEST_PAUSE_S: Final = 600.0
"""The leader looks at least so often: a clock may be set, and a machine may sleep."""

_log = logger("authority")


class Authority:
    """Who is trusted, and certificates for both sides.

    ``namespace`` is the controller's own; ``server_names`` are the DNS names under which proxies reach it.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        server_names: tuple[str, ...],
        lifetimes: Lifetimes = LIFETIMES,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._lifetimes = lifetimes
        self._subject = Subject(identity=CONTROLLER_IDENTITY, dns_names=server_names, lifetime=lifetimes.controller)
        self._trust = Trust(lifetimes=lifetimes)
        self._own: Credentials | None = None
        self._news = asyncio.Event()
        self._stirred = asyncio.Event()

    async def follow(self) -> None:
        """Follow the Secret until cancelled. For every replica."""
        selected = f"metadata.name={AUTHORITY_SECRET}"
        reflector = Reflector(self._client, SECRET.resource, namespace=self._namespace, field_selector=selected)
        async with contextlib.aclosing(reflector.events()) as events:
            async for event in events:
                self._stirred.set()
                match event:
                    case Removed():
                        continue  # What was trusted is trusted, until there is something else.
                    case Replaced(objects=objects):
                        secrets = objects
                    case _:
                        secrets = (event.object,)
                for secret in secrets:
                    self._take(self._read(secret))

    async def lead(self) -> None:
        """Do what is due about the Secret until cancelled. For the leader."""
        backoff, trouble = Backoff(), Trouble(self._client, f"keeping the secret {self._namespace}/{AUTHORITY_SECRET}")
        while True:
            self._stirred.clear()
            try:
                await self._settle()
            except KubeError as error:
                trouble.failed(error)
                await asyncio.sleep(backoff.next(time.monotonic(), at_least=error.retry_after))
            else:
                trouble.over()
                await self._until(self._trust.next_due(_now()))

    async def known(self) -> None:
        """Return once there is an authority that can issue: the last one may have ended while nobody was there."""
        async with contextlib.aclosing(self.trusted()) as changes:
            async for one in changes:
                if one.issuer(_now()) is not None:
                    return

    async def trusted(self) -> AsyncGenerator[Trust, None]:
        """The authorities now, and again whenever they are others."""
        while True:
            news, seen = self._news, self._trust
            yield seen
            if seen is self._trust:
                await news.wait()

    def credentials(self) -> Credentials:
        """The replica's own, good for servers and clients. To be asked for again for every connection.

        Only once the authority is ``known``. If no authority lives any more, the last ones stay.
        """
        held = self._own.pair if self._own is not None else None
        self._own = credentials(self._trust, self._subject, held, _now()) or self._own
        assert self._own is not None, "the authority is known"
        return self._own

    def proxy_credentials(self, scope: str, held: KeyPair | None) -> Credentials | None:
        """What the proxies of ``scope`` should hold: what they hold while that is good, else a new certificate.

        None while no authority lives.
        """
        subject = Subject(identity=proxy_identity(scope), lifetime=self._lifetimes.proxy)
        return credentials(self._trust, subject, held, _now())

    async def _settle(self) -> None:
        """One reading, and one writing if something is due."""
        secret = await self._found()
        now = _now()
        there = self._read(secret)
        due = there.due(now)
        if due:
            successor = pki.new_authority(now=now, lifetime=self._lifetimes.authority) if due.succession else None
            there = there.after(due, successor)
            await self._write(there, secret)
            _log.info("authorities changed", trusted=[one.name for one in there.issuers])
        self._take(there)

    async def _found(self) -> Object:
        """The Secret, or an empty one in its place."""
        try:
            return await self._client.get(SECRET.resource.object(self._namespace, AUTHORITY_SECRET))
        except KubeError as error:
            if error.reason != "NotFound":
                raise
        about = {
            "name": AUTHORITY_SECRET,
            "namespace": self._namespace,
            "labels": {NAME: "tidegate", "app.kubernetes.io/component": "authority", MANAGED_BY: MANAGER},
        }
        return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "type": "Opaque"}

    async def _write(self, wanted: Trust, secret: Object) -> None:
        """Create the Secret, or replace what was read: if somebody else has written, this fails."""
        body = secret | {"data": encoded(trust.to_secret(wanted))}
        if "resourceVersion" in body["metadata"]:
            await self._client.replace(SECRET.resource.object(self._namespace, AUTHORITY_SECRET), body)
        else:
            await self._client.create(SECRET.resource.collection(self._namespace), body)

    def _read(self, secret: Object) -> Trust:
        return trust.from_secret(decoded(secret), self._lifetimes)

    def _take(self, there: Trust) -> None:
        """Trust others from now on. A Secret with no authority in it says nothing about whom to trust."""
        if there == self._trust or not there.issuers:
            return
        self._trust = there
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _until(self, due: dt.datetime) -> None:
        """Wait for the time when something is due, or for somebody who changes the Secret."""
        pause = min((due - _now()).total_seconds(), LONGEST_PAUSE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(pause, 0.0)):
                await self._stirred.wait()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
