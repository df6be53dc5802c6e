"""How many clients an Envoy has is read from its listeners, its own ones left out."""

from __future__ import annotations

from tidegate.dataplanes.envoy.occupancy import active_connections


class Answer:
    """An admin interface with one answer."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    async def get(self, path: str) -> bytes:
        """The answer to a question about listeners."""
        assert path.startswith("/stats?")
        return "".join(f"{line}\n" for line in self.lines).encode()


async def test_clients_are_counted() -> None:
    """All listeners of clients count, the sockets that Envoy has for itself do not."""
    answer = Answer(
        "listener.a=2fgw/TCP/any/80.downstream_cx_active: 2",
        "listener.a=2fgw/TCP/any/81.downstream_cx_active: 1",
        "listener.admin.downstream_cx_active: 4",
        "listener.tidegate-refuse.downstream_cx_active: 8",
        "listener.tidegate-status.downstream_cx_active: 16",
    )
    assert await active_connections(answer) == 3


async def test_nobody() -> None:
    """Without a used listener there is no connection."""
    assert await active_connections(Answer()) == 0
