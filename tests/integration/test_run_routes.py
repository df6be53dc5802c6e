"""Which route serves, which may refer to what, and how listeners move: seen in traffic and in statuses."""

from pathlib import Path

from support.backends import Backend
from support.clients import connection, probing, who_serves
from support.instances import Instances, condition, find_object
from support.manifests import (
    Manifest,
    backend,
    gateway,
    grant,
    listener,
    parent,
    service,
    slice_of,
    tcproute,
    write,
)
from support.ports import Ports
from support.waiting import eventually, steadily


async def test_oldest_route_serves_and_the_younger_is_told(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Of two routes on one listener the older serves; both are accepted and counted; the next one takes over."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    edge = gateway("edge", [listener("tcp", port)])
    younger = tcproute("a-younger", [parent("edge")], [backend("blue")], created="2024-02-01T00:00:00Z")
    older = tcproute("b-older", [parent("edge")], [backend("red")], created="2024-01-01T00:00:00Z")
    write(manifest, edge, younger, older)
    async with Backend("red") as red, Backend("blue") as blue:
        instance = tidegate.start(
            manifest, "--backend", f"red:6000={red.address}", "--backend", f"blue:6000={blue.address}"
        )
        state = await instance.wait_ready()
        assert await who_serves(port) == "red"
        (status,) = find_object(state, "Gateway", "edge")["status"]["listeners"]
        assert status["attachedRoutes"] == 2
        for name in ("a-younger", "b-older"):
            (entry,) = find_object(state, "TCPRoute", name)["status"]["parents"]
            assert condition(entry["conditions"], "Accepted") == ("True", "Accepted")
        (entry,) = find_object(state, "TCPRoute", "a-younger")["status"]["parents"]
        (message,) = (row["message"] for row in entry["conditions"] if row["type"] == "Accepted")
        assert "an older route serves" in message
        async with probing(port) as probe:
            write(manifest, edge, younger)
            await eventually(lambda: who_serves(port), lambda who: who == "blue", what="the younger route serves")
        assert not probe.tally.refused


async def test_inserting_a_route_never_steals_a_listener(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Without creation timestamps, the route that was there first goes on serving, wherever a new one is written."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    edge = gateway("edge", [listener("tcp", port)])
    first = tcproute("first", [parent("edge")], [backend("red")])
    second = tcproute("second", [parent("edge")], [backend("blue")])
    write(manifest, edge, first)
    async with Backend("red") as red, Backend("blue") as blue:
        instance = tidegate.start(
            manifest, "--backend", f"red:6000={red.address}", "--backend", f"blue:6000={blue.address}"
        )
        await instance.wait_ready()
        write(manifest, second, edge, first)
        await instance.wait(lambda state: state.listeners[0].attached_routes == 2, what="both are attached")
        await steadily(lambda: who_serves(port), lambda who: who == "red", what="the first serves", during=0.5)


async def test_reference_grant_opens_and_closes_a_namespace(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A backend in another namespace is refused until a ReferenceGrant permits it, and again once it is gone."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"

    async def resolved() -> tuple[str, str]:
        (entry,) = (await instance.object("TCPRoute", "app"))["status"]["parents"]
        return condition(entry["conditions"], "ResolvedRefs")

    async with Backend("app") as app:
        documents: list[Manifest | list[Manifest]] = [
            gateway("edge", [listener("tcp", port)]),
            tcproute("app", [parent("edge")], [backend("app", namespace="data")]),
            service("app", namespace="data"),
            slice_of("app", [("127.0.0.1", app.port)], namespace="data"),
        ]
        write(manifest, *documents)
        instance = tidegate.start(manifest)
        await instance.wait_ready()
        assert await who_serves(port) == "closed without a byte"
        assert await resolved() == ("False", "RefNotPermitted")
        write(manifest, *documents, grant("open", namespace="data", from_namespace="default"))
        await eventually(lambda: who_serves(port), lambda who: who == "app", what="the grant opens the namespace")
        await eventually(resolved, lambda answer: answer == ("True", "ResolvedRefs"), what="the status follows")
        write(manifest, *documents)
        await eventually(lambda: who_serves(port), lambda who: who != "app", what="the grant is gone")
        await eventually(resolved, lambda answer: answer == ("False", "RefNotPermitted"), what="the status follows")


async def test_listeners_that_swap_ports_refuse_nobody(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Two listeners exchange their ports: both ports answer all the time, and open connections live on."""
    left, right = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    routes = [
        tcproute("red", [parent("edge", sectionName="red")], [backend("red")]),
        tcproute("blue", [parent("edge", sectionName="blue")], [backend("blue")]),
    ]
    write(manifest, gateway("edge", [listener("red", left), listener("blue", right)]), routes)
    async with Backend("red") as red, Backend("blue") as blue:
        instance = tidegate.start(
            manifest, "--backend", f"red:6000={red.address}", "--backend", f"blue:6000={blue.address}"
        )
        await instance.wait_ready()
        async with connection(left) as conversation, probing(left) as on_left, probing(right) as on_right:
            assert await conversation.line() == "red"
            write(manifest, gateway("edge", [listener("red", right), listener("blue", left)]), routes)
            await eventually(lambda: who_serves(left), lambda who: who == "blue", what="left is blue")
            await eventually(lambda: who_serves(right), lambda who: who == "red", what="right is red")
            assert await conversation.echoes("still red")
        assert not on_left.tally.refused
        assert not on_right.tally.refused
        await instance.wait(
            lambda state: all(entry.state == "Live" for entry in state.listeners), what="both listeners are live"
        )


async def test_renamed_listener_refuses_nobody(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A new name for a listener changes its status only: its port answers all the time."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    route = tcproute("app", [parent("edge")], [backend("app")])
    write(manifest, gateway("edge", [listener("before", port)]), route)
    async with Backend("app") as app:
        instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}")
        await instance.wait_ready()
        async with connection(port) as conversation, probing(port) as probe:
            assert await conversation.line() == "app"
            write(manifest, gateway("edge", [listener("after", port)]), route)
            await instance.wait_listener("after", "Live")
            assert await conversation.echoes("still here")
        assert not probe.tally.refused


async def test_listener_of_another_protocol_hurts_only_itself(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """A listener that this build does not serve is rejected with the reason, beside one that serves."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(
        manifest,
        gateway("edge", [listener("tcp", port), {"name": "web", "protocol": "HTTP", "port": ports.reserve()}]),
        tcproute("app", [parent("edge")], [backend("app")]),
    )
    async with Backend("app") as app:
        instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}")
        state = await instance.wait_ready()
        assert await who_serves(port) == "app"
    tcp, web = find_object(state, "Gateway", "edge")["status"]["listeners"]
    assert condition(tcp["conditions"], "Programmed")[0] == "True"
    assert condition(web["conditions"], "Accepted") == ("False", "UnsupportedProtocol")


async def test_removed_listener_lets_its_connections_end(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A removed listener accepts nothing more; the connections through it stay open."""
    kept, removed = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    route = tcproute("app", [parent("edge")], [backend("app")])
    write(manifest, gateway("edge", [listener("kept", kept), listener("removed", removed)]), route)
    async with Backend("app") as app:
        instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}")
        await instance.wait_ready()
        async with connection(removed) as conversation:
            assert await conversation.line() == "app"
            write(manifest, gateway("edge", [listener("kept", kept)]), route)
            await eventually(
                lambda: who_serves(removed), lambda who: who == "connection refused", what="the listener is removed"
            )
            assert await conversation.echoes("still here")
            assert await who_serves(kept) == "app"
