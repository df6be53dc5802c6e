"""Reads the text in which Envoy rejects resources: which of them, and what that means for people.

In: the error text of a response and the names that were in it. Out: the rejected names, each with its part
of the text; for a listener, an outcome's reason and a message that says what to do. Pure.

Envoy applies what it can of a response and says what it could not in one text, such as
``Error adding/updating listener(s) a: cannot bind '0.0.0.0:80': Permission denied``, one line per name.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from tidegate.names import SocketKey
from tidegate.plan.outcome import FailureReason

_LOW_PORTS = "sysctl net.ipv4.ip_unprivileged_port_start"


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why a socket does not serve. ``retry``: the same resource may be accepted later."""

    reason: FailureReason
    message: str
    retry: bool


def rejected_names(text: str, names: Collection[str]) -> dict[str, str]:
    """The names that ``text`` rejects, with the part of the text that is about each.

    A text that names none of them rejects all: better one outcome too dark than one too bright.
    """
    # Names hold no white space, so a name in the text is a word followed by a colon.
    found = [match for match in re.finditer(r"(\S+): ", text) if match[1] in names]
    if not found:
        return dict.fromkeys(names, text)
    ends = [*(match.start() for match in found[1:]), len(text)]
    return {match[1]: text[match.end() : end].strip(" \n,;") for match, end in zip(found, ends, strict=True)}


def explain(key: SocketKey, text: str) -> Rejection:
    """What Envoy's words about a socket's listener mean."""
    if "Address already in use" in text:
        return Rejection(
            reason=FailureReason.PORT_UNAVAILABLE,
            message=f"port {key.port} is in use by another process; it is tried again until it becomes free",
            retry=True,
        )
    if "Cannot assign requested address" in text or "Can't assign requested address" in text:
        return Rejection(
            reason=FailureReason.ADDRESS_NOT_USABLE,
            message=f"address {key.address} is not an address of this host",
            retry=True,
        )
    if "Permission denied" in text:
        return Rejection(reason=FailureReason.PORT_UNAVAILABLE, message=_permission(key.port), retry=True)
    return Rejection(reason=FailureReason.INVALID, message=f"Envoy rejected the configuration: {text}", retry=False)


def _permission(port: int) -> str:
    message = f"port {port} may not be opened by this user"
    if port < 1024:
        message += f"; to allow it on Linux: {_LOW_PORTS}={port} (lets every user open ports from {port} on)"
    return message
