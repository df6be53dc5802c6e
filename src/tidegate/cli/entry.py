"""Where the command begins: loads the command line, which takes a moment, and hands over to it.

It loads next to nothing before. In that moment a Ctrl-C ends the process at once: as an exception it would come out
wherever the loading is just then, as a traceback, or not at all.
"""

from __future__ import annotations

import os
import signal
import sys

_INTERRUPTED = 130
"""As in ``failures``, which is not loaded yet."""


def main() -> None:
    """The console script ``tidegate``."""
    # Who starts it with Ctrl-C ignored, as a shell does in the background, means it.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from tidegate.cli import drain

    if drain.is_meant(sys.argv[1:]):
        sys.exit(drain.run(sys.argv[1:]))
    from tidegate.cli.main import main as command

    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
