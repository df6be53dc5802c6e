import json

import msgspec
import pytest

from support.scripted_api import bookmark, pod, refusal
from support.scripted_api import event as said
from tidegate.errors import KubeError
from tidegate.kube.answers import Page, WatchEvent, decoded, event


def test_objects_of_a_page_say_what_they_are() -> None:
    """Kind and version of built-in kinds stand only at the list; others have their own."""
    page = msgspec.convert(
        {
            "apiVersion": "v1",
            "kind": "PodList",
            "metadata": {"resourceVersion": "1"},
            "items": [{"metadata": {}}, {"kind": "Other", "apiVersion": "x/v1"}],
        },
        Page,
    )
    assert [(item["apiVersion"], item["kind"]) for item in page.objects()] == [("v1", "Pod"), ("x/v1", "Other")]
    assert page.metadata.continue_ == ""


def test_page_without_objects() -> None:
    """Go prints an empty list as null."""
    text = b'{"apiVersion":"v1","kind":"PodList","metadata":{"resourceVersion":"1"},"items":null}'
    assert decoded("list", text, Page).objects() == []


def test_line_of_a_watch() -> None:
    """An event has its object and the version to resume from."""
    line = json.dumps(said("MODIFIED", pod("a", "8"))).encode()
    assert event("watch", line) == WatchEvent("MODIFIED", pod("a", "8"), "8")
    assert event("watch", json.dumps(bookmark("9")).encode()).resource_version == "9"


def test_error_in_a_watch_is_raised() -> None:
    """The server ends a watch by an event."""
    line = json.dumps(said("ERROR", refusal(410, "Expired"))).encode()
    with pytest.raises(KubeError, match="410 Expired"):
        event("watch /pods", line)


@pytest.mark.parametrize(
    "line",
    [b"<html>", b"[]", b'{"type":"ODD","object":{}}', b'{"type":"ADDED","object":{"metadata":{}}}'],
)
def test_what_no_api_server_says_is_an_error(line: bytes) -> None:
    """Text of something else in the server's place is told as such."""
    with pytest.raises(KubeError, match="cannot watch /pods: the answer is not from a Kubernetes API server"):
        event("watch /pods", line)
