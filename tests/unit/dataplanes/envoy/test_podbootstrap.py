"""What a proxy in a Pod starts with: readable files, a control plane that is believed only by its identity."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from tidegate.dataplanes.envoy import naming
from tidegate.dataplanes.envoy.podbootstrap import (
    AUTHORITIES_FILE,
    BOOTSTRAP_FILE,
    CERTIFICATE_FILE,
    PodOptions,
    files,
)
from tidegate.names import CONTROLLER_IDENTITY, ListenerKey, ObjectKey, SocketKey, TargetKey

GATEWAY = ObjectKey("gateway.networking.k8s.io", "Gateway", "team-a", "edge.eu")
ROUTE = ObjectKey("gateway.networking.k8s.io", "TCPRoute", "team-b", "orders.v1")
OPTIONS = PodOptions(
    scope="team-a/edge.eu",
    control_plane="tidegate.tidegate-system.svc:15010",
    server_name="tidegate.tidegate-system.svc",
    configuration="/etc/proxy",
    certificates="/etc/certificates",
    status_port=15021,
)


def document(name: str = BOOTSTRAP_FILE, control_plane: str = OPTIONS.control_plane) -> Any:
    """A file as Envoy reads it."""
    return json.loads(files(msgspec.structs.replace(OPTIONS, control_plane=control_plane))[name])


def named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The item of this name."""
    return next(item for item in items if item["name"] == name)


def label(name: str, statistic: str) -> tuple[str, str] | None:
    """What Envoy makes of the name of a statistic for a label: what is left of it, and the label's value."""
    (tag,) = (tag for tag in document()["stats_config"]["stats_tags"] if tag["tag_name"] == name)
    match = re.search(tag["regex"], statistic)
    return None if match is None else (statistic[: match.start(1)] + statistic[match.end(1) :], match[2])


def test_files_are_for_people_too() -> None:
    """They are indented, end with a newline, and are the same whenever they are made."""
    made = files(OPTIONS)
    assert set(made) == {BOOTSTRAP_FILE, CERTIFICATE_FILE, AUTHORITIES_FILE}
    assert made == files(OPTIONS)
    for text in made.values():
        assert text.startswith("{\n  ")
        assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("control_plane", "host", "port"),
    [
        ("tidegate.tidegate-system.svc:15010", "tidegate.tidegate-system.svc", 15010),
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
    ],
)
def test_where_the_control_plane_is(control_plane: str, host: str, port: int) -> None:
    """A name or an address, which is looked up again and again."""
    cluster = named(document(control_plane=control_plane)["static_resources"]["clusters"], naming.CONTROL_CLUSTER)
    (locality,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": host, "port_value": port}
    assert cluster["type"] == "STRICT_DNS"


def test_both_sides_show_certificates() -> None:
    """The proxy shows its own and believes nobody but a controller; both come from files that are watched."""
    cluster = named(document()["static_resources"]["clusters"], naming.CONTROL_CLUSTER)
    tls = cluster["transport_socket"]["typed_config"]
    assert tls["sni"] == "tidegate.tidegate-system.svc"
    common = tls["common_tls_context"]
    (own,) = common["tls_certificate_sds_secret_configs"]
    assert own["sds_config"]["path_config_source"]["path"] == f"/etc/proxy/{CERTIFICATE_FILE}"
    believed = common["validation_context_sds_secret_config"]
    assert believed["sds_config"]["path_config_source"]["path"] == f"/etc/proxy/{AUTHORITIES_FILE}"
    (certificate,) = document(CERTIFICATE_FILE)["resources"]
    assert certificate["name"] == own["name"]
    assert certificate["tls_certificate"] == {
        "certificate_chain": {"filename": "/etc/certificates/tls.crt"},
        "private_key": {"filename": "/etc/certificates/tls.key"},
        "watched_directory": {"path": "/etc/certificates"},
    }
    (authorities,) = document(AUTHORITIES_FILE)["resources"]
    assert authorities["name"] == believed["name"]
    assert authorities["validation_context"] == {
        "trusted_ca": {"filename": "/etc/certificates/ca.crt"},
        "watched_directory": {"path": "/etc/certificates"},
        "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": CONTROLLER_IDENTITY}}],
    }


def test_a_silent_control_plane_is_noticed() -> None:
    """HTTP/2 asks whether anybody is there, so that a replica that vanished is left within seconds."""
    cluster = named(document()["static_resources"]["clusters"], naming.CONTROL_CLUSTER)
    (options,) = cluster["typed_extension_protocol_options"].values()
    keepalive = options["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]
    assert keepalive == {"interval": "5s", "timeout": "5s"}


def test_it_waits_for_its_first_configuration() -> None:
    """However long that takes, it does not call itself ready without."""
    dynamic = document()["dynamic_resources"]
    for kind in ("cds_config", "lds_config"):
        assert dynamic[kind]["initial_fetch_timeout"] == "0s"


def test_only_two_pages_are_shown() -> None:
    """Of the admin interface, which has a socket in the container, others see readiness and metrics."""
    boot = document()
    listener = named(boot["static_resources"]["listeners"], naming.STATUS_LISTENER)
    assert listener["address"]["socket_address"] == {"address": "::", "port_value": 15021, "ipv4_compat": True}
    assert listener["enable_reuse_port"] is False
    (chain,) = listener["filter_chains"]
    (manager,) = chain["filters"]
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    paths = [route["match"]["path"] for route in host["routes"]]
    assert paths == ["/ready", "/stats/prometheus"]
    for route in host["routes"]:
        (header,) = route["match"]["headers"]
        assert header["string_match"] == {"exact": "GET"}
    assert "pipe" in boot["admin"]["address"]


def test_labels_of_connections() -> None:
    """Names of statistics lose their identities, dots included, which become labels."""
    socket = SocketKey(GATEWAY.path, "*", "TCP", 5432)
    listener = ListenerKey(GATEWAY, "db.main")
    with_route = f"tcp.{naming.traffic_prefix(TargetKey(socket), listener, ROUTE)}.downstream_cx_total"
    without = f"tcp.{naming.traffic_prefix(TargetKey(socket), listener, None)}.downstream_cx_total"
    assert label("listener", with_route) == ("tcp.downstream_cx_total", "db.main")
    assert label("listener", without) == ("tcp.downstream_cx_total", "db.main")
    found = label("route", with_route)
    assert found is not None
    assert found[1] == "team-b/orders.v1"
    assert label("route", without) is None


def test_labels_of_sockets() -> None:
    """A listener's own statistics have the port for a label."""
    socket = SocketKey(GATEWAY.path, "*", "TCP", 5432)
    statistic = f"listener.{naming.socket_name(socket)}.downstream_cx_active"
    assert label("port", statistic) == ("listener.downstream_cx_active", "5432")
    assert label("port", f"listener.{naming.STATUS_LISTENER}.downstream_cx_active") is None


def test_everything_has_the_gateway_for_a_label() -> None:
    """A Pod serves one Gateway, so all that it counts is that Gateway's."""
    (tag,) = (tag for tag in document()["stats_config"]["stats_tags"] if tag["tag_name"] == "gateway")
    assert tag["fixed_value"] == "team-a/edge.eu"


@pytest.mark.parametrize(
    ("statistic", "kept"),
    [
        ("tcp.a|b|c.downstream_cx_total", True),
        ("tcp.a|b|c.d.downstream_cx_rx_bytes_total", True),
        ("tcp.a|b|c.downstream_cx_rx_bytes_buffered", False),
        ("tidegate.connections_refused", True),
        ("listener.a=2fgw/TCP/any/80.downstream_cx_active", True),
        ("listener.a=2fgw/TCP/any/80.downstream_cx_length_ms", False),
        ("listener.a=2fgw/TCP/any/80.worker_0.downstream_cx_active", False),
        ("listener.tidegate-status.downstream_cx_active", False),
        ("control_plane.connected_state", True),
        ("server.live", True),
        ("server.initialization_time_ms", False),
        ("cluster.a=2fgw/TCP/any/80.upstream_cx_total", False),
        ("cluster.tidegate-control.ssl.fail_verify_san", True),
    ],
)
def test_what_is_counted(statistic: str, *, kept: bool) -> None:
    """Counters of connections and a few of Envoy itself; no histograms and nothing of clusters."""
    patterns = document()["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    matches = [
        statistic.startswith(pattern["prefix"])
        if "prefix" in pattern
        else re.fullmatch(pattern["safe_regex"]["regex"], statistic) is not None
        for pattern in patterns
    ]
    assert any(matches) is kept
