"""The Python API: load manifests, resolve them, run them.

Three functions and the types that they take and give; everything else in the package may change::

    import tidegate

    loaded = tidegate.load(["gateway.yaml"], backends=["my-foo-service:6000=127.0.0.1:7001"])
    for diagnostic in loaded.diagnostics:
        print(diagnostic)
    resolution = tidegate.resolve(loaded.resources)
    for key, status in resolution.statuses.items():
        print(key, status)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tidegate.app import standalone
from tidegate.controller.foresight import settle
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision
from tidegate.dataplanes.envoy.features import FEATURES
from tidegate.errors import DataPlaneError, InstanceError, SettingsError, SourceError, TidegateError
from tidegate.model.kinds import Resource, key_of
from tidegate.model.status import Status
from tidegate.names import CONTROLLER_NAME, ObjectKey
from tidegate.plan.types import PlanKey, PlanValue
from tidegate.settings import RunSettings
from tidegate.sources.backends import parse_backends
from tidegate.sources.files import Loaded
from tidegate.sources.standalone import StandaloneSource

__all__ = [
    "DataPlaneError",
    "InstanceError",
    "Loaded",
    "Resolution",
    "RunSettings",
    "SettingsError",
    "SourceError",
    "TidegateError",
    "load",
    "resolve",
    "run",
]


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided about some resources: the plan, and the statuses once a data plane has taken it."""

    plan: Mapping[PlanKey, PlanValue]
    statuses: Mapping[ObjectKey, Status]


def load(paths: Sequence[str], *, backends: Sequence[str] = (), dns: bool = False) -> Loaded:
    """Read Gateway API manifests from files and directories, as ``tidegate run`` does.

    ``backends`` are texts as for ``--backend``. What is wrong with the input is in the result's
    ``diagnostics``. Raises SettingsError for an unusable ``backends`` text, SourceError when a path does
    not exist.
    """
    return StandaloneSource(paths, backends=parse_backends(backends), dns=dns, watch=False).load()


def resolve(
    resources: Iterable[Resource],
    *,
    controller_name: str = CONTROLLER_NAME,
    addresses: Sequence[str] = ("127.0.0.1",),
) -> Resolution:
    """Decide about resources without touching the system.

    ``addresses`` are those at which listeners on all addresses count as reachable.
    """
    decision = Decision(CoreConfig(features=FEATURES, controller_name=controller_name))
    for resource in resources:
        decision.set_object(key_of(resource), resource)
    change = decision.decide()
    plan = {key: value for key, value in change.plan.items() if value is not None}
    return Resolution(plan=plan, statuses=dict(settle(decision, addresses)))


async def run(settings: RunSettings, *, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set. Raises what TidegateError's subclasses say when it cannot start."""
    await standalone.run(settings, stop=stop, reread=asyncio.Event())
