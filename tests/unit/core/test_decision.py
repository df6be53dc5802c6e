"""The decision as its users see it: objects and reports in, changes out."""

from __future__ import annotations

from support.generated import proxies
from support.manifests import backend, gateway, gateway_class, listener, parent, service, slice_of, tcproute
from support.resources import FEATURES, World, class_key, gateway_key, route_key, socket_key, typed
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision
from tidegate.model.apis import InstalledApis
from tidegate.model.kinds import Kind, key_of
from tidegate.names import PoolKey, TargetKey
from tidegate.plan.outcome import AddressReport, Live, SocketReport

DOCUMENTS = [
    gateway("gw", [listener("tcp", 80)]),
    tcproute("route", [parent("gw")], [backend("web")]),
    service("web"),
    *slice_of("web", [("10.0.0.1", 30)]),
]
POOL = PoolKey("default", "web", 6000, "TCP")


def test_nothing_is_in_force_before_it_is_decided() -> None:
    """Setting an object changes nothing until the next decision."""
    decision = Decision(CoreConfig(features=FEATURES))
    resource = typed(DOCUMENTS[0])
    decision.set_object(key_of(resource), resource)
    assert decision.resource(gateway_key("gw")) is None
    assert decision.verdicts() == {}
    decision.decide()
    assert decision.resource(gateway_key("gw")) == resource
    assert list(decision.verdicts()) == [gateway_key("gw")]


def test_one_round_has_the_whole_change() -> None:
    """Everything that was set since the last round is decided on as one change."""
    decision = Decision(CoreConfig(features=FEATURES))
    for document in DOCUMENTS:
        resource = typed(document)
        decision.set_object(key_of(resource), resource)
    change = decision.decide()
    assert set(change.plan) == {socket_key(80), TargetKey(socket_key(80)), POOL}
    assert set(change.verdicts) == {gateway_key("gw"), route_key("route")}
    assert change.faults == ()
    again = decision.decide()
    assert (again.plan, again.verdicts) == ({}, {})


def test_the_last_word_on_an_object_counts() -> None:
    """An object that is set and removed between two decisions was never there."""
    decision = Decision(CoreConfig(features=FEATURES))
    resource = typed(DOCUMENTS[0])
    decision.set_object(key_of(resource), resource)
    decision.set_object(key_of(resource), None)
    change = decision.decide()
    assert (change.plan, change.verdicts, list(decision.resources())) == ({}, {}, [])


def test_removal_withdraws_the_plan_and_the_verdicts() -> None:
    """What is gone is None in the change."""
    world = World(*DOCUMENTS)
    change = world.remove(*DOCUMENTS)
    assert dict.fromkeys(change.plan) == change.plan
    assert dict.fromkeys(change.verdicts) == change.verdicts
    assert (world.plan, world.verdicts) == ({}, {})


def test_reports_change_verdicts_and_not_the_plan() -> None:
    """What a data plane says moves statuses only; saying it again moves nothing."""
    world = World(*DOCUMENTS)
    reports = (
        AddressReport(scope="standalone", addresses=("192.0.2.1",)),
        SocketReport(socket=socket_key(80), outcome=Live(revision=world.socket(80).revision)),
    )
    for expected in ({gateway_key("gw"), route_key("route")}, set()):
        for report in reports:
            world.decision.set_report(report)
        change = world.decide()
        assert not change.plan
        assert set(change.verdicts) == expected


def test_a_cluster_has_more_to_do() -> None:
    """What the cluster is to provide, and which proxies are ready, come along; elsewhere there is nothing of it."""
    documents = [gateway_class(), *DOCUMENTS, proxies("gw-tidegate", "10.0.0.9")]
    change = World(*documents[:-1], cluster=True).apply(documents[-1])
    assert change.ready == {"default/gw": frozenset({"10.0.0.9"})}
    assert (change.plan, change.verdicts, change.infrastructure) == ({}, {}, {})
    world = World(*documents, cluster=True)
    assert world.data_plane("gw").name == "gw-tidegate"
    assert world.classes_in_use == {class_key("tidegate"): True}
    alone = World(*documents)
    assert (alone.infrastructure, alone.ready) == ({}, {})


def test_what_is_installed_changes_classes_only() -> None:
    """The same again changes nothing."""
    world = World(gateway_class(), *DOCUMENTS, cluster=True)
    for expected in ({class_key("tidegate")}, set()):
        world.decision.set_apis(InstalledApis(served={"TCPRoute": None}))
        change = world.decide()
        assert set(change.verdicts) == expected
        assert not change.plan


def test_verdicts_add_up() -> None:
    """All verdicts at once are what the changes of all rounds add up to."""
    world = World(*DOCUMENTS)
    world.obey()
    world.remove(DOCUMENTS[1])
    assert world.decision.verdicts() == world.verdicts


def test_resources_are_all_objects_in_force() -> None:
    """Every object is listed once."""
    world = World(*DOCUMENTS)
    assert {key_of(one) for one in world.decision.resources()} == {key_of(typed(one)) for one in DOCUMENTS}
    assert world.decision.resource(key_of(typed(DOCUMENTS[2]))) == typed(DOCUMENTS[2], 2)


def test_faults_are_handed_out_and_contained() -> None:
    """An object that breaks a unit of ours is named; all other objects are decided on."""
    world = World(*DOCUMENTS)
    broken = typed(gateway("broken", [listener("tcp", 81)]))
    world.decision.set_object(key_of(broken), Kind)  # type: ignore[arg-type]
    other = typed(gateway("other", [listener("tcp", 82)]))
    world.decision.set_object(key_of(other), other)
    change = world.decision.decide()
    assert change.faults
    assert "standing" in {fault.unit for fault in change.faults}
    assert {fault.key for fault in change.faults} == {key_of(broken)}
    assert socket_key(82) in change.plan
    assert gateway_key("other") in change.verdicts
