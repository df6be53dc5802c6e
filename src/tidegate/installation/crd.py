"""The CustomResourceDefinition of ``GatewayParameters``: what ``parametersRef`` of a class or Gateway may name.

The schema accepts what ``tidegate.model`` accepts, and its descriptions are what ``kubectl explain`` shows. It has no
defaults: an absent field means that of the class's parameters, and only then the built-in one, so a default that the
API server fills in would hide what the class says.
"""

from __future__ import annotations

from typing import Any

from tidegate.model.kinds import BY_GROUP_KIND
from tidegate.model.parameters import GatewayParameters

Schema = dict[str, Any]

_KIND = BY_GROUP_KIND[GatewayParameters.GROUP, GatewayParameters.KIND]

NAME = f"{_KIND.plural}.{_KIND.group}"
"""The name of the definition."""

_QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

_COLUMNS = (
    ("Replicas", "integer", ".spec.replicas"),
    ("Service", "string", ".spec.service.type"),
    ("Age", "date", ".metadata.creationTimestamp"),
)


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": _KIND.group,
            "scope": "Namespaced",
            "names": {
                "kind": _KIND.kind,
                "listKind": f"{_KIND.kind}List",
                "plural": _KIND.plural,
                "singular": _KIND.kind.lower(),
                "shortNames": list(_KIND.short_names),
                "categories": ["gateway-api"],
            },
            "versions": [
                {
                    "name": _KIND.versions[0],
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root()},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} for name, kind, path in _COLUMNS
                    ],
                }
            ],
        },
    }


def _root() -> Schema:
    return _object(
        "How the data planes of a GatewayClass, or of one Gateway, are run. A GatewayClass names it in "
        "spec.parametersRef, a Gateway in spec.infrastructure.parametersRef. What a Gateway's parameters leave out is "
        "as its class's say, and what those leave out has the default given here.",
        {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _spec(),
        },
        required=["spec"],
    )


def _spec() -> Schema:
    return _object(
        "What to change; all fields are optional.",
        {
            "replicas": _integer("Number of proxy Pods. Default: 1.", 1, 100),
            "service": _service(),
            "pod": _pod(),
            "drainSeconds": _integer(
                "How long, in seconds, a Pod that ends lets its open connections go on. Default: 60.", 0, 3600
            ),
            "accessLog": _enum(
                'A line per connection on the Pod\'s standard output. Quote "off" in YAML. Default: "off".',
                "off",
                "text",
                "json",
            ),
        },
    )


def _service() -> Schema:
    return _object(
        "The Service through which clients reach the proxies.",
        {
            "type": _enum(
                "How the Service is exposed. Default: LoadBalancer.", "LoadBalancer", "NodePort", "ClusterIP"
            ),
            "loadBalancerClass": _text(
                "Which implementation of load balancers serves the Service. For type LoadBalancer.", longest=253
            ),
            "externalTrafficPolicy": _enum(
                "Cluster: every node forwards. Local: only nodes with a proxy do, and proxies see the clients' "
                "addresses. For types LoadBalancer and NodePort. Default: that of the cluster.",
                "Cluster",
                "Local",
            ),
        },
    )


def _pod() -> Schema:
    return _object(
        "The proxy Pods.",
        {
            "image": _text("The image to run. Default: the controller's own.", longest=1024),
            "resources": _resources(),
            "nodeSelector": _map("Labels that a node must have.", _text(longest=63, shortest=0)),
            "tolerations": {
                "type": "array",
                "description": "Taints of nodes that the Pods tolerate.",
                "maxItems": 64,
                "items": _toleration(),
                "x-kubernetes-list-type": "atomic",
            },
            "hostNetwork": {
                "type": "boolean",
                "description": "Listen on the nodes' own addresses. Default: false.",
            },
        },
    )


def _resources() -> Schema:
    quantity = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": _QUANTITY,
        "x-kubernetes-int-or-string": True,
    }
    return _object(
        "What a proxy Pod asks for and may use, as in a Pod.",
        {"requests": _map("What is reserved.", quantity), "limits": _map("What is not exceeded.", quantity)},
    )


def _toleration() -> Schema:
    return _object(
        "As in a Pod.",
        {
            "key": _text("The taint's key; absent with the operator Exists: all keys.", longest=317),
            "operator": _enum("Whether the value counts. Default: Equal.", "Exists", "Equal"),
            "value": _text("The taint's value.", longest=63, shortest=0),
            "effect": _enum("The taint's effect; absent: all effects.", "NoSchedule", "PreferNoSchedule", "NoExecute"),
            "tolerationSeconds": {
                "type": "integer",
                "format": "int64",
                "description": "With NoExecute: how long the taint is tolerated; absent: for ever.",
            },
        },
    )


def _object(description: str, properties: dict[str, Schema], required: list[str] | None = None) -> Schema:
    schema: Schema = {"type": "object", "description": description, "properties": properties}
    return schema | {"required": required} if required else schema


def _map(description: str, values: Schema) -> Schema:
    return {"type": "object", "description": description, "maxProperties": 64, "additionalProperties": values}


def _integer(description: str, minimum: int, maximum: int) -> Schema:
    return {
        "type": "integer",
        "format": "int32",
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
    }


def _enum(description: str, *values: str) -> Schema:
    return {"type": "string", "description": description, "enum": list(values)}


def _text(description: str = "", *, longest: int, shortest: int = 1) -> Schema:
    schema: Schema = {"type": "string", "description": description} if description else {"type": "string"}
    return schema | ({"minLength": shortest} if shortest else {}) | {"maxLength": longest}
