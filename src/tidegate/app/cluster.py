"""The composition root of commands that look at a cluster: its state, and what files would change there.

Comes in: which cluster, and perhaps files. Goes out: what a standalone instance would show of itself. Statuses are
those that stand in the cluster; only ``check`` decides, as a controller would, and nothing is written anywhere.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidegate._version import __version__
from tidegate.admin.objects import ApiObject, condition, group_of, name_of, namespace_of
from tidegate.admin.view import Instance, ListenerView, State
from tidegate.app.standalone import CheckResult
from tidegate.controller.foresight import UNKNOWN_ADDRESS, settle_cluster
from tidegate.controller.picture import picture
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision
from tidegate.core.gateways import DECISIONS
from tidegate.core.reasons import ConditionType
from tidegate.dataplanes.envoy.features import FLEET_FEATURES
from tidegate.kube.config import connected
from tidegate.model.diagnostics import Diagnostic, Location, Severity
from tidegate.model.gateway import Gateway, GatewayClass
from tidegate.model.kinds import KINDS, Kind, Resource, key_of, kind_of
from tidegate.model.routes import TCPRoute
from tidegate.model.status import GatewayStatus, Status
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP, ObjectKey
from tidegate.settings import CheckSettings, ClusterChoice
from tidegate.sources.files import FilesSource, Loaded
from tidegate.sources.kubernetes_snapshot import Snapshot, snapshot
from tidegate.sources.kubernetes_view import CLUSTER, View

Origin = Callable[[ObjectKey, tuple[str | int, ...]], Location | None]
"""Where an object, or a field of it, stands in files."""

_INDISPENSABLE = frozenset({GatewayClass.KIND, Gateway.KIND, TCPRoute.KIND})
"""Kinds without which no traffic can be asked for."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Objects as they are stored, and the kinds that the cluster does not serve."""

    objects: tuple[ApiObject, ...]
    absent: tuple[Kind, ...]


class ClusterCheck(msgspec.Struct, frozen=True, kw_only=True):
    """``result``: with the files on top of the cluster. ``before``: the cluster alone. ``named`` is in the files."""

    result: CheckResult
    before: State
    named: frozenset[ObjectKey]


def cluster_config(controller_name: str) -> CoreConfig:
    """What the decision takes as given in a cluster."""
    return CoreConfig(
        features=FLEET_FEATURES,
        controller_name=controller_name,
        adopt_missing_classes=False,
        scope_per_gateway=True,
    )


def objects(choice: ClusterChoice, kinds: Iterable[Kind], namespace: str | None) -> Found:
    """The objects of some kinds; ``namespace`` None: of all namespaces. Raises SettingsError and KubeError."""
    taken = _snapshot(choice, kinds, namespace=namespace or "")
    return Found(objects=taken.stored, absent=taken.absent)


def state(choice: ClusterChoice) -> State:
    """What a controller has written, and what it serves by that. Raises SettingsError and KubeError."""
    return state_of(_snapshot(choice))


def check(choice: ClusterChoice, settings: CheckSettings) -> ClusterCheck:
    """Decide about files as a controller would if they were applied.

    Raises SettingsError, SourceError and KubeError.
    """
    source = FilesSource(settings.paths, watch=False)
    loaded = source.load()
    return check_of(_snapshot(choice), loaded, source.origin, settings.controller_name)


def state_of(taken: Snapshot) -> State:
    """The state of a cluster with these objects."""
    decision, refused = _decision(taken, CONTROLLER_NAME)
    decision.decide()
    ours = {key for key, _ in decision.graph.items(DECISIONS)}
    stored = {_key(item): item for item in taken.stored}
    statuses: dict[ObjectKey, Status] = {key: _gateway_status(stored[key]) for key in ours}
    found = picture(decision, statuses, refused, (), _instance(_complaint(taken)), objects=False)
    listeners = tuple(_with_addresses(one, stored) for one in found.listeners)
    shown = tuple(_with_our_status(item, ours) for item in taken.stored)
    return msgspec.structs.replace(found, listeners=listeners, objects=shown, cluster=True)


def check_of(taken: Snapshot, loaded: Loaded, origin: Origin, controller_name: str) -> ClusterCheck:
    """The decision about files on top of a cluster with these objects."""
    decision, _ = _decision(taken, controller_name)
    before = _foreseen(decision, ())
    for resource in loaded.resources:
        key = key_of(resource)
        decision.set_object(key, _applied(resource, decision.resource(key)))
    diagnostics = (*loaded.diagnostics, *_unserved(loaded, taken.absent, origin))
    result = CheckResult(
        state=_foreseen(decision, diagnostics),
        diagnostics=diagnostics,
        readable=loaded.readable,
        origin=lambda key, path: origin(key, path) or CLUSTER,
    )
    return ClusterCheck(result=result, before=before, named=frozenset(map(key_of, loaded.resources)))


def _snapshot(choice: ClusterChoice, kinds: Iterable[Kind] = KINDS, *, namespace: str = "") -> Snapshot:
    async def look() -> Snapshot:
        async with connected(kubeconfig=choice.kubeconfig, context=choice.context) as client:
            return await snapshot(client, kinds, namespace=namespace)

    return asyncio.run(look())


def _decision(taken: Snapshot, controller_name: str) -> tuple[Decision, tuple[Diagnostic, ...]]:
    """A decision that knows all objects, and what there is to say about those that are invalid."""
    view = View()
    for reading in taken.readings:
        view.change(reading)
    decision = Decision(cluster_config(controller_name))
    for change in view.take_changes():
        decision.set_object(change.key, change.resource)
    return decision, view.take_diagnostics() or ()


def _instance(message: str = "") -> Instance:
    return Instance(
        name="cluster",
        version=__version__,
        pid=os.getpid(),
        started_at=dt.datetime.now(dt.UTC),
        data_plane=FLEET_FEATURES.name,
        ready=not message,
        message=message,
    )


def _complaint(taken: Snapshot) -> str:
    """What is wrong with the cluster or the controller itself, as far as kinds and classes tell."""
    lacking = [kind.kind for kind in taken.absent if kind.kind in _INDISPENSABLE]
    if lacking:
        return (
            f"the cluster does not serve {', '.join(lacking)}: "
            "install the CustomResourceDefinitions of the Gateway API, standard channel, v1.6"
        )
    classes = [
        item
        for item in taken.stored
        if item["kind"] == GatewayClass.KIND and item["spec"]["controllerName"] == CONTROLLER_NAME
    ]
    if not classes:
        return f"no GatewayClass has the controller {CONTROLLER_NAME}"
    if not any(_holds(item, ConditionType.ACCEPTED) for item in classes):
        return "no GatewayClass is accepted: does the controller run?"
    return ""


def _holds(item: ApiObject, kind: str) -> bool:
    found = condition(item.get("status", {}).get("conditions", []), kind)
    return found is not None and found["status"] == "True"


def _gateway_status(stored: ApiObject) -> GatewayStatus:
    """What is written about a Gateway's newest version; conditions of older ones say nothing about it."""
    status = stored.get("status", {})
    generation = stored["metadata"].get("generation", 0)
    entries = [
        {"supportedKinds": [], **entry, "conditions": _current(entry.get("conditions", []), generation)}
        for entry in status.get("listeners", [])
    ]
    complete = {
        "addresses": status.get("addresses", []),
        "conditions": _current(status.get("conditions", []), generation),
        "listeners": entries,
    }
    return msgspec.convert(complete, GatewayStatus)


def _current(conditions: Iterable[dict[str, Any]], generation: int) -> list[dict[str, Any]]:
    return [item for item in conditions if item.get("observedGeneration", generation) >= generation]


def _with_addresses(listener: ListenerView, stored: Mapping[ObjectKey, ApiObject]) -> ListenerView:
    """The view with the addresses at which clients reach it, where a standalone one has those that are bound."""
    namespace, _, name = listener.gateway.partition("/")
    gateway = stored[ObjectKey(GATEWAY_GROUP, Gateway.KIND, namespace, name)]
    addresses = gateway.get("status", {}).get("addresses", [])
    return msgspec.structs.replace(listener, addresses=tuple(entry["value"] for entry in addresses))


def _with_our_status(item: ApiObject, ours: set[ObjectKey]) -> ApiObject:
    """The object without what other controllers say about it."""
    status = item.get("status", {})
    if item["kind"] == Gateway.KIND and _key(item) not in ours:
        status = {}
    elif item["kind"] == TCPRoute.KIND:
        entries = [entry for entry in status.get("parents", []) if entry["controllerName"] == CONTROLLER_NAME]
        status = {"parents": entries} if entries else {}
    rest = {name: value for name, value in item.items() if name != "status"}
    return {**rest, "status": status} if status else rest


def _applied(resource: Resource, before: Resource | None) -> Resource:
    """The object as the API server would store it: of the age that it has, or the youngest of all."""
    old = before.metadata if before is not None else None
    moved = before is None or getattr(before, "spec", None) != getattr(resource, "spec", None)
    metadata = msgspec.structs.replace(
        resource.metadata,
        creation_timestamp=old.creation_timestamp if old is not None else None,
        uid=old.uid if old is not None else "",
        generation=(old.generation if old is not None else 0) + moved,
        order=0,
    )
    return msgspec.structs.replace(resource, metadata=metadata)


def _unserved(loaded: Loaded, absent: Sequence[Kind], origin: Origin) -> tuple[Diagnostic, ...]:
    """Objects that could not be applied, because the cluster does not have their kind."""
    return tuple(
        Diagnostic(
            severity=Severity.ERROR,
            location=origin(key_of(resource), ()) or CLUSTER,
            object=key_of(resource),
            message=f"the cluster does not serve {resource.KIND}: install its CustomResourceDefinition",
        )
        for resource in loaded.resources
        if kind_of(resource) in absent
    )


def _foreseen(decision: Decision, diagnostics: Sequence[Diagnostic]) -> State:
    """The state once every data plane has taken everything; addresses that nobody knows yet are left out."""
    statuses = dict(settle_cluster(decision))
    for key, status in statuses.items():
        if isinstance(status, GatewayStatus):
            known = tuple(one for one in status.addresses if one.value != UNKNOWN_ADDRESS)
            statuses[key] = msgspec.structs.replace(status, addresses=known)
    found = picture(decision, statuses, diagnostics, (), _instance())
    return msgspec.structs.replace(found, cluster=True)


def _key(item: ApiObject) -> ObjectKey:
    return ObjectKey(group_of(item), item["kind"], namespace_of(item), name_of(item))
