"""What is to be done at one site: from what is wanted and what is there to single steps. Pure.

Nobody's object is taken over: what has the name that we want, and is not ours, stays as it is. Ours is what has our
marks: our label, and the annotation that says that this controller made it. Without marks it is ours too while this
very Gateway controls it: somebody took them away. Deleted is only what has the marks and is controlled by a Gateway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tidegate.fleet import kinds
from tidegate.fleet.comparison import fingerprint
from tidegate.fleet.credentials import Credentials, to_secret
from tidegate.fleet.inventory import Found
from tidegate.fleet.kinds import Manifest
from tidegate.fleet.secretdata import encoded
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Infrastructure, KeptInfrastructure


class _Making(msgspec.Struct, frozen=True, kw_only=True):
    """A step towards what an object should be; ``digest`` says what that is."""

    manifest: Manifest

    @property
    def key(self) -> ObjectKey:
        """Which object it is about."""
        return self.manifest.key

    @property
    def digest(self) -> str:
        """What it is to become."""
        return self.manifest.digest


class _Changing(msgspec.Struct, frozen=True, kw_only=True):
    """A step with an object that is there; ``digest`` says for the sake of what, empty: of nothing."""

    found: Found
    digest: str = ""

    @property
    def key(self) -> ObjectKey:
        """Which object it is about."""
        return self.found.key


class Apply(_Making, frozen=True, kw_only=True):
    """Make an object what it should be. ``found`` None: it is not known to be there."""

    found: Found | None


class Replace(_Making, frozen=True, kw_only=True):
    """Delete an object that cannot become what is wanted, once it is certain that what is wanted can be made."""

    found: Found


class Remove(_Changing, frozen=True, kw_only=True):
    """Delete an object that is not wanted any more."""


class Renew(_Changing, frozen=True, kw_only=True):
    """Give a Secret other data, and leave all else as it is."""

    data: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Renew({self.key})"


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """The name of an object is taken."""

    key: ObjectKey
    message: str
    digest: str = ""


Step = Apply | Replace | Remove | Blocked | Renew
Wanted = Infrastructure | KeptInfrastructure


def holder(wanting: Collection[Wanted], there: Mapping[ObjectKey, Found], controller: str) -> Wanted | None:
    """Which Gateway has a site. Two of different classes can come to the same name: who has objects there keeps it."""
    owners = {one.owner.gateway for one in there.values() if one.owner.controller == controller}
    ranked = sorted(wanting, key=lambda one: (one.gateway not in owners, one.gateway))
    return ranked[0] if ranked else None


def steps(
    wanted: Infrastructure | None, manifests: Sequence[Manifest], there: Mapping[ObjectKey, Found], controller: str
) -> Iterator[Step]:
    """What is to be done at a site for the Gateway that has it; None and no manifests: for nobody.

    What goes, goes in the opposite order of creation: first nothing new comes to the Pods, then they end.
    """
    for manifest in manifests:
        found = there.get(manifest.key)
        if wanted is not None and (found is None or not found.ending):
            yield from _step(wanted, manifest, found, controller)
    keys = {manifest.key for manifest in manifests}
    for found in sorted(there.values(), key=lambda one: kinds.GENERATED.index(one.kind), reverse=True):
        if found.key not in keys and not found.ending and _is_ours(found, controller):
            yield Remove(found=found)


def steps_to_keep(there: Mapping[ObjectKey, Found], credentials: Credentials, controller: str) -> Iterator[Renew]:
    """What is to be done where all stays as it is: the proxies that are there need certificates that are good."""
    data = encoded(to_secret(credentials))
    for found in there.values():
        is_theirs = found.kind == kinds.SECRET and _is_ours(found, controller) and not found.ending
        if is_theirs and not data.items() <= found.body().get("data", {}).items():
            yield Renew(found=found, data=data)


def claims(wanted: Infrastructure, found: Found, controller: str) -> bool:
    """Whether an object is this Gateway's, or was of one that had its name before."""
    if found.owner.controller == controller:
        return found.owner.gateway in (wanted.gateway, None)
    return not found.owner.controller and (found.owner.gateway, found.owner.uid) == (wanted.gateway, wanted.uid)


def blocked(found: Found) -> Blocked:
    """An object that is not ours has the name of one of ours."""
    whose = f"belongs to {found.owner.gateway}" if found.owner.gateway is not None else "is not of tidegate's making"
    return Blocked(key=found.key, message=f"{found.key} is there already and {whose}; it is left as it is")


def _step(wanted: Infrastructure, manifest: Manifest, found: Found | None, controller: str) -> Iterator[Step]:
    if found is None:
        yield Apply(manifest=manifest, found=None)
    elif not claims(wanted, found, controller):
        # Of a Gateway that has gone, or has another name now: what it left makes room.
        yield Remove(found=found, digest=manifest.digest) if _is_ours(found, controller) else blocked(found)
    elif not _stands(manifest, found):
        stuck = _cannot_become(manifest, found)
        yield Replace(manifest=manifest, found=found) if stuck else Apply(manifest=manifest, found=found)


def _is_ours(found: Found, controller: str) -> bool:
    return found.owner.controller == controller and found.owner.gateway is not None


def _stands(manifest: Manifest, found: Found) -> bool:
    """Whether an object is as we want it: nothing of ours altered, and nothing left that we no longer want."""
    if found.digest != manifest.digest:
        return False
    expected = found.settled or fingerprint(manifest.body, manifest.body)
    return fingerprint(found.body(), manifest.body) == expected


def _cannot_become(manifest: Manifest, found: Found) -> bool:
    """Whether what is wanted differs in a field that the API server lets nobody change.

    Only where a user asked for another value, or asks no more: an address or a class that somebody else chose stays.
    """
    there = found.body()
    match manifest.kind:
        case kinds.SERVICE:
            wanted, spec = manifest.body["spec"], there["spec"]
            withdrawn = found.has_our_class and "loadBalancerClass" not in wanted
            moved = _differs(wanted, spec, "clusterIP") or _differs(wanted, spec, "clusterIPs")
            return moved or (
                wanted["type"] == spec["type"] and (withdrawn or _differs(wanted, spec, "loadBalancerClass"))
            )
        case kinds.DEPLOYMENT:
            return _differs(manifest.body["spec"], there["spec"], "selector")
        case kinds.SECRET:
            return _differs(manifest.body, there, "type")
        case _:
            return False


def _differs(wanted: Mapping[str, Any], there: Mapping[str, Any], field: str) -> bool:
    return field in wanted and wanted[field] != there.get(field)
