"""The plan: what to forward. It knows nothing of Kubernetes objects and travels as single changes.

*Sockets* accept connections; each has *matches*; a match names a *target*; a target has *weighted
backends*; a backend names a *pool* or is refused. Pools (key to endpoints) travel apart, so that
endpoint churn touches nothing else. Every value is frozen and comparable.

What is in a revision (matches, targets, backends) may get new fields, with a default that means what was meant before:
see ``core.compile.revision``.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tidegate.names import ListenerKey, ObjectKey, PoolKey, SocketKey, TargetKey


class Endpoint(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where connections can be opened to: an IP address in canonical text form, and a port."""

    address: str
    port: int


class Pool(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The usable endpoints of one Service port, sorted and without duplicates; possibly none.

    ``total`` also counts the endpoints that are known but not usable now.
    """

    key: PoolKey
    endpoints: tuple[Endpoint, ...]
    total: int


class WeightedBackend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One share of a target's connections.

    ``ref`` identifies the share inside its target and stays the same while its position in the route
    does. ``pool`` None means that the share is refused: every connection of it is ended at once. A pool
    without endpoints is refused in the same way. ``weight`` 0 gets no connection at all.
    ``label`` names the backend for logs and metrics.
    """

    ref: str
    weight: int
    pool: PoolKey | None
    label: str


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where the connections of one match go. No backend, or a weight sum of 0: all are refused."""

    key: TargetKey
    route: ObjectKey | None
    backends: tuple[WeightedBackend, ...]


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Which connections of a socket go to a target. TCP sockets have one match, which takes all."""

    target: TargetKey


class Socket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A listening socket and its matches.

    ``listener`` is whose socket it is, for metrics and logs. ``revision`` is the content hash of
    all that is planned for it (matches, targets and weights, not the endpoints of pools): a data plane reports it
    back in its outcomes.
    """

    key: SocketKey
    listener: ListenerKey
    matches: tuple[Match, ...]
    revision: str


PlanKey = SocketKey | TargetKey | PoolKey
PlanValue = Socket | Target | Pool

PlanChange = Mapping[PlanKey, PlanValue | None]
"""What changed in a plan: the new value of each key, None where the key is gone."""
