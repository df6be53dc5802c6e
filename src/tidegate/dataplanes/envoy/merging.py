"""What the proxies of one Gateway did with a socket, as one outcome.

In: the planned revision, and the outcome at each proxy that is ready. Out: the outcome of the socket. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.plan.outcome import Failed, Live, Outcome, Pending


def merged(revision: str, outcomes: Sequence[Outcome | None]) -> Outcome:
    """Live if it is at one of them, at the planned revision; Failed if it failed at all; else on its way.

    ``outcomes`` is not empty; None: that proxy has not said anything about the socket yet. Why it failed is told in
    the words of the first. What is on its way has no message, so that whoever writes statuses waits a moment for it.
    """
    current = [one if one is not None and one.revision == revision else None for one in outcomes]
    if any(isinstance(one, Live) for one in current):
        return Live(revision=revision)
    failed = [one for one in current if isinstance(one, Failed)]
    if failed and len(failed) == len(current):
        return failed[0]
    return Pending(revision=revision)
