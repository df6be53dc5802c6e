"""The ``--backend`` flag: endpoints of a Service, given on the command line.

In: ``NAME[.NAMESPACE][:PORT]=HOST:PORT[,HOST:PORT...]``, IPv6 addresses in brackets. Out: values, or a
SettingsError that shows the right form. What flags do to the input is `overlay`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from tidegate.errors import SettingsError
from tidegate.model.decode import DEFAULT_NAMESPACE

_FORM: Final = "the form is NAME[.NAMESPACE][:PORT]=HOST:PORT[,HOST:PORT...], such as web:80=127.0.0.1:8080"
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_HOST: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?\Z")
_NUMERIC: Final = re.compile(r"[0-9.]+\Z")
_MAX_PORT: Final = 65_535


class HostPort(msgspec.Struct, frozen=True, order=True):
    """Where to connect: an IP address in canonical text, or a name, and a port."""

    host: str
    port: int

    @property
    def is_address(self) -> bool:
        """Whether ``host`` is an address, so that nothing has to be looked up."""
        return ":" in self.host or _NUMERIC.match(self.host) is not None


class ServiceName(msgspec.Struct, frozen=True, order=True, cache_hash=True):
    """A Service by namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class BackendFlag(msgspec.Struct, frozen=True, kw_only=True):
    """One ``--backend``. ``port`` None means every port of the Service; ``text`` is as it was typed."""

    service: ServiceName
    port: int | None
    endpoints: tuple[HostPort, ...]
    text: str


def parse_backends(texts: Iterable[str]) -> tuple[BackendFlag, ...]:
    """All ``--backend`` flags. Flags for one Service and port add up. Raises SettingsError."""
    return tuple(parse_backend(text) for text in texts)


def parse_backend(text: str) -> BackendFlag:
    """One ``--backend`` flag, without the flag's own name. Raises SettingsError."""
    left, equals, right = text.partition("=")
    if not equals:
        raise _wrong(text, "there is no = in it")
    full_name, colon, port = left.partition(":")
    name, dot, namespace = full_name.partition(".")
    if not _LABEL.match(name):
        raise _wrong(text, f"{name!r} is not the name of a Service")
    if dot and not _LABEL.match(namespace):
        raise _wrong(text, f"{namespace!r} is not a namespace")
    endpoints = tuple(dict.fromkeys(_endpoint(text, part.strip()) for part in right.split(",") if part.strip()))
    if not endpoints:
        raise _wrong(text, "no HOST:PORT follows the =")
    return BackendFlag(
        service=ServiceName(namespace if dot else DEFAULT_NAMESPACE, name),
        port=_port(text, port) if colon else None,
        endpoints=endpoints,
        text=text,
    )


def _endpoint(text: str, part: str) -> HostPort:
    if part.startswith("["):
        address, bracket, rest = part[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise _wrong(text, f"{part!r} is not [ADDRESS]:PORT")
        return HostPort(_ipv6(text, address), _port(text, rest[1:]))
    host, colon, port = part.rpartition(":")
    if not colon:
        raise _wrong(text, f"{part!r} has no port")
    if ":" in host:
        raise _wrong(text, f"an IPv6 address stands in brackets, as in [::1]:8080, not {part!r}")
    if _NUMERIC.match(host):
        return HostPort(_ipv4(text, host), _port(text, port))
    if not _HOST.match(host):
        raise _wrong(text, f"{host!r} is neither an address nor a host name")
    return HostPort(host.lower(), _port(text, port))


def _ipv4(text: str, host: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise _wrong(text, f"{host!r} is not an IPv4 address") from None


def _ipv6(text: str, host: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise _wrong(text, f"{host!r} is not an IPv6 address") from None


def _port(text: str, port: str) -> int:
    if port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT)) and 0 < int(port) <= _MAX_PORT:
        return int(port)
    raise _wrong(text, f"{port!r} is not a port from 1 to {_MAX_PORT}")


def _wrong(text: str, why: str) -> SettingsError:
    return SettingsError(f"--backend {text}: {why}; {_FORM}")
