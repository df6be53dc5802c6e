"""Figures for metrics from a state."""

from __future__ import annotations

from support.states import instance, listener_view, problem, state
from tidegate.admin.figures import figures_of
from tidegate.telemetry.metrics import ListenerFigure


def test_figures_say_what_the_state_says() -> None:
    """Live listeners are programmed, problems are counted, and an invalid object counts once."""
    figures = figures_of(
        state(
            listener_view("foo"),
            listener_view("bar", state="Failed"),
            instance=instance(ready=False),
            problems=(
                problem(object="Gateway default/a"),
                problem(object="Gateway default/a", line=9),
                problem(),
                problem(severity="warning", object="Gateway default/b"),
            ),
        ),
        (),
    )
    assert figures.ready is False
    assert figures.listeners == (
        ListenerFigure(gateway="default/my-gateway", listener="foo", programmed=True),
        ListenerFigure(gateway="default/my-gateway", listener="bar", programmed=False),
    )
    assert figures.problems == {"error": 3, "warning": 1, "note": 0}
    assert figures.rejected_objects == 1
