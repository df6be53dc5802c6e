"""The objects of a cluster at one moment, for commands that look once.

In: a client, and which kinds. Out: the objects as they are stored, and what tidegate takes of each. It lists and does
not watch, and asks for nothing but these kinds, so that whoever may read them may use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tidegate.errors import KubeError
from tidegate.kube.client import KubeClient
from tidegate.kube.resources import Object
from tidegate.model.kinds import KINDS, Kind
from tidegate.sources.kubernetes_decoding import KindReader, Reading
from tidegate.sources.kubernetes_versions import resource_of

_NOT_FOUND: Final = 404


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """``stored`` and ``readings`` are the same objects in the same order. ``absent``: kinds that are not served."""

    stored: tuple[Object, ...]
    readings: tuple[Reading, ...]
    absent: tuple[Kind, ...] = ()


async def snapshot(client: KubeClient, kinds: Iterable[Kind] = KINDS, *, namespace: str = "") -> Snapshot:
    """All objects of some kinds, each in the newest version that the cluster serves and tidegate reads.

    ``namespace`` empty: of all namespaces. Raises KubeError.
    """
    stored: list[Object] = []
    readings: list[Reading] = []
    absent: list[Kind] = []
    for kind in kinds:
        version, objects = await _listed(client, kind, namespace)
        if version is None:
            absent.append(kind)
            continue
        reader = KindReader(kind, version)
        stored.extend(objects)
        readings.extend(map(reader.read, objects))
    return Snapshot(stored=tuple(stored), readings=tuple(readings), absent=tuple(absent))


async def _listed(client: KubeClient, kind: Kind, namespace: str) -> tuple[str | None, tuple[Object, ...]]:
    """The objects of a kind, and the version in which they are; None: it is served in none."""
    for version in kind.versions:
        try:
            listing = await client.items(resource_of(kind, version), namespace=namespace, read=_without_accounts)
        except KubeError as error:
            if error.status != _NOT_FOUND:
                raise
        else:
            return version, listing.objects
    return None, ()


def _without_accounts(stored: Object) -> Object:
    """The object without the account of who set which field, which kubectl leaves out as well."""
    stored["metadata"].pop("managedFields", None)
    return stored
