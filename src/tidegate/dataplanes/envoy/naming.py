"""Every name that Envoy sees, made from the plan's keys.

In: keys of the plan. Out: names of xDS resources and prefixes of statistics. Different keys never get
the same name, and a name holds neither dots nor colons, because both mean something in the names of
Envoy's statistics; only prefixes of traffic keep the dots of Kubernetes names, which Prometheus shows. A name
is never taken apart again by us: who needs the key looks it up.
"""

from __future__ import annotations

from tidegate.names import WILDCARD_ADDRESS, ListenerKey, ObjectKey, SocketKey, TargetKey

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
_DOTTED = _LETTERS | {"."}
_READABLE = {".": "_", ":": "~"}

ADMIN_SOCKET = "admin.sock"
"""The Unix socket of the admin interface, in the directory in which Envoy runs."""

REFUSING_LISTENER = "tidegate-refuse"
"""The static listener that accepts the connections of refused shares and closes them."""

CONTROL_CLUSTER = "tidegate-control"
"""The static cluster by which Envoy reaches its control plane."""

ADMIN_CLUSTER = "tidegate-admin"
"""The static cluster by which a proxy in a Pod reaches its own admin interface."""

STATUS_LISTENER = "tidegate-status"
"""The static listener that shows as much of the admin interface as others may see."""


def escape(text: str) -> str:
    """``text`` in the alphabet that is safe in statistic names; different texts stay different.

    Dots and colons, frequent in addresses and Kubernetes names, become ``_`` and ``~``; every other
    character outside ``[A-Za-z0-9-]`` becomes ``=`` and two hexadecimal digits per UTF-8 byte.
    """
    return _escape(text, _LETTERS)


def _escape(text: str, plain: frozenset[str]) -> str:
    return "".join(character if character in plain else _escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    readable = _READABLE.get(character)
    if readable is not None:
        return readable
    return "".join(f"={byte:02x}" for byte in character.encode())


def socket_name(key: SocketKey) -> str:
    """Name of the listener resource of a socket, and prefix of its statistics."""
    # No IP address is spelled "any", so the wildcard cannot collide with one.
    address = "any" if key.address == WILDCARD_ADDRESS else escape(key.address)
    return f"{escape(key.scope)}/{escape(key.protocol)}/{address}/{key.port}"


def target_name(key: TargetKey) -> str:
    """Name of the cluster and of the endpoint resource of a target."""
    name = socket_name(key.socket)
    return f"{name}/{escape(key.route)}" if key.route else name


def filter_name(key: TargetKey) -> str:
    """Name of the filter configuration that sends connections to a target."""
    return f"{target_name(key)}/tcp"


def traffic_prefix(target: TargetKey, listener: ListenerKey, route: ObjectKey | None) -> str:
    """Prefix of the connection counters of one route on one listener.

    It names the listener and the route as well as the target, so that no counter goes on under another
    route's name when the route that serves a listener changes. Its parts are divided by ``|``: target, owner,
    listener and, where there is one, route; ``prometheus`` has Envoy make labels of them.
    """
    parts = [target_name(target), _object_name(listener.owner), _escape(listener.listener, _DOTTED)]
    if route is not None:
        parts.append(_object_name(route))
    return "|".join(parts)


def _object_name(key: ObjectKey) -> str:
    return "/".join(_escape(part, _DOTTED) for part in (key.group, key.kind, key.namespace, key.name))
