"""One controller per table: a name that only one process of a network namespace can have.

In: a table. Out: the lock on it, while the process lives. Instances of different directories can have the same name,
and would then overwrite each other's rules.
"""

from __future__ import annotations

import socket

from tidegate.dataplanes.nftables import host
from tidegate.dataplanes.nftables.structure import TableName
from tidegate.errors import DataPlaneError


class InstanceLock:
    """The lock of a table, free until ``take``. It lies in the abstract namespace of Unix sockets, which belongs to a
    network namespace as tables do, and goes with its process.
    """

    def __init__(self, table: TableName) -> None:
        self._table = table
        self._socket: socket.socket | None = None

    def take(self) -> None:
        """Raises DataPlaneError when another process has it."""
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0{_name(self._table)}")
        except OSError as error:
            lock.close()
            raise DataPlaneError(
                f"another instance named {self._table.instance} has the table {self._table} in this network "
                "namespace: stop it, or choose another name with --name"
            ) from error
        self._socket = lock

    def release(self) -> None:
        """Let another process have it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def is_held(table: TableName | str) -> bool:
    """Whether a process of this network namespace has the lock of a table. Nobody who wants it is disturbed."""
    taken = (host.PROC / "thread-self" / "net" / "unix").read_text(errors="replace").splitlines()
    return any(line.endswith(f" @{_name(table)}") for line in taken)


def _name(table: TableName | str) -> str:
    return f"tidegate/nftables/{table}"
