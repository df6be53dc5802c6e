"""Envoy's own log as events of ours: a line becomes a log event of the same level.

In: lines of Envoy's log. Out: structured log events. Following the file is left to ``logtail``.
"""

from __future__ import annotations

import logging
import re

from tidegate.telemetry.logs import logger

_LINE = re.compile(r"\[[^]]*\]\[\d+\]\[(?P<level>\w+)\]\[(?P<part>[^]]*)\] (?:\[[^]]*\] )?(?P<text>.*)")
# About its configuration stream and what came by it, we know more than Envoy: outcomes say it.
_OURS = re.compile(r"gRPC config|failed to bind|\brejected\b")
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_log = logger("envoy")


def relay(line: str) -> None:
    """Log what a line says. A line of another form, such as a shell's complaint, is a warning."""
    match = _LINE.fullmatch(line)
    if match is None:
        _log.warning("envoy says", text=line)
        return
    level = logging.DEBUG if _OURS.search(match["text"]) else _LEVELS.get(match["level"], logging.INFO)
    _log.log(level, "envoy says", component=match["part"], text=match["text"])
