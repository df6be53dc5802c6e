from tidegate.kube.resources import ApiResource

PODS = ApiResource("", "v1", "pods")
ROUTES = ApiResource("gateway.networking.k8s.io", "v1", "tcproutes")
CLASSES = ApiResource("gateway.networking.k8s.io", "v1", "gatewayclasses", namespaced=False)


def test_collections() -> None:
    """The core group has a root of its own; a cluster-scoped kind has no namespace whatever is given."""
    assert PODS.collection() == "/api/v1/pods"
    assert PODS.collection("ns") == "/api/v1/namespaces/ns/pods"
    assert ROUTES.collection("ns") == "/apis/gateway.networking.k8s.io/v1/namespaces/ns/tcproutes"
    assert CLASSES.collection("ns") == "/apis/gateway.networking.k8s.io/v1/gatewayclasses"


def test_objects_and_subresources() -> None:
    """An object is named below its collection, a subresource below the object."""
    assert PODS.object("ns", "p") == "/api/v1/namespaces/ns/pods/p"
    assert CLASSES.object("", "c", "status") == "/apis/gateway.networking.k8s.io/v1/gatewayclasses/c/status"


def test_parts_of_paths_are_quoted() -> None:
    """Names such as those of roles may have characters that mean something in a path."""
    assert PODS.object("ns", "a:b/c?d") == "/api/v1/namespaces/ns/pods/a%3Ab%2Fc%3Fd"


def test_names_for_people_and_objects() -> None:
    """A resource is printed as ``kubectl`` takes it, and knows its ``apiVersion``."""
    assert (str(PODS), PODS.api_version) == ("pods.v1", "v1")
    assert str(ROUTES) == "tcproutes.v1.gateway.networking.k8s.io"
    assert ROUTES.api_version == "gateway.networking.k8s.io/v1"
