from tidegate.kube.discovery import Definition
from tidegate.kube.resources import ApiResource
from tidegate.model.kinds import BY_GROUP_KIND, KINDS
from tidegate.names import GATEWAY_GROUP
from tidegate.sources.kubernetes_versions import CUSTOM_KINDS, GROUPS, definition_name, installed, resource_of

ROUTES = f"tcproutes.{GATEWAY_GROUP}"


def definition(name: str, *served: str, bundle: str = "v1.6.1") -> Definition:
    return Definition(name=name, bundle_version=bundle, served=served)


def test_built_in_kinds_are_always_there() -> None:
    """A cluster without any definition serves what Kubernetes itself has."""
    served = installed({}).served
    assert served.keys() == {kind.kind for kind in KINDS}
    assert (served["Namespace"], served["Service"], served["EndpointSlice"]) == ("v1", "v1", "v1")
    assert {served[kind.kind] for kind in CUSTOM_KINDS} == {None}


def test_newest_version_that_both_sides_know_is_read() -> None:
    """v1 where it is served, else the older one; none when the cluster serves only others."""
    for served, read in ((("v1alpha2", "v1"), "v1"), (("v1alpha2",), "v1alpha2"), (("v2",), None), ((), None)):
        assert installed({ROUTES: definition(ROUTES, *served)}).served["TCPRoute"] == read


def test_bundle_versions_are_those_of_the_gateway_api() -> None:
    """Every definition of the group counts, also of kinds that are not read; those of other groups do not."""
    others = ["httproutes.gateway.networking.k8s.io", "gatewayparameters.tidegate.dev"]
    found = installed({ROUTES: definition(ROUTES, "v1")} | {name: definition(name, bundle="") for name in others})
    assert found.bundle_versions == {ROUTES: "v1.6.1", others[0]: ""}


def test_kinds_lead_to_paths_and_definitions() -> None:
    """The names that the API server uses follow from the row of a kind."""
    route, namespace = BY_GROUP_KIND[GATEWAY_GROUP, "TCPRoute"], BY_GROUP_KIND["", "Namespace"]
    assert definition_name(route) == ROUTES
    assert resource_of(route, "v1") == ApiResource(GATEWAY_GROUP, "v1", "tcproutes")
    assert resource_of(namespace, "v1") == ApiResource("", "v1", "namespaces", namespaced=False)
    assert GATEWAY_GROUP in GROUPS
    assert "" not in GROUPS
