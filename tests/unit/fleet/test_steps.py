"""What is to be done at a site is exactly what differs, and nothing to objects of others."""

from typing import Any

import msgspec
import pytest

from support.infrastructures import CONTAINER, CONTROLLER, CREDENTIALS, IMAGE, gateway_key, infrastructure
from tidegate.fleet import kinds
from tidegate.fleet.comparison import fingerprint
from tidegate.fleet.credentials import Credentials
from tidegate.fleet.inventory import Found, found
from tidegate.fleet.kinds import GeneratedKind, Manifest
from tidegate.fleet.objects import manifests
from tidegate.fleet.pki import KeyPair, PrivateKey
from tidegate.fleet.steps import Apply, Blocked, Remove, Renew, Replace, Step, holder, steps, steps_to_keep
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure

There = dict[ObjectKey, Found]


def made(wanted: Infrastructure, controller: str = CONTROLLER) -> tuple[Manifest, ...]:
    return manifests(wanted, CONTAINER, CREDENTIALS, image=IMAGE, controller=controller)


def there(wanted: Infrastructure, controller: str = CONTROLLER) -> There:
    """All objects of a data plane, as an API server has them."""
    accounts = {"uid": "of-the-object", "resourceVersion": "1"}
    all_found = [found(one.body | {"metadata": one.body["metadata"] | accounts}) for one in made(wanted, controller)]
    return {one.key: one for one in all_found}


def altered(objects: There, kind: GeneratedKind, **changes: Any) -> There:
    """The same with other metadata on an object of a kind."""
    (one,) = (one for one in objects.values() if one.kind == kind)
    body = one.body()
    body["metadata"] = body["metadata"] | {"resourceVersion": "2"} | changes
    return objects | {one.key: found(body)}


def todo(wanted: Infrastructure, objects: There) -> list[Step]:
    return list(steps(wanted, made(wanted), objects, CONTROLLER))


PLAIN = infrastructure()
TWO = infrastructure(parameters={"replicas": 2})


def test_nothing_to_do_where_all_is_as_it_should_be() -> None:
    """What is wanted and what is there are the same."""
    assert todo(PLAIN, there(PLAIN)) == []


def test_missing_objects_are_made_in_order() -> None:
    """What Pods need comes before the Pods."""
    planned = todo(TWO, {})
    assert [step.key.kind for step in planned] == [kind.name for kind in kinds.GENERATED]
    assert all(isinstance(step, Apply) and step.found is None for step in planned)


def test_everything_goes_in_opposite_order() -> None:
    """With their Gateway, objects that have our marks and a Gateway go."""
    planned = list(steps(None, (), there(TWO), CONTROLLER))
    assert [step.key.kind for step in planned] == [kind.name for kind in reversed(kinds.GENERATED)]
    assert all(isinstance(step, Remove) for step in planned)


def test_what_is_not_wanted_any_more_goes() -> None:
    """One replica needs no budget."""
    assert [(type(step), step.key.kind) for step in todo(PLAIN, there(TWO))] == [
        (Apply, "Deployment"),
        (Remove, "PodDisruptionBudget"),
    ]


def test_withdrawn_label_is_a_difference() -> None:
    """An object that says more than we want, because we once did, is applied again: its digest tells."""
    before = there(infrastructure(labels={"team": "a"}))
    assert {step.key.kind for step in todo(PLAIN, before)} == {one.kind.name for one in before.values()}


def test_object_that_ends_is_waited_for() -> None:
    """Nothing is asked of an object that is being deleted."""
    ending = altered(there(PLAIN), kinds.SERVICE, deletionTimestamp="2026-01-01T00:00:00Z")
    assert todo(PLAIN, ending) == []
    assert kinds.SERVICE.name not in {step.key.kind for step in steps(None, (), ending, CONTROLLER)}


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {}},
        {"annotations": {}},
        {"labels": {}, "annotations": {}},
        {"ownerReferences": []},
        {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "x"}]},
    ],
)
def test_object_that_lost_some_marks_is_ours(change: dict[str, Any]) -> None:
    """Marks or the Gateway's control are enough to put the rest back."""
    (step,) = todo(PLAIN, altered(there(PLAIN), kinds.SERVICE, **change))
    assert isinstance(step, Apply)
    assert step.found is not None


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {}, "ownerReferences": []},
        {"annotations": {"tidegate.dev/controller": "example.com/other"}},
        {"labels": {}, "ownerReferences": made(infrastructure(uid="other"))[0].body["metadata"]["ownerReferences"]},
    ],
    ids=["nothing of ours", "another controller's", "an earlier Gateway's, without marks"],
)
def test_object_of_somebody_else_blocks(change: dict[str, Any]) -> None:
    """Without marks, or with those of another controller, an object is not ours: not to change, not to delete."""
    foreign = altered(there(PLAIN), kinds.SERVICE, **change)
    (step,) = todo(PLAIN, foreign)
    assert isinstance(step, Blocked)
    assert step.message.startswith("Service shop/public-tidegate is there already and ")
    assert kinds.SERVICE.name not in {one.key.kind for one in steps(None, (), foreign, CONTROLLER)}


def test_object_without_gateway_is_not_deleted() -> None:
    """What no Gateway controls is nobody's to delete, whatever marks it has."""
    orphan = altered(there(PLAIN), kinds.SERVICE, ownerReferences=[])
    assert kinds.SERVICE.name not in {step.key.kind for step in steps(None, (), orphan, CONTROLLER)}


def test_gateway_made_anew_has_what_was_before() -> None:
    """The objects of a Gateway of the same name become the new one's."""
    planned = todo(infrastructure(uid="another"), there(PLAIN))
    assert all(isinstance(step, Apply) for step in planned)
    assert len(planned) == 5


def test_what_another_gateway_left_makes_room() -> None:
    """Objects of a Gateway that does not want the name any more are removed first."""
    other = infrastructure(gateway_key("other"), name=PLAIN.name, uid="other")
    planned = todo(PLAIN, there(other))
    assert all(isinstance(step, Remove) for step in planned)
    assert len(planned) == 5


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {"parameters": {"service_type": "ClusterIP"}},
            {"parameters": {"service_type": "ClusterIP"}, "addresses": ("10.0.0.7",)},
        ),
        (
            {"parameters": {"service_type": "ClusterIP"}, "addresses": ("10.0.0.7", "fd00::7")},
            {"parameters": {"service_type": "ClusterIP"}, "addresses": ("10.0.0.7", "fd00::8")},
        ),
        ({"parameters": {"load_balancer_class": "a/b"}}, {"parameters": {"load_balancer_class": "a/c"}}),
        ({}, {"parameters": {"load_balancer_class": "a/c"}}),
    ],
)
def test_service_is_replaced_where_it_cannot_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    """An address or a class that a user changes needs a new Service."""
    planned = todo(infrastructure(**after), there(infrastructure(**before)))
    assert [(type(step), step.key.kind) for step in planned] == [(Replace, "Service")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"parameters": {"service_type": "ClusterIP"}, "addresses": ("10.0.0.7",)}, {}),
        ({"parameters": {"service_type": "NodePort"}}, {"parameters": {"load_balancer_class": "a/b"}}),
    ],
)
def test_service_is_not_replaced_for_less(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What a user no longer asks for, or may ask for with another type, is for an apply."""
    planned = todo(infrastructure(**after), there(infrastructure(**before)))
    assert [(type(step), step.key.kind) for step in planned] == [(Apply, "Service")]


@pytest.mark.parametrize(("manager", "expected"), [("tidegate", Replace), ("cloud", Apply)])
def test_service_is_replaced_for_a_class_that_is_withdrawn(manager: str, expected: type[Step]) -> None:
    """The one that we asked for cannot be taken away; one that somebody else chose stays."""
    objects = there(infrastructure(parameters={"load_balancer_class": "a/b"}))
    fields = {"f:spec": {"f:loadBalancerClass": {}}}
    account = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    other = {"manager": "kubectl", "operation": "Update", "fieldsV1": {}}
    (step,) = todo(PLAIN, altered(objects, kinds.SERVICE, managedFields=[other, account]))
    assert (type(step), step.key.kind) == (expected, "Service")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (kinds.SECRET, "type", "Opaque"),
        (kinds.DEPLOYMENT, "spec", {"selector": {"matchLabels": {"app": "old"}}}),
    ],
)
def test_object_with_another_immutable_field_is_replaced(kind: GeneratedKind, field: str, value: object) -> None:
    """A type of Secret or a selector that is not ours cannot become ours."""
    objects = there(PLAIN)
    (one,) = (one for one in objects.values() if one.kind == kind)
    stale = found(one.body() | {field: value, "metadata": one.body()["metadata"] | {"resourceVersion": "2"}})
    (step,) = todo(PLAIN, objects | {one.key: stale})
    assert isinstance(step, Replace)


def test_what_the_server_made_of_our_values_is_no_difference() -> None:
    """Compared is with the answer to our last apply, once there is one."""
    wanted = infrastructure(parameters={"resources": {"requests": {"cpu": "1000m"}}})
    objects = there(wanted)
    (manifest,) = (one for one in made(wanted) if one.kind == kinds.DEPLOYMENT)
    body = objects[manifest.key].body()
    body["metadata"]["resourceVersion"] = "2"
    body["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1"
    (step,) = todo(wanted, objects | {manifest.key: found(body)})
    assert isinstance(step, Apply)
    applied = found(body, settled=fingerprint(body, manifest.body))
    assert todo(wanted, objects | {manifest.key: applied}) == []


def test_first_of_two_has_the_site() -> None:
    """Who has objects there keeps the site; otherwise the order of names decides."""
    one, other = infrastructure(gateway_key("a"), name="x"), infrastructure(gateway_key("b"), name="x", uid="b")
    assert holder([other, one], {}, CONTROLLER) == one
    assert holder([other, one], there(other), CONTROLLER) == other
    assert holder([other, one], there(other, "example.com/other"), CONTROLLER) == one
    assert holder([], there(other), CONTROLLER) is None
    kept = KeptInfrastructure(gateway=one.gateway, name="x")
    assert holder([kept], {}, CONTROLLER) == kept


def test_kept_data_plane_gets_a_new_certificate_and_nothing_else() -> None:
    """All stays as it is, but what proxies need to come back to the controller."""
    renewed = Credentials(
        pair=KeyPair(certificate=b"new", key=PrivateKey(b"new")), authorities=b"new", good_until=CREDENTIALS.good_until
    )
    assert list(steps_to_keep(there(PLAIN), CREDENTIALS, CONTROLLER)) == []
    (step,) = steps_to_keep(there(PLAIN), renewed, CONTROLLER)
    assert (type(step), step.key.kind) == (Renew, "Secret")
    assert list(steps_to_keep(there(PLAIN), renewed, "example.com/other")) == []
    assert list(steps_to_keep({}, renewed, CONTROLLER)) == []


def test_nothing_that_is_secret_is_printed() -> None:
    """A failed assertion about steps shows no key."""
    secret = msgspec.structs.replace(CREDENTIALS, pair=KeyPair(certificate=b"new", key=PrivateKey(b"very secret")))
    (renew,) = steps_to_keep(there(PLAIN), secret, CONTROLLER)
    for text in (repr(renew), repr(todo(PLAIN, {})), repr(there(PLAIN))):
        assert "tls.key" not in text
