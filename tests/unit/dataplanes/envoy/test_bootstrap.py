"""The bootstrap is the same for every generation and lets Envoy wait for its control plane."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.core.v3 import address_pb2
from google.protobuf.message import Message

from tidegate.dataplanes.envoy import naming, translate
from tidegate.dataplanes.envoy.bootstrap import ADMIN_SOCKET, CONTROL_SOCKET, BootstrapOptions, bootstrap
from tidegate.dataplanes.envoy.stats import STATISTICS_PREFIX


def message(options: BootstrapOptions | None = None) -> bootstrap_pb2.Bootstrap:
    """The bootstrap as Envoy reads it."""
    return bootstrap_pb2.Bootstrap.FromString(bootstrap(options or BootstrapOptions()))


def addresses(inside: Message) -> Iterator[address_pb2.Address]:
    """All addresses in a message, at any depth."""
    for field, value in inside.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for one in value if isinstance(value, list) or not isinstance(value, Message) else [value]:
            if isinstance(one, address_pb2.Address):
                yield one
            else:
                yield from addresses(one)


def test_bytes_do_not_depend_on_where_envoy_lives(tmp_path: Path) -> None:
    """Every generation has a directory of its own, and still the same bootstrap."""
    here = bootstrap(BootstrapOptions())
    with chdir(tmp_path):
        assert bootstrap(BootstrapOptions()) == here
    assert os.fsencode(tmp_path) not in here


def test_other_options_give_other_bytes() -> None:
    """A changed option shows in the bytes, which replaces a running Envoy."""
    options = BootstrapOptions(node="another")
    assert bootstrap(options) != bootstrap(BootstrapOptions())
    assert message(options).node.id == "another"


def test_every_address_is_a_relative_socket_path() -> None:
    """Envoy opens and calls nothing but sockets in its own directory."""
    paths = [one.pipe.path for one in addresses(message())]
    assert sorted(paths) == sorted([ADMIN_SOCKET, CONTROL_SOCKET, translate.REFUSE_SOCKET])
    assert not any(path.startswith("/") for path in paths)


def test_sockets_that_envoy_opens_are_the_owners_alone() -> None:
    """Nobody else on the host may reach the admin interface or the refusing listener."""
    boot = message()
    (refusing,) = boot.static_resources.listeners
    assert boot.admin.address.pipe.mode == 0o600
    assert refusing.address.pipe.mode == 0o600


def test_the_refusing_listener_has_no_filter() -> None:
    """A chain without filters accepts a connection and closes it at once."""
    (refusing,) = message().static_resources.listeners
    assert refusing.name == naming.REFUSING_LISTENER
    assert [len(chain.filters) for chain in refusing.filter_chains] == [0]


def test_everything_is_discovered_by_one_delta_stream() -> None:
    """Listeners and clusters come by aggregated delta discovery from the control cluster."""
    dynamic = message().dynamic_resources
    assert dynamic.ads_config.api_type == dynamic.ads_config.DELTA_GRPC
    (service,) = dynamic.ads_config.grpc_services
    assert service.envoy_grpc.cluster_name == naming.CONTROL_CLUSTER
    assert dynamic.cds_config.HasField("ads")
    assert dynamic.lds_config.HasField("ads")


def test_envoy_waits_for_the_first_plan() -> None:
    """A timeout of 0 is none: Envoy does not call itself ready without having been told what to serve."""
    dynamic = message().dynamic_resources
    for source in (dynamic.cds_config, dynamic.lds_config):
        assert source.HasField("initial_fetch_timeout")
        assert source.initial_fetch_timeout.ToNanoseconds() == 0


def test_envoy_comes_back_quickly() -> None:
    """After a controller's return Envoy asks within half a second, not with the default back-off."""
    (service,) = message().dynamic_resources.ads_config.grpc_services
    back_off = service.envoy_grpc.retry_policy.retry_back_off
    assert 0 < back_off.base_interval.ToMilliseconds() <= back_off.max_interval.ToMilliseconds() <= 500


def test_only_needed_statistics_are_kept() -> None:
    """The counters of connections and listeners are kept; those of clusters, which are many, are not."""
    patterns = message().stats_config.stats_matcher.inclusion_list.patterns
    prefixes = tuple(pattern.prefix for pattern in patterns)
    assert all(prefixes)
    for name in ("tcp.any.downstream_cx_total", "listener.any.downstream_cx_active", f"{STATISTICS_PREFIX}any.refused"):
        assert name.startswith(prefixes)
    assert not "cluster.any.upstream_cx_total".startswith(prefixes)
