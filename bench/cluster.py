"""How fast the controller is in a cluster: on a real API server, with a real proxy. Root on Linux.

* ``attach``: 1,000 TCPRoutes on one listener, and 1,008 listeners over 16 Gateways with one route each: from the last
  create until the right ``attachedRoutes`` stand in the statuses, and from the last delete until they are zero; how
  often Gateway statuses were written meanwhile; processor time and memory of the controller.
* ``propagation``: a TCPRoute is created; the time until the first byte of its backend arrives through the Gateway.
* ``changes``: with 10 to 5,000 routes in the cluster, a route changes its backend; the time until a new connection is
  answered by the other one, and the controller's processor time for a change.

What the tests use as cluster is used here: `tests/support` has API server, kubelet and load balancer. The latter two
rest while something is measured: they list again and again what the real ones watch, and that would be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

import figures
import report
from support.backends import Backend
from support.cluster import ApiServer, with_namespace
from support.cluster_assets import find_assets
from support.cluster_container import why_no_pods
from support.cluster_kubelet import running
from support.controllers import Controller, World, worlds
from support.manifests import Manifest, backend, gateway, listener, parent, service, slice_of, tcproute

PORT = 9_000
LISTENERS_PER_GATEWAY = 63
GATEWAYS = 16
CONCURRENCY = 16
PATIENCE_S = 300.0
PARTS = ("attach", "propagation", "changes")
SHAPES = ("crowded", "spread")
SIZES = (10, 100, 1_000, 5_000)
SERVING = "gateway.networking.k8s.io/gateway-name=edge"
"""Only this Gateway's data plane runs; the others' are made, but have no kubelet. Labels of Deployment and Service."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it works, not how fast")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure, of these: %(default)s")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="which shapes, of these: %(default)s")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="routes in the cluster: %(default)s")
    options = parser.parse_args()
    chosen = _chosen(options)
    reason = why_no_pods()
    if reason:
        raise SystemExit(f"bench/cluster.py cannot run pods: {reason}")
    load = figures.load_before()
    result = asyncio.run(_all(chosen))
    if chosen != FULL:
        print(msgspec.json.format(msgspec.json.encode(result)).decode())
        print("it works; figures of a quick run, or of parts, are not kept")
        return
    figures.save("cluster", {"load": load, **result})
    if (kept := figures.load("cluster")) is not None:
        report.write_cluster(kept)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured, and how often."""

    parts: tuple[str, ...] = PARTS
    shapes: tuple[str, ...] = SHAPES
    sizes: tuple[int, ...] = SIZES
    routes: int = 1_000
    propagations: int = 300
    changes: int = 60


FULL = Chosen()
QUICK = Chosen(sizes=(10, 20), routes=50, propagations=10, changes=5)


def _chosen(options: argparse.Namespace) -> Chosen:
    chosen = QUICK if options.quick else FULL
    sizes = chosen.sizes if options.quick else tuple(map(int, options.sizes.split(",")))
    parts, shapes = tuple(options.parts.split(",")), tuple(options.shapes.split(","))
    return msgspec.structs.replace(chosen, parts=parts, shapes=shapes, sizes=sizes)


async def _all(chosen: Chosen) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if "attach" in chosen.parts:
        result["attach"] = []
        for shape in chosen.shapes:
            async with _world() as (world, controller):
                result["attach"].append(await _attach(world, controller, shape, chosen.routes))
    if "propagation" in chosen.parts:
        async with _world() as (world, controller):
            result["propagation"] = await _propagation(world, chosen.propagations)
    if "changes" in chosen.parts:
        result["changes"] = []
        for shape in chosen.shapes:
            for size in chosen.sizes:
                async with _world() as (world, controller):
                    result["changes"].append(await _changes(world, controller, shape, size, chosen.changes))
    return result


@asynccontextmanager
async def _world() -> AsyncIterator[tuple[World, Controller]]:
    """A new cluster with one replica of the controller, which leads."""
    assets = find_assets()
    if isinstance(assets, str):
        raise SystemExit(assets)
    with tempfile.TemporaryDirectory(prefix="tgb", dir="/tmp") as directory:
        server = ApiServer(assets, Path(directory) / "cluster")
        try:
            await server.start()
            async with (
                with_namespace(server, "bench") as cluster,
                running(cluster.api, Path(directory) / "pods", labels=SERVING, services=SERVING) as kubelet,
                worlds(cluster, kubelet) as world,
            ):
                controller = await world.controller()
                await controller.wait_leads()
                yield world, controller
        finally:
            server.close()


async def _attach(world: World, controller: Controller, shape: str, count: int) -> dict[str, Any]:
    gateways, routes = _crowded(count) if shape == "crowded" else _spread(count)
    await _each(gateways, world.api.create)
    await world.apply(service("app"))
    expected = {name: (len(routes) if shape == "crowded" else 1) for name in _listeners(gateways)}
    await _attached(world, gateways, dict.fromkeys(expected, 0))
    await _provided(world, len(gateways))
    print(f"attach, {shape}: {len(routes)} routes")
    with world.at_rest():
        before, cpu = await _gateway_writes(controller), _cpu(controller)
        await _each(routes, world.api.create)
        up = await _timed(_attached(world, gateways, expected))
        writes = await _gateway_writes(controller) - before
        await _settled(world, len(routes))
        busy, memory = _cpu(controller) - cpu, figures.resident_mib(controller.pid)
        await _each(routes, lambda route: world.api.delete("TCPRoute", route["metadata"]["name"]))
        down = await _timed(_attached(world, gateways, dict.fromkeys(expected, 0)))
    found = {"shape": shape, "routes": len(routes), "listeners": len(expected), "gateways": len(gateways)}
    return found | {"up": up, "down": down, "gateway writes": writes, "cpu": busy, "memory": memory}


async def _propagation(world: World, times: int) -> dict[str, float]:
    print(f"propagation: {times} routes one after another")
    async with Backend("app", host=world.kubelet.node) as app:
        await world.backend("app", [(app.host, app.port)])
        await world.apply(gateway("edge", [listener("tcp", PORT)]))
        await world.wait_programmed("edge")
        host = await world.reach("edge", PORT)
        taken = []
        with world.at_rest():
            for number in range(times):
                route = tcproute(f"route-{number}", [parent("edge")], [backend("app")])
                begun = time.perf_counter()
                await world.api.create(route)
                await asyncio.to_thread(_until_answer, host, "app")
                taken.append(time.perf_counter() - begun)
                await world.api.delete("TCPRoute", route["metadata"]["name"])
                await asyncio.to_thread(_until_answer, host, "")
    return _summary(taken)


async def _changes(world: World, controller: Controller, shape: str, size: int, times: int) -> dict[str, Any]:
    print(f"changes, {shape}: {size} routes")
    gateways, routes = _crowded(size) if shape == "crowded" else _spread(size, serving=True)
    async with Backend("one", host=world.kubelet.node) as one, Backend("two", host=world.kubelet.node) as two:
        for place in (one, two):
            await world.backend(place.name, [(place.host, place.port)])
        names = [f"service-{number}" for number in range(len(routes))]
        with world.at_rest():
            await _each([service(name) for name in names], world.api.create)
            slices = [document for name in names for document in slice_of(name, [("192.0.2.9", 7000)])]
            await _each(slices, world.api.create)
            # The first route is the oldest, so it serves its listener in both shapes.
            await world.api.create(_to(routes[0], "one"))
            await asyncio.sleep(1.1)  # Ages have seconds.
            others = [_to(route, name) for route, name in zip(routes[1:], names[1:], strict=True)]
            await _each(others, world.api.create)
        await _each(gateways, world.api.create)
        await _settled(world, len(routes))
        await world.wait_programmed("edge", within=PATIENCE_S)
        host = await world.reach("edge", PORT, within=PATIENCE_S)
        await asyncio.to_thread(_until_answer, host, "one")
        memory = figures.resident_mib(controller.pid)
        taken, stored, cpu = [], [], _cpu(controller)
        with world.at_rest():
            for number in range(times):
                wanted = (two, one)[number % 2].name
                rules = {"spec": {"rules": [{"backendRefs": [backend(wanted)]}]}}
                begun = time.perf_counter()
                await world.api.patch("TCPRoute", routes[0]["metadata"]["name"], rules)
                stored.append(time.perf_counter() - begun)
                await asyncio.to_thread(_until_answer, host, wanted)
                taken.append(time.perf_counter() - begun)
            busy = (_cpu(controller) - cpu) / times
    found = {"shape": shape, "routes": size, **_summary(taken), "cpu": busy, "memory": memory}
    return found | {"stored": figures.percentile(stored, 0.5)}


def _crowded(count: int) -> tuple[list[Manifest], list[Manifest]]:
    """All routes on one listener."""
    return [gateway("edge", [listener("l0", PORT)])], [_route(number, "edge", "l0") for number in range(count)]


def _spread(count: int, *, serving: bool = False) -> tuple[list[Manifest], list[Manifest]]:
    """A listener for each route; the first Gateway is the one that has a proxy. 16 full Gateways for about 1,000."""
    each = LISTENERS_PER_GATEWAY if serving else math.ceil(count / GATEWAYS)
    gateways, routes = [], []
    for first in range(0, count, each):
        name = "edge" if first == 0 else f"edge-{first}"
        numbers = range(first, min(first + each, count) if serving else first + each)
        gateways.append(gateway(name, [listener(f"l{number}", PORT + number) for number in numbers]))
        routes += [_route(number, name, f"l{number}") for number in numbers]
    return gateways, routes


def _route(number: int, parent_name: str, section: str) -> Manifest:
    return tcproute(f"route-{number:05}", [parent(parent_name, sectionName=section)], [backend("app")])


def _to(route: Manifest, name: str) -> Manifest:
    return {**route, "spec": {**route["spec"], "rules": [{"backendRefs": [backend(name)]}]}}


def _listeners(gateways: Iterable[Manifest]) -> list[tuple[str, str]]:
    return [(one["metadata"]["name"], entry["name"]) for one in gateways for entry in one["spec"]["listeners"]]


async def _each(documents: Iterable[Manifest], act: Callable[[Manifest], Any]) -> None:
    """Act on all documents, some at a time."""
    waiting = iter(list(documents))

    async def work() -> None:
        for document in waiting:
            await act(document)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONCURRENCY):
            tasks.create_task(work())


async def _attached(world: World, gateways: list[Manifest], expected: dict[tuple[str, str], int]) -> None:
    """Returns once every listener's ``attachedRoutes`` is as expected."""
    deadline = time.monotonic() + PATIENCE_S
    left = [one["metadata"]["name"] for one in gateways]
    while left:
        found = await world.api.get("Gateway", left[0])
        shown = {(left[0], one["name"]): one["attachedRoutes"] for one in found.get("status", {}).get("listeners", [])}
        if shown and all(expected[key] == number for key, number in shown.items()):
            left.pop(0)
        elif time.monotonic() > deadline:
            raise SystemExit(f"attachedRoutes of {left[0]} do not become right: {shown}")
        else:
            await asyncio.sleep(0.01)


async def _provided(world: World, count: int) -> None:
    """Returns once every Gateway has its data plane's objects, and an address."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        addressed = sum(bool(one["status"].get("addresses")) for one in await world.api.items("Gateway"))
        if addressed == count == len(await world.api.items("Deployment")):
            return
        if time.monotonic() > deadline:
            raise SystemExit("not every Gateway gets a data plane")
        await asyncio.sleep(0.5)


async def _settled(world: World, count: int) -> None:
    """Returns once every route has a status."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        routes = await world.api.items("TCPRoute")
        if sum(bool(route.get("status", {}).get("parents")) for route in routes) >= count:
            return
        if time.monotonic() > deadline:
            raise SystemExit("not every route gets a status")
        await asyncio.sleep(0.5)


async def _timed(waiting: Any) -> float:
    begun = time.perf_counter()
    await waiting
    return time.perf_counter() - begun


async def _gateway_writes(controller: Controller) -> float:
    return await controller.metric("tidegate_status_writes_total", kind="Gateway", outcome="written")


def _cpu(controller: Controller) -> float:
    used = psutil.Process(controller.pid).cpu_times()
    return float(used.user + used.system)


def _until_answer(host: str, expected: str) -> None:
    """Connect again and again until this backend answers; empty: until nobody does."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with socket.create_connection((host, PORT), 5) as client:
                found = client.recv(64).decode().strip()
        except OSError:
            found = ""
        if found == expected:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"no answer from {expected or 'nobody'!r}, but from {found!r}")
        time.sleep(0.001)


def _summary(taken: list[float]) -> dict[str, float]:
    return {
        "count": len(taken),
        "mean": sum(taken) / len(taken),
        "p50": figures.percentile(taken, 0.5),
        "p99": figures.percentile(taken, 0.99),
        "worst": max(taken),
    }


if __name__ == "__main__":
    main()
