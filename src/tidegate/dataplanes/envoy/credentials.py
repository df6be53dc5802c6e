"""With what a replica of the controller proves who it is, to proxies and to other replicas, and whom it believes.

In: PEM from whoever issues and rotates certificates. It is asked for anew whenever it is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class ServerCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """PEM: a certificate of ``CONTROLLER_IDENTITY`` (and what signed it), its key, and the authorities to trust."""

    certificate: bytes
    key: bytes
    authorities: bytes

    def __repr__(self) -> str:
        return "ServerCredentials(...)"


Credentials = Callable[[], ServerCredentials]
"""Gives those that hold now. Called from other threads too, so it only looks up; it never raises."""
