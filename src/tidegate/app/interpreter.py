"""How the interpreter is set for a process that keeps much for good and has to answer at once.

In: when serving begins, and when the first configuration is in force. Out: nothing but settings of this process. Both
ways to run share it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

_SWITCH_INTERVAL_S: Final = 0.0005
_M_ARENA_MAX: Final = -8
"""Of mallopt(3), as malloc.h of glibc has it."""


def prepare() -> None:
    """Before anything is loaded.

    What a gateway keeps is many small values for good: looking through them again and again for garbage costs more than
    all decisions together. And its threads, which look at ports and counters, work for tens of milliseconds at
    a time: a change, which goes through several threads itself, would wait for each hand-over as long as an interpreter
    lets another thread go on, which is 5 ms by default. As mostly one of them runs at a time, one heap does for all: of
    each further one, glibc would keep what it took at its worst moment.
    """
    gc.set_threshold(50_000, 20, 100)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    _call_glibc("mallopt", _M_ARENA_MAX, 1)


def settled() -> None:
    """What was loaded first is in force.

    What is here now, stays: no collection needs to look at it again. And the room that loading took goes back to the
    system, which glibc does not do by itself as long as something behind it is in use (malloc_trim(3)).
    """
    gc.freeze()
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    """Call a function of glibc; nothing happens where the C library is another one."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
