"""What it means for a writer when the API server refuses. Pure."""

from __future__ import annotations

from tidegate.errors import KubeError

_NOT_NOW = frozenset({None, 429, 502, 503, 504})
_NEVER = frozenset({400, 413, 422})


def conflicts(error: KubeError) -> bool:
    """Somebody else was faster: read again."""
    return error.status == 409


def is_gone(error: KubeError) -> bool:
    """There is no such object."""
    return error.status == 404


def not_now(error: KubeError) -> bool:
    """It says nothing about the object that was asked for, but nobody should ask for anything at the moment."""
    return error.status in _NOT_NOW


def never(error: KubeError) -> bool:
    """The same request will meet the same refusal again."""
    return error.status in _NEVER
