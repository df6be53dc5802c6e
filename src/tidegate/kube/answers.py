"""From the bytes that an API server answers with to mappings. Pure.

In: bodies, and the lines of watches. Out: objects, pages of lists, events. What cannot be read is a ``KubeError``: it
comes from something else in the API server's place.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from tidegate.errors import KubeError
from tidegate.kube.refusals import Refusal, broken_off
from tidegate.kube.resources import Object

T = TypeVar("T")


class ListMeta(msgspec.Struct, rename="camel"):
    """``continue_`` asks for the next page; empty on the last one."""

    resource_version: str
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct, rename="camel"):
    """One page of a list."""

    api_version: str
    kind: str
    metadata: ListMeta
    items: list[Object] | None = None

    def objects(self) -> list[Object]:
        """The objects. Those of built-in kinds say only together what they are; here each does."""
        items = self.items or []
        for item in items:
            item.setdefault("apiVersion", self.api_version)
            item.setdefault("kind", self.kind.removesuffix("List"))
        return items


class WatchEvent(msgspec.Struct, frozen=True):
    """What a watch says. A further watch from ``resource_version`` sees what came after this.

    The object of a bookmark says nothing but that version.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object
    resource_version: str


class _Frame(msgspec.Struct):
    """A line of a watch; what ``object`` is depends on the type."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _Versioned(msgspec.Struct):
    metadata: ListMeta


def event(action: str, line: bytes) -> WatchEvent:
    """A line of a watch. Raises KubeError, also when the server says that the watch is over."""
    frame = decoded(action, line, _Frame)
    if frame.type == "ERROR":
        raise broken_off(action, decoded(action, frame.object, Refusal))
    version = decoded(action, frame.object, _Versioned).metadata.resource_version
    return WatchEvent(frame.type, decoded(action, frame.object, dict[str, Any]), version)


def decoded(action: str, data: bytes | msgspec.Raw, shape: type[T]) -> T:
    """What ``shape`` has of a JSON text; ``action`` says what was asked for. Raises KubeError."""
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.DecodeError as error:
        raise KubeError(f"cannot {action}: the answer is not from a Kubernetes API server: {error}") from error
