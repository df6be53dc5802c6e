"""Whatever happens to the objects of data planes, and whoever leads: in the end all is as it should be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from support.cluster import Cluster
from support.cluster_api import ApiError
from support.cluster_fleets import FleetBench, fleet_in
from support.infrastructures import CONTAINER, CONTROLLER, CREDENTIALS, IMAGE
from support.waiting import eventually
from tidegate.fleet.kinds import GENERATED, SECRET
from tidegate.fleet.metadata import GATEWAY_NAME, SELECTS_ALL
from tidegate.fleet.objects import manifests
from tidegate.plan.infrastructure import Infrastructure

NAMES = ("one", "two", "three")
FOREIGN = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "two-tidegate"}, "stringData": {"mine": "yes"}}

Act = Callable[["Chaos"], Coroutine[Any, Any, None]]


class Chaos:
    """Gateways come, go and change; somebody alters and deletes objects. All of it by one seed."""

    def __init__(self, fleet: FleetBench, seed: int) -> None:
        self.fleet = fleet
        self.dice = random.Random(seed)
        self.wanted: dict[str, Infrastructure] = {}

    async def change(self) -> None:
        """A Gateway comes, or asks for something else."""
        name = self.dice.choice(NAMES)
        self.wanted[name] = await self.fleet.gateway(
            name,
            ports={f"port-{port}": port for port in self.dice.sample(range(80, 90), self.dice.randint(1, 3))},
            labels={"team": self.dice.choice("abc")} if self.dice.random() < 0.5 else {},
            parameters={"replicas": self.dice.randint(1, 3)},
        )
        self.fleet.want(*self.wanted.values())

    async def leave(self) -> None:
        """A Gateway goes."""
        self.wanted.pop(self.dice.choice(NAMES), None)
        self.fleet.want(*self.wanted.values())

    async def alter(self) -> None:
        """Somebody changes an object of ours."""
        await self._meddle(lambda kind, name: self.fleet.api.patch(kind, name, {"metadata": {"labels": {"team": "z"}}}))

    async def strip(self) -> None:
        """Somebody takes our mark away."""
        label = {"metadata": {"labels": {SELECTS_ALL.partition("=")[0]: None}}}
        await self._meddle(lambda kind, name: self.fleet.api.patch(kind, name, label))

    async def delete(self) -> None:
        """Somebody deletes an object of ours."""
        await self._meddle(self.fleet.api.delete)

    async def _meddle(self, how: Callable[[str, str], Coroutine[Any, Any, Any]]) -> None:
        name = self.dice.choice([one for one in NAMES if one != "two"])
        try:
            await how(self.dice.choice(GENERATED).name, f"{name}-tidegate")
        except ApiError as error:
            if error.status != 404:  # It may not be there now.
                raise


ACTS: tuple[Act, ...] = (Chaos.change, Chaos.change, Chaos.leave, Chaos.alter, Chaos.alter, Chaos.strip, Chaos.delete)


async def wrong(fleet: FleetBench, wanted: dict[str, Infrastructure]) -> list[str]:
    """What is there and should not be, and what is not there as it should be."""
    expected = {
        manifest.key: manifest
        for one in wanted.values()
        for manifest in manifests(one, CONTAINER, CREDENTIALS, image=IMAGE, controller=CONTROLLER)
    }
    found = {
        kind.key(fleet.cluster.namespace, one["metadata"]["name"]): one
        for kind in GENERATED
        for one in await fleet.api.items(kind.name, labels=f"{SELECTS_ALL},{GATEWAY_NAME}")
    }
    # Of the Secrets, every proxy's is another one; whether they are good is shown elsewhere.
    differs = [
        str(key)
        for key, manifest in expected.items()
        if key in found and manifest.kind != SECRET and not has(found[key], manifest.body)
    ]
    missing = [str(key) for key in expected.keys() - found.keys() if key.name != "two-tidegate" or key.kind != "Secret"]
    return [*differs, *missing, *map(str, found.keys() - expected.keys())]


def has(there: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there, and no label more."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(name in there and has(there[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return len(there) == len(wanted) and all(any(has(one, each) for one in there) for each in wanted)
    return bool(there == wanted)


@pytest.mark.parametrize("seed", range(3))
async def test_all_ends_well(cluster: Cluster, seed: int) -> None:
    """After every random history, with changes of leader, there is what is wanted and nothing else of ours."""
    (foreign,) = await cluster.api.apply(FOREIGN)
    async with fleet_in(cluster) as fleet:
        chaos = Chaos(fleet, seed)
        await chaos.change()
        for _ in range(4):
            async with fleet.leading():
                for _ in range(12):
                    await chaos.dice.choice(ACTS)(chaos)
                    await asyncio.sleep(chaos.dice.choice((0, 0, 0.01, 0.05)))
            await chaos.dice.choice(ACTS)(chaos)
        async with fleet.leading():
            await eventually(
                lambda: wrong(fleet, chaos.wanted), lambda found: not found, what="all is well", within=30, every=0.2
            )
            await fleet.quiet()
    assert await cluster.api.get("Secret", "two-tidegate") == foreign
