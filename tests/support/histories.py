"""Random objects from a universe so small that they collide, and random histories of them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from support.generated import generated_service, proxies
from support.manifests import (
    PARAMETERS,
    Manifest,
    backend,
    gateway,
    gateway_class,
    grant,
    listener,
    metadata,
    parameters,
    parent,
    service,
    slice_of,
    tcproute,
)
from support.resources import typed
from tidegate.model.kinds import Resource, key_of
from tidegate.names import CONTROLLER_NAME, ObjectKey

NAMESPACES = st.sampled_from(["red", "red", "red", "blue"])
GATEWAYS = st.sampled_from(["front", "front", "back"])
ROUTES = st.sampled_from(["one", "two", "three", "four"])
SERVICES = st.sampled_from(["web", "db"])
PORTS = st.sampled_from([7001, 7002, 443])
CLASSES = st.sampled_from(["tidegate", "tidegate", "tidegate", "other"])
CREATED = st.sampled_from([None, "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"])


def _allowed() -> st.SearchStrategy[Manifest]:
    namespaces = st.sampled_from(
        [
            {"from": "All"},
            {"from": "Same"},
            {"from": "Same"},
            {"from": "All"},
            {"from": "Selector", "selector": {"matchLabels": {"team": "x"}}},
            {
                "from": "Selector",
                "selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}]},
            },
            {"from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "Odd"}]}},
            {"from": "Selector"},
        ]
    )
    kinds = st.sampled_from(
        [*[[]] * 7, [{"kind": "TCPRoute"}], [{"kind": "UDPRoute"}], [{"kind": "No"}, {"kind": "TCPRoute"}]]
    )
    return st.fixed_dictionaries({"namespaces": namespaces, "kinds": kinds})


def _listeners() -> st.SearchStrategy[list[Manifest]]:
    one = st.builds(
        lambda name, port, protocol, allowed: listener(name, port, protocol=protocol, allowedRoutes=allowed),
        st.sampled_from(["a", "b", "c"]),
        PORTS,
        st.sampled_from(["TCP", "TCP", "TCP", "TCP", "TCP", "ODD"]),
        _allowed(),
    )
    return st.lists(one, min_size=1, max_size=3, unique_by=(lambda entry: entry["name"], lambda entry: entry["port"]))


_ADDRESSES: tuple[list[Manifest], ...] = (
    [],
    [],
    [],
    [{"value": "192.0.2.1"}],
    [{"value": "192.0.2.1"}, {"value": "198.51.100.9"}],
    [{"type": "IPAddress"}],
    [{"type": "odd.example/kind", "value": "x"}],
)


_INFRASTRUCTURE: tuple[Manifest, ...] = (
    *[{}] * 6,
    {"labels": {"team": "x"}},
    {"parametersRef": {**PARAMETERS, "name": "p"}},
    {"parametersRef": {**PARAMETERS, "name": "p"}},
    {"parametersRef": {"group": "odd.example", "kind": "Kind", "name": "p"}},
)


def _gateways() -> st.SearchStrategy[Manifest]:
    return st.builds(
        lambda name, listeners, namespace, class_name, created, addresses, infrastructure: gateway(
            name,
            listeners,
            namespace=namespace,
            class_name=class_name,
            created=created,
            addresses=addresses,
            infrastructure=infrastructure,
        ),
        GATEWAYS,
        _listeners(),
        NAMESPACES,
        CLASSES,
        CREATED,
        st.sampled_from(_ADDRESSES),
        st.sampled_from(_INFRASTRUCTURE),
    )


def _parameters() -> st.SearchStrategy[Manifest]:
    chosen: tuple[Manifest, ...] = (
        {},
        {"replicas": 2},
        {"pod": {"hostNetwork": True}},
        {"pod": {"hostNetwork": False}, "replicas": 3},
    )
    return st.builds(
        lambda namespace, spec: parameters("p", namespace=namespace, **spec), NAMESPACES, st.sampled_from(chosen)
    )


def _generated() -> st.SearchStrategy[Manifest]:
    """Services in front of data planes, and the proxies behind them."""
    names = st.builds(lambda name, class_name: f"{name}-{class_name}", GATEWAYS, CLASSES)
    services = st.builds(
        lambda name, namespace, ingress: generated_service(name, namespace=namespace, ingress=ingress),
        names,
        NAMESPACES,
        st.sampled_from([[], ["192.0.2.1"], ["198.51.100.9", "lb.example"], ["203.0.113.7"]]),
    )
    behind = st.builds(
        lambda name, namespace, hosts, ready: proxies(
            name, *(f"10.1.0.{host}" for host in hosts), namespace=namespace, ready=ready
        ),
        names,
        NAMESPACES,
        st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True),
        st.sampled_from([True, True, False, None]),
    )
    return st.one_of(services, behind)


def _parents() -> st.SearchStrategy[list[Manifest]]:
    selection = st.sampled_from(
        [{}, {}, {}, {}, {"sectionName": "a"}, {"port": 7001}, {"sectionName": "b", "port": 7002}, {"sectionName": "z"}]
    )
    one = st.builds(
        lambda name, namespace, fields: parent(name, namespace=namespace, **fields), GATEWAYS, NAMESPACES, selection
    )
    return st.lists(one, min_size=1, max_size=2, unique_by=lambda entry: (entry["name"], entry["namespace"]))


def _backends() -> st.SearchStrategy[list[Manifest]]:
    one = st.builds(
        lambda name, port, namespace, weight, kind: (
            backend(name, port, weight=weight) | ({"namespace": namespace} if namespace else {}) | kind
        ),
        SERVICES,
        st.sampled_from([*[6000] * 8, 6001]),
        st.sampled_from([None, None, None, None, "red", "blue"]),
        st.sampled_from([0, 1, 5, 1_000_000]),
        st.sampled_from([*[{}] * 8, {"group": "example.com", "kind": "Bucket"}]),
    )
    return st.lists(one, min_size=1, max_size=3)


def _routes() -> st.SearchStrategy[Manifest]:
    def build(
        name: str, parents: list[Manifest], rules: list[list[Manifest]], namespace: str, created: Any
    ) -> Manifest:
        version = "v1" if len(rules) == 1 else "v1alpha2"
        document = tcproute(name, parents, rules[0], namespace=namespace, created=created, version=version)
        document["spec"]["rules"] = [{"backendRefs": backends} for backends in rules]
        return document

    rules = st.one_of(
        *[_backends().map(lambda backends: [backends])] * 4, st.lists(_backends(), min_size=2, max_size=2)
    )
    return st.builds(build, ROUTES, _parents(), rules, NAMESPACES, CREATED)


def _services() -> st.SearchStrategy[Manifest]:
    def build(name: str, namespace: str, change: Manifest, protocol: str) -> Manifest:
        document = service(name, namespace=namespace)
        document["spec"]["ports"][0]["protocol"] = protocol
        document["spec"] |= change
        return document

    external = {"type": "ExternalName", "externalName": "example.com"}
    protocols = st.sampled_from([*["TCP"] * 6, "UDP"])
    return st.builds(build, SERVICES, NAMESPACES, st.sampled_from([*[{}] * 6, external]), protocols)


def _slices() -> st.SearchStrategy[Manifest]:
    def build(name: str, namespace: str, own: str, hosts: list[int], conditions: dict[str, bool]) -> Manifest:
        places = [(f"10.0.0.{host}", 30) for host in hosts]
        (document,) = slice_of(name, places, namespace=namespace, name=own, conditions=conditions)
        return document

    conditions = st.sampled_from(
        [{"ready": True}, {"ready": False}, {"ready": False, "serving": True, "terminating": True}]
    )
    hosts = st.lists(st.integers(1, 4), min_size=1, max_size=3)
    return st.builds(build, SERVICES, NAMESPACES, st.sampled_from(["first", "second"]), hosts, conditions)


def _grants() -> st.SearchStrategy[Manifest]:
    return st.builds(
        lambda name, namespace, origin, target, kind: grant(
            name, namespace=namespace, from_namespace=origin, to_name=target, from_kind=kind
        ),
        st.sampled_from(["g", "h"]),
        NAMESPACES,
        NAMESPACES,
        st.sampled_from([None, "web"]),
        st.sampled_from(["TCPRoute", "TCPRoute", "UDPRoute"]),
    )


def _classes() -> st.SearchStrategy[Manifest]:
    ours = {"parametersRef": {**PARAMETERS, "name": "p", "namespace": "red"}}
    odd = {"parametersRef": {"group": "", "kind": "ConfigMap", "name": "x"}}
    return st.builds(
        lambda name, controller, spec: gateway_class(name, controller=controller, **spec),
        st.sampled_from(["tidegate", "other"]),
        st.sampled_from([CONTROLLER_NAME, CONTROLLER_NAME, "example.com/other"]),
        st.sampled_from([{}, {}, ours, odd]),
    )


def _namespaces() -> st.SearchStrategy[Manifest]:
    return st.builds(
        lambda name, labels: {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": metadata(name, None, None) | {"labels": labels},
        },
        NAMESPACES,
        st.sampled_from([{}, {"team": "x"}, {"team": "y"}]),
    )


def _resource(document: Manifest, order: int, generation: int) -> Resource:
    resource: Any = typed(document, order)
    renewed = msgspec.structs.replace(resource.metadata, generation=generation)
    replaced: Resource = msgspec.structs.replace(resource, metadata=renewed)
    return replaced


def _objects(manifests: st.SearchStrategy[Manifest]) -> st.SearchStrategy[Resource]:
    return st.builds(_resource, manifests, st.integers(0, 2), st.integers(1, 3))


RESOURCES: st.SearchStrategy[Resource] = _objects(
    st.one_of(
        _gateways(),
        _routes(),
        _services(),
        _slices(),
        _grants(),
        _classes(),
        _namespaces(),
        _parameters(),
        _generated(),
    )
)
"""Valid objects of every kind; names, orders and creation times collide."""

Step = Resource | ObjectKey
"""An object that is new or has changed, or the identity of one that is gone."""

BATCHES: st.SearchStrategy[list[list[Step]]] = st.lists(
    st.lists(st.one_of(RESOURCES, RESOURCES, RESOURCES, RESOURCES.map(key_of)), min_size=1, max_size=8),
    min_size=1,
    max_size=5,
)


def _inputs(*parts: list[Resource]) -> dict[ObjectKey, Resource]:
    return {key_of(resource): resource for part in parts for resource in part}


INPUTS: st.SearchStrategy[dict[ObjectKey, Resource]] = st.builds(
    _inputs,
    st.lists(_objects(_gateways()), min_size=1, max_size=4),
    st.lists(_objects(_routes()), min_size=2, max_size=6),
    st.lists(_objects(_services()), min_size=3, max_size=4),
    st.lists(_objects(_slices()), min_size=2, max_size=4),
    st.lists(_objects(_grants()), max_size=3),
    st.lists(_objects(_classes()), max_size=2),
    st.lists(_objects(_namespaces()), max_size=2),
    st.lists(_objects(_parameters()), max_size=2),
    st.lists(_objects(_generated()), max_size=4),
)
"""Whole inputs, of which most serve something."""
