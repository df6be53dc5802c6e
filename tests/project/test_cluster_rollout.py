"""What a Deployment's controller would do next, as played for test clusters."""

from __future__ import annotations

from typing import Any

import pytest

from support.cluster_rollout import Seen, Step, next_step


def deployment(replicas: int = 2, surge: int | str = 1, unavailable: int | str = 0) -> dict[str, Any]:
    """A Deployment with a rolling update."""
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


def pods(*written: str) -> list[Seen]:
    """``a+`` is a ready pod of the wanted template, ``a-`` one that is not ready, ``~a+`` one of a former template."""
    return [
        Seen(name=text.strip("~+-"), current=not text.startswith("~"), ready=text.endswith("+")) for text in written
    ]


@pytest.mark.parametrize(
    ("present", "step"),
    [
        pytest.param([], Step(start=2), id="all are missing"),
        pytest.param(["a+"], Step(start=1), id="one is missing"),
        pytest.param(["a+", "b-"], Step(), id="nothing to do"),
        pytest.param(["a+", "b+", "c+"], Step(stop=("c",)), id="the youngest goes"),
        pytest.param(["a-", "b+", "c+"], Step(stop=("a",)), id="one that is not ready goes first"),
        pytest.param(["~a+", "~b+"], Step(start=1), id="an update starts one more"),
        pytest.param(["~a+", "~b+", "c-"], Step(), id="and waits for it"),
        pytest.param(["~a+", "~b+", "c+"], Step(stop=("a",)), id="then an old one goes"),
        pytest.param(["~b+", "c+"], Step(start=1), id="and so on"),
        pytest.param(["~b+", "c+", "d+"], Step(stop=("b",)), id="until the last one"),
        pytest.param(["~a-", "~b+"], Step(start=1, stop=("a",)), id="old ones that serve nobody go at once"),
    ],
)
def test_update_goes_on_without_a_missing_pod(present: list[str], step: Step) -> None:
    """With one pod too many allowed and none too few, there are always enough ready ones."""
    assert next_step(deployment(), pods(*present)) == step


def test_update_in_the_nodes_network_ends_the_old_pod_first() -> None:
    """Where none too many is allowed, an old one goes before a new one starts."""
    exclusive = deployment(replicas=1, surge=0, unavailable=1)
    assert next_step(exclusive, pods("~a+")) == Step(stop=("a",))
    assert next_step(exclusive, pods()) == Step(start=1)


def test_shares_are_rounded_as_kubernetes_does() -> None:
    """Too many is rounded up, too few down: the defaults of a single pod start one more and miss none."""
    assert next_step({"spec": {}}, pods("~a+")) == Step(start=1)
    assert next_step(deployment(replicas=4, surge="50%", unavailable="50%"), pods("~a+", "~b+", "~c+", "~d+")) == Step(
        start=2, stop=("a", "b")
    )


def test_scaling_to_nothing_stops_all() -> None:
    """No replica is a number like others."""
    assert next_step(deployment(replicas=0), pods("a+", "~b+")) == Step(stop=("a", "b"))
