"""Logging: structured events on standard error, set up once per process.

Comes in: constant phrases with key-values, from ``logger`` of any module. Goes out: lines for people,
JSON lines, or ``Event`` values for the live console. ``info`` and above is for operators, ``debug`` for
developers. Messages of the libraries below us (``logging``) come out the same way, from warnings up.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from tidegate.telemetry.events import Event

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a part; ``name`` says which, in the log."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return log


def log_to_stream(*, json: bool, level: str = "info", stream: TextIO | None = None) -> None:
    """Write events to ``stream`` (standard error): JSON lines, or lines for people."""
    target = sys.stderr if stream is None else stream
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if json
        else structlog.dev.ConsoleRenderer(colors=target.isatty(), pad_event_to=0, pad_level=False)
    )
    steps: list[structlog.typing.Processor] = [structlog.processors.format_exc_info] if json else []
    _configure([*steps, renderer], structlog.PrintLoggerFactory(target), level)


def log_to_sink(sink: Callable[[Event], None], *, level: str = "info") -> None:
    """Hand every event to ``sink``, which must not block."""

    def deliver(_: Any, __: str, values: MutableMapping[str, Any]) -> Mapping[str, Any]:
        sink(_event(values))
        raise structlog.DropEvent

    _configure([structlog.processors.format_exc_info, deliver], structlog.PrintLoggerFactory(sys.stderr), level)


def _configure(tail: list[structlog.typing.Processor], factory: Callable[..., Any], level: str) -> None:
    head: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    structlog.configure(
        processors=[*head, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog(logging.WARNING)]
    root.setLevel(logging.WARNING)


def _event(values: MutableMapping[str, Any]) -> Event:
    details = {key: value for key, value in values.items() if key not in ("timestamp", "level", "event", "part")}
    return Event(
        at=dt.datetime.fromisoformat(values["timestamp"]),
        level=values["level"],
        message=str(values.get("event", "")),
        details=details,
    )


class _ToStructlog(logging.Handler):
    """Passes records of ``logging`` on, so that one configuration decides about all output."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record under the name of the library's logger. Never raises: libraries do not expect that."""
        try:
            log = structlog.get_logger(part=record.name)
            log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001  As handlers of the standard library.
            self.handleError(record)
