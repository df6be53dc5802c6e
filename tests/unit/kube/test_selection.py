from tidegate.kube.resources import ApiResource
from tidegate.kube.selection import Selection

PODS = ApiResource("", "v1", "pods")


def test_only_given_selectors_are_parameters() -> None:
    """What is not selected by is not mentioned."""
    assert Selection(resource=PODS).params == {}
    assert Selection(resource=PODS, label_selector="a=b").params == {"labelSelector": "a=b"}
    assert Selection(resource=PODS, field_selector="metadata.name=x").params == {"fieldSelector": "metadata.name=x"}


def test_metadata_only_is_asked_for_by_the_accept_header() -> None:
    """A list has another name for it than a watch."""
    plain, lean = Selection(resource=PODS), Selection(resource=PODS, metadata_only=True)
    assert plain.accept_list == plain.accept_watch == "application/json"
    assert lean.accept_list == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    assert lean.accept_watch == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
