"""Envoy's raw counters of connections: which exist, how to ask for them, how to read the answer.

In: the admin interface of one Envoy. Out: ``RawCounters`` per statistics prefix, where a prefix stands for
one target and route. Making these monotonic is left to ``traffic``.

Where the counters come from:

* ``tcp.PREFIX.downstream_cx_total``, ``..._rx_bytes_total``, ``..._tx_bytes_total``: ``tcp_proxy`` itself.
* ``tidegate.PREFIX.refused`` and ``tidegate.PREFIX.ended``: two loggers that count instead of writing,
  ``counting_loggers``, in the same ``tcp_proxy``.

Why refusals are not taken from ``/clusters``, where the refusing endpoint has counters of its own: that
answer has the size of all clusters (21 MB for 10,000) while Envoy's main thread can do nothing else, and the
endpoint's counter begins anew whenever the refused share comes and goes, which loses what happened since
the last look. A logger's counter belongs to the route: it knows nothing of endpoints, and lives as long as
the route is configured or one of its connections is open. So a refusal is counted exactly, at the moment
of the refusal, whatever happens to endpoints between two looks.

Why active connections are not taken from ``listener.*.downstream_cx_active``: after a listener got another
route, the connections of the former one go on, and that gauge cannot tell them apart. Opened minus ended,
per prefix, can.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Protocol

import msgspec
from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as accesslog_data_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from google.protobuf import any_pb2, wrappers_pb2

from tidegate.dataplanes.envoy.metadata import KEY_REFUSED, METADATA_NAMESPACE
from tidegate.dataplanes.traffic import RawCounters
from tidegate.errors import DataPlaneError

STATISTICS_PREFIX = "tidegate."
"""What the names of the loggers' counters begin with; Envoy's statistics matcher must let them pass."""

_STATS_LOG = "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config"
# Numbers of fields that Envoy 1.40 has and the published Python protos do not know yet: Config.stats_scope,
# which it demands (or a deprecated field of which it warns for every listener), and Scope.sharing_name.
_STATS_SCOPE = 6
_SHARING_NAME = 6
_TCP = "tcp."
_FIELDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    _TCP: (
        (".downstream_cx_total", "opened"),
        (".downstream_cx_rx_bytes_total", "received"),
        (".downstream_cx_tx_bytes_total", "sent"),
    ),
    STATISTICS_PREFIX: ((".refused", "refused"), (".ended", "ended")),
}
# Loose, because an exact expression takes Envoy half as long again; what else it lets pass is left out here.
_FILTER = r"^tcp\..*downstream_cx_|^tidegate\."
QUERY = "/stats?format=json&usedonly&type=Counters&filter=" + urllib.parse.quote(_FILTER, safe="")
"""What to ask the admin interface for."""


class Admin(Protocol):
    """As much of ``AdminClient`` as is needed here."""

    async def get(self, path: str) -> bytes:
        """The body of ``GET path``."""
        ...


class _Stat(msgspec.Struct):
    name: str
    value: int


class _Stats(msgspec.Struct):
    stats: list[_Stat]


def counting_loggers(stat_prefix: str, labels: Mapping[str, str] | None = None) -> list[accesslog_pb2.AccessLog]:
    """The loggers that count refused and ended connections under ``stat_prefix``, that of the ``tcp_proxy``.

    With ``labels``, which then have to tell the prefixes apart, the counters are instead called
    ``tidegate.connections_refused`` and ``tidegate.connections_ended`` for all, and have these labels in Prometheus.

    Refusals are counted when the refusing endpoint was reached, for which the ``tcp_proxy`` needs
    ``access_log_options.flush_access_log_on_connected``, and every endpoint its ``metadata``:
    at the end would be late, since a client may take its time to close a connection that we ended.
    """
    kinds = accesslog_data_pb2.AccessLogType
    refused = stats_pb2.Config.Counter(
        stat=_stat(stat_prefix, "refused", labels),
        # 1 at the refusing endpoint, 0 at all others, where a missing value would make Envoy complain.
        value_format=f"%UPSTREAM_METADATA({METADATA_NAMESPACE}:{KEY_REFUSED})%",
    )
    ended = stats_pb2.Config.Counter(
        stat=_stat(stat_prefix, "ended", labels), value_fixed=wrappers_pb2.UInt64Value(value=1)
    )
    # Loggers of one prefix share their counters, so that these go on while the configuration is replaced by one
    # of the same prefix. Without it, each has its own, which are lost with its last connection.
    scope = _field(_STATS_SCOPE, _field(_SHARING_NAME, f"{STATISTICS_PREFIX}{stat_prefix}".encode()))
    return [_logger(refused, kinds.TcpUpstreamConnected, scope), _logger(ended, kinds.TcpConnectionEnd, scope)]


def _stat(stat_prefix: str, name: str, labels: Mapping[str, str] | None) -> stats_pb2.Config.Stat:
    if labels is None:
        return stats_pb2.Config.Stat(name=f"{STATISTICS_PREFIX}{stat_prefix}.{name}")
    # A label's value is a format string.
    tags = [stats_pb2.Config.Tag(name=label, value_format=value.replace("%", "%%")) for label, value in labels.items()]
    return stats_pb2.Config.Stat(name=f"{STATISTICS_PREFIX}connections_{name}", tags=tags)


def _logger(
    counter: stats_pb2.Config.Counter, kind: accesslog_data_pb2.AccessLogType, scope: bytes
) -> accesslog_pb2.AccessLog:
    config = stats_pb2.Config(counters=[counter]).SerializeToString(deterministic=True) + scope
    return accesslog_pb2.AccessLog(
        name="count",
        filter=accesslog_pb2.AccessLogFilter(log_type_filter=accesslog_pb2.LogTypeFilter(types=[kind])),
        typed_config=any_pb2.Any(type_url=_STATS_LOG, value=config),
    )


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message as it goes over the wire: tag, length, content."""
    length, rest = bytearray(), len(content)
    while rest >= 0x80:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return bytes([number << 3 | 2]) + length + content


async def fetch(admin: Admin) -> dict[str, RawCounters]:
    """The counters of one Envoy now, by prefix. Raises DataPlaneError when it does not answer."""
    return parse(await admin.get(QUERY))


def parse(body: bytes) -> dict[str, RawCounters]:
    """The counters in an answer to ``QUERY``. Raises DataPlaneError when it is something else."""
    try:
        stats = msgspec.json.decode(body, type=_Stats).stats
    except msgspec.DecodeError as error:
        raise DataPlaneError(f"Envoy's answer about its counters cannot be read: {error}") from error
    found: dict[str, dict[str, int]] = {}
    for stat in stats:
        for head, fields in _FIELDS.items():
            if stat.name.startswith(head):
                for tail, field in fields:
                    if stat.name.endswith(tail):
                        found.setdefault(stat.name[len(head) : -len(tail)], {})[field] = stat.value
    return {prefix: RawCounters(**fields) for prefix, fields in found.items()}
