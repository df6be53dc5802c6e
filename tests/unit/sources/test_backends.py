"""The --backend flag: what it takes, and what it says when it does not."""

from __future__ import annotations

import pytest

from tidegate.errors import SettingsError
from tidegate.sources.backends import BackendFlag, HostPort, ServiceName, parse_backend, parse_backends


@pytest.mark.parametrize(
    ("text", "namespace", "name", "port", "endpoints"),
    [
        ("web:80=127.0.0.1:8080", "default", "web", 80, [("127.0.0.1", 8080)]),
        ("web=127.0.0.1:8080", "default", "web", None, [("127.0.0.1", 8080)]),
        ("web.shop:80=a:1,b:2, c:3", "shop", "web", 80, [("a", 1), ("b", 2), ("c", 3)]),
        ("web.shop=h:1,h:1,", "shop", "web", None, [("h", 1)]),
        ("web:80=[::1]:8080,[2001:DB8:0:0::1]:1", "default", "web", 80, [("::1", 8080), ("2001:db8::1", 1)]),
        ("my-web:65535=Db.Example.com.:65535", "default", "my-web", 65535, [("db.example.com.", 65535)]),
        ("web:80=some_host:1", "default", "web", 80, [("some_host", 1)]),
    ],
)
def test_flags_are_read(
    text: str, namespace: str, name: str, port: int | None, endpoints: list[tuple[str, int]]
) -> None:
    """Name, namespace, port, and any number of addresses and names."""
    assert parse_backend(text) == BackendFlag(
        service=ServiceName(namespace, name),
        port=port,
        endpoints=tuple(HostPort(*endpoint) for endpoint in endpoints),
        text=text,
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("web:80", "there is no ="),
        ("", "there is no ="),
        ("=1.2.3.4:1", "'' is not the name of a Service"),
        ("Web=1.2.3.4:1", "'Web' is not the name"),
        ("a" * 64 + "=1.2.3.4:1", "is not the name"),
        ("web.a.b=1.2.3.4:1", "'a.b' is not a namespace"),
        ("web.=1.2.3.4:1", "'' is not a namespace"),
        ("web:x=1.2.3.4:1", "'x' is not a port"),
        ("web:0=1.2.3.4:1", "'0' is not a port"),
        ("web:=1.2.3.4:1", "'' is not a port"),
        ("web:65536=1.2.3.4:1", "'65536' is not a port"),
        ("web:+80=1.2.3.4:1", "is not a port"),
        ("web=", "no HOST:PORT follows"),
        ("web=,", "no HOST:PORT follows"),
        ("web=host", "'host' has no port"),
        ("web=host:", "'' is not a port"),
        ("web=::1:80", "stands in brackets"),
        ("web=[::1]", "is not [ADDRESS]:PORT"),
        ("web=[::1:80", "is not [ADDRESS]:PORT"),
        ("web=[1.2.3.4]:80", "'1.2.3.4' is not an IPv6 address"),
        ("web=300.1.1.1:80", "'300.1.1.1' is not an IPv4 address"),
        ("web=1:80", "'1' is not an IPv4 address"),
        ("web=ho st:80", "neither an address nor a host name"),
        ("web=-host:80", "neither an address nor a host name"),
        ("web=http://host:80", "stands in brackets"),
    ],
)
def test_wrong_flags_say_what_is_wrong_and_show_the_form(text: str, why: str) -> None:
    """The message quotes the flag, names the mistake, and gives an example."""
    with pytest.raises(SettingsError) as raised:
        parse_backend(text)
    message = str(raised.value)
    assert message.startswith(f"--backend {text}: ")
    assert why in message
    assert "such as web:80=127.0.0.1:8080" in message


def test_addresses_and_names_are_told_apart() -> None:
    """Only names are looked up."""
    assert HostPort("10.0.0.1", 1).is_address
    assert HostPort("::1", 1).is_address
    assert not HostPort("web", 1).is_address


def test_several_flags() -> None:
    """In their order."""
    assert [flag.port for flag in parse_backends(["a:1=h:1", "a:2=h:2"])] == [1, 2]
