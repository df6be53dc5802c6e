"""What an API server has stored in an object's status: handed from a source to the writer of statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in an object's status now, as its source last saw it.

    ``version`` is the API version it is read and written in (``v1``). ``status`` is the raw one, of whatever writer;
    empty when there is none. ``listed``: it is from a list of all objects, which is true whatever was seen before.
    """

    version: str
    uid: str
    resource_version: str
    generation: int
    status: Mapping[str, Any]
    listed: bool = False
