"""The text of /metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tidegate.names import GATEWAY_GROUP, ListenerKey, ObjectKey
from tidegate.plan.outcome import Traffic
from tidegate.telemetry.metrics import Figures, ListenerFigure, Metrics

GATEWAY = ObjectKey(GATEWAY_GROUP, "Gateway", "default", "g")
ROUTE = ObjectKey(GATEWAY_GROUP, "TCPRoute", "default", "r")


def traffic(listener: str = "foo", route: ObjectKey | None = ROUTE, **counters: int) -> Traffic:
    given = {"opened": 0, "refused": 0, "active": 0, "received": 0, "sent": 0} | counters
    return Traffic(listener=ListenerKey(GATEWAY, listener), route=route, **given)


def samples(metrics: Metrics, figures: Figures) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels."""
    text = b"".join(metrics.render(figures)).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_of_listeners_carry_their_route() -> None:
    """Each counter of a listener and route is a series of the documented name."""
    figures = Figures(
        traffic=[traffic(opened=5, refused=2, active=1, received=10, sent=20), traffic(route=None, opened=7)]
    )
    found = samples(Metrics(version="1", data_plane="envoy"), figures)
    labels = ("default/g", "foo", "default/r")
    assert found["tidegate_listener_connections_opened_total", *labels] == 5
    assert found["tidegate_listener_connections_refused_total", *labels] == 2
    assert found["tidegate_listener_connections_active", *labels] == 1
    assert found["tidegate_listener_received_bytes_total", *labels] == 10
    assert found["tidegate_listener_sent_bytes_total", *labels] == 20
    assert found["tidegate_listener_connections_opened_total", "default/g", "foo", ""] == 7


def test_series_of_one_name_are_added_up() -> None:
    """Two kinds of owners with one name never make a series twice."""
    found = samples(Metrics(version="1", data_plane="envoy"), Figures(traffic=[traffic(opened=1), traffic(opened=2)]))
    assert found["tidegate_listener_connections_opened_total", "default/g", "foo", "default/r"] == 3


def test_the_series_of_a_listener_go_with_it() -> None:
    """Series are bounded by what is configured now."""
    metrics = Metrics(version="1", data_plane="envoy")
    before = Figures(
        listeners=[ListenerFigure(gateway="default/g", listener="foo", programmed=True)], traffic=[traffic(opened=1)]
    )
    assert samples(metrics, before)["tidegate_listener_programmed", "default/g", "foo"] == 1
    assert not [name for name in samples(metrics, Figures()) if "default/g" in name]


def test_happenings_are_counted() -> None:
    """Changes, restarts, bugs and the time until a change serves are counted as they happen."""
    metrics = Metrics(version="1.2.3", data_plane="envoy")
    metrics.config_changed()
    metrics.config_changed()
    metrics.envoy_restarted()
    metrics.internal_error()
    metrics.change_live(0.03)
    found = samples(metrics, Figures(ready=True, problems={"error": 4}, rejected_objects=2))
    assert found["tidegate_config_changes_total",] == 2
    assert found["tidegate_envoy_restarts_total",] == 1
    assert found["tidegate_internal_errors_total",] == 1
    assert found["tidegate_change_live_seconds_count",] == 1
    assert found["tidegate_change_live_seconds_bucket", "0.02"] == 0
    assert found["tidegate_change_live_seconds_bucket", "0.05"] == 1
    assert found["tidegate_build_info", "envoy", "1.2.3"] == 1
    assert found["tidegate_ready",] == 1
    assert found["tidegate_object_problems", "error"] == 4
    assert found["tidegate_rejected_objects",] == 2


def test_two_instances_in_a_process_do_not_meet() -> None:
    """Each has a registry of its own."""
    one, other = Metrics(version="1", data_plane="a"), Metrics(version="1", data_plane="a")
    one.config_changed()
    assert samples(other, Figures())["tidegate_config_changes_total",] == 0


def test_only_documented_series_are_there() -> None:
    """The client library's own series of creation times are switched off."""
    metrics = Metrics(version="1", data_plane="envoy")
    metrics.change_live(0.1)
    assert b"_created" not in b"".join(metrics.render(Figures()))
