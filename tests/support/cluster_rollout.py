"""Which pods of a Deployment to start and to stop now: what its controller would do. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that is not being stopped: whether it has the wanted template, and whether it is ready."""

    name: str
    current: bool
    ready: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How many pods of the wanted template to start, and which to stop."""

    start: int = 0
    stop: tuple[str, ...] = ()


def next_step(deployment: Mapping[str, Any], pods: Sequence[Seen]) -> Step:
    """The next step of a rolling update or of scaling; there is none when nothing is left to do.

    ``pods`` are in the order in which they were started.
    """
    replicas = deployment["spec"].get("replicas", 1)
    current, old = [pod for pod in pods if pod.current], [pod for pod in pods if not pod.current]
    surge, unavailable = _allowance(deployment, replicas)
    room = replicas + surge - len(pods)
    superfluous = [pod for pod in reversed(current) if not pod.ready] + [pod for pod in reversed(current) if pod.ready]
    stop = superfluous[: max(0, len(current) - replicas)]
    stop += [pod for pod in old if not pod.ready]
    spare = sum(pod.ready for pod in pods) - (replicas - unavailable) - sum(pod.ready for pod in stop)
    stop += [pod for pod in old if pod.ready][: max(0, spare)]
    return Step(
        start=max(0, min(replicas - len(current), room)),
        stop=tuple(pod.name for pod in stop),
    )


def _allowance(deployment: Mapping[str, Any], replicas: int) -> tuple[int, int]:
    """How many pods there may be too many, and too few."""
    strategy = deployment["spec"].get("strategy", {})
    assert strategy.get("type", "RollingUpdate") == "RollingUpdate", f"not played: {strategy}"
    rolling = strategy.get("rollingUpdate", {})
    surge = _count(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    return surge, _count(rolling.get("maxUnavailable", "25%"), replicas, math.floor)


def _count(written: int | str, replicas: int, rounded: Callable[[float], int]) -> int:
    """A number of pods that may be written as a share of them."""
    if isinstance(written, int):
        return written
    return rounded(replicas * int(written.removesuffix("%")) / 100)
