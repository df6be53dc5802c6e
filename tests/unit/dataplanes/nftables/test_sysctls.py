"""What is changed on a host is remembered and put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.netns import Host, needs_hosts
from support.tables import alone
from tidegate.dataplanes.nftables.sysctls import ROUTE_LOCALNET, Sysctls
from tidegate.errors import DataPlaneError

pytestmark = needs_hosts()


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where it is remembered."""
    return tmp_path / "sysctls.json"


def test_set_and_restore(host: Host, file: Path) -> None:
    """Changed, put back, and forgotten."""
    sysctls = Sysctls(file)
    sysctls.set(ROUTE_LOCALNET, "1")
    assert host.read_sysctl(ROUTE_LOCALNET) == "1"
    sysctls.restore()
    assert host.read_sysctl(ROUTE_LOCALNET) == "0"
    assert not file.exists()
    sysctls.restore()


def test_what_was_so_before_is_left_so(host: Host, file: Path) -> None:
    """A value that somebody else set already is neither remembered nor taken back."""
    host.sysctl(f"{ROUTE_LOCALNET}=1")
    sysctls = Sysctls(file)
    sysctls.set(ROUTE_LOCALNET, "1")
    sysctls.restore()
    assert host.read_sysctl(ROUTE_LOCALNET) == "1"


def test_put_back_by_a_successor(host: Host, file: Path) -> None:
    """The value from before the first change, also when a second controller changed it again; several sysctls too."""
    ttl = "net.ipv4.ip_default_ttl"
    Sysctls(file).set(ROUTE_LOCALNET, "1")
    before = host.read_sysctl(ttl)
    Sysctls(file).set(ttl, "7")
    Sysctls(file).set(ttl, "8")
    Sysctls(file).set(ROUTE_LOCALNET, "1")
    Sysctls(file).restore()
    assert (host.read_sysctl(ROUTE_LOCALNET), host.read_sysctl(ttl)) == ("0", before)


def test_sysctl_that_does_not_exist(file: Path) -> None:
    """It is named, and nothing is remembered."""
    with pytest.raises(DataPlaneError, match=r"net\.ipv4\.missing=1 cannot be set: No such file"):
        Sysctls(file).set("net.ipv4.missing", "1")
    assert not file.exists()


def test_sysctl_that_is_gone(file: Path) -> None:
    """What cannot be put back is named and stays remembered."""
    file.write_text('{"net.ipv4.missing": "1"}')
    with pytest.raises(DataPlaneError, match=r"net\.ipv4\.missing=1 cannot be put back"):
        Sysctls(file).restore()
    assert file.exists()


def test_file_that_cannot_be_read(host: Host, file: Path) -> None:
    """Nothing is changed as long as it is unknown what was changed before."""
    file.write_text("[")
    for act in (Sysctls(file).restore, lambda: Sysctls(file).set(ROUTE_LOCALNET, "1")):
        with pytest.raises(DataPlaneError, match="does not tell which sysctls were changed"):
            act()
    assert host.read_sysctl(ROUTE_LOCALNET) == "0"


def test_place_that_cannot_be_written(host: Host, tmp_path: Path) -> None:
    """A change that could not be remembered is not made."""
    with pytest.raises(DataPlaneError, match="cannot be set"):
        Sysctls(tmp_path / "missing" / "sysctls.json").set(ROUTE_LOCALNET, "1")
    assert host.read_sysctl(ROUTE_LOCALNET) == "0"
