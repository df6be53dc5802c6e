"""From what an API server says when it refuses to a ``KubeError``. Pure.

In: the ``Status`` object in the body of an answer or in an ERROR event of a watch; or a body that is none, from a
proxy in between. Out: an error whose text is complete for a person.
"""

from __future__ import annotations

import http
from typing import Final

import msgspec

from tidegate.errors import KubeError

_SHOWN: Final = 300
"""So much of a foreign body is shown."""


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int | None = None


class Refusal(msgspec.Struct):
    """What is read of ``metav1.Status``."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: _Details | None = None


def refused(action: str, status: int, body: bytes, *, retry_after: str | None = None) -> KubeError:
    """The error for an answer with an HTTP status that is none of success.

    ``action`` says what was asked for, such as ``list /api/v1/services``; ``retry_after`` is the header of that name.
    """
    try:
        said = msgspec.json.decode(body, type=Refusal)
    except msgspec.DecodeError:
        said = Refusal(message=_excerpt(body))
    return _error(action, status, said, retry_after=_seconds(retry_after))


def broken_off(action: str, said: Refusal) -> KubeError:
    """The error for an ERROR event of a watch, whose HTTP status was fine."""
    return _error(action, said.code or http.HTTPStatus.INTERNAL_SERVER_ERROR, said)


def expired(error: KubeError) -> bool:
    """Whether what was asked for is too old for the server: the version of a watch, or the rest of a list."""
    return error.status == http.HTTPStatus.GONE


def version_unknown(error: KubeError) -> bool:
    """Whether a watch cannot start from its version: too old, or, after the server's data went back, too new
    (the server waits for it and gives up with a timeout). A list says where it can start.
    """
    return expired(error) or error.status == http.HTTPStatus.GATEWAY_TIMEOUT


def _error(action: str, status: int, said: Refusal, *, retry_after: float | None = None) -> KubeError:
    what = f"{status} {said.reason}" if said.reason else str(status)
    text = f"the API server refuses to {action} ({what})"
    if retry_after is None and said.details is not None and said.details.retry_after_seconds:
        retry_after = float(said.details.retry_after_seconds)
    return KubeError(
        f"{text}: {said.message}" if said.message else text,
        status=status,
        reason=said.reason or "",
        retry_after=retry_after,
    )


def _seconds(header: str | None) -> float | None:
    """The number of seconds; None without a header, or when it is a date."""
    return float(header) if header is not None and header.isdecimal() else None


def _excerpt(body: bytes) -> str:
    text = " ".join(body.decode(errors="replace").split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
