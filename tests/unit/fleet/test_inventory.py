"""What is known of the objects that are there is never older than what was known before."""

from typing import Any

from support.infrastructures import CONTAINER, CONTROLLER, CREDENTIALS, IMAGE, gateway_key, infrastructure
from tidegate.fleet.inventory import Found, Inventory, Site, found, site
from tidegate.fleet.kinds import CONFIG_MAP, DEPLOYMENT, SECRET, SERVICE, GeneratedKind
from tidegate.fleet.objects import manifests
from tidegate.plan.infrastructure import Trouble, TroubleReason

HERE = Site("shop", "public-tidegate")


def body(kind: GeneratedKind = SERVICE, *, version: int = 1, uid: str = "one", **metadata: Any) -> dict[str, Any]:
    """An object as the API server would give it."""
    made = manifests(infrastructure(), CONTAINER, CREDENTIALS, image=IMAGE, controller=CONTROLLER)
    (manifest,) = (one for one in made if one.kind == kind)
    about = {**manifest.body["metadata"], "uid": uid, "resourceVersion": str(version), **metadata}
    return manifest.body | {"metadata": about}


def one(kind: GeneratedKind = SERVICE, *, version: int = 1, uid: str = "one", **metadata: Any) -> Found:
    return found(body(kind, version=version, uid=uid, **metadata))


def test_object_is_read() -> None:
    """What is kept of an object is who it is, whose it is, and what it says."""
    read = one(managedFields=[{"manager": "tidegate"}], generation=3)
    assert read.key == SERVICE.key("shop", "public-tidegate")
    assert (read.site, read.kind, read.uid, read.ending) == (HERE, SERVICE, "one", False)
    assert (read.owner.gateway, read.owner.controller) == (gateway_key(), CONTROLLER)
    assert read.body()["spec"] == body()["spec"]
    assert not read.body()["metadata"].keys() & {"managedFields", "resourceVersion", "generation"}
    assert one(deletionTimestamp="2026-01-01T00:00:00Z").ending
    assert site(infrastructure()) == HERE
    assert str(HERE) == "shop/public-tidegate"


def test_object_without_anything_of_ours_is_read() -> None:
    """Whatever has our label is read, whoever made it."""
    about = {"name": "x", "namespace": "shop", "uid": "1", "resourceVersion": "opaque"}
    read = found({"apiVersion": "v1", "kind": "Secret", "metadata": about})
    assert (read.key, read.digest, read.version) == (SECRET.key("shop", "x"), "", 0)


def test_secret_does_not_print() -> None:
    """No log and no failed assertion shows what a Secret holds."""
    assert repr(one(SECRET)) == "Found(Secret shop/public-tidegate)"


def test_news_are_told_and_no_news_are_not() -> None:
    """Only where something changes there is something to look at; a status is no such thing."""
    inventory = Inventory()
    assert inventory.put(one()) == {HERE}
    assert inventory.put(one(version=2)) == set()
    assert inventory.put(found(body(version=3) | {"status": {"loadBalancer": {}}})) == set()
    assert inventory.put(one(version=4, labels={})) == {HERE}
    assert inventory.put(one(version=5, labels={}, deletionTimestamp="2026-01-01T00:00:00Z")) == {HERE}
    assert inventory.put(one(version=6, uid="two")) == {HERE}
    assert list(inventory.sites()) == [HERE]


def test_older_news_change_nothing() -> None:
    """A watch that lags behind our own request does not take us back."""
    inventory = Inventory()
    newer = one(version=7, labels={})
    inventory.put(newer)
    assert inventory.put(one(version=6)) == set()
    assert inventory.at(HERE)[newer.key] == newer


def test_gone_is_only_what_was_there() -> None:
    """The end of an object does not take its successor away."""
    inventory = Inventory()
    inventory.put(one(version=9, uid="two"))
    assert inventory.remove(one(version=8)) == set()
    assert inventory.remove(one(version=10, uid="two")) == {HERE}
    assert inventory.remove(one(version=10, uid="two")) == set()
    assert not inventory.at(HERE)
    assert not list(inventory.sites())


def test_list_replaces_a_kind() -> None:
    """What a new list does not have is gone; other kinds stay."""
    inventory = Inventory()
    inventory.put(one(CONFIG_MAP))
    inventory.put(one(SERVICE))
    assert inventory.replace(SERVICE, [one(SERVICE, version=2)]) == set()
    assert inventory.replace(SERVICE, []) == {HERE}
    assert [kept.kind for kept in inventory.at(HERE).values()] == [CONFIG_MAP]


def test_what_we_applied_is_remembered_of_the_same_object() -> None:
    """The fingerprint of our last apply stays through changes by others, not through another object."""
    inventory = Inventory()
    inventory.put(found(body(), settled=b"applied"))
    inventory.put(one(version=2, labels={}))
    assert inventory.at(HERE)[one().key].settled == b"applied"
    inventory.put(one(version=3, uid="two"))
    assert inventory.at(HERE)[one().key].settled == b""


def test_a_list_is_true_even_if_it_is_older() -> None:
    """The cluster's data may have been restored from a backup: versions go back, and so do objects."""
    inventory = Inventory()
    inventory.put(one(version=70, labels={}))
    assert inventory.replace(SERVICE, [one(version=6)]) == {HERE}
    assert inventory.at(HERE)[one().key].version == 6
    assert inventory.put(one(version=7, labels={})) == {HERE}


def test_a_deployment_of_which_no_pods_can_be_made() -> None:
    """That this begins, ends, and has another reason is news; the words name Pods that never were, and are not."""
    inventory = Inventory()

    def deployment(version: int, *conditions: dict[str, str]) -> Found:
        return found(body(DEPLOYMENT, version=version) | {"status": {"conditions": list(conditions)}})

    available = {"type": "Available", "status": "False", "message": "no"}
    failed = {"type": "ReplicaFailure", "status": "True", "message": "pods x-1 is forbidden"}
    assert inventory.put(deployment(1, available)) == {HERE}
    assert inventory.put(deployment(2, available, failed)) == {HERE}
    refused = Trouble(reason=TroubleReason.REFUSED, message="pods x-1 is forbidden")
    assert inventory.at(HERE)[deployment(2).key].failure == refused
    assert inventory.put(deployment(3, {**failed, "message": "pods x-2 is forbidden"})) == set()
    assert inventory.put(deployment(4, {**failed, "message": "pods x-3 exceeded quota: small"})) == {HERE}
    assert inventory.put(deployment(5, {**failed, "message": "pods x-4 exceeded quota: small"})) == set()
    assert inventory.put(deployment(6, {**failed, "status": "False"})) == {HERE}
    assert inventory.at(HERE)[deployment(2).key].failure is None
