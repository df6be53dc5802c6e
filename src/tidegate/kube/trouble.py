"""What operators hear when something is tried again and again: one line when it lasts, one when it is over.

In: the failures of one activity, and that it works again. Out: log events. While the server gives no answer to anybody
there is nothing to add: `transport` says that, once for all.
"""

from __future__ import annotations

import time

from tidegate.errors import KubeError
from tidegate.kube.client import KubeClient
from tidegate.telemetry.logs import logger

_log = logger("kubernetes")


class Trouble:
    """The trouble of one activity; ``activity`` says what it is, such as ``following pods.v1``."""

    def __init__(self, client: KubeClient, activity: str) -> None:
        self._client = client
        self._activity = activity
        self._since: float | None = None
        self._told = False

    def failed(self, error: KubeError) -> None:
        """It failed, and is tried again. A failure that does not last is not worth a line."""
        if self._since is None:
            self._since = time.monotonic()
            _log.debug("is tried again", activity=self._activity, problem=str(error))
        elif not self._told and not self._client.away:
            self._told = True
            _log.warning("fails and is tried again until it works", activity=self._activity, problem=str(error))

    def over(self) -> None:
        """It works."""
        if self._told and self._since is not None:
            after = round(time.monotonic() - self._since, 1)
            _log.info("works again", activity=self._activity, after_s=after)
        self._since = None
        self._told = False
