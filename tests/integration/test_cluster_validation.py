"""Our validation against the API server's own, for both channels: the same objects are accepted, with the same values.
The definition of GatewayParameters, which is ours, is held against its model in the same way.

Every document is sent to a real API server as a dry run. Documents are one edit away from valid ones at every
boundary of the CRDs' schemas, or combine what rules over several fields look at, or are damaged at random.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from support.cluster import Cluster, install
from support.cluster_api import Api, ApiError
from support.cluster_assets import Assets, Channel
from support.cluster_documents import EXPERIMENTAL_FIELDS, FULL_DOCUMENTS, combinations
from support.cluster_edits import edits, fields
from support.documents import EVERY_KIND, Document, edited
from support.mutations import damaged
from tidegate.installation.crd import definition
from tidegate.model.decode import Decoded, decode
from tidegate.model.kinds import BY_GROUP_KIND
from tidegate.names import GATEWAY_GROUP
from tidegate.sources.kubernetes_decoding import KindReader

V1, V1BETA1, V1ALPHA2 = (f"{GATEWAY_GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha2"))
CHANNELS: tuple[Channel, ...] = ("standard", "experimental")
KINDS = [document["kind"] for document in FULL_DOCUMENTS]
BETA_KINDS = ("GatewayClass", "Gateway", "ReferenceGrant")
REFUSALS = {400, 409, 422}
DAMAGED = 600
SHOWN = 20

pytestmark = pytest.mark.timeout(600)


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """An API server with one channel of the Gateway API."""

    channel: Channel
    api: Api

    async def verdicts(self, documents: Iterable[Document]) -> list[tuple[Document, Document | ApiError]]:
        """For each document what the server would store, or why it refuses it."""
        sent = list(documents)
        crowd = asyncio.Semaphore(16)

        async def ask(document: Document) -> Document | ApiError:
            async with crowd:
                try:
                    return await self.api.create(document, dry_run=True)
                except ApiError as error:
                    return error

        answers = await asyncio.gather(*map(ask, sent))
        assert {one.status for one in answers if isinstance(one, ApiError)} <= REFUSALS
        return list(zip(sent, answers, strict=True))


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Documents about which tidegate and the API server may disagree, and why that is right."""

    why: str
    concerns: Callable[[Document, Channel], bool]


def _has_leading_zero(document: Document, _channel: Channel) -> bool:
    return re.search(r"'value': '(\d+\.)*0\d+\.", repr(_spec(document).get("addresses"))) is not None


def _is_v1_route_of_experimental_kind(document: Document, channel: Channel) -> bool:
    return channel == "experimental" and (document["apiVersion"], document["kind"]) == (V1, "TCPRoute")


def _has_experimental_field(document: Document, channel: Channel) -> bool:
    known = EXPERIMENTAL_FIELDS.get(document["kind"], {})
    return (
        channel == "experimental"
        and document["apiVersion"] == V1
        and any(path.removeprefix("spec.") in _spec(document) for path in known)
    )


def _spec(document: Document) -> dict[str, Any]:
    spec = document.get("spec")
    return spec if isinstance(spec, dict) else {}


LEADING_ZEROS = Difference(
    why="Programs differ on whether 010.0.0.1 means ten or eight, so it is no address here.",
    concerns=_has_leading_zero,
)
DIFFERENCES = (
    LEADING_ZEROS,
    Difference(
        why="A file that says v1 is read by the rules of the standard channel: that is what v1 means everywhere. "
        "From a cluster, a route is taken by the rules of either channel.",
        concerns=_is_v1_route_of_experimental_kind,
    ),
    Difference(
        why="In v1, a field that only the experimental channel has is ignored, whatever it holds.",
        concerns=_has_experimental_field,
    ),
)


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest) -> Channel:
    """Each channel in turn."""
    chosen: Channel = request.param
    return chosen


@pytest.fixture
def cluster_of_channel(channel: Channel, request: pytest.FixtureRequest) -> Cluster:
    """A cluster with that channel."""
    chosen: Cluster = request.getfixturevalue("cluster" if channel == "standard" else "experimental_cluster")
    return chosen


@pytest.fixture
async def server(channel: Channel, cluster_of_channel: Cluster) -> Server:
    """Its API server, with the namespaces that the documents are in."""
    api = cluster_of_channel.api
    await install(api, [definition()])
    for name in ("infra", "apps", "backends"):
        await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return Server(channel=channel, api=api)


def schemas(assets: Assets, channel: Channel) -> dict[tuple[str, str], dict[str, Any]]:
    """The schemas of all served versions of a channel, by apiVersion and kind."""
    return {
        (f"{document['spec']['group']}/{version['name']}", document["spec"]["names"]["kind"]): version["schema"][
            "openAPIV3Schema"
        ]
        for document in (*assets.gateway_api(channel), definition())
        if document["kind"] == "CustomResourceDefinition"
        for version in document["spec"]["versions"]
        if version["served"]
    }


def full_documents(channel: Channel) -> Iterator[Document]:
    """Documents with every field that is compared, in each version that has rules of its own."""
    yield from FULL_DOCUMENTS
    if channel == "experimental":
        (route,) = (one for one in FULL_DOCUMENTS if one["kind"] == "TCPRoute")
        for path, value in _experimental(route):
            yield {**edited(route, path, value), "apiVersion": V1ALPHA2}


async def assert_agreement(server: Server, documents: Iterable[Document]) -> None:
    """Fails when server and tidegate disagree about one of the documents, unless a known difference concerns it."""
    disagreements = []
    for document, verdict in await server.verdicts(documents):
        if any(difference.concerns(document, server.channel) for difference in DIFFERENCES):
            continue
        if said := disagreement(document, verdict):
            disagreements.append(f"{said}\n  {document}")
    assert not disagreements, f"{len(disagreements)} disagreements:\n" + "\n".join(disagreements[:SHOWN])


def disagreement(document: Document, verdict: Document | ApiError) -> str | None:
    """What server and tidegate disagree about; None when they agree."""
    ours = decode(document)
    if isinstance(verdict, ApiError):
        return f"only tidegate accepts, the server says {verdict}" if isinstance(ours, Decoded) else None
    if not isinstance(ours, Decoded):
        return f"only the server accepts, tidegate says {ours}"
    stored = decode(verdict)
    if not isinstance(stored, Decoded):
        return f"tidegate refuses what the server stores: {stored}"
    if msgspec.structs.asdict(ours.resource).get("spec") != msgspec.structs.asdict(stored.resource).get("spec"):
        return f"other values: {ours.resource} here, {stored.resource} there"
    return None


def as_sent(value: Any) -> Any:
    """A parsed document as kubectl sends it: whole numbers have no decimal point in JSON."""
    if isinstance(value, dict):
        return {key: as_sent(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_sent(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def can_be_sent(value: Any) -> bool:
    """Whether JSON has a place for everything in a parsed document."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and can_be_sent(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(can_be_sent, value))
    return not isinstance(value, float) or math.isfinite(value)


def is_in_its_place(document: Document) -> bool:
    """Whether an edited document still says what and where it is: a request's path has to say the same."""
    metadata = document.get("metadata")
    return isinstance(metadata, dict) and any(
        (document.get("apiVersion"), document.get("kind")) == (one["apiVersion"], one["kind"])
        and metadata.get("namespace") == one["metadata"].get("namespace")
        for one in EVERY_KIND
    )


@cache
def damaged_documents() -> tuple[Document, ...]:
    """The same damaged documents in every run."""
    found: list[Document] = []

    @settings(max_examples=DAMAGED, database=None)
    @given(damaged().filter(is_in_its_place).filter(can_be_sent))
    def collect(document: Document) -> None:
        found.append(as_sent(document))

    collect()
    return tuple(found)


def test_every_field_of_the_schemas_is_tried(cluster_assets: Assets, channel: Channel) -> None:
    """Nothing that the CRDs have is left out of the comparison, so a new field of a new release is noticed."""
    of_channel = schemas(cluster_assets, channel)
    for document in full_documents(channel):
        schema = of_channel[document["apiVersion"], document["kind"]]
        tried = {tuple(key for key in edit.keys if isinstance(key, str)) for edit in edits(document, schema)}
        assert set(fields(schema["properties"]["spec"], ("spec",))) - tried == set()


def test_beta_versions_have_the_schema_of_v1(cluster_assets: Assets, channel: Channel) -> None:
    """So what is found out about v1 holds for them."""
    of_channel = schemas(cluster_assets, channel)
    for kind in BETA_KINDS:
        assert of_channel[V1BETA1, kind]["properties"]["spec"] == of_channel[V1, kind]["properties"]["spec"]


@pytest.mark.parametrize("kind", KINDS)
async def test_documents_at_the_boundaries_of_each_field(server: Server, cluster_assets: Assets, kind: str) -> None:
    """One field has a value at, or just beyond, each boundary of its schema, or is of another type, or is missing."""
    of_channel = schemas(cluster_assets, server.channel)
    await assert_agreement(
        server,
        (
            as_sent(edit.document)
            for document in full_documents(server.channel)
            if document["kind"] == kind
            for edit in edits(document, of_channel[document["apiVersion"], kind])
            if is_in_its_place(edit.document)
        ),
    )


async def test_documents_for_rules_over_several_fields(server: Server) -> None:
    """Listeners that clash, TLS that does not fit, parentRefs that are the same, in all combinations."""
    documents = list(combinations())
    if server.channel == "experimental":
        documents += [{**one, "apiVersion": V1ALPHA2} for one in documents if one["kind"] == "TCPRoute"]
    await assert_agreement(server, documents)


async def test_documents_damaged_at_random(server: Server) -> None:
    """Several places at once are set, removed, doubled or added, in every version that is served."""
    documents = [one for one in damaged_documents() if one["kind"] in KINDS]
    documents += [{**one, "apiVersion": V1BETA1} for one in documents if one["kind"] in BETA_KINDS]
    if server.channel == "standard":
        documents = [one for one in documents if one["apiVersion"] != V1ALPHA2]
    await assert_agreement(server, documents)


async def test_what_is_stored_is_read(server: Server) -> None:
    """What an API server has accepted, tidegate reads from it: v1 of either channel, and Kubernetes' own kinds."""
    documents = [*combinations(), *damaged_documents()]
    documents += [edited(one, path, value) for one in FULL_DOCUMENTS for path, value in _experimental(one)]
    if server.channel == "standard":
        documents = [one for one in documents if one["apiVersion"] != V1ALPHA2]
    read = 0
    for document, stored in await server.verdicts(documents):
        if isinstance(stored, ApiError) or LEADING_ZEROS.concerns(document, server.channel):
            continue
        group, _, version = stored["apiVersion"].rpartition("/")
        reader = KindReader(BY_GROUP_KIND[group, stored["kind"]], version)
        stored["metadata"].setdefault("resourceVersion", "1")
        assert reader.read(stored).problems == (), stored
        read += 1
    assert read > 100


def _experimental(document: Document) -> Iterable[tuple[str, Any]]:
    return EXPERIMENTAL_FIELDS.get(document["kind"], {}).items()


async def test_differences_are_still_there(server: Server) -> None:
    """Each known difference can be shown; one that is gone is to be struck off."""
    (gateway,) = (one for one in FULL_DOCUMENTS if one["kind"] == "Gateway")
    (route,) = (one for one in FULL_DOCUMENTS if one["kind"] == "TCPRoute")
    refs = [{"name": "gw", "port": 1}, {"name": "gw", "port": 2}]
    examples = [edited(gateway, "spec.addresses.0.value", "010.0.0.1")]
    if server.channel == "experimental":
        examples += [edited(route, "spec.parentRefs", refs), edited(gateway, "spec.defaultScope", "None at all")]
    for document, verdict in await server.verdicts(examples):
        assert disagreement(document, verdict) is not None, document
