"""Leader election among replicas, by a Lease.

In: a client, the Lease's name, who we are. Out: whether we lead, else who does and where to reach it; whenever that
changes. What a leader does is left to others.

`kubernetes.aio.leaderelection` is not used: its run ends with the lease, so that a replica leads once in its life and
then never again; it tells followers nothing and cannot carry an address; it never releases; an error of the
connection ends it; and it reckons with wall clocks, local time written as UTC. The rules here are those of client-go:

* nobody compares clocks of two machines: a lease has expired when it has not *changed before our eyes* for as long
  as it is valid;
* a leader that cannot renew stops leading well before the others may take over;
* whoever writes does so to the version it has read, so of two only one succeeds.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import http
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tidegate.errors import KubeError
from tidegate.kube import lease_record
from tidegate.kube.client import KubeClient
from tidegate.kube.lease_record import Member
from tidegate.kube.resources import LEASES, Object
from tidegate.kube.trouble import Trouble
from tidegate.telemetry.logs import logger

__all__ = ["Election", "Following", "Leading", "Member", "Standing", "Terms"]

RELEASE_S: Final = 3.0
"""The end is not held up for longer by a server that does not take the release."""

_JITTER: Final = 1.2

_log = logger("election")


class Leading(msgspec.Struct, frozen=True):
    """We lead."""


class Following(msgspec.Struct, frozen=True):
    """Another replica leads, or nobody that we know of."""

    leader: Member | None = None


Standing = Leading | Following


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds: a lease is valid for ``lease``; a leader that did not renew it for ``renew_within`` steps down;
    ``retry`` is between two looks at it.
    """

    lease: int = 15
    renew_within: float = 10.0
    retry: float = 2.0


class Election:
    """One replica's part in the election of a leader."""

    def __init__(
        self, client: KubeClient, *, namespace: str, name: str, member: Member, terms: Terms | None = None
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._member = member
        self._terms = terms or Terms()
        self._standing: Standing = Following()
        self._lease: Object | None = None
        self._wrote = False
        self._mark: tuple[object, ...] | None = None
        self._changed_at = 0.0
        self._renewed_at = 0.0
        self._trouble = Trouble(client, f"electing a leader by the lease {namespace}/{name}")

    @property
    def standing(self) -> Standing:
        """What we are now, as far as we know."""
        return self._standing

    @property
    def leads(self) -> bool:
        """Whether we may act as the leader at this very moment, even if nobody has had time to notice the contrary."""
        return isinstance(self._standing, Leading) and self._left() > 0

    async def run(self, changed: Callable[[Standing], None]) -> None:
        """Takes part until cancelled, then releases the lease if we hold it: stop leading before you cancel.

        ``changed`` is called with every new standing and returns at once.
        """
        try:
            while True:
                standing = await self._round()
                if standing != self._standing:
                    self._standing = standing
                    self._tell(standing)
                    changed(standing)
                await asyncio.sleep(self._pause())
        finally:
            await self._release()

    async def _round(self) -> Standing:
        """One look at the lease, and what we make of it."""
        limit = self._terms.renew_within / 2  # So that one request without an answer leaves time for another.
        if isinstance(self._standing, Leading):
            limit = max(0.0, min(limit, self._left()))
        try:
            async with asyncio.timeout(limit):
                standing = await self._renewed() if isinstance(self._standing, Leading) else await self._looked()
        except TimeoutError:
            return self._unsure(KubeError(f"no answer within {limit:.1f} s"))
        except KubeError as error:
            return self._unsure(error)
        self._trouble.over()
        return standing

    def _unsure(self, error: KubeError) -> Standing:
        """The lease was not read or not written: we stay what we are as long as we may."""
        self._trouble.failed(error)
        if isinstance(self._standing, Leading) and self._left() <= 0:
            return Following()
        return self._standing

    async def _renewed(self) -> Standing:
        """The leader's round: write again what we wrote, unless somebody else has written."""
        try:
            return await self._write(self._lease)
        except KubeError as error:
            if error.status not in (http.HTTPStatus.CONFLICT, http.HTTPStatus.NOT_FOUND):
                raise
        return await self._looked()

    async def _looked(self) -> Standing:
        """Everybody's round: read, and take the lease when nobody else holds it."""
        lease = await self._read()
        leader = self._holder(lease)
        if leader is not None and leader.identity != self._member.identity:
            self._wrote = False
            return Following(leader)
        try:
            return await self._write(lease)
        except KubeError as error:
            if error.status != http.HTTPStatus.CONFLICT:
                raise
        return Following(self._holder(await self._read()))  # Somebody else was faster.

    async def _read(self) -> Object | None:
        try:
            return await self._client.get(LEASES.object(self._namespace, self._name))
        except KubeError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise
            return None

    def _holder(self, lease: Object | None) -> Member | None:
        """Who holds the lease, as far as it has not expired."""
        if lease is None:
            return None
        record = lease_record.read(lease)
        now = time.monotonic()
        if record.mark != self._mark:
            self._mark = record.mark
            self._changed_at = now
        valid = self._terms.lease if record.seconds is None else record.seconds
        return record.holder if now < self._changed_at + valid else None

    async def _write(self, lease: Object | None) -> Standing:
        """Takes or renews the lease."""
        body = lease_record.taken(
            lease,
            self._member,
            namespace=self._namespace,
            name=self._name,
            seconds=self._terms.lease,
            now=dt.datetime.now(dt.UTC),
        )
        self._wrote = True
        started = time.monotonic()
        if lease is None:
            self._lease = await self._client.create(LEASES.collection(self._namespace), body)
        else:
            self._lease = await self._client.replace(LEASES.object(self._namespace, self._name), body)
        # Counted from before the request: nobody can have seen it earlier.
        self._renewed_at = started
        return Leading()

    async def _release(self) -> None:
        """Gives the lease up if it is ours; it may be even if no answer said so, when the last write was cut off."""
        if not self._wrote:
            return
        try:
            async with asyncio.timeout(RELEASE_S):
                lease = await self._read()
                holder = None if lease is None else lease_record.read(lease).holder
                if lease is not None and holder is not None and holder.identity == self._member.identity:
                    body = lease_record.released(lease, now=dt.datetime.now(dt.UTC))
                    await self._client.replace(LEASES.object(self._namespace, self._name), body)
        except (KubeError, TimeoutError) as error:
            _log.warning("the lease is not released and has to expire", problem=str(error) or "no answer")

    def _left(self) -> float:
        """How long we may lead without renewing."""
        return self._renewed_at + self._terms.renew_within - time.monotonic()

    def _pause(self) -> float:
        """Until the next look. A leader that is about to run out of time does not sleep past that."""
        if isinstance(self._standing, Leading):
            return max(0.0, min(self._terms.retry, self._left()))
        return self._terms.retry * random.uniform(1.0, _JITTER)  # noqa: S311 - spreads load

    def _tell(self, standing: Standing) -> None:
        match standing:
            case Leading():
                _log.info("leads", identity=self._member.identity)
            case Following(leader=Member() as leader):
                _log.info("follows", leader=leader.identity, address=leader.address)
            case Following():
                _log.info("follows nobody: there is no leader for the moment")
