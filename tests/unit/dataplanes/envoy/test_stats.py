"""Raw counters of a real Envoy: refusals and ends are counted exactly, through changes of configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from envoy.extensions.access_loggers.stats.v3 import stats_pb2

from support.backends import Backend, echo
from support.clients import connect
from support.static_envoy import StaticEnvoy, cluster, proxy, static_envoy
from support.waiting import eventually
from tidegate.dataplanes.envoy.stats import counting_loggers, fetch, parse
from tidegate.dataplanes.traffic import RawCounters
from tidegate.errors import DataPlaneError

FOO = "any/TCP/8080|Gateway/default/edge|foo|TCPRoute/default/app"
BAR = "any/TCP/8080|Gateway/default/edge|foo|TCPRoute/default/bar"


async def counts(
    envoy: StaticEnvoy, holds: Callable[[dict[str, RawCounters]], bool], what: str
) -> dict[str, RawCounters]:
    """The counters, as soon as they are as expected."""
    return await eventually(lambda: fetch(envoy.admin), holds, what=what)


async def silent_client(port: int) -> asyncio.StreamWriter:
    """A client that connects, and neither sends nor closes anything."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    return writer


async def test_opened_refused_ended_and_bytes() -> None:
    """Every connection is opened; the refused half is counted at once, even when the clients do not close."""
    async with Backend("one", echo) as backend:
        serving = {"foo": proxy(FOO, "half", *counting_loggers(FOO))}
        async with static_envoy(serving, [cluster("half", {"one": backend.port}, refused=True)]) as envoy:
            clients = [await silent_client(envoy.port["foo"]) for _ in range(10)]
            expected = RawCounters(opened=10, refused=5)
            await counts(envoy, lambda now: now.get(FOO) == expected, "five of ten refused")
            for client in clients:
                client.write(b"hello")
            await counts(envoy, lambda now: now[FOO].sent == 25, "the served half answered")
            for client in clients:
                client.close()
            final = await counts(envoy, lambda now: now[FOO].ended == 10, "all ended")
            assert final == {FOO: RawCounters(opened=10, refused=5, ended=10, received=final[FOO].received, sent=25)}
            assert "misc" not in await asyncio.to_thread((envoy.directory / "envoy.log").read_text)


async def test_configuration_that_changes() -> None:
    """Counters go on when the filter is replaced, and those of a former route while its connections are open."""
    async with Backend("one", echo) as backend:
        serving = {"foo": proxy(FOO, "all", *counting_loggers(FOO))}
        async with static_envoy(serving, [cluster("all", {"one": backend.port})]) as envoy:
            first = await connect(envoy.port["foo"])
            assert await first.echoes("hello")
            envoy.replace("foo", proxy(FOO, "all", *counting_loggers(FOO), idle=3600))
            await _updated(envoy, 2)
            assert (await fetch(envoy.admin))[FOO].opened == 1
            envoy.replace("foo", proxy(BAR, "all", *counting_loggers(BAR)))
            await _updated(envoy, 3)
            second = await connect(envoy.port["foo"])
            assert await second.echoes("hello")
            both = await counts(envoy, lambda now: BAR in now, "the new route counts")
            assert (both[FOO].opened, both[FOO].ended, both[BAR].opened) == (1, 0, 1)
            envoy.replace("foo", proxy(FOO, "all", *counting_loggers(FOO)))
            await _updated(envoy, 4)
            third = await connect(envoy.port["foo"])
            assert await third.echoes("hello")
            first.close()
            back = await counts(envoy, lambda now: now[FOO].ended == 1, "the first connection ended")
            assert (back[FOO].opened, back[FOO].ended) == (2, 1)
            second.close()
            third.close()
            # Nothing refers to the second route any more, so its counters vanish with its last connection.
            await counts(envoy, lambda now: BAR not in now, "the counters of the second route vanish")


async def _updated(envoy: StaticEnvoy, times: int) -> None:
    stat = r"extension_config_discovery\.network_filter\.foo\.config_reload"
    await eventually(lambda: envoy.stat(stat), lambda count: count == times, what=f"configuration {times} in use")


def test_prefixes_with_odd_characters() -> None:
    """Prefixes are taken from the middle of names whatever they hold; other statistics are left alone."""
    body = (
        b'{"stats":[{"name":"tcp.a.b|c~d.downstream_cx_total","value":3},'
        b'{"name":"tcp.a.b|c~d.idle_timeout","value":9},{"name":"tidegate.a.b|c~d.ended","value":2},'
        b'{"name":"listener.x.downstream_cx_total","value":1}]}'
    )
    assert parse(body) == {"a.b|c~d": RawCounters(opened=3, ended=2)}


def test_nothing_counted() -> None:
    """An Envoy that served nothing yet has no counters."""
    assert parse(b'{"stats":[]}') == {}


@pytest.mark.parametrize("length", [1, 127, 128, 5000])
def test_prefixes_of_any_length(length: int) -> None:
    """Loggers of a prefix of any length can be read again."""
    refused, ended = counting_loggers("x" * length)
    assert stats_pb2.Config.FromString(refused.typed_config.value).counters[0].value_format
    assert stats_pb2.Config.FromString(ended.typed_config.value).counters[0].value_fixed.value == 1


@pytest.mark.parametrize("body", [b"", b"no such thing", b'{"stats":[{"name":1}]}'])
def test_answer_that_cannot_be_read(body: bytes) -> None:
    """Anything but the expected answer is an error."""
    with pytest.raises(DataPlaneError, match="counters"):
        parse(body)


async def test_labels_for_prometheus() -> None:
    """With labels, the counters of all routes have one name, and the labels tell them apart, percent signs included."""
    async with Backend("one", echo) as backend:
        routes = {"foo": "default/100%DURATION%", "bar": "default/bar"}
        serving = {
            name: proxy(prefix, "half", *counting_loggers(prefix, {"listener": "l", "route": routes[name]}))
            for name, prefix in (("foo", FOO), ("bar", BAR))
        }
        async with static_envoy(serving, [cluster("half", {"one": backend.port}, refused=True)]) as envoy:
            clients = [await silent_client(envoy.port[name]) for name in ("foo",) * 4 + ("bar",) * 6]

            async def metrics() -> set[str]:
                text = (await envoy.admin.get("/stats/prometheus?filter=^tidegate")).decode()
                return {line for line in text.splitlines() if not line.startswith("#")}

            expected = {
                'envoy_tidegate_connections_refused{listener="l",route="default/100%DURATION%"} 2',
                'envoy_tidegate_connections_refused{listener="l",route="default/bar"} 3',
            }
            await eventually(metrics, lambda lines: expected <= lines, what="each route's refusals")
            for client in clients:
                client.close()
