"""The objects of a data plane belong together, and are valid whatever the Gateway says."""

import re
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from support.infrastructures import CONTAINER, CONTROLLER, CREDENTIALS, IMAGE, gateway_key, infrastructure
from tidegate.fleet.credentials import Credentials
from tidegate.fleet.kinds import DISRUPTION_BUDGET, GENERATED, Manifest
from tidegate.fleet.metadata import DIGEST
from tidegate.fleet.objects import manifests
from tidegate.fleet.pki import KeyPair, PrivateKey

LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?\Z")
QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")


def generated(credentials: Credentials = CREDENTIALS, **differences: Any) -> dict[str, Manifest]:
    made = manifests(infrastructure(**differences), CONTAINER, credentials, image=IMAGE, controller=CONTROLLER)
    return {one.kind.name: one for one in made}


def test_everything_has_the_same_name_and_owner() -> None:
    """All objects of a Gateway are found by one name, and go with the Gateway."""
    for one in generated(parameters={"replicas": 2}).values():
        about = one.body["metadata"]
        assert (about["namespace"], about["name"]) == ("shop", "public-tidegate") == (one.key.namespace, one.key.name)
        (reference,) = about["ownerReferences"]
        assert (reference["kind"], reference["name"]) == ("Gateway", "public")
        assert (reference["controller"], reference["blockOwnerDeletion"]) == (True, False)


def test_budget_only_for_several_replicas() -> None:
    """A budget for a single Pod would keep its node from ever being drained."""
    assert DISRUPTION_BUDGET.name not in generated(parameters={"replicas": 1})
    assert [*generated(parameters={"replicas": 2})] == [kind.name for kind in GENERATED]


def test_selectors_find_the_pods() -> None:
    """Deployment, Service and budget select the labels that the Pods have."""
    made = generated(parameters={"replicas": 2}, labels={"app.kubernetes.io/name": "mine"})
    pods = made["Deployment"].body["spec"]["template"]["metadata"]["labels"]
    for selector in (
        made["Deployment"].body["spec"]["selector"]["matchLabels"],
        made["Service"].body["spec"]["selector"],
        made["PodDisruptionBudget"].body["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= pods.items()


def test_new_certificate_changes_the_secret_only() -> None:
    """Certificates are renewed often, and no Pod goes for it."""
    renewed = msgspec.structs.replace(CREDENTIALS, pair=KeyPair(certificate=b"newer", key=PrivateKey(b"key")))
    before, after = generated(), generated(renewed)
    assert [name for name in before if before[name] != after[name]] == ["Secret"]


def test_new_listener_changes_the_service_only() -> None:
    """A listener comes without a new Pod."""
    before, after = generated(), generated(ports={"postgres": 5432, "web": 80})
    assert [name for name in before if before[name] != after[name]] == ["Service"]


def test_digest_tells_contents_apart() -> None:
    """The same content has the same digest, and the object carries it."""
    one, same, other = generated()["Service"], generated()["Service"], generated(ports={})["Service"]
    assert one.digest == same.digest != other.digest
    assert one.body["metadata"]["annotations"][DIGEST] == one.digest


def test_defaults_are_no_change() -> None:
    """Values that are equal give equal objects: nothing in them depends on chance or time."""
    assert generated() == generated(labels={}, annotations={}, parameters={"replicas": 1})


label = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
subdomain = st.lists(label, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) <= 253)
prefixes = st.sampled_from(["", "example.com/", "app.kubernetes.io/", "gateway.networking.k8s.io/", "tidegate.dev/"])
keys = st.builds("{}{}".format, prefixes, label)


@given(
    gateway=st.builds(gateway_key, subdomain, label),
    class_name=subdomain,
    name=label,
    labels=st.dictionaries(keys, label, max_size=4),
    annotations=st.dictionaries(keys, st.text(), max_size=4),
    ports=st.dictionaries(label, st.integers(min_value=1, max_value=65535), max_size=5),
    parameters=st.fixed_dictionaries(
        {
            "replicas": st.integers(min_value=1, max_value=100),
            "service_type": st.sampled_from(["LoadBalancer", "NodePort", "ClusterIP"]),
            "host_network": st.booleans(),
            "drain_time": st.integers(min_value=0, max_value=3600),
        }
    ),
)
def test_metadata_is_valid_for_every_gateway(**differences: Any) -> None:
    """Names, labels and annotations are ones that the API server takes, and JSON holds every object."""
    made = generated(**differences)
    for one in made.values():
        about = one.body["metadata"]
        assert about["name"] == differences["name"]
        assert all(QUALIFIED.match(key) for key in (*about["labels"], *about["annotations"]))
        assert all(LABEL_VALUE.match(value) and len(value) <= 63 for value in about["labels"].values())
        assert msgspec.json.decode(msgspec.json.encode(one.body)) == one.body
    assert made["Service"].body["spec"]["ports"]
    pods = made["Deployment"].body["spec"]["template"]["metadata"]["labels"]
    assert made["Service"].body["spec"]["selector"].items() <= pods.items()
