"""The configuration with which an Envoy starts in a Pod, as files for people to read as well.

In: which Gateway it serves, where its control plane is, and where things lie in its container. Out: the bootstrap and
the two files that lead Envoy to its certificates, as JSON. What a Pod has for itself (name, addresses) is added in
the Pod, by ``podstart``.

On top of what every Envoy of ours has:

* the control plane is elsewhere, so Envoy calls it by mutual TLS and asks now and then whether it is still there;
* certificates are read from files again when these change, without a restart;
* a listener of its own answers ``GET /ready`` and ``GET /stats/prometheus`` and nothing else: the rest of the admin
  interface stays in the container;
* counters have labels: ``gateway`` on all, ``listener`` and ``route`` on those of connections, ``port`` on those of
  sockets.
"""

from __future__ import annotations

import msgspec
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.metrics.v3 import stats_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf import any_pb2, duration_pb2, json_format, wrappers_pb2
from google.protobuf.message import Message

from tidegate.dataplanes.envoy import bootstrap, keepalive, naming
from tidegate.dataplanes.envoy.stats import STATISTICS_PREFIX
from tidegate.dataplanes.envoy.translate import KEEPALIVE_SECONDS
from tidegate.names import CONTROLLER_IDENTITY

BOOTSTRAP_FILE = "envoy.json"
CERTIFICATE_FILE = "certificate.json"
AUTHORITIES_FILE = "authorities.json"
"""The files, by what they hold or lead to."""

STATUS_PATHS = ("/ready", "/stats/prometheus")

_CONNECT_SECONDS = 2
_STATUS_SECONDS = 10
_CERTIFICATE, _AUTHORITIES = "certificate", "authorities"

_LABELS: tuple[tuple[str, str], ...] = (
    # tcp.SOCKET|OWNER|LISTENER|ROUTE.name and the same with "tidegate": see naming.traffic_prefix. Each takes the
    # first group out of the name and the second one as the label.
    ("listener", r"^\w+(\.[^|]+\|[^|]+\|([^|]+)(?:\|[^|]+)?)\.\w+$"),
    ("route", r"^\w+\.[^|]+\|[^|]+\|[^|]+(\|[^|/]+/[^|/]+/([^|]+))\.\w+$"),
    # listener.SCOPE/TCP/ADDRESS/PORT.name: see naming.socket_name.
    ("port", r"^listener(\.[^./]+/\w+/[^./]+/(\d+))\."),
)


_STATISTICS: tuple[string_pb2.StringMatcher, ...] = (
    string_pb2.StringMatcher(prefix=STATISTICS_PREFIX),
    *(
        string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=regex))
        for regex in (
            r"tcp\..+\.downstream_cx_(total|rx_bytes_total|tx_bytes_total)",
            # Of the sockets of a plan, whose names have slashes, and of all workers together.
            r"listener\.[^./]+/[^.]+\.downstream_cx_active",
            r"listener_manager\.(total_listeners_(active|draining|warming)|listener_create_failure)",
            r"server\.(live|uptime|memory_allocated|days_until_first_cert_expiring)",
            r"control_plane\.connected_state",
            rf"cluster\.{naming.CONTROL_CLUSTER}\.(upstream_cx_connect_fail|ssl\.(connection_error|fail_\w+))",
        )
    ),
)
"""What a proxy counts: no histograms, which would be most of the answer to ``GET /stats/prometheus``."""


class PodOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``control_plane`` is ``host:port``, ``server_name`` the DNS name that it is asked for (SNI).

    ``configuration`` and ``certificates`` are the directories of these files, and of ``tls.crt``, ``tls.key`` and
    ``ca.crt``.
    """

    scope: str
    control_plane: str
    server_name: str
    configuration: str
    certificates: str
    status_port: int


def files(options: PodOptions) -> dict[str, str]:
    """All files by name."""
    return {
        BOOTSTRAP_FILE: _json(_bootstrap(options)),
        CERTIFICATE_FILE: _json(_discovered(_certificate(options.certificates))),
        AUTHORITIES_FILE: _json(_discovered(_authorities(options.certificates))),
    }


def _json(message: Message) -> str:
    return json_format.MessageToJson(message, preserving_proto_field_name=True) + "\n"


def _bootstrap(options: PodOptions) -> bootstrap_pb2.Bootstrap:
    message = bootstrap.basis(base_pb2.Node(cluster="tidegate"), _control_cluster(options))
    admin = address_pb2.Address(pipe=address_pb2.Pipe(path=bootstrap.ADMIN_SOCKET))
    message.static_resources.clusters.append(bootstrap.static_cluster(naming.ADMIN_CLUSTER, admin))
    message.static_resources.listeners.append(_status_listener(options.status_port))
    message.stats_config.stats_matcher.CopyFrom(
        stats_pb2.StatsMatcher(inclusion_list=string_pb2.ListStringMatcher(patterns=_STATISTICS))
    )
    labels = [stats_pb2.TagSpecifier(tag_name=name, regex=regex) for name, regex in _LABELS]
    message.stats_config.stats_tags.extend(
        [stats_pb2.TagSpecifier(tag_name="gateway", fixed_value=options.scope), *labels]
    )
    return message


def _control_cluster(options: PodOptions) -> cluster_pb2.Cluster:
    host, _, port = options.control_plane.rpartition(":")
    endpoint = address_pb2.Address(
        socket_address=address_pb2.SocketAddress(address=host.strip("[]"), port_value=int(port))
    )
    asking = protocol_pb2.KeepaliveSettings(
        interval=_seconds(keepalive.SILENT_SECONDS), timeout=_seconds(keepalive.ANSWER_SECONDS)
    )
    cluster = bootstrap.control_cluster(endpoint, protocol_pb2.Http2ProtocolOptions(connection_keepalive=asking))
    # Whether it is an address or a name, and of one replica or of many.
    cluster.type = cluster_pb2.Cluster.STRICT_DNS
    cluster.connect_timeout.CopyFrom(_seconds(_CONNECT_SECONDS))
    cluster.upstream_connection_options.tcp_keepalive.keepalive_time.value = KEEPALIVE_SECONDS
    cluster.transport_socket.name = "tls"
    cluster.transport_socket.typed_config.Pack(_tls(options))
    return cluster


def _tls(options: PodOptions) -> tls_pb2.UpstreamTlsContext:
    certificate, authorities = (
        secret_pb2.SdsSecretConfig(name=name, sds_config=_file(f"{options.configuration}/{file}"))
        for name, file in ((_CERTIFICATE, CERTIFICATE_FILE), (_AUTHORITIES, AUTHORITIES_FILE))
    )
    common = tls_pb2.CommonTlsContext(
        tls_certificate_sds_secret_configs=[certificate], validation_context_sds_secret_config=authorities
    )
    return tls_pb2.UpstreamTlsContext(common_tls_context=common, sni=options.server_name)


def _file(path: str) -> config_source_pb2.ConfigSource:
    return config_source_pb2.ConfigSource(
        path_config_source=config_source_pb2.PathConfigSource(path=path),
        resource_api_version=config_source_pb2.ApiVersion.V3,
    )


def _discovered(secret: secret_pb2.Secret) -> discovery_pb2.DiscoveryResponse:
    response = discovery_pb2.DiscoveryResponse()
    response.resources.add().Pack(secret)
    return response


def _certificate(directory: str) -> secret_pb2.Secret:
    """Who the proxy is. The directory is watched: a mounted Secret changes by renaming what its files lead to."""
    certificate = common_pb2.TlsCertificate(
        certificate_chain=base_pb2.DataSource(filename=f"{directory}/tls.crt"),
        private_key=base_pb2.DataSource(filename=f"{directory}/tls.key"),
        watched_directory=base_pb2.WatchedDirectory(path=directory),
    )
    return secret_pb2.Secret(name=_CERTIFICATE, tls_certificate=certificate)


def _authorities(directory: str) -> secret_pb2.Secret:
    """Whom the proxy believes: a control plane with our identity, whatever its name or address."""
    identity = common_pb2.SubjectAltNameMatcher(
        san_type=common_pb2.SubjectAltNameMatcher.URI, matcher=string_pb2.StringMatcher(exact=CONTROLLER_IDENTITY)
    )
    context = common_pb2.CertificateValidationContext(
        trusted_ca=base_pb2.DataSource(filename=f"{directory}/ca.crt"),
        watched_directory=base_pb2.WatchedDirectory(path=directory),
        match_typed_subject_alt_names=[identity],
    )
    return secret_pb2.Secret(name=_AUTHORITIES, validation_context=context)


def _status_listener(port: int) -> listener_pb2.Listener:
    router = manager_pb2.HttpFilter(name="router", typed_config=_any(router_pb2.Router(suppress_envoy_headers=True)))
    host = route_components_pb2.VirtualHost(
        name="status", domains=["*"], routes=[_status_route(path) for path in STATUS_PATHS]
    )
    manager = manager_pb2.HttpConnectionManager(
        stat_prefix=naming.STATUS_LISTENER,
        route_config=route_pb2.RouteConfiguration(name="status", virtual_hosts=[host]),
        http_filters=[router],
        request_timeout=_seconds(_STATUS_SECONDS),
        request_headers_timeout=_seconds(_STATUS_SECONDS),
    )
    chain = listener_components_pb2.FilterChain(
        filters=[listener_components_pb2.Filter(name="http", typed_config=_any(manager))]
    )
    address = address_pb2.SocketAddress(address="::", port_value=port, ipv4_compat=True)
    return listener_pb2.Listener(
        name=naming.STATUS_LISTENER,
        stat_prefix=naming.STATUS_LISTENER,
        address=address_pb2.Address(socket_address=address),
        filter_chains=[chain],
        # With the host's network, another proxy on the node must not answer in its place.
        enable_reuse_port=wrappers_pb2.BoolValue(value=False),
    )


def _status_route(path: str) -> route_components_pb2.Route:
    only_get = route_components_pb2.HeaderMatcher(name=":method", string_match=string_pb2.StringMatcher(exact="GET"))
    return route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(path=path, headers=[only_get]),
        route=route_components_pb2.RouteAction(cluster=naming.ADMIN_CLUSTER, timeout=_seconds(_STATUS_SECONDS)),
    )


def _any(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _seconds(value: int) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=value)
