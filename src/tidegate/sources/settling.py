"""When a file that changed is whole. Pure: time and signatures are passed in.

In: a path that somebody wrote to, and what the system tells of the writer. Out: the same path, once it is
to be read: at once when its writer closed it or put it there by a rename; where the system does not tell,
once its signature (size, times, identity) stood still. A file that is gone may be on its way back, as with
editors that move the old version aside first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tidegate.sources.listing import Signature

SETTLE_S: Final = 0.02
"""A file whose writer is unknown is read when its size and times stood still for so long."""

GONE_S: Final = 0.2
"""A file counts as deleted when it was absent for so long."""

REWRITE_S: Final = 0.25
"""A file that became a shorter beginning of itself is believed when it stood still for so long."""

PATIENCE_S: Final = 10.0
"""A file that never stands still, or that its writer never closes, is read every so often nevertheless."""

Look = Callable[[str], Signature | None]


class _Waiting(msgspec.Struct):
    signature: Signature | None
    since: float
    due: float
    rewritten: bool = False
    writing: bool = False


class Ready(msgspec.Struct, frozen=True):
    """A file to read. ``patient``: should it look half written, it may be handed back once."""

    path: str
    patient: bool


class Settling:
    """The files that changed and may not be whole yet. ``look`` gives a path's signature now."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._waiting: dict[str, _Waiting] = {}

    def whole(self, path: str, now: float) -> None:
        """The writer is done, or the file was put there whole."""
        self._wait(path, since=now, now=now, delay=0.0)

    def writing(self, path: str, now: float) -> None:
        """A writer is at work and will be heard of when it is done."""
        known = self._waiting.get(path)
        since = known.since if known is not None else now
        self._waiting[path] = _Waiting(None, since, since + PATIENCE_S, writing=True)

    def changed(self, path: str, now: float) -> None:
        """The file changed, or may have; nobody knows whether its writer is done."""
        if path not in self._waiting:
            self._wait(path, since=now, now=now)

    def unfinished(self, path: str, now: float) -> None:
        """The file was read and looks as if a rewrite had begun."""
        self._wait(path, since=now, now=now, delay=REWRITE_S)
        self._waiting[path].rewritten = True

    def due(self) -> float | None:
        """When to call `ready` next; None: nothing waits."""
        return min((waiting.due for waiting in self._waiting.values()), default=None)

    def ready(self, now: float) -> list[Ready]:
        """The files that stood still; they no longer wait."""
        result = []
        for path, waiting in list(self._waiting.items()):
            if waiting.due > now:
                continue
            done = waiting.writing or now - waiting.since > PATIENCE_S or self._look(path) == waiting.signature
            if done:
                del self._waiting[path]
                result.append(Ready(path, not waiting.rewritten))
            else:
                self._wait(path, since=waiting.since, now=now)
        return result

    def _wait(self, path: str, *, since: float, now: float, delay: float = SETTLE_S) -> None:
        signature = self._look(path)
        self._waiting[path] = _Waiting(signature, since, now + (delay if signature is not None else GONE_S))
