"""From the chunks of a stream to its lines. Pure.

In: bytes as they arrive. Out: whole lines without their end. What is left when a stream breaks off was never said.
"""

from __future__ import annotations

from typing import Final

from tidegate.errors import KubeError

LONGEST: Final = 32 << 20
"""More bytes in a line than this are no object: etcd takes a request of 1.5 MB by default."""


class Lines:
    """Cuts a stream into lines."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete with this chunk. Raises KubeError when one has no end."""
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest, self._size = [], 0
        if rest:
            self._rest.append(rest)
            self._size += len(rest)
        if self._size > LONGEST:
            raise KubeError(f"the API server sent an object of more than {LONGEST >> 20} MiB")
        return [line for line in lines if line]
