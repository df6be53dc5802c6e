"""Every Prometheus metric of tidegate, declared once.

Comes in: the figures at the moment of a scrape, and single happenings as they occur. Goes out: the text
of ``/metrics``. The series are bounded by the configuration: one per listener and the routes that it
served, and a listener that is gone takes its series along. Counters of connections only ever grow; the
data plane sees to that. Which figures there are at a moment is the business of the caller.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from tidegate.plan.outcome import Traffic

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The content type of what ``Metrics.render`` returns."""

LIVE_SECONDS_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_TRAFFIC_LABELS = ("gateway", "listener", "route")
_TRAFFIC_COUNTERS: tuple[tuple[str, str, str], ...] = (
    ("connections_opened", "opened", "Connections that clients opened, those refused included."),
    ("connections_refused", "refused", "Connections ended at once, because their share has no usable backend."),
    ("received_bytes", "received", "Bytes received from clients."),
    ("sent_bytes", "sent", "Bytes sent to clients."),
)


class ListenerFigure(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a listener of a Gateway (``namespace/name``) serves its newest configuration."""

    gateway: str
    listener: str
    programmed: bool


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What holds at the moment of a scrape.

    ``problems`` counts the diagnostics of the input by severity; ``rejected_objects`` counts objects
    whose newest version is not in force because it is invalid.
    """

    ready: bool = False
    listeners: Sequence[ListenerFigure] = ()
    traffic: Sequence[Traffic] = ()
    problems: Mapping[str, int] = {}
    rejected_objects: int = 0


class Metrics:
    """The metrics of one instance, in a registry of its own. May be rendered in a thread."""

    def __init__(self, *, version: str, data_plane: str) -> None:
        # A switch of the process: the client would add a *_created series to each counter, which nobody asked for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        build = Gauge(
            "tidegate_build_info",
            "Always 1; the labels say which version runs on which data plane.",
            ("version", "data_plane"),
            registry=self._registry,
        )
        build.labels(version, data_plane).set(1)
        self._changes = self._counter("tidegate_config_changes", "Changes of the input that were taken in.")
        self._restarts = self._counter("tidegate_envoy_restarts", "Times that Envoy ended by itself and was restarted.")
        self._errors = self._counter(
            "tidegate_internal_errors", "Errors that are bugs of tidegate; the log has the details."
        )
        self._statuses = Counter(
            "tidegate_status_writes",
            "Objects of a cluster whose status was looked after, by what became of it.",
            ("kind", "outcome"),
            registry=self._registry,
        )
        self._leader: Gauge | None = None
        self._live = Histogram(
            "tidegate_change_live_seconds",
            "Time from taking a change in until the data plane serves it.",
            buckets=LIVE_SECONDS_BUCKETS,
            registry=self._registry,
        )

    def config_changed(self) -> None:
        """A change of the input was taken in."""
        self._changes.inc()

    def change_live(self, seconds: float) -> None:
        """The data plane serves a change, ``seconds`` after it was taken in."""
        self._live.observe(seconds)

    def envoy_restarted(self) -> None:
        """Envoy ended by itself and was started again."""
        self._restarts.inc()

    def status_attended(self, kind: str, outcome: str) -> None:
        """The status of an object in a cluster was written, or found as it should be, or could not be written."""
        self._statuses.labels(kind, outcome).inc()

    def leads(self, *, leads: bool) -> None:
        """Whether this replica leads; where there are no replicas nobody says."""
        if self._leader is None:
            text = "1 while this replica of the controller is the one that writes."
            self._leader = Gauge("tidegate_leader", text, registry=self._registry)
        self._leader.set(int(leads))

    def internal_error(self) -> None:
        """A bug showed itself and was contained."""
        self._errors.inc()

    def render(self, figures: Figures) -> Iterator[bytes]:
        """The text of ``/metrics``, in the format that ``CONTENT_TYPE`` names, one metric after the other: with
        thousands of listeners it is many megabytes.
        """
        for metric in itertools.chain(_families(figures), self._registry.collect()):
            yield generate_latest(_Alone(metric))

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self._registry)


class _Alone(Collector):
    """A registry with one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        yield self._metric


def _families(figures: Figures) -> Iterator[Metric]:
    """Figures as metric families."""
    yield GaugeMetricFamily("tidegate_ready", "1 once the first configuration is applied.", int(figures.ready))
    yield _programmed(figures.listeners)
    yield from _traffic(figures.traffic)
    problems = GaugeMetricFamily(
        "tidegate_object_problems", "Problems of the input now, by severity.", labels=["severity"]
    )
    for severity, count in sorted(figures.problems.items()):
        problems.add_metric([severity], count)
    yield problems
    yield GaugeMetricFamily(
        "tidegate_rejected_objects",
        "Objects whose newest version is invalid and not in force.",
        figures.rejected_objects,
    )


def _programmed(listeners: Sequence[ListenerFigure]) -> Metric:
    family = GaugeMetricFamily(
        "tidegate_listener_programmed",
        "1 while the data plane serves the newest configuration of the listener.",
        labels=["gateway", "listener"],
    )
    for item in listeners:
        family.add_metric([item.gateway, item.listener], int(item.programmed))
    return family


def _traffic(traffic: Sequence[Traffic]) -> Iterable[Metric]:
    yield from _counted("listener", _TRAFFIC_LABELS, ((_labels(item), item) for item in traffic))
    apart = [item for item in traffic if item.backend]
    if apart:
        yield from _counted(
            "backend", (*_TRAFFIC_LABELS, "backend"), (((*_labels(item), item.backend), item) for item in apart)
        )


def _labels(item: Traffic) -> tuple[str, ...]:
    return item.listener.owner.path, item.listener.listener, item.route.path if item.route else ""


def _counted(what: str, names: Sequence[str], items: Iterable[tuple[tuple[str, ...], Traffic]]) -> Iterable[Metric]:
    """The counters of connections, added up by label."""
    sums: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for labels, item in items:
        for field in ("opened", "refused", "active", "received", "sent"):
            sums[labels][field] += getattr(item, field)
    for name, field, text in _TRAFFIC_COUNTERS:
        counter = CounterMetricFamily(f"tidegate_{what}_{name}", text, labels=names)
        for labels, values in sums.items():
            counter.add_metric(labels, values[field])
        yield counter
    active = GaugeMetricFamily(f"tidegate_{what}_connections_active", "Connections that are open now.", labels=names)
    for labels, values in sums.items():
        active.add_metric(labels, values["active"])
    yield active
