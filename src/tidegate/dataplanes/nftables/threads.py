"""Calls that block and must not be left half way: a thread that goes on behind a cancelled task would still write.

In: a function and its arguments. Out: its result, from a thread; or, when the caller is cancelled meanwhile, the
cancellation, but only after the function has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


async def to_the_end(
    function: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """Call in a thread, and wait for its end whatever happens."""
    call = asyncio.get_running_loop().run_in_executor(None, lambda: function(*arguments, **named))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            # Cancelled again: the first time is the one that is passed on.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([call])
        raise
