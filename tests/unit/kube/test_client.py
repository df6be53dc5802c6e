"""What goes over the wire; what a real API server makes of it is in tests/cluster_api."""

from __future__ import annotations

import msgspec
import pytest

from support.scripted_api import answered, listed, pod, raw, refused, scripted
from tidegate.errors import KubeError
from tidegate.kube.config import connected
from tidegate.kube.resources import ApiResource

PODS = ApiResource("", "v1", "pods")
PATH = PODS.object("ns", "p")


async def test_verbs() -> None:
    """Each verb is its method, with the body and the content type that the server expects."""
    steps = [answered({"kind": "Pod", "step": step}) for step in range(5)]
    async with scripted(*steps) as api, connected(kubeconfig=api.kubeconfig) as client:
        answers = [
            await client.get(PATH),
            await client.create(PODS.collection("ns"), {"a": 1}),
            await client.replace(PATH, {"a": 2}),
            await client.apply(PATH, {"a": 3}, field_manager="tidegate"),
            await client.merge_patch(PATH, {"a": None}),
        ]
    assert [answer["step"] for answer in answers] == [0, 1, 2, 3, 4]
    assert [(asked.method, asked.path, asked.body, asked.headers.get("Content-Type")) for asked in api.asked] == [
        ("GET", PATH, None, "application/json"),
        ("POST", PODS.collection("ns"), {"a": 1}, "application/json"),
        ("PUT", PATH, {"a": 2}, "application/json"),
        ("PATCH", PATH, {"a": 3}, "application/apply-patch+yaml"),
        ("PATCH", PATH, {"a": None}, "application/merge-patch+json"),
    ]
    assert api.asked[3].query == {"fieldManager": "tidegate", "force": "true"}


async def test_a_dry_run_creates_nothing() -> None:
    """It asks the server what would become of the object."""
    async with scripted(answered({})) as api, connected(kubeconfig=api.kubeconfig) as client:
        await client.create(PODS.collection("ns"), {"a": 1}, dry_run=True)
    assert (api.asked[0].method, api.asked[0].query) == ("POST", {"dryRun": "All"})


async def test_delete_names_the_object_that_is_meant() -> None:
    """With a uid, only that very object is deleted, never another one that got its name."""
    async with scripted(answered({})) as api, connected(kubeconfig=api.kubeconfig) as client:
        assert await client.delete(PATH, uid="u", propagation="Foreground")
    assert api.asked[0].method == "DELETE"
    assert api.asked[0].body["preconditions"] == {"uid": "u"}
    assert api.asked[0].body["propagationPolicy"] == "Foreground"


async def test_delete_says_when_it_was_gone() -> None:
    """Not there, or another one by now: for a deletion the same. Other refusals are errors."""
    steps = (refused(404, "NotFound"), refused(409, "Conflict"), refused(409, "Conflict"), refused(403, "Forbidden"))
    async with scripted(*steps) as api, connected(kubeconfig=api.kubeconfig) as client:
        assert not await client.delete(PATH)
        assert not await client.delete(PATH, uid="u")
        for status in (409, 403):
            with pytest.raises(KubeError, match="refuses to delete") as caught:
                await client.delete(PATH)
            assert caught.value.status == status


async def test_read_takes_the_fields_of_a_shape() -> None:
    """Only what the shape names is decoded."""

    class Shape(msgspec.Struct):
        a: int

    async with scripted(answered({"a": 1, "b": {}})) as api, connected(kubeconfig=api.kubeconfig) as client:
        assert await client.read("/x", Shape) == Shape(1)


async def test_items_of_all_pages() -> None:
    """Objects come from as many pages as it takes, with the version to watch from."""
    steps = (listed(pod("a", "1"), version="5", more="t"), listed(pod("b", "2"), version="5"))
    async with scripted(*steps) as api, connected(kubeconfig=api.kubeconfig) as client:
        listing = await client.items(PODS, namespace="ns", label_selector="x=y", page=1)
    assert [item["metadata"]["name"] for item in listing.objects] == ["a", "b"]
    assert listing.resource_version == "5"
    assert [asked.query for asked in api.asked] == [
        {"labelSelector": "x=y", "limit": "1"},
        {"labelSelector": "x=y", "limit": "1", "continue": "t"},
    ]


async def test_list_that_is_forgotten_time_and_again_is_an_error() -> None:
    """A list starts again some times, not for ever."""
    steps = [step for _ in range(4) for step in (listed(version="5", more="t"), refused(410, "Expired"))]
    async with scripted(*steps) as api, connected(kubeconfig=api.kubeconfig) as client:
        with pytest.raises(KubeError, match="410 Expired"):
            await client.items(PODS)
        assert len(api.asked) == 8


async def test_answer_that_is_no_object() -> None:
    """Something in the server's place gives an error like every other."""
    async with scripted(raw("[]")) as api, connected(kubeconfig=api.kubeconfig) as client:
        with pytest.raises(KubeError, match="cannot read /x: the answer is not from a Kubernetes API server"):
            await client.get("/x")


async def test_who_may_not_write_any_more_reads_on() -> None:
    """It is asked before each request that changes something; none that it refuses leaves the process."""
    permitted = True
    async with (
        scripted(answered({"step": 0}), answered({"step": 1})) as api,
        connected(kubeconfig=api.kubeconfig) as whole,
    ):
        client = whole.writing_while(lambda: permitted)
        await client.create(PODS.collection("ns"), {"a": 1})
        permitted = False
        for write in (
            client.create(PODS.collection("ns"), {"a": 1}),
            client.replace(PATH, {"a": 2}),
            client.apply(PATH, {"a": 3}, field_manager="tidegate"),
            client.merge_patch(PATH, {"a": None}),
            client.delete(PATH),
        ):
            with pytest.raises(KubeError, match="not ours to write any more"):
                await write
        assert (await client.get(PATH))["step"] == 1
    assert [asked.method for asked in api.asked] == ["POST", "GET"]
