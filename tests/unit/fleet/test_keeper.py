"""Objects are what their Gateway needs, whoever else is at work: on a real API server, with a controller's rights."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import NoReturn

import msgspec
import pytest

from support.cluster import Cluster
from support.cluster_fleets import FleetBench, changed, fleet_in, identity_in
from support.infrastructures import CONTROLLER, gateway_key
from support.manifests import Manifest
from support.waiting import eventually
from tidegate.fleet.inventory import Inventory, site
from tidegate.fleet.keeper import Keeper
from tidegate.fleet.secretdata import decoded
from tidegate.fleet.troubles import Troubles
from tidegate.names import proxy_identity
from tidegate.plan.infrastructure import KeptInfrastructure

MANAGED_BY = "app.kubernetes.io/managed-by"


@pytest.fixture
async def fleet(cluster: Cluster) -> AsyncIterator[FleetBench]:
    async with fleet_in(cluster) as one:
        yield one


async def test_gateway_gets_its_data_plane(fleet: FleetBench) -> None:
    """All objects are made, belong to the Gateway, and are then left alone."""
    wanted = await fleet.gateway(parameters={"replicas": 2}, labels={"team": "payments"})
    fleet.want(wanted)
    async with fleet.leading():
        found = await fleet.settled(count=6)
        for one in found.values():
            (reference,) = one["metadata"]["ownerReferences"]
            assert reference == {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "name": "public",
                "uid": wanted.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
            assert one["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"] == "public"
            assert one["metadata"]["labels"]["team"] == "payments"
        await fleet.quiet()
    assert not fleet.troubles


async def test_new_listener_changes_the_service_and_nothing_else(fleet: FleetBench) -> None:
    """A port comes and goes; Pods and all other objects stay as they are."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        before = await fleet.settled()
        fleet.want(await fleet.gateway(ports={"postgres": 5432, "web": 80}))
        await fleet.until("Service", lambda one: len(one["spec"]["ports"]) == 2, what="the port is there")
        fleet.want(await fleet.gateway(ports={"web": 80}))
        service = await fleet.until("Service", lambda one: len(one["spec"]["ports"]) == 1, what="the other is gone")
        assert (service["spec"]["ports"][0]["port"], service["spec"]["ports"][0]["targetPort"]) == (80, 80)
        await fleet.quiet()
        assert changed(before, await fleet.objects()) == {"Service"}


async def test_propagated_labels_come_and_go(fleet: FleetBench) -> None:
    """What ``spec.infrastructure`` no longer says is withdrawn, from every object and from the Pods."""
    fleet.want(await fleet.gateway(labels={"team": "a", "tier": "x"}, annotations={"example.com/note": "x"}))
    async with fleet.leading():
        await fleet.settled()
    fleet.want(await fleet.gateway(labels={"team": "b"}))
    async with fleet.leading():
        for kind in await fleet.settled():
            one = await fleet.until(kind, lambda one: one["metadata"]["labels"]["team"] == "b", what="the label is new")
            assert "tier" not in one["metadata"]["labels"]
            assert "example.com/note" not in one["metadata"]["annotations"]
        pods = (await fleet.objects())["Deployment"]["spec"]["template"]["metadata"]
        assert (pods["labels"]["team"], "tier" in pods["labels"]) == ("b", False)
        assert "example.com/note" not in pods["annotations"]


async def test_budget_goes_with_the_second_replica(fleet: FleetBench) -> None:
    """An object that is not wanted any more is deleted, the others stay."""
    fleet.want(await fleet.gateway(parameters={"replicas": 2}))
    async with fleet.leading():
        before = await fleet.settled(count=6)
        fleet.want(await fleet.gateway(parameters={"replicas": 1}))
        after = await fleet.settled(count=5)
        assert "PodDisruptionBudget" not in after
        await fleet.until("Deployment", lambda one: one["spec"]["replicas"] == 1, what="one replica is left")
        await fleet.quiet()
        assert changed(before, await fleet.objects()) == {"Deployment"}
        template = "metadata", "spec"
        assert all(
            before["Deployment"]["spec"]["template"][part] == after["Deployment"]["spec"]["template"][part]
            for part in template
        )


async def test_values_that_the_server_rewrites_are_no_difference(fleet: FleetBench) -> None:
    """A new leader asks once for what the API server writes in another way, and changes nothing by it."""
    resources = {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": 2}}
    fleet.want(await fleet.gateway(parameters={"resources": resources}))
    async with fleet.leading():
        before = await fleet.settled()
        await fleet.quiet()
    fleet.client.requests.clear()
    async with fleet.leading():
        await fleet.looked()
        await fleet.quiet()
    assert not changed(before, await fleet.objects())
    asked = [one for one in fleet.client.requests if not one[1].endswith("last-tidegate")]
    assert asked == [("apply", "deployments/public-tidegate")]


ALTERATIONS = (
    ("Service", {"spec": {"selector": {"app.kubernetes.io/name": "somebody"}}}),
    ("Service", {"metadata": {"labels": {"gateway.networking.k8s.io/gateway-name": "other"}}}),
    ("Deployment", {"spec": {"replicas": 7}}),
    ("Deployment", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
    ("Deployment", {"metadata": {"labels": {MANAGED_BY: "Helm"}}}),
    ("Deployment", {"metadata": {"ownerReferences": []}}),
    ("ConfigMap", {"data": {"bootstrap.json": "{}"}}),
    ("Secret", {"data": {"tls.key": "bm9uc2Vuc2U="}}),
    ("ServiceAccount", {"automountServiceAccountToken": True}),
)


async def test_what_somebody_alters_is_put_back(fleet: FleetBench) -> None:
    """An object that is ours says what we want of it, soon after somebody changed it."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        before = await fleet.settled()
        await fleet.quiet(0.2)
        for kind, change in ALTERATIONS:
            await fleet.api.patch(kind, "public-tidegate", change)
            is_back = functools.partial(same, before[kind])
            await fleet.until(kind, is_back, what=f"{kind} is as it was before {change}")
        await fleet.quiet()


def same(one: Manifest, other: Manifest) -> bool:
    """Whether two objects say the same."""
    return essence(one) == essence(other)


def essence(one: Manifest) -> Manifest:
    """What an object says, without what the server keeps account of."""
    accounts = ("resourceVersion", "generation", "managedFields")
    kept = {name: value for name, value in one.items() if name != "status"}
    kept["metadata"] = {name: value for name, value in one["metadata"].items() if name not in accounts}
    return kept


async def test_what_somebody_deletes_is_made_again(fleet: FleetBench) -> None:
    """A deleted object comes back; a proxy's certificate with it, as it was."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        before = await fleet.settled()
        for kind in before:
            await fleet.api.delete(kind, "public-tidegate")
        for kind, old in before.items():
            is_new = functools.partial(another, old)
            again = await fleet.until(kind, is_new, what=f"{kind} is there again")
            assert again.get("data") == old.get("data")


def another(old: Manifest, new: Manifest) -> bool:
    """Whether an object was made anew."""
    return bool(old["metadata"]["uid"] != new["metadata"]["uid"])


async def test_what_others_add_is_kept(fleet: FleetBench) -> None:
    """Fields that are not ours stay, through changes of ours."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        await fleet.settled()
        restarted = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
        await fleet.api.patch("Deployment", "public-tidegate", {"spec": {"template": restarted}})
        await fleet.api.patch("Service", "public-tidegate", {"metadata": {"annotations": {"example.com/note": "mine"}}})
        await fleet.api.patch("ServiceAccount", "public-tidegate", {"imagePullSecrets": [{"name": "registry"}]})
        await fleet.quiet()
        fleet.want(await fleet.gateway(labels={"team": "b"}, ports={"web": 80}))
        for kind in await fleet.settled():
            await fleet.until(kind, lambda one: one["metadata"]["labels"].get("team") == "b", what="the label is there")
        found = await fleet.objects()
    assert "kubectl.kubernetes.io/restartedAt" in found["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert found["Service"]["metadata"]["annotations"]["example.com/note"] == "mine"
    assert found["ServiceAccount"]["imagePullSecrets"] == [{"name": "registry"}]


async def test_ports_of_others_stay_beside_ours(fleet: FleetBench) -> None:
    """Whoever replaces the Service's ports loses nothing of theirs, and ours are there again."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        await fleet.settled()
        await fleet.api.patch("Service", "public-tidegate", {"spec": {"ports": [{"name": "other", "port": 1234}]}})
        await fleet.until(
            "Service",
            lambda one: {port["port"] for port in one["spec"]["ports"]} == {1234, 5432},
            what="both are there",
        )
        await fleet.quiet()


async def test_object_of_somebody_else_is_not_touched(fleet: FleetBench) -> None:
    """The Gateway is told whose name is in the way; once the object is gone, ours takes its place."""
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "public-tidegate"}, "data": {"a": "b"}}
    (before,) = await fleet.api.apply(foreign)
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        assert "ConfigMap" in await fleet.told()
        assert "not of tidegate's making" in fleet.troubles["public"]
        await fleet.settled()
        assert await fleet.api.get("ConfigMap", "public-tidegate") == before
        await fleet.api.delete("ConfigMap", "public-tidegate")
        await fleet.untroubled()
        assert "bootstrap.json" in (await fleet.settled())["ConfigMap"]["data"]
        await fleet.api.delete("Gateway", "public")
        fleet.want()
        await fleet.settled(count=0)


async def test_object_of_another_controller_is_waited_for(fleet: FleetBench) -> None:
    """A Gateway that comes to us from another controller gets its data plane when the other one has cleaned up."""
    wanted = await fleet.gateway()
    owner = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "public", "uid": wanted.uid}
    about = {
        "name": wanted.name,
        "labels": {MANAGED_BY: "tidegate"},
        "annotations": {"tidegate.dev/controller": "example.com/other"},
        "ownerReferences": [owner | {"controller": True}],
    }
    await fleet.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"a": "b"}})
    fleet.want(wanted)
    async with fleet.leading():
        assert "belongs to Gateway" in await fleet.told()
        assert (await fleet.settled())["ConfigMap"]["data"] == {"a": "b"}
        await fleet.api.delete("ConfigMap", wanted.name)
        await fleet.untroubled()
        assert "a" not in (await fleet.settled())["ConfigMap"]["data"]


async def test_without_an_authority_nothing_is_made(fleet: FleetBench) -> None:
    """Before there is anybody to issue certificates, a look only says when to look again."""
    wanted = await fleet.gateway()

    def unexpected(*_: object) -> NoReturn:
        raise AssertionError("there are no credentials")

    keeper = Keeper(
        fleet.client,
        authority=fleet.authority,
        inventory=Inventory(),
        manifests=unexpected,
        controller=CONTROLLER,
        troubles=Troubles(unexpected),
    )
    assert 0 < await keeper.look(site(wanted), [wanted]) < 10
    assert not fleet.client.requests


async def test_foreign_object_outlives_the_gateway(fleet: FleetBench) -> None:
    """What looks like ours, but no Gateway controls it or another controller made it, is not ours to delete."""
    labels = {MANAGED_BY: "tidegate", "gateway.networking.k8s.io/gateway-name": "public"}
    mine = {"tidegate.dev/controller": "tidegate.dev/gateway-controller"}
    wanted = await fleet.gateway()
    owner = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "public", "uid": wanted.uid}
    about = {
        "unowned": {"labels": labels, "annotations": mine},
        "not-controlled": {"labels": labels, "annotations": mine, "ownerReferences": [owner]},
        "unlabelled": {"annotations": mine, "ownerReferences": [owner | {"controller": True}]},
        "of-another": {
            "labels": labels,
            "annotations": {"tidegate.dev/controller": "example.com/other"},
            "ownerReferences": [owner | {"controller": True}],
        },
    }
    for name, metadata in about.items():
        await fleet.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}})
    fleet.want(wanted)
    async with fleet.leading():
        await fleet.settled()
        fleet.want()
        await fleet.settled(count=0)
        await fleet.quiet()
    assert about.keys() <= {one["metadata"]["name"] for one in await fleet.api.items("ConfigMap")}


async def test_rival_is_not_fought_in_a_loop(fleet: FleetBench) -> None:
    """Against somebody who always changes it back, an object is put back ever more rarely."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        await fleet.settled()
        fleet.client.requests.clear()
        wins = 0

        async def fought() -> int:
            nonlocal wins
            found = await fleet.api.get("Deployment", "public-tidegate")
            if found["spec"]["replicas"] == 1:
                wins += 1
                await fleet.api.patch("Deployment", "public-tidegate", {"spec": {"replicas": 3}})
            return wins

        await eventually(fought, lambda times: times >= 5, what="it was put back five times", within=20)
        assert len(fleet.client.requests) <= 6
        assert {one for _, one in fleet.client.requests} == {"deployments/public-tidegate"}


async def test_of_two_gateways_with_one_name_the_first_keeps_it(fleet: FleetBench) -> None:
    """Should two Gateways come to the same name, the second is told, and has its turn when the first has gone."""
    first = await fleet.gateway("first", name="shared")
    second = await fleet.gateway("second", name="shared")
    fleet.want(first)
    async with fleet.leading():
        await fleet.settled("shared")
        fleet.want(first, second)
        assert "shared" in await fleet.told("second")
        await fleet.quiet()
    async with fleet.leading():
        await fleet.told("second")
        owners = {one["metadata"]["ownerReferences"][0]["name"] for one in (await fleet.settled("shared")).values()}
        assert owners == {"first"}
        fleet.want(second)
        await fleet.untroubled()
        for kind in await fleet.settled("shared"):
            await fleet.until(
                kind, lambda one: one["metadata"]["ownerReferences"][0]["name"] == "second", what="", name="shared"
            )


async def test_gateway_made_anew_takes_over(fleet: FleetBench) -> None:
    """A Gateway that is deleted and made again under its name has another uid; its objects follow."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        before = await fleet.settled()
        await fleet.api.delete("Gateway", "public")
        again = await fleet.gateway()
        fleet.want(again)
        for kind in before:
            one = await fleet.until(
                kind, lambda one: one["metadata"]["ownerReferences"][0]["uid"] == again.uid, what="it is the new one's"
            )
            assert len(one["metadata"]["ownerReferences"]) == 1


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        (
            {"parameters": {"service_type": "ClusterIP"}},
            {"parameters": {"service_type": "ClusterIP"}, "addresses": ("10.0.77.1",)},
            "clusterIP",
        ),
        (
            {"parameters": {"load_balancer_class": "example.com/a"}},
            {"parameters": {"load_balancer_class": "example.com/b"}},
            "loadBalancerClass",
        ),
        ({"parameters": {"load_balancer_class": "example.com/a"}}, {}, "loadBalancerClass"),
    ],
    ids=["address", "class", "no class"],
)
async def test_service_that_cannot_change_is_made_anew(
    fleet: FleetBench, before: Manifest, after: Manifest, field: str
) -> None:
    """Where the API server lets nobody change a field that the user changed, the Service is replaced."""
    fleet.want(await fleet.gateway(**before))
    async with fleet.leading():
        old = (await fleet.settled())["Service"]
        fleet.want(await fleet.gateway(**after))
        new = await fleet.until("Service", lambda one: one["spec"].get(field) != old["spec"].get(field), what="new")
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        await fleet.quiet()
    assert not fleet.troubles


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.1"], ids=["another Service's", "none of the cluster's"])
async def test_service_serves_until_another_one_can_take_its_place(fleet: FleetBench, address: str) -> None:
    """An address that is not to be had costs nobody the Service that is there; the reason is told."""
    inside = {"service_type": "ClusterIP"}
    fleet.want(await fleet.gateway(parameters=inside))
    async with fleet.leading():
        old = (await fleet.settled())["Service"]
        fleet.want(await fleet.gateway(parameters=inside, addresses=(address,)))
        assert address in await fleet.told()
        await fleet.quiet()
        assert same(await fleet.api.get("Service", "public-tidegate"), old)
        fleet.want(await fleet.gateway(parameters=inside, addresses=("10.0.77.2",)))
        await fleet.until("Service", lambda one: one["spec"]["clusterIP"] == "10.0.77.2", what="it has the address")
        await fleet.untroubled()


async def test_cluster_of_two_families_adds_an_address(experimental_cluster: Cluster) -> None:
    """What it adds to an address that is asked for is no obstacle to later changes; two may be asked for as well."""
    async with fleet_in(experimental_cluster) as fleet, fleet.leading():
        inside = {"service_type": "ClusterIP"}
        fleet.want(await fleet.gateway(parameters=inside, addresses=("10.0.77.3",)))
        old = (await fleet.settled())["Service"]
        assert [":" in address for address in old["spec"]["clusterIPs"]] == [False, True]
        fleet.want(await fleet.gateway(parameters=inside, addresses=("10.0.77.3",), ports={"web": 80, "db": 81}))
        new = await fleet.until("Service", lambda one: len(one["spec"]["ports"]) == 2, what="the port is there")
        assert (new["metadata"]["uid"], new["spec"]["clusterIPs"]) == (
            old["metadata"]["uid"],
            old["spec"]["clusterIPs"],
        )
        for addresses in (("fd00:10::3", "10.0.77.4"), ("fd00:10::3", "10.0.77.5"), ("fd00:10::3",)):
            fleet.want(await fleet.gateway(parameters=inside, addresses=addresses))
            await fleet.until(
                "Service",
                lambda one, wanted=addresses: tuple(one["spec"]["clusterIPs"])[: len(wanted)] == wanted,
                what=f"it has {addresses}",
            )
            await fleet.quiet()
        assert not fleet.troubles


async def test_service_changes_its_type(fleet: FleetBench) -> None:
    """From any type to any other, without a new Service."""
    options = {"load_balancer_class": "example.com/a", "external_traffic_policy": "Local"}
    fleet.want(await fleet.gateway(parameters=options))
    async with fleet.leading():
        uid = (await fleet.settled())["Service"]["metadata"]["uid"]
        for other in ("ClusterIP", "LoadBalancer", "NodePort", "LoadBalancer", "ClusterIP", "NodePort"):
            fleet.want(await fleet.gateway(parameters={"service_type": other, **options}))
            service = await fleet.until(
                "Service", lambda one, other=other: one["spec"]["type"] == other, what=f"the type is {other}"
            )
            assert service["metadata"]["uid"] == uid


async def test_what_the_api_server_refuses_is_told(fleet: FleetBench) -> None:
    """A user's mistake that only the API server sees reaches the Gateway; the other objects are made all the same."""
    fleet.want(await fleet.gateway(parameters={"resources": {"requests": {"cpu": "much"}}}))
    async with fleet.leading():
        assert "Deployment" in await fleet.told()
        await fleet.settled(count=4)
        fleet.want(await fleet.gateway())
        await fleet.untroubled()
        await fleet.settled()


async def test_pods_that_the_cluster_cannot_make_are_told_whatever_else_is_done(fleet: FleetBench) -> None:
    """A Deployment that makes no Pods is a trouble until it makes some; that we could change it meanwhile ends none."""
    fleet.want(await fleet.gateway())
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: none"}
    async with fleet.leading():
        await fleet.settled()
        await fleet.api.patch_status("Deployment", "public-tidegate", {"conditions": [failed]})
        assert await fleet.told() == "exceeded quota: none"
        before = len(fleet.tellings)
        fleet.want(await fleet.gateway(parameters={"replicas": 2}))
        await fleet.until("Deployment", lambda one: one["spec"]["replicas"] == 2, what="it has two replicas")
        await fleet.settled(count=6)
        await fleet.quiet()
        assert fleet.tellings[before:] == [], "it is no news either"
        await fleet.api.patch_status("Deployment", "public-tidegate", {"conditions": [{**failed, "status": "False"}]})
        await fleet.untroubled()


async def test_end_of_a_namespace_is_no_trouble(fleet: FleetBench) -> None:
    """In a namespace that ends nothing can be made any more: nobody has to hear of that, and what goes, goes."""
    fleet.want(await fleet.gateway())
    async with fleet.leading():
        await fleet.settled()
        await fleet.api.delete("Namespace", fleet.cluster.namespace)
        fleet.client.requests.clear()
        await fleet.api.delete("ConfigMap", "public-tidegate")

        async def tries() -> int:
            return fleet.client.requests.count(("apply", "configmaps/public-tidegate"))

        await eventually(tries, lambda count: count >= 2, what="it is tried")
        assert not fleet.troubles
        fleet.want()
        await fleet.settled(count=0)


@pytest.mark.parametrize(
    ("standard", "host_network"), [("restricted", False), ("baseline", False), ("privileged", True)]
)
async def test_pods_are_admitted(fleet: FleetBench, standard: str, host_network: bool) -> None:
    """The Pods need no more than the strictest of the Pod Security Standards allows, but for the node's network."""
    fleet.want(await fleet.gateway(parameters={"host_network": host_network}))
    async with fleet.leading():
        template = (await fleet.settled())["Deployment"]["spec"]["template"]
    labels = {f"pod-security.kubernetes.io/{mode}": standard for mode in ("enforce", "warn")}
    await fleet.api.patch("Namespace", fleet.cluster.namespace, {"metadata": {"labels": labels}})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "proxy", **template["metadata"]}}
    created = await fleet.api.create(pod | {"spec": template["spec"]}, dry_run=True)
    assert created["spec"].get("hostNetwork", False) is host_network


async def test_certificate_names_the_gateway(fleet: FleetBench) -> None:
    """The Secret holds what its proxies need to come to the controller, for this Gateway and no other."""
    wanted = await fleet.gateway()
    fleet.want(wanted)
    async with fleet.leading():
        secret = (await fleet.settled())["Secret"]
        assert secret["type"] == "kubernetes.io/tls"
        assert identity_in(secret) == proxy_identity(wanted.scope)
        assert decoded(secret)["ca.crt"] == fleet.authority.credentials().authorities


async def test_kept_data_plane_stays_as_it_is(fleet: FleetBench) -> None:
    """A Gateway that is not accepted for the moment keeps what it has, and gets nothing that it has not."""
    public = await fleet.gateway()
    fleet.want(public)
    async with fleet.leading():
        before = await fleet.settled()
    fleet.want()
    keeps = [
        KeptInfrastructure(gateway=gateway_key(name, public.gateway.namespace), name=f"{name}-tidegate")
        for name in ("public", "other")
    ]
    fleet.fleet.set({one.gateway: one for one in keeps})
    fleet.client.requests.clear()
    async with fleet.leading():
        await fleet.looked()
        assert await fleet.objects() == before
        assert not await fleet.objects("other-tidegate")


async def test_change_of_an_infrastructure_is_not_held_up_by_trouble(fleet: FleetBench) -> None:
    """Whoever mends a mistake does not wait for the back-off of the mistake."""
    wrong = await fleet.gateway(parameters={"resources": {"requests": {"cpu": "much"}}})
    fleet.want(wrong)
    async with fleet.leading():
        await fleet.told()
        fleet.want(msgspec.structs.replace(wrong, parameters=(await fleet.gateway()).parameters))
        await fleet.settled()
        await fleet.untroubled()
