"""Plan entries become Envoy's messages: constant listeners, exact localities, nothing that limits or closes."""

from __future__ import annotations

import pytest
from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from support.discovery import catalog_of
from support.plans import Change, backend, forward, pool, pool_key, socket_key
from tidegate.dataplanes.envoy import naming
from tidegate.dataplanes.envoy.localities import Split, split
from tidegate.dataplanes.envoy.resources import Kind
from tidegate.dataplanes.envoy.translate import (
    REFUSE_SOCKET,
    TranslateOptions,
    assignment_resource,
    cluster_resource,
    filter_resource,
    listener_resource,
)
from tidegate.names import WILDCARD_ADDRESS, TargetKey
from tidegate.plan.types import Endpoint, Socket, Target, WeightedBackend

KEY = socket_key(8080)
TARGET = TargetKey(KEY)
NAME = naming.socket_name(KEY)


def listener(address: str = "127.0.0.1", *, wildcard: str = "::", shared_ports: bool = True) -> listener_pb2.Listener:
    """The listener of port 8080 as Envoy reads it."""
    key = socket_key(8080, address)
    options = TranslateOptions(wildcard=wildcard, shared_ports=shared_ports)
    body = listener_resource(key, TargetKey(key), options).body
    return listener_pb2.Listener.FromString(body)


def proxy(change: Change, *loggers: accesslog_pb2.AccessLog) -> tcp_proxy_pb2.TcpProxy:
    """The filter of the one socket in ``change`` as Envoy reads it."""
    (plan_socket,) = (value for value in change.values() if isinstance(value, Socket))
    (target,) = (value for value in change.values() if isinstance(value, Target))
    wrapped = extension_pb2.TypedExtensionConfig.FromString(filter_resource(plan_socket, target, loggers).body)
    assert wrapped.typed_config.Is(tcp_proxy_pb2.TcpProxy.DESCRIPTOR)
    return tcp_proxy_pb2.TcpProxy.FromString(wrapped.typed_config.value)


def assignment(value: Split) -> endpoint_pb2.ClusterLoadAssignment:
    """The endpoints of a target as Envoy reads them."""
    return endpoint_pb2.ClusterLoadAssignment.FromString(assignment_resource(TARGET, value).body)


def split_of(*backends: WeightedBackend) -> Split:
    """The split of backends with the pools ``a`` (two endpoints) and ``b`` (one)."""
    pools = {
        pool_key("a"): (Endpoint("10.0.0.1", 80), Endpoint("2001:db8::1", 80)),
        pool_key("b"): (Endpoint("10.0.0.2", 81),),
    }
    return split(backends, lambda key: pools.get(key, ()))


@pytest.mark.parametrize(
    "changed",
    [
        forward(8080, "a", "b", route="another"),
        forward(8080, "a", "b", route=None),
        forward(8080, ("a", 90), ("b", 10)),
        forward(8080, "b"),
        forward(8080),
        forward(8080, "a", "b", listener="renamed"),
    ],
    ids=["route", "no route", "weights", "backends", "no backend", "listener name and revision"],
)
def test_a_listener_never_changes(changed: Change) -> None:
    """Changing a listener's bytes would close connections: routes, weights, revisions and names do not."""
    before = catalog_of(pool("a", 1), pool("b", 2), forward(8080, "a", "b"))
    after = catalog_of(pool("a", 1), pool("b", 2), changed)
    assert before.sockets()[KEY].revision != after.sockets()[KEY].revision
    assert before.get(Kind.LISTENER, NAME) == after.get(Kind.LISTENER, NAME)
    assert before.get(Kind.CLUSTER, NAME) == after.get(Kind.CLUSTER, NAME)


def test_the_listener_asks_for_its_filter() -> None:
    """A listener has one chain, whose filter comes by discovery under the target's filter name."""
    (chain,) = listener().filter_chains
    (only,) = chain.filters
    assert only.name == naming.filter_name(TARGET)
    assert only.config_discovery.config_source.HasField("ads")
    assert list(only.config_discovery.type_urls) == [
        f"type.googleapis.com/{tcp_proxy_pb2.TcpProxy.DESCRIPTOR.full_name}"
    ]


@pytest.mark.parametrize(
    ("address", "wildcard", "bound", "both_families"),
    [
        (WILDCARD_ADDRESS, "::", "::", True),
        (WILDCARD_ADDRESS, "0.0.0.0", "0.0.0.0", False),
        ("::", "::", "::", False),
        ("::1", "::", "::1", False),
        ("127.0.0.1", "::", "127.0.0.1", False),
    ],
)
def test_listening_addresses(address: str, wildcard: str, bound: str, *, both_families: bool) -> None:
    """Only the wildcard accepts both families, and only where the host has both; others stay as planned."""
    found = listener(address, wildcard=wildcard).address.socket_address
    assert (found.address, found.port_value, found.ipv4_compat) == (bound, 8080, both_families)


def test_listener_names_are_its_statistics() -> None:
    """A listener counts under its own name, whatever address it has."""
    found = listener("::1")
    assert found.name == found.stat_prefix == naming.socket_name(socket_key(8080, "::1"))


def test_accepted_connections_are_kept_alive() -> None:
    """Keepalive is set on the listening socket before it is bound, for connections to inherit."""
    options = listener().socket_options
    assert len(options) == 4
    assert all(one.state == one.STATE_PREBIND and one.int_value > 0 for one in options)


def test_the_filter_sends_to_the_targets_cluster() -> None:
    """The proxy names the cluster and counts by listener and route."""
    found = proxy(forward(8080, "a", listener="web", route="r"))
    assert found.cluster == cluster_resource(TARGET).name
    assert found.stat_prefix.startswith(NAME + "|")
    assert found.stat_prefix != proxy(forward(8080, "a", listener="web", route="s")).stat_prefix
    assert found.stat_prefix != proxy(forward(8080, "a", listener="other", route="r")).stat_prefix


def test_silent_connections_are_not_closed() -> None:
    """The idle timeout is explicitly 0, which is none; left out it would be an hour."""
    found = proxy(forward(8080, "a"))
    assert found.HasField("idle_timeout")
    assert found.idle_timeout.ToNanoseconds() == 0


def test_loggers_are_told_of_connected_backends() -> None:
    """The given loggers are in the filter, and hear of a connection when its backend is connected."""
    found = proxy(forward(8080, "a"), accesslog_pb2.AccessLog(name="one"), accesslog_pb2.AccessLog(name="two"))
    assert [one.name for one in found.access_log] == ["one", "two"]
    assert found.access_log_options.flush_access_log_on_connected


def test_the_cluster_keeps_weights_exact() -> None:
    """Localities count by weight, panic and merging are off, and removed endpoints go at once."""
    found = cluster_pb2.Cluster.FromString(cluster_resource(TARGET).body)
    assert found.type == cluster_pb2.Cluster.EDS
    assert found.eds_cluster_config.eds_config.HasField("ads")
    assert found.lb_policy == cluster_pb2.Cluster.ROUND_ROBIN
    balancing = found.common_lb_config
    assert balancing.HasField("locality_weighted_lb_config")
    assert balancing.HasField("healthy_panic_threshold")
    assert balancing.healthy_panic_threshold.value == 0
    assert balancing.HasField("update_merge_window")
    assert balancing.update_merge_window.ToNanoseconds() == 0
    assert found.ignore_health_on_host_removal


def test_the_cluster_has_no_limit() -> None:
    """Envoy's default of 1,024 connections per cluster is lifted."""
    found = cluster_pb2.Cluster.FromString(cluster_resource(TARGET).body)
    (threshold,) = found.circuit_breakers.thresholds
    assert threshold.max_connections.value == threshold.max_pending_requests.value == 2**32 - 1


def test_clusters_differ_by_name_only() -> None:
    """Making one cluster leaves the template of the others alone."""
    one, other = (cluster_resource(TargetKey(socket_key(port))) for port in (1, 2))
    messages = [cluster_pb2.Cluster.FromString(each.body) for each in (one, other)]
    assert [each.name for each in messages] == [one.name, other.name]
    for each in messages:
        each.name = ""
    assert messages[0] == messages[1]


def test_every_share_is_a_locality() -> None:
    """A share's ref is the sub-zone and its weight the locality's; endpoints have address, port and weight."""
    found = assignment(split_of(backend("a", 70, ref="0/0"), backend("b", 30, ref="0/1")))
    assert found.cluster_name == NAME
    assert [(one.locality.sub_zone, one.load_balancing_weight.value) for one in found.endpoints] == [
        ("0/0", 70),
        ("0/1", 30),
    ]
    addresses = [
        (one.endpoint.address.socket_address.address, one.endpoint.address.socket_address.port_value)
        for one in found.endpoints[0].lb_endpoints
    ]
    assert addresses == [("10.0.0.1", 80), ("2001:db8::1", 80)]
    assert all(one.load_balancing_weight.value == 1 for one in found.endpoints[0].lb_endpoints)


def test_refused_weight_is_one_locality_of_its_own() -> None:
    """All refused weight goes to the refusing listener, in a locality that no ref can be confused with."""
    found = assignment(
        split_of(backend("a", 1, ref="refused"), backend(None, 2, ref="0/1"), backend("gone", 3, ref="0/2"))
    )
    served, refused = found.endpoints
    assert refused.load_balancing_weight.value == 5
    assert [one.endpoint.address.pipe.path for one in refused.lb_endpoints] == [REFUSE_SOCKET]
    assert served.locality != refused.locality


def test_a_target_without_backends_refuses() -> None:
    """An empty assignment would leave connections hanging, so it holds the refusing locality."""
    (refused,) = assignment(split_of()).endpoints
    assert refused.load_balancing_weight.value == 1


def test_partly_dead_backends_keep_their_share() -> None:
    """Envoy shifts weight only when a side has no endpoint left at all."""
    assert assignment(split_of(backend("a", 1, ref="0/0"))).policy.overprovisioning_factor.value >= 1_000_000


def test_endpoints_carry_their_backend() -> None:
    """Endpoints are labelled for the access log and the counters; the refusing one differs."""
    found = assignment(split_of(backend("a", 1, ref="0/0"), backend(None, 1, ref="0/1")))
    labels = [one.lb_endpoints[0].metadata.filter_metadata["tidegate"]["backend"] for one in found.endpoints]
    assert labels == ["a", "refused"]


def test_ports_are_shared_unless_told_otherwise() -> None:
    """Only where no second generation will ever run beside it does a listener claim its port for itself."""
    assert not listener().HasField("enable_reuse_port")
    exclusive = listener(shared_ports=False)
    assert exclusive.HasField("enable_reuse_port")
    assert not exclusive.enable_reuse_port.value


def test_the_same_entries_give_the_same_bytes() -> None:
    """Translating again changes no version."""
    change = forward(8080, ("a", 2), ("b", 1), (None, 1))
    one, other = (catalog_of(pool("a", 1, 2), pool("b", 3), change).resources_of(KEY) for _ in range(2))
    assert one == other
    assert {each.kind for each in one} == set(Kind)
