"""A user's mistake as a value."""

from __future__ import annotations

import msgspec

from tidegate.core.reasons import Reason


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why something is not accepted or not resolved; ``message`` is for people and never empty."""

    reason: Reason
    message: str
