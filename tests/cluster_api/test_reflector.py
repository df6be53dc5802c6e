"""Nothing is lost and nothing comes twice, whatever happens to a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator

import aiohttp

from support.cluster import Cluster
from support.cluster_api import ApiError
from support.waiting import eventually
from tidegate.kube.client import SILENCE_S
from tidegate.kube.config import connected
from tidegate.kube.reflector import Changed, Reflector, Removed, Replaced
from tidegate.kube.resources import ApiResource, Object

CONFIG_MAPS = ApiResource("", "v1", "configmaps")


def config_map(name: str, value: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


class Copy:
    """What a consumer knows of the objects of a namespace, from the events alone.

    Fails when an event comes twice, or when one takes it back to an older version.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.lists = 0
        self.newest = 0

    async def follow(self, cluster: Cluster, *, silence: float = SILENCE_S) -> None:
        async with connected(kubeconfig=cluster.kubeconfig) as client:
            reflector = Reflector(client, CONFIG_MAPS, namespace=cluster.namespace, silence=silence)
            async with contextlib.aclosing(reflector.events()) as events:
                async for event in events:
                    match event:
                        case Replaced(objects=objects):
                            self.lists += 1
                            self.objects = {item["metadata"]["name"]: item for item in objects}
                            self.newest = max(map(_version, objects), default=self.newest)
                        case Changed(object=item):
                            self._advance(item)
                            self.objects[item["metadata"]["name"]] = item
                        case Removed(object=item):
                            self._advance(item)
                            del self.objects[item["metadata"]["name"]]

    def values(self) -> dict[str, str]:
        return {name: item["data"]["value"] for name, item in self.objects.items() if "value" in item.get("data", {})}

    def _advance(self, item: Object) -> None:
        assert _version(item) > self.newest, "an event came twice, or out of order"
        self.newest = _version(item)


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


@contextlib.asynccontextmanager
async def copied(cluster: Cluster, *, silence: float = SILENCE_S) -> AsyncIterator[Copy]:
    copy = Copy()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(copy.follow(cluster, silence=silence))

        async def lists() -> int:
            return copy.lists

        await eventually(lists, what="the first list has come", within=20)
        yield copy
        following.cancel()


async def caught_up(copy: Copy, expected: dict[str, str], *, within: float = 20) -> None:
    """The copy is as the objects are, soon."""

    async def values() -> dict[str, str]:
        return copy.values()

    await eventually(values, lambda found: found == expected, what="the copy has caught up", within=within)


async def test_changes_arrive_once_and_in_order(cluster: Cluster) -> None:
    """Objects that come, change and go are followed without a second list."""
    async with copied(cluster) as copy:
        expected = {}
        for number in range(40):
            name = f"m{number % 7}"
            if number % 5 == 4:
                await cluster.api.delete("ConfigMap", name)
                expected.pop(name, None)
            else:
                await cluster.api.apply(config_map(name, str(number)))
                expected[name] = str(number)
        await caught_up(copy, expected)
        assert copy.lists == 1


async def test_nothing_is_lost_while_the_server_is_killed_and_comes_back(own_cluster: Cluster) -> None:
    """A server that dies in the middle of changes leaves no gap, nor do changes before we are connected again."""
    dice = random.Random(7)
    expected: dict[str, str] = {}
    async with copied(own_cluster) as copy:
        for turn in range(2):
            for number in range(30):
                name = f"m{dice.randrange(10)}"
                if dice.random() < 0.3:
                    await own_cluster.api.delete("ConfigMap", name)
                    expected.pop(name, None)
                else:
                    await own_cluster.api.apply(config_map(name, f"{turn}.{number}"))
                    expected[name] = f"{turn}.{number}"
            own_cluster.server.process.kill()
            await own_cluster.server.restart()
        await caught_up(copy, expected, within=30)


async def test_server_that_hangs_is_left_and_found_again(own_cluster: Cluster) -> None:
    """A server that neither answers nor closes its connections is noticed by its silence."""
    async with copied(own_cluster, silence=1.0) as copy:
        await own_cluster.api.apply(config_map("a", "1"))
        await caught_up(copy, {"a": "1"})
        own_cluster.server.process.send(signal.SIGSTOP)
        with contextlib.suppress(ApiError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(2.5):
                await own_cluster.api.apply(config_map("never", "1"))
        own_cluster.server.process.send(signal.SIGCONT)
        await own_cluster.api.apply(config_map("a", "2"))

        async def value() -> str | None:
            return copy.values().get("a")

        await eventually(value, lambda now: now == "2", what="the change after the hang has come", within=30)
