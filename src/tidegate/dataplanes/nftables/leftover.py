"""What an instance left in the kernel, when it is started with another data plane.

In: its name, and the directory that the kernel data plane had. Out: DataPlaneError when its table is still there: that
takes connections before any process gets them, so whatever serves the same ports would only seem to.
"""

from __future__ import annotations

from pathlib import Path

from tidegate.dataplanes.nftables import host
from tidegate.errors import DataPlaneError


def require_none(name: str, directory: Path) -> None:
    """Raises DataPlaneError when there is such a table. Who may not look into the kernel is not told."""
    if not directory.exists() or not host.has_net_admin():
        return
    # Only who used the kernel data plane before pays for loading it.
    from tidegate.dataplanes.nftables.kernel import Kernel
    from tidegate.dataplanes.nftables.structure import TableName

    table = TableName(name)
    kernel = Kernel(table)
    try:
        found = kernel.fact()
    finally:
        kernel.close()
    if found is not None:
        raise DataPlaneError(
            f"the kernel still forwards what the instance {name} left there, and would take the connections first: "
            f"take it over with --dataplane nftables, or remove it with 'nft delete table inet {table}'"
        )
