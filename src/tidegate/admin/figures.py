"""From the picture that the admin API shows to the figures that the metrics are made of. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tidegate.admin.view import State
from tidegate.plan.outcome import Traffic
from tidegate.telemetry.metrics import Figures, ListenerFigure

_SEVERITIES = ("error", "warning", "note")


def figures_of(state: State, traffic: Sequence[Traffic]) -> Figures:
    """The figures of a state and of the traffic counted at the same moment."""
    counts = Counter(problem.severity for problem in state.problems)
    rejected = {problem.object for problem in state.problems if problem.severity == "error" and problem.object}
    return Figures(
        ready=state.instance.ready,
        listeners=tuple(
            ListenerFigure(gateway=item.gateway, listener=item.listener, programmed=item.state == "Live")
            for item in state.listeners
        ),
        traffic=traffic,
        problems={severity: counts[severity] for severity in _SEVERITIES},
        rejected_objects=len(rejected),
    )
