"""The main job: the upstream guide's TCP example, in every form in which people write it."""

from pathlib import Path

import pytest

from support.backends import Backend
from support.clients import who_serves
from support.instances import Instances, condition, find_object
from support.manifests import backend, gateway, listener, parent, service, slice_of, tcproute, write, write_text
from support.ports import Ports
from support.waiting import eventually

GUIDE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: my-tcp-gateway
spec:
  gatewayClassName: my-tcp-gateway-class
  listeners:
  - name: foo
    protocol: TCP
    port: {foo}
    allowedRoutes:
      kinds:
      - kind: TCPRoute
  - name: bar
    protocol: TCP
    port: {bar}
    allowedRoutes:
      kinds:
      - kind: TCPRoute
---
apiVersion: gateway.networking.k8s.io/{version}
kind: TCPRoute
metadata:
  name: tcp-app-1
spec:
  parentRefs:
  - name: my-tcp-gateway
{to_foo}
  rules:
  - backendRefs:
    - name: my-foo-service
      port: 6000
---
apiVersion: gateway.networking.k8s.io/{version}
kind: TCPRoute
metadata:
  name: tcp-app-2
spec:
  parentRefs:
  - name: my-tcp-gateway
{to_bar}
  rules:
  - backendRefs:
    - name: my-bar-service
      port: 6000
"""

ATTACHMENTS = {
    "sectionName": "    sectionName: {name}",
    "port": "    port: {port}",
    "both": "    sectionName: {name}\n    port: {port}",
}


def guide(foo: int, bar: int, *, version: str = "v1alpha2", attachment: str = "sectionName") -> str:
    line = ATTACHMENTS[attachment]
    return GUIDE.format(
        foo=foo,
        bar=bar,
        version=version,
        to_foo=line.format(name="foo", port=foo),
        to_bar=line.format(name="bar", port=bar),
    )


@pytest.mark.parametrize("attachment", ATTACHMENTS)
@pytest.mark.parametrize("version", ["v1alpha2", "v1"])
async def test_guide_example_forwards_both_ports(
    tidegate: Instances, ports: Ports, tmp_path: Path, version: str, attachment: str
) -> None:
    """Each port leads to its own backend, whichever version and form of attachment the routes use."""
    foo_port, bar_port = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    manifest.write_text(guide(foo_port, bar_port, version=version, attachment=attachment))
    async with Backend("foo") as foo, Backend("bar") as bar:
        instance = tidegate.start(
            manifest,
            *("--backend", f"my-foo-service:6000={foo.address}"),
            *("--backend", f"my-bar-service:6000={bar.address}"),
        )
        state = await instance.wait_ready()
        assert await who_serves(foo_port) == "foo"
        assert await who_serves(bar_port) == "bar"
    assert {entry.listener: entry.state for entry in state.listeners} == {"foo": "Live", "bar": "Live"}


async def test_guide_example_serves_soon_after_the_start(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Both ports answer without anybody waiting for readiness; how fast is measured by the benchmarks."""
    foo_port, bar_port = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    manifest.write_text(guide(foo_port, bar_port))
    async with Backend("foo") as foo, Backend("bar") as bar:
        tidegate.start(
            manifest,
            *("--backend", f"my-foo-service:6000={foo.address}"),
            *("--backend", f"my-bar-service:6000={bar.address}"),
        )
        for port, name in ((foo_port, "foo"), (bar_port, "bar")):
            await eventually(
                lambda port=port: who_serves(port), lambda who, name=name: who == name, what=name, within=15
            )


async def test_route_without_section_or_port_attaches_to_every_listener(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """A parentRef that names only the Gateway takes all of its listeners that permit the route."""
    first, second = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(
        manifest,
        gateway("edge", [listener("first", first), listener("second", second)]),
        tcproute("app", [parent("edge")], [backend("app")]),
    )
    async with Backend("app") as app:
        instance = tidegate.start(manifest, "--backend", f"app:6000={app.address}")
        await instance.wait_ready()
        assert await who_serves(first) == "app"
        assert await who_serves(second) == "app"


async def test_services_and_endpoint_slices_name_the_backends(
    tidegate: Instances, ports: Ports, tmp_path: Path
) -> None:
    """Without a flag, the EndpointSlices of the Service say where connections go."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    async with Backend("app") as app:
        write(
            manifest,
            gateway("edge", [listener("tcp", port)]),
            tcproute("app", [parent("edge")], [backend("app")]),
            service("app", target_port=app.port),
            slice_of("app", [("127.0.0.1", app.port)]),
        )
        instance = tidegate.start(manifest)
        await instance.wait_ready()
        assert await who_serves(port) == "app"


async def test_dns_finds_services_by_their_own_name(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """With --dns a Service is dialled at its name, at the port of the reference."""
    port, app_port = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(
        manifest,
        gateway("edge", [listener("tcp", port)]),
        tcproute("app", [parent("edge")], [backend("localhost", app_port)]),
    )
    async with Backend("app", port=app_port):
        instance = tidegate.start(manifest, "--dns")
        await instance.wait_ready()
        await eventually(lambda: who_serves(port), lambda who: who == "app", what="the name is resolved")


async def test_dns_uses_the_target_port_of_the_service(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A Service document with a numeric target port says which port is dialled."""
    port, app_port = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    write(
        manifest,
        gateway("edge", [listener("tcp", port)]),
        tcproute("app", [parent("edge")], [backend("localhost", 80)]),
        service("localhost", 80, target_port=app_port),
    )
    async with Backend("app", port=app_port):
        instance = tidegate.start(manifest, "--dns")
        await instance.wait_ready()
        await eventually(lambda: who_serves(port), lambda who: who == "app", what="the name is resolved")


async def test_edit_is_followed_within_a_second(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """A changed backend and a new listener serve a second after the file was replaced, at most."""
    first, second = ports.reserve(), ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    route = tcproute("app", [parent("edge")], [backend("blue")])
    write(manifest, gateway("edge", [listener("first", first)]), route)
    async with Backend("blue") as blue, Backend("green") as green:
        instance = tidegate.start(
            manifest,
            *("--backend", f"blue:6000={blue.address}"),
            *("--backend", f"green:6000={green.address}"),
        )
        await instance.wait_ready()
        assert await who_serves(first) == "blue"
        write(
            manifest,
            gateway("edge", [listener("first", first), listener("second", second)]),
            tcproute("app", [parent("edge")], [backend("green")]),
        )
        for port in (first, second):
            await eventually(
                lambda port=port: who_serves(port), lambda who: who == "green", what="the edit is followed", within=1
            )


async def test_statuses_are_those_of_an_api_server(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """Gateway, listeners and routes are accepted, resolved and programmed, at the generation that was seen."""
    manifest = tmp_path / "gateway.yaml"
    write_text(manifest, guide(ports.reserve(), ports.reserve()))
    async with Backend("foo") as foo, Backend("bar") as bar:
        instance = tidegate.start(
            manifest,
            *("--backend", f"my-foo-service:6000={foo.address}"),
            *("--backend", f"my-bar-service:6000={bar.address}"),
        )
        state = await instance.wait_ready()
    status = find_object(state, "Gateway", "my-tcp-gateway")["status"]
    for kind in ("Accepted", "Programmed"):
        assert condition(status["conditions"], kind)[0] == "True"
    assert [entry["name"] for entry in status["listeners"]] == ["foo", "bar"]
    for entry in status["listeners"]:
        assert entry["attachedRoutes"] == 1
        assert entry["supportedKinds"] == [{"group": "gateway.networking.k8s.io", "kind": "TCPRoute"}]
        for kind, value in (("Accepted", "True"), ("Programmed", "True"), ("ResolvedRefs", "True")):
            assert condition(entry["conditions"], kind)[0] == value
    assert status["addresses"]
    for name in ("tcp-app-1", "tcp-app-2"):
        (entry,) = find_object(state, "TCPRoute", name)["status"]["parents"]
        assert entry["controllerName"] == "tidegate.dev/gateway-controller"
        assert condition(entry["conditions"], "Accepted") == ("True", "Accepted")
        assert condition(entry["conditions"], "ResolvedRefs") == ("True", "ResolvedRefs")
        assert {row["observedGeneration"] for row in entry["conditions"]} == {1}
