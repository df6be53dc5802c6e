"""The data of a Secret: bytes by name, which the API carries in Base64. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """The field ``data`` of a Secret."""
    return {name: base64.b64encode(content).decode() for name, content in data.items()}


def decoded(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """What a Secret holds. The API server has checked the encoding; what is no Base64 still counts as empty."""
    return {name: _bytes(text) for name, text in (secret.get("data") or {}).items()}


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
