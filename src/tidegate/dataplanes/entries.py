"""Tables that follow what is said of single keys, where None says that the key is gone. Pure.

So it is in changes of the plan, in reports of outcomes, and in what a look at a port finds.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


def put(table: dict[_Key, _Value], key: _Key, value: _Value | None) -> bool:
    """Make a table have ``value`` for a key; None: nothing. Returns whether that is new."""
    is_new = table.get(key) != value
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
    return is_new
