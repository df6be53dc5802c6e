"""Does an object still say what we want? Pure.

In: an object as it is, and the manifest. Only what the manifest has is compared: fields of others, and defaults that
the API server fills in, are no difference. The server also rewrites some values (``1000m`` becomes ``1``). So right
after an apply it is remembered what *its* answer has of our fields, by a fingerprint; from then on an object that
has the same fingerprint is as we left it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec


def fingerprint(body: Mapping[str, Any], wanted: Mapping[str, Any]) -> bytes:
    """A hash of what an object has of the fields in ``wanted``."""
    return hashlib.sha256(msgspec.json.encode(_part(body, wanted), order="deterministic")).digest()


def _part(there: Any, wanted: Any) -> Any:
    """The part of a value that ``wanted`` has a say in.

    Lists are compared by position: where others have added to one, all of it counts, and it takes one apply to see
    that nothing of ours is missing.
    """
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        return {name: _part(there[name], value) for name, value in wanted.items() if name in there}
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        return [_part(*pair) for pair in zip(there, wanted, strict=True)]
    return there
