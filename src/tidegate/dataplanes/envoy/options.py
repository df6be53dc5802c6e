"""What can be chosen about the Envoy data plane.

In: values from flags. Out: the recipe's parts: bootstrap and command line. Changing anything here that
reaches the command line replaces a running Envoy by a new generation.
"""

from __future__ import annotations

import msgspec

from tidegate.dataplanes.envoy.accesslog import AccessLogOptions

_TEN_YEARS = 315_360_000


class EnvoyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``access_log``: one line per connection, or None.

    ``concurrency``: worker threads, None for one per processor. ``drain_time``: seconds that connections of
    a removed or changed listener may go on; Envoy then ends them all at once, so the default is as good as
    never. ``log_level``: Envoy's own log (trace, debug, info, warning, error). ``rotate_access_log``: keep
    the access log's file small; without it, that is left to whoever chose the path.
    """

    access_log: AccessLogOptions | None = None
    concurrency: int | None = None
    drain_time: int = _TEN_YEARS
    log_level: str = "warning"
    rotate_access_log: bool = False

    def arguments(self) -> tuple[str, ...]:
        """The command line after the bootstrap file."""
        workers = () if self.concurrency is None else ("--concurrency", str(self.concurrency))
        return (
            "--disable-hot-restart",
            *workers,
            "--drain-time-s",
            str(self.drain_time),
            "--log-level",
            self.log_level,
            # Of "main", warnings only say that the number of connections has no limit, as it should not. Of
            # "config", that no controller is there, several times a second for as long as that lasts.
            "--component-log-level",
            "main:error,config:error",
        )
