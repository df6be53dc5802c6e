"""Plan entries become xDS resources. Pure: the same entries always give the same bytes.

In: sockets, targets and the endpoints of pools. Out: ``Resource`` values. Whatever changes often is in
the assignment, the filter or the cluster, none of which closes a connection when it changes; a listener
is constant for its life::

    listener  address, one chain that ends in a filter found by discovery     never changes
    filter    tcp_proxy to the cluster, statistics prefix, access log         route or listener changes
    cluster   how to balance and to connect                                   never changes today
    assignment  weighted localities of endpoints                              weight or endpoint changes

Refused connections go to the locality ``refused``: its endpoint is a listener that accepts and closes.
A dead address in its place would be retried elsewhere, health-checked or ejected, and so would give its
share away.
"""

from __future__ import annotations

import socket as sockets
import sys
from collections.abc import Sequence
from functools import cache

import msgspec
from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2, socket_option_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2
from google.protobuf.message import Message

from tidegate.dataplanes.envoy import naming
from tidegate.dataplanes.envoy.localities import Share, Split, WeightedEndpoint
from tidegate.dataplanes.envoy.metadata import REFUSED, backend_metadata, refusing_metadata
from tidegate.dataplanes.envoy.resources import Kind, Resource, resource
from tidegate.names import WILDCARD_ADDRESS, SocketKey, TargetKey
from tidegate.plan.types import Socket, Target

KEEPALIVE_SECONDS = 300
"""How long a connection may be silent before TCP asks whether the other side is still there."""

BUFFER_BYTES = 256 * 1024
"""How much Envoy holds per connection and direction when the other side does not read.

A quarter of Envoy's default, at the same processor time per byte. Half of this takes a sixth more.
"""

REFUSE_SOCKET = "refuse.sock"
"""The refusing listener's socket, relative to Envoy's working directory.

Relative, so that the resources of all generations of Envoy have the same bytes.
"""

_TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_KEEPALIVE_INTERVAL = 30
_KEEPALIVE_PROBES = 5
_NO_LIMIT = 2**32 - 1
_CONNECT_TIMEOUT_SECONDS = 5
# Keeps the shares exact while a side is partly unhealthy: the default, 140, starts shifting at 71 %.
_OVERPROVISIONING = 1_000_000


class TranslateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an Envoy's surroundings decide about its listeners.

    ``wildcard`` is the address that stands for all of the host's: ``::`` (with IPv4) or ``0.0.0.0``.
    ``shared_ports`` lets a port be opened by several processes of one user: by two generations side by side, but by
    strangers as well. Envoy never takes it back for a listener that it has.
    """

    wildcard: str = "::"
    shared_ports: bool = True


def listener_resource(key: SocketKey, target: TargetKey, options: TranslateOptions) -> Resource:
    """The listener of a socket, which asks for the filter of ``target``."""
    name = naming.socket_name(key)
    filter_source = config_source_pb2.ExtensionConfigSource(config_source=_from_ads(), type_urls=[_TCP_PROXY])
    chain = listener_components_pb2.FilterChain(
        name="main",
        filters=[listener_components_pb2.Filter(name=naming.filter_name(target), config_discovery=filter_source)],
    )
    message = listener_pb2.Listener(
        name=name,
        stat_prefix=name,
        address=_listen_address(key, options),
        filter_chains=[chain],
        per_connection_buffer_limit_bytes=wrappers_pb2.UInt32Value(value=BUFFER_BYTES),
        socket_options=_keepalive_options(),
        enable_reuse_port=None if options.shared_ports else wrappers_pb2.BoolValue(value=False),
    )
    return resource(Kind.LISTENER, name, _bytes(message))


def filter_resource(plan_socket: Socket, target: Target, loggers: Sequence[Message]) -> Resource:
    """The ``tcp_proxy`` that sends the socket's connections to the target's cluster.

    ``loggers`` are told of each connection when its backend is connected, and when it ends.
    """
    name = naming.filter_name(target.key)
    proxy = tcp_proxy_pb2.TcpProxy(
        stat_prefix=naming.traffic_prefix(target.key, plan_socket.listener, target.route),
        cluster=naming.target_name(target.key),
        # Without it, connections that are silent for an hour would be closed.
        idle_timeout=duration_pb2.Duration(seconds=0),
        access_log=loggers,
        access_log_options=tcp_proxy_pb2.TcpProxy.TcpAccessLogOptions(flush_access_log_on_connected=True),
    )
    message = extension_pb2.TypedExtensionConfig(
        name=name, typed_config=any_pb2.Any(type_url=_TCP_PROXY, value=_bytes(proxy))
    )
    return resource(Kind.FILTER, name, _bytes(message))


def cluster_resource(key: TargetKey) -> Resource:
    """The cluster of a target: endpoints by discovery, exact weights, no limit on connections."""
    name = naming.target_name(key)
    message = cluster_pb2.Cluster(name=name)
    message.MergeFrom(_cluster_template())
    return resource(Kind.CLUSTER, name, _bytes(message))


def assignment_resource(key: TargetKey, split: Split) -> Resource:
    """The endpoints of a target's cluster, one locality per share and one for the refused weight."""
    name = naming.target_name(key)
    localities = [_locality(share) for share in split.shares]
    if split.refused:
        localities.append(_refusing_locality(split.refused))
    message = endpoint_pb2.ClusterLoadAssignment(
        cluster_name=name,
        endpoints=localities,
        policy=endpoint_pb2.ClusterLoadAssignment.Policy(
            overprovisioning_factor=wrappers_pb2.UInt32Value(value=_OVERPROVISIONING)
        ),
    )
    return resource(Kind.ASSIGNMENT, name, _bytes(message))


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _from_ads() -> config_source_pb2.ConfigSource:
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.ApiVersion.V3
    )


def _listen_address(key: SocketKey, options: TranslateOptions) -> address_pb2.Address:
    everywhere = key.address == WILDCARD_ADDRESS
    address = options.wildcard if everywhere else key.address
    return address_pb2.Address(
        socket_address=address_pb2.SocketAddress(
            address=address, port_value=key.port, ipv4_compat=everywhere and address == "::"
        )
    )


@cache
def _keepalive_options() -> tuple[socket_option_pb2.SocketOption, ...]:
    """Keepalive for accepted connections, which inherit it from the listening socket."""
    # macOS has TCP_KEEPALIVE, which older Pythons do not name, for what is TCP_KEEPIDLE elsewhere.
    idle = 0x10 if sys.platform == "darwin" else sockets.TCP_KEEPIDLE
    values = (
        ("keepalive", sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1),
        ("keepalive idle", sockets.IPPROTO_TCP, idle, KEEPALIVE_SECONDS),
        ("keepalive interval", sockets.IPPROTO_TCP, sockets.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL),
        ("keepalive probes", sockets.IPPROTO_TCP, sockets.TCP_KEEPCNT, _KEEPALIVE_PROBES),
    )
    return tuple(
        socket_option_pb2.SocketOption(
            description=description,
            level=level,
            name=name,
            int_value=value,
            state=socket_option_pb2.SocketOption.STATE_PREBIND,
        )
        for description, level, name, value in values
    )


@cache
def _cluster_template() -> cluster_pb2.Cluster:
    unlimited = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=wrappers_pb2.UInt32Value(value=_NO_LIMIT),
        max_pending_requests=wrappers_pb2.UInt32Value(value=_NO_LIMIT),
    )
    eds = config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration_pb2.Duration(seconds=1),
    )
    balancing = cluster_pb2.Cluster.CommonLbConfig(
        locality_weighted_lb_config=cluster_pb2.Cluster.CommonLbConfig.LocalityWeightedLbConfig(),
        update_merge_window=duration_pb2.Duration(seconds=0),
        # The default would make Envoy use all endpoints when half of them are unhealthy.
        healthy_panic_threshold=percent_pb2.Percent(value=0),
    )
    return cluster_pb2.Cluster(
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=eds),
        connect_timeout=duration_pb2.Duration(seconds=_CONNECT_TIMEOUT_SECONDS),
        lb_policy=cluster_pb2.Cluster.ROUND_ROBIN,
        common_lb_config=balancing,
        circuit_breakers=circuit_breaker_pb2.CircuitBreakers(thresholds=[unlimited]),
        per_connection_buffer_limit_bytes=wrappers_pb2.UInt32Value(value=BUFFER_BYTES),
        ignore_health_on_host_removal=True,
        upstream_connection_options=cluster_pb2.UpstreamConnectionOptions(
            tcp_keepalive=address_pb2.TcpKeepalive(
                keepalive_time=wrappers_pb2.UInt32Value(value=KEEPALIVE_SECONDS),
                keepalive_interval=wrappers_pb2.UInt32Value(value=_KEEPALIVE_INTERVAL),
                keepalive_probes=wrappers_pb2.UInt32Value(value=_KEEPALIVE_PROBES),
            )
        ),
    )


def _locality(share: Share) -> endpoint_components_pb2.LocalityLbEndpoints:
    metadata = {endpoint.label: backend_metadata(endpoint.label) for endpoint in share.endpoints}
    return endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(sub_zone=share.name),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=share.weight),
        lb_endpoints=[_endpoint(endpoint, metadata[endpoint.label]) for endpoint in share.endpoints],
    )


def _endpoint(weighted: WeightedEndpoint, metadata: base_pb2.Metadata) -> endpoint_components_pb2.LbEndpoint:
    address = address_pb2.SocketAddress(address=weighted.endpoint.address, port_value=weighted.endpoint.port)
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=address_pb2.Address(socket_address=address)),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=weighted.weight),
        metadata=metadata,
    )


def _refusing_locality(weight: int) -> endpoint_components_pb2.LocalityLbEndpoints:
    address = address_pb2.Address(pipe=address_pb2.Pipe(path=REFUSE_SOCKET))
    endpoint = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=address), metadata=refusing_metadata()
    )
    # A backend's share is named by its ref, which a plan never makes empty, so the region keeps them apart.
    return endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(region=REFUSED),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=weight),
        lb_endpoints=[endpoint],
    )
