"""What holds for every history of objects: the decision depends on nothing but what is in force now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.histories import BATCHES, INPUTS, RESOURCES, Step
from support.reading import plainly_planned
from support.resources import World, gateway_key
from tidegate.core.decision import DecisionChange
from tidegate.model.apis import InstalledApis
from tidegate.model.gateway import Gateway
from tidegate.model.kinds import Resource, key_of
from tidegate.model.meta import Condition
from tidegate.model.routes import TCPRoute
from tidegate.model.status import GatewayClassStatus, GatewayStatus, RouteStatus
from tidegate.names import ObjectKey, PoolKey, SocketKey, TargetKey
from tidegate.plan.infrastructure import Infrastructure
from tidegate.plan.outcome import AddressReport, Failed, FailureReason, Live, Outcome, Pending
from tidegate.plan.types import PlanKey, PlanValue, Pool, Socket, Target

PROPERTY = settings(max_examples=200, deadline=None, derandomize=True)
APIS = (
    InstalledApis(served={"TCPRoute": None}),
    InstalledApis(served={"TCPRoute": "v1"}, bundle_versions={"gateways.gateway.networking.k8s.io": "v1.6.1"}),
)
MOODS = st.lists(st.sampled_from(["live", "port", "address", "pending", "stale", "silent"]), min_size=1, max_size=5)


def outcome(mood: str, socket: Socket) -> Outcome | None:
    """What a data plane in this mood says of a socket."""
    revision = socket.revision
    match mood:
        case "live":
            return Live(revision=revision)
        case "port":
            return Failed(revision=revision, reason=FailureReason.PORT_UNAVAILABLE, message="the port is taken")
        case "address":
            return Failed(revision=revision, reason=FailureReason.ADDRESS_NOT_USABLE, message="not of this host")
        case "pending":
            return Pending(revision=revision, message="the data plane is down")
        case "stale":
            return Live(revision="of another time")
        case _:
            return None


def outcomes(world: World, moods: list[str]) -> dict[SocketKey, Outcome | None]:
    """Outcomes of all planned sockets, the moods dealt out in turn."""
    sockets = sorted((one for one in world.plan.values() if isinstance(one, Socket)), key=lambda one: one.key)
    return {one.key: outcome(moods[number % len(moods)], one) for number, one in enumerate(sockets)}


def empty(*, cluster: bool = False) -> World:
    """A decision that knows nothing. Classes without an object are ours, so that most inputs serve something."""
    return World(cluster=cluster, adopt_missing_classes=True)


def fresh(resources: Iterable[Resource], *, cluster: bool = False) -> World:
    """A decision that never knew anything but these objects."""
    world = empty(cluster=cluster)
    for resource in resources:
        world.decision.set_object(key_of(resource), resource)
    world.decide()
    return world


def states(world: World) -> tuple[Any, ...]:
    """Everything that a decision says to others."""
    ready = {scope: addresses for scope, addresses in world.ready.items() if addresses}
    return world.plan, world.verdicts, world.infrastructure, ready, world.classes_in_use


def take(world: World, step: Step) -> None:
    """Set or remove one object, without deciding."""
    if isinstance(step, ObjectKey):
        world.decision.set_object(step, None)
    else:
        world.decision.set_object(key_of(step), step)


@pytest.mark.parametrize("cluster", [False, True])
@PROPERTY
@given(INPUTS, BATCHES, st.lists(MOODS, min_size=6, max_size=6), st.lists(st.sampled_from(APIS), max_size=6))
def test_incremental_is_as_computed_anew(
    cluster: bool,
    inputs: dict[ObjectKey, Resource],
    batches: list[list[Step]],
    moods: list[list[str]],
    apis: list[InstalledApis],
) -> None:
    """After any history, with any reports in between, everything is as the final input has it."""
    world = empty(cluster=cluster)
    said: dict[SocketKey, Outcome | None] = {}
    report = AddressReport(scope="standalone", addresses=("192.0.2.1",))
    first: list[Step] = [*inputs.values()]
    for number, (batch, mood) in enumerate(zip([first, *batches], moods, strict=False)):
        for step in batch:
            take(world, step)
        for installed in apis[number : number + 1]:
            world.decision.set_apis(installed)
        world.decide()
        now = outcomes(world, mood)
        said |= now
        world.decision.set_report(report)
        world.report(now)
    other = fresh(list(world.decision.resources()), cluster=cluster)
    for installed in apis[: len(batches) + 1][-1:]:
        other.decision.set_apis(installed)
    other.decision.set_report(report)
    other.report(said)
    assert states(world) == states(other)


@PROPERTY
@given(INPUTS, st.randoms(use_true_random=False), st.booleans())
def test_order_of_arrival_does_not_matter(inputs: dict[ObjectKey, Resource], random: Any, cluster: bool) -> None:
    """Objects that arrive one by one in any order lead to the same as all at once."""
    world = empty(cluster=cluster)
    shuffled = list(inputs.values())
    random.shuffle(shuffled)
    for resource in shuffled:
        take(world, resource)
        world.decide()
    assert states(world) == states(fresh(inputs.values(), cluster=cluster))


@PROPERTY
@given(INPUTS, st.booleans())
def test_deciding_again_changes_nothing(inputs: dict[ObjectKey, Resource], cluster: bool) -> None:
    """The same objects and outcomes once more: no change of the plan, no new status, nothing to provide."""
    world = fresh(inputs.values(), cluster=cluster)
    world.obey()
    for _ in range(2):
        for resource in inputs.values():
            take(world, resource)
        assert world.decide() == DecisionChange(plan={}, verdicts={})


@PROPERTY
@given(INPUTS, RESOURCES, st.booleans(), st.data())
def test_a_change_reaches_only_what_is_related(
    inputs: dict[ObjectKey, Resource], other: Resource, remove: bool, data: st.DataObject
) -> None:
    """An object that is removed or replaced changes no part of the plan that has nothing to do with it."""
    world = fresh(inputs.values())
    key = data.draw(st.sampled_from(sorted(inputs))) if remove else key_of(other)
    new = None if remove else other
    before = dict(world.plan)
    world.decision.set_object(key, new)
    change = world.decide()
    versions = [one for one in (inputs.get(key), new) if one is not None]
    for changed in change.plan:
        plans = (before, world.plan)
        assert any(related(version, plan.get(changed), plan, plans) for version in versions for plan in plans), changed


Plan = Mapping[PlanKey, PlanValue]


def related(resource: Resource, value: PlanValue | None, plan: Plan, plans: tuple[Plan, Plan]) -> bool:
    """Whether a part of ``plan``, which is one of the two, has to do with an object."""
    match value:
        case None:
            return False
        case Socket():
            (match,) = value.matches
            return _of_gateway(resource, value) or related(resource, plan[match.target], plan, plans)
        case Target():
            socket = plan[value.key.socket]
            return isinstance(socket, Socket) and (_of_gateway(resource, socket) or _of_target(resource, value))
        case Pool(key=key):
            # A pool comes and goes with who names it: a target that had another route before, perhaps.
            users = [user for user, one in plan.items() if isinstance(one, Target) and _names(one, key)]
            return _of_service(resource, key.namespace, key.service) or any(
                related(resource, one.get(user), one, plans) for user in users for one in plans
            )


def _names(target: Target, pool: PoolKey) -> bool:
    return any(backend.pool == pool for backend in target.backends)


def _of_gateway(resource: Resource, socket: Socket) -> bool:
    """Its own, or one that shares a port with it: the older Gateway keeps the younger one from it."""
    if isinstance(resource, Gateway):
        return any(listener.port == socket.key.port for listener in resource.spec.listeners)
    return resource.KIND in ("GatewayClass", "GatewayParameters")


def _of_target(resource: Resource, target: Target) -> bool:
    meta = resource.metadata
    if resource.KIND == "TCPRoute":
        return target.route == key_of(resource)
    if resource.KIND == "Namespace":
        return target.route is not None and target.route.namespace == meta.name
    places = (backend.label.partition(":")[0].split("/") for backend in target.backends)
    return any(_of_service(resource, namespace, name) for namespace, name in places)


def _of_service(resource: Resource, namespace: str, name: str) -> bool:
    meta = resource.metadata
    match resource.KIND:
        case "Service":
            return (meta.namespace, meta.name) == (namespace, name)
        case "EndpointSlice":
            return (meta.namespace, meta.labels["kubernetes.io/service-name"]) == (namespace, name)
        case "ReferenceGrant":
            return meta.namespace == namespace
        case "TCPRoute":
            assert isinstance(resource, TCPRoute)
            refs = resource.spec.rules[0].backend_refs
            return any((ref.namespace or meta.namespace, ref.name) == (namespace, name) for ref in refs)
        case _:
            return False


@PROPERTY
@given(INPUTS, st.booleans())
def test_plan_is_whole_and_keeps_weights(inputs: dict[ObjectKey, Resource], cluster: bool) -> None:
    """Every socket has its target, every share its pool; each backendRef is there with its weight."""
    world = fresh(inputs.values(), cluster=cluster)
    sockets = {key for key in world.plan if isinstance(key, SocketKey)}
    assert {key.socket for key in world.plan if isinstance(key, TargetKey)} == sockets
    for value in world.plan.values():
        if isinstance(value, Target):
            assert [(one.ref, one.weight) for one in value.backends] == _weights(inputs, value.route)
            assert all(one.pool is None or one.pool in world.plan for one in value.backends)
        if isinstance(value, Pool):
            assert list(value.endpoints) == sorted(set(value.endpoints))
            assert len(value.endpoints) <= value.total


def _weights(inputs: Mapping[ObjectKey, Resource], route: ObjectKey | None) -> list[tuple[str, int]]:
    if route is None:
        return []
    found = inputs[route]
    assert isinstance(found, TCPRoute)
    return [(str(number), ref.weight) for number, ref in enumerate(found.spec.rules[0].backend_refs)]


@PROPERTY
@given(INPUTS, MOODS, st.booleans())
def test_statuses_are_well_formed(inputs: dict[ObjectKey, Resource], moods: list[str], cluster: bool) -> None:
    """Conditions carry their object's generation, no type twice, and say something; lists match the spec."""
    world = fresh(inputs.values(), cluster=cluster)
    world.report(outcomes(world, moods))
    for key, verdict in world.verdicts.items():
        resource = inputs[key]
        for conditions in _condition_lists(verdict.status):
            assert 0 < len(conditions) <= 8
            assert len({one.type for one in conditions}) == len(conditions)
            assert all(one.observed_generation == resource.metadata.generation for one in conditions)
            assert all(0 < len(one.message) <= 32768 for one in conditions)
        if isinstance(verdict.status, GatewayStatus) and verdict.status.listeners:
            assert isinstance(resource, Gateway)
            names = [one.name for one in resource.spec.listeners]
            assert [one.name for one in verdict.status.listeners] == names
        if isinstance(verdict.status, RouteStatus):
            assert isinstance(resource, TCPRoute)
            refs = list(resource.spec.parent_refs)
            assert all(one.parent_ref in refs for one in verdict.status.parents)


def _condition_lists(status: GatewayClassStatus | GatewayStatus | RouteStatus) -> Iterator[tuple[Condition, ...]]:
    match status:
        case GatewayClassStatus():
            yield status.conditions
        case GatewayStatus():
            yield status.conditions
            yield from (one.conditions for one in status.listeners)
        case RouteStatus():
            yield from (one.conditions for one in status.parents)


@PROPERTY
@given(INPUTS)
def test_attached_routes_and_winners_agree(inputs: dict[ObjectKey, Resource]) -> None:
    """A listener that holds a socket serves a route exactly when it counts one, and the route says Accepted."""
    world = fresh(inputs.values())
    for target in [one for one in world.plan.values() if isinstance(one, Target)]:
        socket = world.plan[target.key.socket]
        assert isinstance(socket, Socket)
        owner = socket.listener.owner
        assert owner == gateway_key(owner.name, owner.namespace)
        listener = world.listener(owner.name, socket.listener.listener, owner.namespace)
        assert (listener.attached_routes > 0) == (target.route is not None)
        if target.route is not None:
            parents = world.parents(target.route.name, target.route.namespace)
            mine = [
                one
                for one in parents
                if (one.parent_ref.namespace or target.route.namespace, one.parent_ref.name)
                == (owner.namespace, owner.name)
            ]
            assert [one.conditions[0].status for one in mine] == ["True"]


@PROPERTY
@given(INPUTS)
def test_plan_is_what_a_plain_reading_of_the_spec_says(inputs: dict[ObjectKey, Resource]) -> None:
    """Holder, route and refusals of every socket, found again by looking through all objects."""
    planned = {}
    for key, target in fresh(inputs.values()).plan.items():
        if isinstance(key, TargetKey):
            assert isinstance(target, Target)
            planned[key.socket.address, key.socket.port] = (
                target.route,
                [one.pool is not None for one in target.backends],
            )
    assert planned == plainly_planned(inputs)


@PROPERTY
@given(INPUTS, MOODS)
def test_a_cluster_provides_what_is_accepted_and_keeps_the_rest(
    inputs: dict[ObjectKey, Resource], moods: list[str]
) -> None:
    """Every Gateway of ours has infrastructure, with the ports of what is planned; Programmed has an address."""
    world = fresh(inputs.values(), cluster=True)
    world.report(outcomes(world, moods))
    statuses = {key: one.status for key, one in world.verdicts.items() if isinstance(one.status, GatewayStatus)}
    assert set(statuses) == set(world.infrastructure)
    assert {key.path for key in statuses} == set(world.ready)
    for key, status in statuses.items():
        conditions = {one.type: one.status for one in status.conditions}
        found = world.infrastructure[key]
        assert isinstance(found, Infrastructure) == (conditions["Accepted"] == "True")
        assert conditions["Programmed"] != "True" or status.addresses
        if isinstance(found, Infrastructure):
            sockets = {one.port for one in world.plan if isinstance(one, SocketKey) and one.scope == key.path}
            assert {port.port for port in found.ports} == sockets
