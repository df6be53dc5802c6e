"""Only one controller of a name per network namespace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.netns import Host, needs_hosts
from support.tables import alone
from tidegate.dataplanes.nftables.instancelock import InstanceLock, is_held
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.errors import DataPlaneError

pytestmark = needs_hosts()


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


def lock(name: str = "a") -> InstanceLock:
    return InstanceLock(TableName(name))


def test_taken_once() -> None:
    """A second one of the name is told which name, until the first has released it; other names are free."""
    first, second, other = lock(), lock(), lock("x" * 63)
    assert not is_held(TableName("a"))
    first.take()
    other.take()
    assert is_held(TableName("a"))
    assert not is_held("tidegate-x")
    with pytest.raises(DataPlaneError, match="another instance named a has the table tidegate-a"):
        second.take()
    first.release()
    second.take()
    second.release()
    other.release()


def test_release_of_what_was_not_taken() -> None:
    """Nothing happens, and nobody else loses it."""
    first, second = lock(), lock()
    first.take()
    second.release()
    with pytest.raises(DataPlaneError):
        second.take()
    first.release()
    first.release()


def test_other_hosts_have_their_own() -> None:
    """The same name in another network namespace is another table."""
    first, second = lock(), lock()
    first.take()
    with Host("other") as other, other.entered():
        assert not is_held(TableName("a"))
        second.take()
    first.release()
    second.release()
