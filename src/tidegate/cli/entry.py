"""Where the command begins: loads the command line, which takes a moment, and hands over to it.

It loads nothing else before, so that a Ctrl-C in that moment ends as it does later: without a traceback.
"""

from __future__ import annotations

import sys

_INTERRUPTED = 130
"""As in ``failures``, which is not loaded yet."""


def main() -> None:
    """The console script ``tidegate``."""
    try:
        from tidegate.cli.main import main as command
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    command()
