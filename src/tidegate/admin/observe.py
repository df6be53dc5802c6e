"""The seam between a running instance and whoever watches it inside the same process (the console)."""

from __future__ import annotations

from typing import Protocol

from tidegate.admin.view import State
from tidegate.telemetry.events import Event


class Observer(Protocol):
    """Watches an instance. Both methods return at once and never raise."""

    def on_state(self, state: State) -> None:
        """The newest state; called when it changed, at most a few times a second."""
        ...

    def on_event(self, event: Event) -> None:
        """Something happened that the log shows too."""
        ...
