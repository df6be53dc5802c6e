"""The fleet: what the cluster has for each Gateway's data plane is what it should have, while we lead.

In: what is wanted for each Gateway, from the decision. Out: objects in the cluster, and a message for a Gateway
whose objects cannot be what they should be. How values pass::

    set() ──wanted──┐
    reflectors ──▶ inventory ──▶ agenda ──site──▶ keeper (one look) ──▶ API server
    authority ──────┘               ▲──────pause─────┘

A site is looked at when what is wanted changes, when somebody touches an object there, when authorities change, when a
certificate is to be renewed, and after a failure. A look asks for nothing where all is as it should be, so a new
leader only pays for differences. Objects go with their Gateway even where nothing else collects garbage.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from tidegate.fleet.agenda import Agenda
from tidegate.fleet.authority import Authority
from tidegate.fleet.credentials import Credentials
from tidegate.fleet.inventory import Inventory, Site, found, site
from tidegate.fleet.keeper import Keeper
from tidegate.fleet.kinds import GENERATED, GeneratedKind, Manifest
from tidegate.fleet.metadata import SELECTS_ALL
from tidegate.fleet.objects import manifests
from tidegate.fleet.steps import Wanted
from tidegate.fleet.troubles import Troubled, Troubles
from tidegate.kube.client import KubeClient
from tidegate.kube.reflector import Reflector, Removed, Replaced
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.plan.infrastructure import Infrastructure, ProxyContainer

LOOKS_AT_A_TIME: Final = 8
"""So many sites are looked at at the same time."""


class ObjectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What objects need beside what is wanted.

    ``container`` says what Pods run, ``image`` is the controller's own, ``controller`` is the controller's name.
    """

    container: Callable[[Infrastructure], ProxyContainer]
    image: str
    controller: str = CONTROLLER_NAME


class Fleet:
    """The data planes of all Gateways.

    ``troubled`` is told, while we lead, when a Gateway's objects cannot be what they should be, and when that is over
    (None). It returns at once. What is wrong when we stop leading is for the next leader to tell.
    """

    def __init__(
        self, client: KubeClient, authority: Authority, options: ObjectOptions, *, troubled: Troubled = lambda *_: None
    ) -> None:
        self._client = client
        self._authority = authority
        self._options = options
        self._troubled = troubled
        self._wanted: dict[ObjectKey, Wanted] = {}
        self._wanting: dict[Site, dict[ObjectKey, Wanted]] = {}
        self._told = asyncio.Event()
        self._agenda: Agenda[Site] = Agenda()
        self._stirred = asyncio.Event()
        self._inventory = Inventory()
        self._troubles = Troubles(self._troubled)
        self._unlooked: set[Site] | None = None

    def set(self, changes: Mapping[ObjectKey, Wanted | None]) -> None:
        """Take what is wanted for Gateways from now on; None: nothing. For every replica; returns at once.

        The first call has all Gateways, even if there are none: what is not wanted by then is taken for left over.
        """
        for gateway, wanted in changes.items():
            before = self._wanted.pop(gateway, None)
            if before is not None:
                self._leave(before)
            if wanted is not None:
                self._wanted[gateway] = wanted
                self._wanting.setdefault(site(wanted), {})[gateway] = wanted
                self._look_at([site(wanted)])
            if before is not None and (wanted is None or site(wanted) != site(before)):
                # Whatever was wrong there, is somebody else's trouble now.
                self._troubles.keep(gateway, ())
        self._told.set()

    @property
    def looked(self) -> bool:
        """Whether we lead and have looked everywhere once, so that all trouble there is has been told."""
        return self._unlooked is not None and not self._unlooked

    async def run(self) -> None:
        """Keep all objects as they should be until cancelled. Only for the leader."""
        try:
            await self._run()
        finally:
            self._unlooked = None

    async def _run(self) -> None:
        await self._told.wait()
        await self._authority.known()
        self._inventory, self._agenda, self._troubles = Inventory(), Agenda(), Troubles(self._troubled)
        keeper = Keeper(
            self._client,
            authority=self._authority,
            inventory=self._inventory,
            manifests=self._manifests,
            controller=self._options.controller,
            troubles=self._troubles,
        )
        self._unlooked = set(self._wanting)
        async with asyncio.TaskGroup() as tasks:
            listed = [asyncio.Event() for _ in GENERATED]
            for kind, one in zip(GENERATED, listed, strict=True):
                tasks.create_task(self._follow(kind, one), name=f"follow {kind.name}")
            for one in listed:
                await one.wait()
            tasks.create_task(self._follow_authority(), name="follow the authority")
            tasks.create_task(self._look(keeper), name="look")

    async def _follow(self, kind: GeneratedKind, listed: asyncio.Event) -> None:
        """Keep the inventory of a kind up to date, and look where something changes."""
        reflector = Reflector(self._client, kind.resource, label_selector=SELECTS_ALL, read=found)
        async with contextlib.aclosing(reflector.events()) as events:
            async for event in events:
                match event:
                    case Replaced(objects=objects):
                        touched = self._inventory.replace(kind, objects)
                        listed.set()
                    case Removed(object=gone):
                        touched = self._inventory.remove(gone)
                    case _:
                        touched = self._inventory.put(event.object)
                self._look_at(touched)

    async def _follow_authority(self) -> None:
        """Look everywhere now, and again whenever authorities change: every proxy is to know them."""
        async with contextlib.aclosing(self._authority.trusted()) as changes:
            async for _ in changes:
                self._look_at({*self._wanting, *self._inventory.sites()})

    async def _look(self, keeper: Keeper) -> None:
        """Look at each site when its time has come, at some at a time."""
        room = asyncio.Semaphore(LOOKS_AT_A_TIME)
        async with asyncio.TaskGroup() as looks:
            while True:
                await room.acquire()
                place = await self._next()
                task = looks.create_task(self._look_once(keeper, place), name=f"look at {place}")
                task.add_done_callback(lambda _: room.release())

    async def _look_once(self, keeper: Keeper, place: Site) -> None:
        pause = await keeper.look(place, tuple(self._wanting.get(place, {}).values()))
        self._agenda.done(place)
        if self._unlooked:
            self._unlooked.discard(place)
        if place in self._wanting or self._inventory.at(place):
            self._agenda.put(place, asyncio.get_running_loop().time() + pause)
        self._stirred.set()

    async def _next(self) -> Site:
        """The next site to look at, once it is due."""
        clock = asyncio.get_running_loop()
        while True:
            self._stirred.clear()
            place = self._agenda.take(clock.time())
            if place is not None:
                return place
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._agenda.next_due):
                    await self._stirred.wait()

    def _look_at(self, places: Iterable[Site]) -> None:
        now = asyncio.get_running_loop().time()
        for place in places:
            self._agenda.put(place, now)
        self._stirred.set()

    def _leave(self, wanted: Wanted) -> None:
        place = site(wanted)
        del self._wanting[place][wanted.gateway]
        if not self._wanting[place]:
            del self._wanting[place]
        self._look_at([place])

    def _manifests(self, infrastructure: Infrastructure, credentials: Credentials) -> tuple[Manifest, ...]:
        return manifests(
            infrastructure,
            self._options.container(infrastructure),
            credentials,
            image=self._options.image,
            controller=self._options.controller,
        )
