"""The access log: one line per connection, written by Envoy itself at the connection's end.

In: what to write and where, and whose connections they are. Out: access loggers for ``tcp_proxy``, which
travel by ECDS, so that switching the log on or off closes nothing. Relaying and rotating a file is left
to ``logtail``, counting to ``stats``.

Fields. Text has them in this order, as ``key=value`` after the time, unknown is ``-``; JSON has them in the
order of the alphabet, numbers as numbers, unknown is null:

============ =========================================================================================
time         when the connection was accepted, RFC 3339 with milliseconds, UTC
listener     ``namespace/gateway/listener``
route        ``namespace/name`` of the route; unknown when the listener has none
client       address and port of the client
backend      label of the chosen backend, or ``refused``; unknown when there was none to choose
endpoint     address and port of the chosen endpoint; unknown when refused
received     bytes from the client
sent         bytes to the client
duration_ms  milliseconds from accept to end
ended        why it ended, see below
detail       the system's words for a failed attempt to connect to the endpoint; else unknown
============ =========================================================================================

``ended`` is one of these. Our words are in lower case; the last ones come from Envoy as they are:

============================ =========================================================================
``refused``                  the share of a backend that is missing or has no endpoint
``connect_failed``           the endpoint did not accept it; without ``detail``: not in time
``no_backend``               there was nothing to connect to
``backend_reset``            the backend reset it
``time_limit``               the longest permitted duration was reached
``overloaded``               a limit of connections to backends was reached
``tcp_session_idle_timeout`` it was idle for longer than permitted
``purging_...``              Envoy ended (the rest of the word is of no interest)
``RemoteReset``              the client reset it
``Normal``                   client and backend closed it; Envoy does not tell who was first
============================ =========================================================================

A connection that a limit of the whole process turns away never reaches a route and has no line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as accesslog_data_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from google.protobuf import any_pb2, struct_pb2

from tidegate.dataplanes.envoy.metadata import KEY_BACKEND, KEY_ENDED, METADATA_NAMESPACE

# The numbers of response.flags are sums of the bits of Envoy's CoreResponseFlag. A map in which the number is
# not found has no value, and then the next alternative counts. Testing bit by bit would be exact for every sum
# as well, but it takes Envoy 8 kB more for every listener.
_FAILED, _OVERFLOW, _GIVEN_UP = 1 << 5, 1 << 7, 1 << 15
_FLAG_WORDS: Mapping[int, str] = {
    _FAILED: "connect_failed",
    _FAILED | _GIVEN_UP: "connect_failed",
    _OVERFLOW: "overloaded",
    _OVERFLOW | _GIVEN_UP: "overloaded",
    1 << 1: "no_backend",
    1 << 24: "no_backend",
    1 << 4: "backend_reset",
    1 << 22: "time_limit",
}

_FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_STANDARD_OUTPUT_LOG = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"


class AccessLogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is the file that Envoy appends to, None for its standard output; ``format`` off writes nothing."""

    format: Literal["off", "text", "json"]
    path: Path | None


def access_log(options: AccessLogOptions, *, listener: str, route: str) -> list[accesslog_pb2.AccessLog]:
    """The loggers of the connections of one listener and route; none when the log is off.

    ``listener`` and ``route`` are written as they are; ``route`` is empty when there is none.
    """
    if options.format == "off":
        return []
    values = _values(listener, route)
    log_format = _json(values) if options.format == "json" else _text(values)
    only_ends = accesslog_pb2.AccessLogFilter(
        log_type_filter=accesslog_pb2.LogTypeFilter(types=[accesslog_data_pb2.AccessLogType.TcpConnectionEnd])
    )
    return [
        accesslog_pb2.AccessLog(name="lines", filter=only_ends, typed_config=_destination(options.path, log_format))
    ]


def _destination(path: Path | None, log_format: substitution_format_string_pb2.SubstitutionFormatString) -> any_pb2.Any:
    if path is None:
        output = stream_pb2.StdoutAccessLog(log_format=log_format)
        return any_pb2.Any(type_url=_STANDARD_OUTPUT_LOG, value=output.SerializeToString(deterministic=True))
    file = file_pb2.FileAccessLog(path=str(path), log_format=log_format)
    return any_pb2.Any(type_url=_FILE_LOG, value=file.SerializeToString(deterministic=True))


def _values(listener: str, route: str) -> dict[str, str]:
    """Key to format string of each field, in the order of the line."""
    return {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "listener": _literal(listener),
        "route": _literal(route),
        "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "backend": f"%UPSTREAM_METADATA({METADATA_NAMESPACE}:{KEY_BACKEND})%",
        # The refusing endpoint has a path and no port, so there is no value for it and its path stays private.
        "endpoint": "%CEL(upstream.port > 0 ? upstream.address : '')%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
        "ended": _first_of(
            ("UPSTREAM_METADATA", f"{METADATA_NAMESPACE}:{KEY_ENDED}"),
            ("CEL", _flag_words()),
            ("DOWNSTREAM_LOCAL_CLOSE_REASON", None),
            ("DOWNSTREAM_DETECTED_CLOSE_TYPE", None),
        ),
        "detail": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    }


def _flag_words() -> str:
    """An expression for the word of the flags that are set, without a value when there is none."""
    words = ",".join(f"{flags}:'{word}'" for flags, word in _FLAG_WORDS.items())
    return f"{{{words}}}[response.flags]"


def _first_of(*operators: tuple[str, str | None]) -> str:
    """A format string for the first of these operators that has a value."""
    alternatives = [
        command if argument is None else {"command": command, "param": argument} for command, argument in operators
    ]
    return f"%COALESCE({json.dumps({'operators': alternatives})})%"


def _literal(text: str) -> str:
    """``text`` as a format string that prints it."""
    return text.replace("%", "%%")


def _json(values: Mapping[str, str]) -> substitution_format_string_pb2.SubstitutionFormatString:
    fields = {
        key: struct_pb2.Value(string_value=value) if value else struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        for key, value in values.items()
    }
    return substitution_format_string_pb2.SubstitutionFormatString(json_format=struct_pb2.Struct(fields=fields))


def _text(values: Mapping[str, str]) -> substitution_format_string_pb2.SubstitutionFormatString:
    # Envoy puts underscores for the spaces in values of its own; labels and names have none.
    pairs = [value if key == "time" else f"{key}={value or '-'}" for key, value in values.items()]
    return substitution_format_string_pb2.SubstitutionFormatString(
        text_format_source=base_pb2.DataSource(inline_string=" ".join(pairs) + "\n")
    )
