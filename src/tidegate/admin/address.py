"""Where an instance's admin API listens: a Unix domain socket, or a loopback address with a port.

Comes in: the text of ``--admin``. Goes out: an address that the server binds and the client connects to.
The API shows the whole configuration and has no authentication, so only this host may reach it.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec

from tidegate.errors import SettingsError

UNIX_PREFIX = "unix:"
MAX_SOCKET_PATH = 100
"""Longest path of a Unix domain socket, in bytes: macOS takes 103, Linux 107."""

_EXPECTED = "expected 127.0.0.1:PORT, [::1]:PORT, localhost:PORT or unix:PATH"


class UnixAddress(msgspec.Struct, frozen=True, tag="unix"):
    """A Unix domain socket; ``path`` is absolute."""

    path: str

    def __str__(self) -> str:
        return f"{UNIX_PREFIX}{self.path}"


class TcpAddress(msgspec.Struct, frozen=True, tag="tcp"):
    """A loopback IP address and a port; port 0 lets the system choose when it is bound."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


AdminAddress = UnixAddress | TcpAddress


def parse_admin_address(text: str) -> AdminAddress:
    """Read the value of ``--admin``.

    Raises SettingsError when it has another form, or names an address that other hosts can reach.
    """
    if text.startswith(UNIX_PREFIX):
        return unix_address(Path(text.removeprefix(UNIX_PREFIX)))
    host, separator, port_text = text.rpartition(":")
    if not separator or not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65535:
        raise SettingsError(f"--admin {text}: {_EXPECTED}")
    return TcpAddress(_loopback(text, host), int(port_text))


def unix_address(path: Path) -> UnixAddress:
    """The address of the socket at ``path``, made absolute.

    Raises SettingsError when the path is too long for a Unix domain socket.
    """
    absolute = str(path.expanduser().absolute())
    length = len(absolute.encode())
    if length >= MAX_SOCKET_PATH:
        raise SettingsError(
            f"the socket path {absolute} has {length} bytes, and a Unix domain socket takes less than "
            f"{MAX_SOCKET_PATH}: choose a shorter directory (--state-dir, or --admin unix:PATH)"
        )
    return UnixAddress(absolute)


def _loopback(text: str, host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError as error:
        raise SettingsError(f"--admin {text}: {_EXPECTED}") from error
    if (address.version == 6) != host.startswith("["):
        raise SettingsError(f"--admin {text}: {_EXPECTED}")
    if not address.is_loopback:
        raise SettingsError(
            f"--admin {text}: {address} can be reached from other hosts, and the admin API has no "
            f"authentication. Use 127.0.0.1 or [::1], and a tunnel such as ssh -L to reach it from afar"
        )
    return str(address)
