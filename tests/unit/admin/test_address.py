"""Addresses of the admin API."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tidegate.admin.address import AdminAddress, TcpAddress, UnixAddress, parse_admin_address, unix_address
from tidegate.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9901", TcpAddress("127.0.0.1", 9901)),
        ("127.1.2.3:0", TcpAddress("127.1.2.3", 0)),
        ("[::1]:9901", TcpAddress("::1", 9901)),
        ("localhost:9901", TcpAddress("127.0.0.1", 9901)),
        ("unix:/run/x.sock", UnixAddress("/run/x.sock")),
        ("unix:x.sock", UnixAddress(f"{Path.cwd()}/x.sock")),
    ],
)
def test_loopback_and_sockets_are_taken(text: str, address: AdminAddress) -> None:
    """Loopback addresses, localhost and paths of sockets are addresses."""
    assert parse_admin_address(text) == address


@pytest.mark.parametrize("text", ["0.0.0.0:9901", "192.0.2.1:80", "[::]:80", "[2001:db8::1]:80"])
def test_addresses_that_others_reach_are_refused_with_the_reason(text: str) -> None:
    """The API has no authentication, so it stays on this host."""
    with pytest.raises(SettingsError, match="can be reached from other hosts, and the admin API has no authentication"):
        parse_admin_address(text)


@pytest.mark.parametrize(
    "text", ["", "9901", ":9901", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "[127.0.0.1]:1", "host:1"]
)
def test_other_texts_are_refused_with_examples(text: str) -> None:
    """The message shows all forms."""
    with pytest.raises(SettingsError, match=r"expected 127.0.0.1:PORT, \[::1\]:PORT, localhost:PORT or unix:PATH"):
        parse_admin_address(text)


def test_addresses_print_as_they_are_written() -> None:
    """The text of an address can be given to --admin again."""
    for text in ("127.0.0.1:9901", "[::1]:9901", "unix:/run/x.sock"):
        assert str(parse_admin_address(text)) == text


def test_a_socket_path_that_is_too_long_is_refused() -> None:
    """The message counts bytes, as the system does."""
    with pytest.raises(SettingsError, match="has 101 bytes"):
        unix_address(Path("/" + "ü" * 50))


def test_addresses_survive_json() -> None:
    """The record of an instance keeps the kind of address."""
    for address in (TcpAddress("::1", 1), UnixAddress("/x")):
        assert msgspec.json.decode(msgspec.json.encode(address), type=AdminAddress) == address
