"""The generated objects that are there, as far as we know. Pure.

In: what reflectors and our own requests say of them. Out: what is found at a *site*, the place that all objects of
one data plane share by having the same name. Kept small: there are six objects for each Gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tidegate.fleet.kinds import KIND_OF, GeneratedKind
from tidegate.fleet.metadata import DIGEST, MANAGER, Owner, owner
from tidegate.fleet.troubles import refusal
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure, Trouble, TroubleReason

_OF_OTHERS = ("managedFields", "resourceVersion", "generation")


class Site(msgspec.Struct, frozen=True, order=True, cache_hash=True):
    """Where one data plane's objects are: they all have this namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is there.

    ``version`` orders what is heard of it; ``content`` is the object in JSON, without what changes of itself.
    ``failure`` is why the cluster cannot make the Pods of a Deployment, None: it can. ``settled`` is its fingerprint
    after our last apply, empty before the first. ``has_our_class``: it is a Service whose ``loadBalancerClass`` is one
    that we asked for.
    """

    key: ObjectKey
    uid: str
    version: int
    owner: Owner
    digest: str
    ending: bool
    content: bytes
    failure: Trouble | None = None
    settled: bytes = b""
    has_our_class: bool = False

    def __repr__(self) -> str:
        return f"Found({self.key})"  # The content of a Secret is for nobody's eyes.

    @property
    def site(self) -> Site:
        """Where it is."""
        return Site(self.key.namespace, self.key.name)

    @property
    def kind(self) -> GeneratedKind:
        """What it is."""
        return KIND_OF[self.key.group, self.key.kind]

    def body(self) -> dict[str, Any]:
        """The object itself."""
        body: dict[str, Any] = msgspec.json.decode(self.content)
        return body


def site(infrastructure: Infrastructure | KeptInfrastructure) -> Site:
    """Where the objects of a Gateway's data plane are, or are to be."""
    return Site(infrastructure.gateway.namespace, infrastructure.name)


def found(body: Mapping[str, Any], *, settled: bytes = b"") -> Found:
    """An object as the API server gives it; ``settled``: its fingerprint, when it is the answer to an apply of ours.

    Versions of one resource are numbers that grow, as of Kubernetes 1.35 by promise.
    """
    about = body["metadata"]
    group = body["apiVersion"].rpartition("/")[0]
    kept = {name: value for name, value in body.items() if name not in ("metadata", "status")}
    kept["metadata"] = {name: value for name, value in about.items() if name not in _OF_OTHERS}
    version = about["resourceVersion"]
    return Found(
        key=ObjectKey(group, body["kind"], about["namespace"], about["name"]),
        uid=about["uid"],
        version=int(version) if version.isdecimal() else 0,
        owner=owner(body),
        digest=(about.get("annotations") or {}).get(DIGEST, ""),
        ending="deletionTimestamp" in about,
        content=msgspec.json.encode(kept),
        failure=_failure(body.get("status") or {}),
        settled=settled,
        has_our_class=_applied(about, "f:spec", "f:loadBalancerClass"),
    )


class Inventory:
    """All that is found, by site. What changes it says at which sites there is something to see."""

    def __init__(self) -> None:
        self._sites: dict[Site, dict[ObjectKey, Found]] = {}

    def at(self, place: Site) -> Mapping[ObjectKey, Found]:
        """What is found at a site."""
        return self._sites.get(place, {})

    def sites(self) -> Iterable[Site]:
        """Where something is found."""
        return self._sites.keys()

    def replace(self, kind: GeneratedKind, objects: Iterable[Found]) -> set[Site]:
        """All objects of a kind that there are, whatever was known: a cluster may be set back to an earlier time."""
        now = {one.key: one for one in objects}
        gone = [
            one for place in self._sites.values() for one in place.values() if one.kind == kind and one.key not in now
        ]
        return {place for one in gone for place in self.remove(one)} | {
            place for one in now.values() for place in self._take(one)
        }

    def put(self, one: Found) -> set[Site]:
        """An object as it is now, unless something newer is known."""
        before = self.at(one.site).get(one.key)
        return set() if before is not None and before.version > one.version else self._take(one)

    def _take(self, one: Found) -> set[Site]:
        place = self._sites.setdefault(one.site, {})
        before = place.get(one.key)
        if before is not None and before.uid == one.uid and not one.settled:
            one = msgspec.structs.replace(one, settled=before.settled)
        place[one.key] = one
        return set() if before is not None and _same(before, one) else {one.site}

    def remove(self, one: Found) -> set[Site]:
        """An object is gone. Another one may have its name by now."""
        place = self._sites.get(one.site, {})
        before = place.get(one.key)
        if before is None or before.uid != one.uid:
            return set()
        del place[one.key]
        if not place:
            del self._sites[one.site]
        return {one.site}


def _applied(about: Mapping[str, Any], *path: str) -> bool:
    """Whether a field has the value of our last apply, by the server's account of who set what."""
    for entry in about.get("managedFields") or ():
        if (entry.get("manager"), entry.get("operation")) == (MANAGER, "Apply"):
            fields: Any = entry["fieldsV1"]
            for name in path:
                fields = fields.get(name)
                if fields is None:
                    return False
            return True
    return False


def _same(before: Found, now: Found) -> bool:
    same_failure = _kind(before.failure) == _kind(now.failure)
    return same_failure and (before.uid, before.ending, before.content) == (now.uid, now.ending, now.content)


def _kind(failure: Trouble | None) -> TroubleReason | None:
    """Its words name Pods that never were."""
    return failure.reason if failure is not None else None


def _failure(status: Mapping[str, Any]) -> Trouble | None:
    """What the cluster says when it cannot make the Pods of a Deployment (``ReplicaFailure``)."""
    conditions = status.get("conditions") or ()
    failed = (one for one in conditions if (one.get("type"), one.get("status")) == ("ReplicaFailure", "True"))
    return next((refusal(str(one.get("message", ""))) for one in failed), None)
