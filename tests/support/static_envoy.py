"""A real Envoy with a fixed configuration: ``tcp_proxy`` listeners in front of given endpoints.

For tests of what Envoy itself does with our loggers and counters, without a control plane. Each listener's
``tcp_proxy`` comes from a file, so that it can be replaced while Envoy runs, as it is by the control plane.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, duration_pb2

from support.planes import short_directory
from support.ports import Ports
from support.waiting import eventually
from tidegate.dataplanes.envoy import binary
from tidegate.dataplanes.envoy.admin_client import AdminClient
from tidegate.dataplanes.envoy.metadata import backend_metadata, refusing_metadata
from tidegate.errors import DataPlaneError

PROXY_TYPE = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
REFUSE_SOCKET = "refuse.sock"


class StaticEnvoy:
    """The running Envoy: ``port`` per listener, and its admin interface."""

    def __init__(self, directory: Path, proxies: Mapping[str, tcp_proxy_pb2.TcpProxy]) -> None:
        self.directory = directory
        self.admin = AdminClient(directory / "admin.sock")
        self.port: dict[str, int] = {}
        for name, proxy in proxies.items():
            self.replace(name, proxy)

    def replace(self, name: str, proxy: tcp_proxy_pb2.TcpProxy) -> None:
        """Give a listener another ``tcp_proxy``; Envoy notices soon after."""
        config = extension_pb2.TypedExtensionConfig(
            name=name, typed_config=any_pb2.Any(type_url=PROXY_TYPE, value=proxy.SerializeToString())
        )
        wrapped = any_pb2.Any()
        wrapped.Pack(config)
        response = discovery_pb2.DiscoveryResponse(resources=[wrapped])
        draft = self.directory / f"{name}.draft.pb"
        draft.write_bytes(response.SerializeToString())
        draft.rename(self.directory / f"{name}.pb")

    async def stat(self, name: str) -> int:
        """One statistic; 0 while it does not exist."""
        body = (await self.admin.get(f"/stats?filter=^{name}$")).decode()
        return int(body.rpartition(": ")[2]) if body.strip() else 0


def proxy(
    prefix: str, cluster: str, *loggers: object, idle: float = 0.0, longest: float = 0.0
) -> tcp_proxy_pb2.TcpProxy:
    """A ``tcp_proxy`` as the translation makes it. ``idle`` and ``longest`` are limits in seconds."""
    options = tcp_proxy_pb2.TcpProxy.TcpAccessLogOptions(flush_access_log_on_connected=True)
    made = tcp_proxy_pb2.TcpProxy(
        stat_prefix=prefix, cluster=cluster, access_log=loggers, access_log_options=options, idle_timeout=_seconds(idle)
    )
    if longest:
        made.max_downstream_connection_duration.CopyFrom(_seconds(longest))
    return made


def cluster(name: str, endpoints: Mapping[str, int], *, refused: bool = False) -> cluster_pb2.Cluster:
    """A cluster of backends (label to port), each with an equal share, and a refused share beside them."""
    localities = [_locality(label, _backend(label, port)) for label, port in endpoints.items()]
    if refused:
        localities.append(_locality("refused", _refusing()))
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.STATIC,
        connect_timeout=_seconds(0.3),
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(
            locality_weighted_lb_config=cluster_pb2.Cluster.CommonLbConfig.LocalityWeightedLbConfig()
        ),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=localities),
    )


@asynccontextmanager
async def static_envoy(
    proxies: Mapping[str, tcp_proxy_pb2.TcpProxy], clusters: Sequence[cluster_pb2.Cluster]
) -> AsyncIterator[StaticEnvoy]:
    """Envoy with these listeners, each on a port of its own on 127.0.0.1; ended with the block."""
    ports = Ports()
    with short_directory() as directory:
        running = StaticEnvoy(directory, proxies)
        running.port.update({name: ports.reserve() for name in proxies})
        listeners = [_listener(directory, name, port) for name, port in running.port.items()]
        (directory / "bootstrap.pb").write_bytes(_bootstrap([*listeners, _refuse()], clusters).SerializeToString())
        program = (await asyncio.to_thread(binary.find, None)).path
        with (directory / "envoy.log").open("ab") as log:
            arguments = ("-c", "bootstrap.pb", "--disable-hot-restart", "--concurrency", "1")
            process = subprocess.Popen(  # noqa: ASYNC220 - it outlives this function's awaits and is killed below
                [program, *arguments, "--file-flush-interval-msec", "20", "--log-level", "warning"],
                cwd=directory,
                stdout=log,
                stderr=log,
            )
        try:
            await _serving(running, directory / "envoy.log")
            yield running
        finally:
            await running.admin.close()
            process.kill()
            process.wait()
            ports.release()


async def _serving(running: StaticEnvoy, log: Path) -> None:
    async def active() -> int:
        try:
            return await running.stat("listener_manager.total_listeners_active")
        except DataPlaneError:
            return 0

    try:
        await eventually(active, lambda count: count == len(running.port) + 1, what="Envoy serves", within=10.0)
    except AssertionError as error:
        said = await asyncio.to_thread(log.read_text)
        raise AssertionError(f"{error}\n{said[-2000:]}") from error


def _seconds(value: float) -> duration_pb2.Duration:
    made = duration_pb2.Duration()
    made.FromMilliseconds(round(value * 1000))
    return made


def _address(port: int) -> address_pb2.Address:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address="127.0.0.1", port_value=port))


def _locality(name: str, *endpoints: endpoint_components_pb2.LbEndpoint) -> endpoint_components_pb2.LocalityLbEndpoints:
    made = endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(sub_zone=name), lb_endpoints=endpoints
    )
    made.load_balancing_weight.value = 1
    return made


def _backend(label: str, port: int) -> endpoint_components_pb2.LbEndpoint:
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=_address(port)), metadata=backend_metadata(label)
    )


def _refusing() -> endpoint_components_pb2.LbEndpoint:
    pipe = address_pb2.Address(pipe=address_pb2.Pipe(path=REFUSE_SOCKET))
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=pipe), metadata=refusing_metadata()
    )


def _listener(directory: Path, name: str, port: int) -> listener_pb2.Listener:
    source = config_source_pb2.ConfigSource(
        path_config_source=config_source_pb2.PathConfigSource(path=str(directory / f"{name}.pb")),
        resource_api_version=config_source_pb2.ApiVersion.V3,
    )
    discovery = config_source_pb2.ExtensionConfigSource(config_source=source, type_urls=[PROXY_TYPE])
    chain = listener_components_pb2.FilterChain(
        filters=[listener_components_pb2.Filter(name=name, config_discovery=discovery)]
    )
    return listener_pb2.Listener(name=f"at-{name}", stat_prefix=name, address=_address(port), filter_chains=[chain])


def _refuse() -> listener_pb2.Listener:
    pipe = address_pb2.Address(pipe=address_pb2.Pipe(path=REFUSE_SOCKET))
    return listener_pb2.Listener(
        name="refuse", stat_prefix="refuse", address=pipe, filter_chains=[listener_components_pb2.FilterChain()]
    )


def _bootstrap(
    listeners: Sequence[listener_pb2.Listener], clusters: Sequence[cluster_pb2.Cluster]
) -> bootstrap_pb2.Bootstrap:
    admin = bootstrap_pb2.Admin(address=address_pb2.Address(pipe=address_pb2.Pipe(path="admin.sock", mode=0o600)))
    node = base_pb2.Node(id="test", cluster="test")
    resources = bootstrap_pb2.Bootstrap.StaticResources(listeners=listeners, clusters=clusters)
    return bootstrap_pb2.Bootstrap(node=node, admin=admin, static_resources=resources)
