"""Clusters at one moment, of manifests: as if an API server had stored them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from support.manifests import Manifest, flat, gateway_class
from tidegate.model.kinds import BY_GROUP_KIND, Kind
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP
from tidegate.sources.kubernetes_decoding import KindReader
from tidegate.sources.kubernetes_snapshot import Snapshot


def stored(document: Manifest, *, generation: int = 1) -> Manifest:
    """A manifest as an API server stores it; objects without a namespace are in ``default``."""
    kind = kind_of(document)
    metadata = {
        **({"namespace": "default"} if kind.namespaced else {}),
        "uid": f"uid-{document['metadata']['name']}",
        "resourceVersion": "77",
        "generation": generation,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        **document["metadata"],
    }
    return {**document, "metadata": metadata}


def taken(*documents: Manifest | list[Manifest], absent: Iterable[str] = ()) -> Snapshot:
    """The snapshot of a cluster with these objects; ``absent`` are the kinds that it does not serve."""
    objects = tuple(stored(document, **_generation(document)) for document in flat(documents))
    readings = tuple(KindReader(kind_of(item), _version(item)).read(item) for item in objects)
    return Snapshot(
        stored=objects, readings=readings, absent=tuple(BY_GROUP_KIND[GATEWAY_GROUP, kind] for kind in absent)
    )


def served_class(name: str = "tidegate", *, accepted: bool = True, controller: str = CONTROLLER_NAME) -> Manifest:
    """A GatewayClass with the status that a controller wrote; of ours unless said otherwise."""
    status = {"conditions": [condition("Accepted", holds=accepted)]}
    return {**gateway_class(name, controller=controller), "status": status}


def condition(kind: str, *, holds: bool = True, generation: int = 1, **fields: Any) -> Manifest:
    """A condition as a controller writes it."""
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": kind,
        "message": "",
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-02T03:04:06Z",
        **fields,
    }


def gateway_status(*listeners: str, addresses: Iterable[str] = (), generation: int = 1, **programmed: Any) -> Manifest:
    """The status of a Gateway, all of whose conditions are true; ``programmed`` changes that of the listeners."""
    accepted = condition("Accepted", generation=generation)
    conditions = [accepted, condition("Programmed", generation=generation, **programmed)]
    return {
        "addresses": [{"type": "IPAddress", "value": value} for value in addresses],
        "conditions": [accepted, condition("Programmed", generation=generation)],
        "listeners": [{"name": name, "attachedRoutes": 1, "conditions": conditions} for name in listeners],
    }


def kind_of(document: Manifest) -> Kind:
    """The row of a manifest's kind."""
    group, separator, _ = document["apiVersion"].partition("/")
    return BY_GROUP_KIND[group if separator else "", document["kind"]]


def _version(document: Manifest) -> str:
    return str(document["apiVersion"].rpartition("/")[2])


def _generation(document: Manifest) -> dict[str, int]:
    given = document["metadata"].get("generation")
    return {} if given is None else {"generation": given}
