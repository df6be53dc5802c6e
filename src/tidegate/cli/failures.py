"""The end of every command: exit statuses, and what a person sees instead of a traceback.

======  ====================================================================
0       as asked
1       ``check``: something is not accepted or not resolved; ``get``: not found
2       the command cannot be carried out (flags, input, instance); the text says why
70      a bug of tidegate; the text names the file with the details
130     interrupted
======  ====================================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator

from tidegate._version import __version__
from tidegate.errors import TidegateError

NOT_ACCEPTED = 1
UNUSABLE = 2
BUG = 70
INTERRUPTED = 130

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""A full disk, or a terminal or disk that is gone: nothing that tidegate could do better."""

DEBUG_VARIABLE = "TIDEGATE_DEBUG"


def guarded(command: Callable[[], None]) -> int:
    """Run a command to its end and return its exit status; nothing escapes but SystemExit's value."""
    try:
        command()
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else UNUSABLE if end.code else 0
    except BrokenPipeError:
        _silence_stdout()
        return NOT_ACCEPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:  # noqa: BLE001  The last resort for people; the details go to a file.
        return report(error)
    return 0


def report(error: BaseException) -> int:
    """Tell a person about an error on standard error; returns the exit status."""
    leaves = list(_leaves(error))
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    if all(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return INTERRUPTED
    texts = {leaf: _for_people(leaf) for leaf in leaves}
    bugs = [leaf for leaf, text in texts.items() if text is None and not isinstance(leaf, KeyboardInterrupt)]
    for text in dict.fromkeys(text for text in texts.values() if text is not None):
        say(text)
    if not bugs:
        return UNUSABLE
    where = _write_details(error)
    kind = type(bugs[0]).__name__
    first_line = str(bugs[0]).partition("\n")[0]
    say(
        f"internal error ({kind}: {first_line}). This is a bug in tidegate {__version__}; please report it with {where}"
    )
    return BUG


def say(text: str) -> None:
    """A message on standard error."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"tidegate: {text}\n")
        sys.stderr.flush()


def log_only_errors() -> None:
    """For a command that looks once: what goes wrong on the way is in the error that ends it, and is not logged too."""
    from tidegate.telemetry import logs

    logs.log_to_stream(json=False, level="error")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors inside groups, which tasks that run together make."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _write_details(error: BaseException) -> str:
    """Write the traceback to a private file; returns what to call it."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="tidegate-error-", suffix=".log", delete=False) as details:
            details.write(f"tidegate {__version__}, Python {sys.version}\nargv: {sys.argv}\n\n")
            details.writelines(traceback.format_exception(error))
            return f"the file {details.name}"
    except OSError:
        return f"what {DEBUG_VARIABLE}=1 prints"


def _for_people(error: BaseException) -> str | None:
    """The text of an error that is no bug; None for all others."""
    if isinstance(error, TidegateError):
        return str(error)
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
        return None
    # Only streams, which are standard output and error here, fail without a name.
    place = error.filename or "the output"
    try:
        sys.stdout.flush()
    except OSError:
        _silence_stdout()
    return f"cannot write to {place}: {error.strerror}"


def _silence_stdout() -> None:
    """Nobody reads what is left; keep the interpreter from complaining when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
