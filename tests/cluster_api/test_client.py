"""The client on a real API server: verbs, refusals, pages, and every way to say who we are."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import Cluster
from tidegate.errors import KubeError
from tidegate.kube.access import from_pod
from tidegate.kube.client import KubeClient
from tidegate.kube.config import connected
from tidegate.kube.resources import ApiResource, Object
from tidegate.kube.selection import Selection
from tidegate.kube.transport import Transport

CONFIG_MAPS = ApiResource("", "v1", "configmaps")
NAMESPACES = ApiResource("", "v1", "namespaces", namespaced=False)
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def whoami(client: KubeClient) -> str:
    """Who the server takes us for."""
    review = await client.create(REVIEWS, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    return str(review["status"]["userInfo"]["username"])


async def refusal(client: KubeClient, **expected: Any) -> None:
    """Listing namespaces is refused like this."""
    with pytest.raises(KubeError) as caught:
        await client.items(NAMESPACES)
    assert {name: getattr(caught.value, name) for name in expected} == expected


async def test_life_of_an_object(cluster: Cluster) -> None:
    """Created, applied, changed, replaced and deleted; each answer is what the server made of it."""
    collection = CONFIG_MAPS.collection(cluster.namespace)
    path = CONFIG_MAPS.object(cluster.namespace, "a")
    async with connected(kubeconfig=cluster.kubeconfig) as client:
        created = await client.create(collection, config_map("a", x="1"))
        applied = await client.apply(path, config_map("a", y="2"), field_manager="tidegate")
        assert applied["data"] == {"x": "1", "y": "2"}
        changed = await client.merge_patch(path, {"data": {"x": None}})
        assert changed["data"] == {"y": "2"}
        assert await client.get(path) == changed
        with pytest.raises(KubeError, match="the object has been modified") as caught:
            await client.replace(path, {**created, "data": {}})
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        replaced = await client.replace(path, {**changed, "data": {}})
        assert "data" not in replaced
        assert not await client.delete(path, uid="of-another-one")
        assert await client.delete(path, uid=created["metadata"]["uid"])
        assert not await client.delete(path)


async def test_refusals_say_why(cluster: Cluster) -> None:
    """Status and reason are for programs, the text is for people."""
    async with connected(kubeconfig=cluster.kubeconfig) as client:
        with pytest.raises(KubeError, match=r'\(404 NotFound\): configmaps "none" not found') as caught:
            await client.get(CONFIG_MAPS.object(cluster.namespace, "none"))
        assert (caught.value.status, caught.value.reason) == (404, "NotFound")
        await client.create(CONFIG_MAPS.collection(cluster.namespace), config_map("twice"))
        with pytest.raises(KubeError) as caught:
            await client.create(CONFIG_MAPS.collection(cluster.namespace), config_map("twice"))
        assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")
        with pytest.raises(KubeError) as caught:
            await client.create(CONFIG_MAPS.collection(cluster.namespace), config_map("Not A Name"))
        assert (caught.value.status, caught.value.reason) == (422, "Invalid")


async def test_apply_of_others_fields_needs_force(cluster: Cluster) -> None:
    """Without force, fields that another manager holds are a conflict."""
    path = CONFIG_MAPS.object(cluster.namespace, "a")
    async with connected(kubeconfig=cluster.kubeconfig) as client:
        await client.apply(path, config_map("a", x="1"), field_manager="other")
        with pytest.raises(KubeError, match="409"):
            await client.apply(path, config_map("a", x="2"), field_manager="tidegate", force=False)
        assert (await client.apply(path, config_map("a", x="2"), field_manager="tidegate"))["data"] == {"x": "2"}


async def test_items_in_pages(cluster: Cluster) -> None:
    """However small the pages, all objects of the selection come, each saying what it is."""
    await cluster.api.apply([{**config_map(f"m{number}"), "data": {}} for number in range(10)])
    await cluster.api.apply({**config_map("marked"), "metadata": {"name": "marked", "labels": {"a": "b"}}})
    async with connected(kubeconfig=cluster.kubeconfig) as client:
        listing = await client.items(CONFIG_MAPS, namespace=cluster.namespace, page=3)
        assert {item["metadata"]["name"] for item in listing.objects} >= {f"m{number}" for number in range(10)}
        assert {(item["apiVersion"], item["kind"]) for item in listing.objects} == {("v1", "ConfigMap")}
        marked = await client.items(CONFIG_MAPS, namespace=cluster.namespace, label_selector="a=b")
        assert [item["metadata"]["name"] for item in marked.objects] == ["marked"]


async def test_list_survives_that_the_server_forgets_its_pages(own_cluster: Cluster) -> None:
    """When the store drops old versions between two pages, the list starts again and is complete."""
    await own_cluster.api.apply([config_map(f"m{number}") for number in range(8)])
    compacted = []

    def read(item: Object) -> str:
        # While the first page is read, the versions are dropped that the second one would come from.
        if not compacted:
            compacted.append(_compact(own_cluster))
        return str(item["metadata"]["name"])

    async with connected(kubeconfig=own_cluster.kubeconfig) as client:
        listing = await client.items(CONFIG_MAPS, namespace=own_cluster.namespace, page=3, read=read)
    assert sorted(listing.objects) == sorted(set(listing.objects)), "no page is counted twice"
    assert {f"m{number}" for number in range(8)} <= set(listing.objects)


def _compact(cluster: Cluster) -> int:
    """Have etcd forget everything but the present; the version that is the present then."""

    def call(path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{cluster.server._store_url}/v3/kv/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    for _ in range(3):
        call("put", {"key": base64.b64encode(b"/unrelated").decode(), "value": ""})
    revision = int(call("range", {"key": "AA=="})["header"]["revision"])
    call("compaction", {"revision": revision, "physical": True})
    return revision


async def test_metadata_only(cluster: Cluster) -> None:
    """Where only metadata is asked for, nothing else comes, neither from a list nor from a watch."""
    selection = Selection(resource=CONFIG_MAPS, namespace=cluster.namespace, metadata_only=True)
    async with connected(kubeconfig=cluster.kubeconfig) as client:
        listing = await client.listing(selection, lambda item: item)
        async with client.watch(selection, resource_version=listing.resource_version) as events:
            await cluster.api.apply(config_map("new", x="1"))
            event = await anext(events)
        assert (event.type, event.object["metadata"]["name"]) == ("ADDED", "new")
        assert "data" not in event.object
        listing = await client.listing(selection, lambda item: item)
        assert all("data" not in item for item in listing.objects)
        assert "new" in [item["metadata"]["name"] for item in listing.objects]


async def test_certificate_of_the_kubeconfig(cluster: Cluster) -> None:
    """A client certificate in the kubeconfig says who we are."""
    async with connected(kubeconfig=cluster.kubeconfig) as client:
        assert await whoami(client) == "admin"


async def test_impersonation(cluster: Cluster) -> None:
    """Who may act as others has their rights, and theirs only."""
    user = f"system:serviceaccount:{cluster.namespace}:nobody"
    async with connected(kubeconfig=cluster.kubeconfig, impersonate=user) as client:
        assert await whoami(client) == user
        await refusal(client, status=403, reason="Forbidden")


async def test_server_with_a_certificate_of_others_is_not_trusted(cluster: Cluster, tmp_path: Path) -> None:
    """The message says that the certificate is the matter."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"].pop("certificate-authority-data")
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with connected(kubeconfig=path) as client:
        with pytest.raises(KubeError, match=r"has a certificate that is not trusted: .*verify failed"):
            await client.items(NAMESPACES)


async def test_plugin_that_gives_a_new_certificate(cluster: Cluster, tmp_path: Path) -> None:
    """When the server refuses a token and the plugin then gives a certificate, new connections show that."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    keys = cluster.server.keys
    token, certificate = (
        json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})
        for status in (
            {"token": "refused"},
            {
                "clientCertificateData": keys.admin_certificate.read_text(),
                "clientKeyData": keys.admin_key.read_text(),
            },
        )
    )
    (tmp_path / "1").write_text(token)
    (tmp_path / "2").write_text(certificate)
    script = tmp_path / "plugin"
    script.write_text(f"#!/bin/sh\ncd {tmp_path}\nif mkdir ran 2>/dev/null; then cat 1; else cat 2; fi\n")
    script.chmod(0o700)
    config["users"][0]["user"] = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "args": []}
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with connected(kubeconfig=path) as client:
        assert await whoami(client) == "admin"


async def test_pod_with_a_service_account(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod finds the server in its environment and its token in a file."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pod"}}
    await cluster.api.apply(account)
    path = f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts/pod/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await cluster.api.request("POST", path, body=request))["status"]["token"]
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_bytes(cluster.server.keys.authority.read_bytes())
    host, _, port = cluster.server.url.removeprefix("https://").rpartition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    access = from_pod(impersonate=None, account=tmp_path)
    try:
        client = KubeClient(Transport(access))
        assert await whoami(client) == f"system:serviceaccount:{cluster.namespace}:pod"
        await refusal(client, status=403, reason="Forbidden")
    finally:
        await access.close()


async def test_many_requests_at_once(cluster: Cluster) -> None:
    """Requests run side by side on shared connections."""
    async with connected(kubeconfig=cluster.kubeconfig) as client, asyncio.TaskGroup() as tasks:
        for number in range(50):
            path = CONFIG_MAPS.object(cluster.namespace, f"m{number}")
            tasks.create_task(client.apply(path, config_map(f"m{number}"), field_manager="tidegate"))
    assert len([item for item in await cluster.api.items("ConfigMap") if item["metadata"]["name"][0] == "m"]) == 50
