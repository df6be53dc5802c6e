from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.netns import Host, needs_hosts
from support.tables import alone
from tidegate.dataplanes.nftables.leftover import require_none
from tidegate.errors import DataPlaneError

pytestmark = needs_hosts()


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


def test_table_of_the_instance_is_in_the_way(host: Host, tmp_path: Path) -> None:
    """It is named, with what to do about it; that of another instance is nobody's business."""
    host.nft("table inet tidegate-other { }")
    require_none("edge", tmp_path)
    host.nft("table inet tidegate-edge { }")
    with pytest.raises(DataPlaneError, match=r"--dataplane nftables, or .* 'nft delete table inet tidegate-edge'"):
        require_none("edge", tmp_path)


def test_instance_that_never_used_the_kernel(host: Host, tmp_path: Path) -> None:
    """Without the directory of the kernel data plane the table is not this instance's."""
    host.nft("table inet tidegate-edge { }")
    require_none("edge", tmp_path / "absent")
