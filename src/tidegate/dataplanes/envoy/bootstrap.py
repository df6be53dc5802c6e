"""The configuration with which an Envoy starts: where its control plane is, and what it counts.

In: options. Out: the bootstrap as bytes, and, for ``podbootstrap``, the parts that every Envoy of ours has. All
socket paths in it are relative to Envoy's working directory, so that the bytes, and their hash, are the same for
every generation; another hash than that of a running Envoy therefore means that it must be replaced.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import (
    address_pb2,
    backoff_pb2,
    base_pb2,
    config_source_pb2,
    grpc_service_pb2,
    protocol_pb2,
)
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.metrics.v3 import stats_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2

from tidegate.dataplanes.envoy import naming, translate
from tidegate.dataplanes.envoy.stats import STATISTICS_PREFIX

ADMIN_SOCKET = naming.ADMIN_SOCKET
"""Envoy's admin interface, relative to its working directory."""

CONTROL_SOCKET = "xds.sock"
"""Our xDS server, relative to Envoy's working directory."""

_STATISTICS = ("tcp.", "listener.", "listener_manager.", "server.", "cluster_manager.", STATISTICS_PREFIX)
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class BootstrapOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``node`` is how Envoy names itself to its control plane."""

    node: str = "tidegate"


def bootstrap(options: BootstrapOptions) -> bytes:
    """The bootstrap, serialised; Envoy reads it from a file that ends in ``.pb``."""
    endpoint = address_pb2.Address(pipe=address_pb2.Pipe(path=CONTROL_SOCKET))
    cluster = control_cluster(endpoint)
    cluster.connect_timeout.FromSeconds(1)
    message = basis(base_pb2.Node(id=options.node, cluster="tidegate"), cluster)
    return bytes(message.SerializeToString(deterministic=True))


def basis(node: base_pb2.Node, control: cluster_pb2.Cluster) -> bootstrap_pb2.Bootstrap:
    """What every Envoy of ours starts with; ``control`` is the cluster of its control plane."""
    return bootstrap_pb2.Bootstrap(
        node=node,
        admin=bootstrap_pb2.Admin(address=_pipe(ADMIN_SOCKET)),
        static_resources=bootstrap_pb2.Bootstrap.StaticResources(clusters=[control], listeners=[_refusing_listener()]),
        dynamic_resources=bootstrap_pb2.Bootstrap.DynamicResources(
            ads_config=_ads(), cds_config=_whole_kind(), lds_config=_whole_kind()
        ),
        stats_config=_stats_config(),
        deferred_stat_options=bootstrap_pb2.Bootstrap.DeferredStatOptions(enable_deferred_creation_stats=True),
    )


def control_cluster(
    endpoint: address_pb2.Address, http2: protocol_pb2.Http2ProtocolOptions | None = None
) -> cluster_pb2.Cluster:
    """The cluster of a control plane at one endpoint, which speaks HTTP/2."""
    explicit = http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
        http2_protocol_options=http2 or protocol_pb2.Http2ProtocolOptions()
    )
    options = http_protocol_options_pb2.HttpProtocolOptions(explicit_http_config=explicit)
    typed = any_pb2.Any(type_url=f"type.googleapis.com/{_HTTP_OPTIONS}", value=options.SerializeToString())
    return static_cluster(naming.CONTROL_CLUSTER, endpoint, {_HTTP_OPTIONS: typed})


def static_cluster(
    name: str, endpoint: address_pb2.Address, protocol_options: Mapping[str, any_pb2.Any] | None = None
) -> cluster_pb2.Cluster:
    """A cluster of one endpoint that the bootstrap names."""
    member = endpoint_components_pb2.LbEndpoint(endpoint=endpoint_components_pb2.Endpoint(address=endpoint))
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.STATIC,
        typed_extension_protocol_options=protocol_options,
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=name, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[member])]
        ),
    )


def _pipe(path: str) -> address_pb2.Address:
    return address_pb2.Address(pipe=address_pb2.Pipe(path=path, mode=0o600))


def _refusing_listener() -> listener_pb2.Listener:
    """Accepts on a socket of its own and closes at once, because its chain has no filter."""
    return listener_pb2.Listener(
        name=naming.REFUSING_LISTENER,
        stat_prefix=naming.REFUSING_LISTENER,
        address=_pipe(translate.REFUSE_SOCKET),
        filter_chains=[listener_components_pb2.FilterChain(name="refuse")],
    )


def _ads() -> config_source_pb2.ApiConfigSource:
    # The default back-off would leave changes waiting for seconds after a controller's return.
    back_off = backoff_pb2.BackoffStrategy(
        base_interval=duration_pb2.Duration(nanos=50_000_000), max_interval=duration_pb2.Duration(nanos=500_000_000)
    )
    control = grpc_service_pb2.GrpcService.EnvoyGrpc(
        cluster_name=naming.CONTROL_CLUSTER, retry_policy=base_pb2.RetryPolicy(retry_back_off=back_off)
    )
    return config_source_pb2.ApiConfigSource(
        api_type=config_source_pb2.ApiConfigSource.DELTA_GRPC,
        transport_api_version=config_source_pb2.ApiVersion.V3,
        grpc_services=[grpc_service_pb2.GrpcService(envoy_grpc=control)],
        set_node_on_first_message_only=True,
    )


def _whole_kind() -> config_source_pb2.ConfigSource:
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        # Wait for the control plane, however long; else Envoy calls itself ready without it.
        initial_fetch_timeout=duration_pb2.Duration(seconds=0),
    )


def _stats_config() -> stats_pb2.StatsConfig:
    patterns = [string_pb2.StringMatcher(prefix=prefix) for prefix in _STATISTICS]
    return stats_pb2.StatsConfig(
        use_all_default_tags=wrappers_pb2.BoolValue(value=False),
        stats_matcher=stats_pb2.StatsMatcher(inclusion_list=string_pb2.ListStringMatcher(patterns=patterns)),
    )
