"""Keeps the objects of all sites as they should be, one look at one site at a time.

In: who wants a site, and what the inventory has of it. Out: requests, until both are the same, and how long that will
last. It is made anew for each time that we lead: what it remembers is only true while nobody else writes. When to
look at which site is `applier`'s.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from tidegate.errors import KubeError
from tidegate.fleet.authority import Authority
from tidegate.fleet.comparison import fingerprint
from tidegate.fleet.credentials import Credentials, from_secret
from tidegate.fleet.inventory import Found, Inventory, Site, found, site
from tidegate.fleet.kinds import GENERATED, KIND_OF, SECRET, SERVICE, Manifest
from tidegate.fleet.metadata import MANAGER
from tidegate.fleet.patience import Patience
from tidegate.fleet.pki import KeyPair
from tidegate.fleet.secretdata import decoded
from tidegate.fleet.service import cluster_addresses
from tidegate.fleet.steps import (
    Apply,
    Blocked,
    Remove,
    Renew,
    Replace,
    Step,
    Wanted,
    blocked,
    claims,
    holder,
    steps,
    steps_to_keep,
)
from tidegate.fleet.troubles import Troubles, refusal, shortened
from tidegate.kube.client import KubeClient
from tidegate.kube.resources import Object
from tidegate.kube.selection import Selection
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure, Trouble, TroubleReason
from tidegate.telemetry.logs import logger

LONGEST_PAUSE_S: Final = 3600.0
"""Each site is looked at so often, at least: a clock may be set, and a machine may sleep."""

_SHORTEST_PAUSE_S: Final = 1.0

_PASSING: Final = frozenset({None, 404, 409, 429, 502, 503, 504})
# The API says so in words only, beside a status that also stands for a missing right.
_NAMESPACE_ENDS: Final = "because it is being terminated"
_FORBIDDEN: Final = 403
_REFUSALS: Final = frozenset({400, _FORBIDDEN, 422})

Manifests = Callable[[Infrastructure, Credentials], Sequence[Manifest]]
"""All objects of a Gateway's data plane."""

_log = logger("fleet")


class Keeper:
    """Remembers between looks what was applied, who holds which certificate, and what failed."""

    def __init__(
        self,
        client: KubeClient,
        *,
        authority: Authority,
        inventory: Inventory,
        manifests: Manifests,
        controller: str,
        troubles: Troubles,
    ) -> None:
        self._client = client
        self._authority = authority
        self._inventory = inventory
        self._manifests = manifests
        self._controller = controller
        self._troubles = troubles
        self._patience = Patience()
        self._held: dict[Site, KeyPair] = {}
        self._applied: dict[ObjectKey, str] = {}

    async def look(self, place: Site, wanting: Collection[Wanted]) -> float:
        """Do what is to be done at a site; how many seconds later it is to be looked at again."""
        there = self._inventory.at(place)
        wanted = holder(wanting, there, self._controller)
        if wanted is None:
            pause = await self._do(None, steps(None, (), there, self._controller))
            self._forget(place)
            return pause
        self._turn_away([one for one in wanting if one is not wanted], wanted)
        credentials = self._credentials(wanted, there)
        if credentials is None:
            return _SHORTEST_PAUSE_S
        todo: Iterable[Step]
        match wanted:
            case Infrastructure():
                todo = steps(wanted, self._manifests(wanted, credentials), there, self._controller)
            case KeptInfrastructure():
                todo = steps_to_keep(there, credentials, self._controller)
        pause = await self._do(wanted, todo)
        good_for = (credentials.good_until - dt.datetime.now(dt.UTC)).total_seconds()
        return min(pause, max(good_for, _SHORTEST_PAUSE_S))

    async def _do(self, wanted: Wanted | None, todo: Iterable[Step]) -> float:
        """Take each step whose time has come; how many seconds later the next one comes."""
        planned, now = list(todo), asyncio.get_running_loop().time
        if wanted is not None:
            failing, changing = self._failing(wanted), {step.key for step in planned}
            self._troubles.keep(wanted.gateway, {*changing, *failing})
            for key in failing.keys() - changing:  # Of the others it is told once the step is taken.
                self._troubles.put(wanted.gateway, key, failing[key], now())
        pause = LONGEST_PAUSE_S
        for step in planned:
            if self._patience.ready_at(step.key, step.digest) <= now():
                await self._take(wanted, step)
            if (wait := self._patience.ready_at(step.key, step.digest) - now()) > 0:
                pause = min(pause, wait)
        return pause

    def _failing(self, wanted: Wanted) -> dict[ObjectKey, Trouble]:
        """Objects of which the cluster cannot make what they stand for, even where they are as they should be."""
        there = self._inventory.at(site(wanted)).values()
        return {one.key: one.failure for one in there if one.failure and one.owner.gateway == wanted.gateway}

    async def _take(self, wanted: Wanted | None, step: Step) -> None:
        """One step. What fails is tried again later, and said where somebody has to do something about it."""
        obstacle: str | None = None
        trouble: Trouble | None = None
        try:
            match step:
                case Apply():
                    assert isinstance(wanted, Infrastructure), "nothing is made for anybody else"
                    obstacle = await self._apply(wanted, step)
                case Replace():
                    obstacle = await self._replace(step)
                case Remove():
                    await self._remove(step)
                case Renew():
                    await self._renew(step)
                case Blocked():
                    obstacle = step.message
                    self._later(step)
        except KubeError as error:
            _log.debug("object neither applied nor removed", object=str(step.key), reason=str(error))
            self._later(step, at_least=error.retry_after)
            if _passes(error):
                return
            trouble = _trouble(error)
        if obstacle is not None:
            trouble = Trouble(reason=TroubleReason.OTHER, message=obstacle)
        if wanted is not None:
            trouble = trouble or self._failing(wanted).get(step.key)
            self._troubles.put(wanted.gateway, step.key, trouble, asyncio.get_running_loop().time())

    async def _apply(self, wanted: Infrastructure, step: Apply) -> str | None:
        """Make an object what it should be; what is in the way of that, in words."""
        there = step.found or await self._hidden(step.key)
        if there is not None and not claims(wanted, there, self._controller):
            self._later(step)
            return blocked(there).message
        body = wished = step.manifest.body
        if there is not None:
            # If it is another one by now, this fails.
            body = wished | {"metadata": wished["metadata"] | {"uid": there.uid}}
        answer = await self._client.apply(_path(step.key), body, field_manager=MANAGER)
        self._inventory.put(found(answer, settled=fingerprint(answer, wished)))
        if self._applied.get(step.key) == step.digest:
            _log.info("object put back", object=str(step.key))
            self._later(step)
        else:
            _log.debug("object applied", object=str(step.key))
            self._patience.forget(step.key)
        self._applied[step.key] = step.digest
        return None

    async def _hidden(self, key: ObjectKey) -> Found | None:
        """An object that the inventory does not have: without our label, it may be there all the same."""
        try:
            return found(await self._client.get(_path(key)))
        except KubeError as error:
            if error.reason != "NotFound":
                raise
            return None

    async def _replace(self, step: Replace) -> str | None:
        """Make room for what is wanted; what is in the way of that, in words. Until it can be made, what is there
        serves: the address that a user asks for may be another Service's, or none of this cluster's.
        """
        for address in cluster_addresses(step.manifest):
            selection = Selection(resource=SERVICE.resource, field_selector=f"spec.clusterIP={address}")
            holders = (await self._client.listing(selection, _uid)).objects
            if any(uid != step.found.uid for uid in holders):
                self._later(step)
                return f"{step.key} stays as it is: {address} is the address of another Service"
        about = {**step.manifest.body["metadata"], "generateName": f"{step.key.name}-"}
        del about["name"]
        collection = step.manifest.kind.resource.collection(step.key.namespace)
        await self._client.create(collection, step.manifest.body | {"metadata": about}, dry_run=True)
        await self._remove(step)
        return None

    async def _remove(self, step: Remove | Replace) -> None:
        await self._client.delete(_path(step.key), uid=step.found.uid)
        self._applied.pop(step.key, None)
        self._patience.forget(step.key)
        _log.info("object removed", object=str(step.key))

    async def _renew(self, step: Renew) -> None:
        body = {"metadata": {"uid": step.found.uid}, "data": dict(step.data)}
        self._inventory.put(found(await self._client.merge_patch(_path(step.key), body)))
        self._patience.forget(step.key)
        _log.debug("certificate renewed", object=str(step.key))

    def _later(self, step: Step, *, at_least: float | None = None) -> None:
        self._patience.wait(step.key, step.digest, asyncio.get_running_loop().time(), at_least=at_least)

    def _credentials(self, wanted: Wanted, there: Mapping[ObjectKey, Found]) -> Credentials | None:
        """What the proxies should hold: if possible what they hold, as we know or as their Secret says."""
        place = site(wanted)
        held = self._held.get(place)
        if held is None:
            secret = there.get(SECRET.key(place.namespace, place.name))
            held = from_secret(decoded(secret.body())) if secret is not None else None
        credentials = self._authority.proxy_credentials(wanted.scope, held)
        if credentials is not None:
            self._held[place] = credentials.pair
        return credentials

    def _turn_away(self, others: Iterable[Wanted], first: Wanted) -> None:
        """Tell Gateways that come to the same name as another one; what they have to be told is about all objects."""
        place = site(first)
        message = f"its data plane would have the name {place.name}, which that of {first.gateway} has"
        trouble, now = Trouble(reason=TroubleReason.OTHER, message=message), asyncio.get_running_loop().time()
        for other in others:
            self._troubles.put(other.gateway, SERVICE.key(place.namespace, place.name), trouble, now)

    def _forget(self, place: Site) -> None:
        """Nobody wants the site: remember nothing of it but what could not be removed yet."""
        self._held.pop(place, None)
        for kind in GENERATED:
            key = kind.key(place.namespace, place.name)
            self._applied.pop(key, None)
            if key not in self._inventory.at(place):
                self._patience.forget(key)


def _passes(error: KubeError) -> bool:
    """Whether it passes by itself, or is about a Gateway that is going: nobody has to do something about it."""
    return error.status in _PASSING or _NAMESPACE_ENDS in str(error)


def _trouble(error: KubeError) -> Trouble:
    """What a refusal means for a Gateway."""
    # RBAC's words. All else that is forbidden, admission forbids.
    lacking = error.status == _FORBIDDEN and " in API group " in str(error)
    if lacking or error.status not in _REFUSALS:
        return Trouble(reason=TroubleReason.OTHER, message=shortened(str(error)))
    return refusal(str(error))


def _uid(body: Object) -> str:
    uid: str = body["metadata"]["uid"]
    return uid


def _path(key: ObjectKey) -> str:
    return KIND_OF[key.group, key.kind].resource.object(key.namespace, key.name)
