"""Weights are shares of connections, and a broken share is refused at once: counted on real connections."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import Ending, ask_many, who_serves
from support.instances import Instance, Instances, condition, find_object
from support.manifests import Manifest, backend, gateway, listener, parent, service, slice_of, tcproute, write
from support.ports import Ports
from support.waiting import eventually

CONNECTIONS = 3000
POINTS = 2.0
"""How far a share may be from its weight, in percent of all connections."""


async def serve(
    tidegate: Instances, manifest: Path, port: int, refs: list[Manifest], *documents: Manifest | list[Manifest]
) -> Instance:
    """An instance whose one listener forwards to the refs, ready."""
    write(manifest, gateway("edge", [listener("tcp", port)]), tcproute("app", [parent("edge")], refs), *documents)
    instance = tidegate.start(manifest)
    await instance.wait_ready()
    return instance


def endpoints(name: str, *backends: Backend) -> list[Manifest]:
    """A Service and its EndpointSlices."""
    return [service(name), *slice_of(name, [(entry.host, entry.port) for entry in backends])]


@pytest.mark.parametrize(
    "weights",
    [(70, 30, 0), (100, 0), (1_000_000, 250_000), (1, 1, 1)],
    ids=lambda weights: "/".join(map(str, weights)),
)
async def test_weights_are_shares_of_connections(
    tidegate: Instances, ports: Ports, tmp_path: Path, weights: tuple[int, ...]
) -> None:
    """Every backend serves its share of 3,000 connections within two points; weight 0 serves none."""
    port = ports.reserve()
    names = [f"app-{number}" for number in range(len(weights))]
    async with AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(name)) for name in names]
        refs = [backend(name, weight=weight) for name, weight in zip(names, weights, strict=True)]
        documents = [endpoints(entry.name, entry) for entry in backends]
        await serve(tidegate, tmp_path / "gateway.yaml", port, refs, *documents)
        tally = await ask_many(port, CONNECTIONS)
    assert not tally.refused
    for name, weight in zip(names, weights, strict=True):
        assert tally.share(name) == pytest.approx(100 * weight / sum(weights), abs=POINTS)
        assert weight or not tally.served[name]


async def test_sixteen_backends_share_evenly(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The largest number of backends that a rule may have works, each with its share."""
    port = ports.reserve()
    async with AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(f"app-{number}")) for number in range(16)]
        refs = [backend(entry.name) for entry in backends]
        documents = [endpoints(entry.name, entry) for entry in backends]
        await serve(tidegate, tmp_path / "gateway.yaml", port, refs, *documents)
        tally = await ask_many(port, 1600)
    assert not tally.refused
    for entry in backends:
        assert tally.share(entry.name) == pytest.approx(6.25, abs=POINTS)


async def test_share_of_a_missing_service_is_refused_at_once(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """With 30 of 100 on a Service that does not exist, 30 % of connections end within 100 ms, 70 % are served."""
    port = ports.reserve()
    async with Backend("app") as app:
        refs = [backend("app", weight=70), backend("missing", weight=30)]
        instance = await serve(tidegate, tmp_path / "gateway.yaml", port, refs, endpoints("app", app))
        tally = await ask_many(port, CONNECTIONS)
        route = await instance.object("TCPRoute", "app")
    assert tally.share("app") == pytest.approx(70, abs=POINTS)
    assert tally.refused_share == pytest.approx(30, abs=POINTS)
    assert tally.refusal_percentile(99) < 0.1
    (entry,) = route["status"]["parents"]
    assert condition(entry["conditions"], "Accepted")[0] == "True"
    assert condition(entry["conditions"], "ResolvedRefs") == ("False", "BackendNotFound")


@pytest.mark.parametrize(
    ("documents", "resolved"),
    [
        ([], ("False", "BackendNotFound")),
        ([service("app")], ("True", "ResolvedRefs")),
    ],
    ids=["missing", "no endpoints"],
)
async def test_route_with_nothing_usable_refuses_every_connection(
    tidegate: Instances, ports: Ports, tmp_path: Path, documents: list[Manifest], resolved: tuple[str, str]
) -> None:
    """The listener is programmed, and each connection is ended at once. Only a missing Service is unresolved."""
    port = ports.reserve()
    instance = await serve(tidegate, tmp_path / "gateway.yaml", port, [backend("app")], *documents)
    tally = await ask_many(port, 200)
    state = await instance.state()
    assert state is not None
    assert tally.refused_share == 100
    assert tally.refused[Ending.NOT_LISTENING] == 0
    assert tally.refusal_percentile(99) < 0.1
    (entry,) = find_object(state, "TCPRoute", "app")["status"]["parents"]
    assert condition(entry["conditions"], "ResolvedRefs") == resolved
    (status,) = find_object(state, "Gateway", "edge")["status"]["listeners"]
    assert condition(status["conditions"], "Programmed")[0] == "True"


async def test_share_without_endpoints_is_refused_and_comes_back(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """A Service that loses its endpoints refuses its share only, until it has endpoints again."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    refs = [backend("red"), backend("blue")]
    async with Backend("red") as red, Backend("blue") as blue:
        await serve(tidegate, manifest, port, refs, endpoints("red", red), service("blue"))
        tally = await ask_many(port, 400)
        assert tally.share("red") == pytest.approx(50, abs=POINTS)
        assert tally.refused_share == pytest.approx(50, abs=POINTS)
        full = [gateway("edge", [listener("tcp", port)]), tcproute("app", [parent("edge")], refs)]
        write(manifest, *full, endpoints("red", red), endpoints("blue", blue))
        await eventually(lambda: who_serves(port), lambda who: who == "blue", what="blue serves")
        tally = await ask_many(port, 400)
    assert not tally.refused
    assert tally.share("blue") == pytest.approx(50, abs=POINTS)


async def test_listener_without_route_ends_every_connection(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A listener that nobody attached to is programmed, accepts, and closes at once."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(manifest, gateway("edge", [listener("tcp", port)]))
    instance = tidegate.start(manifest)
    state = await instance.wait_ready()
    tally = await ask_many(port, 100)
    assert tally.refused == {Ending.CLOSED: 100}
    assert tally.refusal_percentile(99) < 0.1
    (status,) = find_object(state, "Gateway", "edge")["status"]["listeners"]
    assert status["attachedRoutes"] == 0
    assert condition(status["conditions"], "Programmed")[0] == "True"


async def test_two_refs_to_one_service_keep_their_sum(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """The same Service named twice gets both weights, no more and no less."""
    port = ports.reserve()
    refs = [backend("red", weight=20), backend("blue", weight=40), backend("red", weight=40)]
    async with Backend("red") as red, Backend("blue") as blue:
        await serve(tidegate, tmp_path / "gateway.yaml", port, refs, endpoints("red", red), endpoints("blue", blue))
        tally = await ask_many(port, 1000)
    assert not tally.refused
    assert tally.share("red") == pytest.approx(60, abs=POINTS)


async def test_refs_with_overlapping_endpoints_keep_exact_shares(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """A backend that two Services share gets what it deserves from each: 25 + 12.5 of 50 refused."""
    port = ports.reserve()
    refs = [backend("one", weight=25), backend("both", weight=25), backend("missing", weight=50)]
    async with Backend("red") as red, Backend("blue") as blue:
        documents = [*endpoints("one", red), *endpoints("both", red, blue)]
        await serve(tidegate, tmp_path / "gateway.yaml", port, refs, *documents)
        tally = await ask_many(port, 2000)
    assert tally.share("red") == pytest.approx(37.5, abs=POINTS)
    assert tally.share("blue") == pytest.approx(12.5, abs=POINTS)
    assert tally.refused_share == pytest.approx(50, abs=POINTS)
