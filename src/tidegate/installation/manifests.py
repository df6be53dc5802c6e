"""Everything that an installation applies, in the order in which it can be applied.

Comes in: options. Goes out: documents: an object, and a comment that says what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tidegate.installation import access, crd, workload
from tidegate.installation.options import NAME, Options
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """``comment`` is text for people, of one or several lines without a comment's sign."""

    comment: str
    manifest: Mapping[str, Any]


def documents(options: Options) -> tuple[Document, ...]:
    """The objects of an installation; the same options always give the same."""
    here, everywhere = _metadata(options, options.namespace), _metadata(options)
    found = [
        Document(
            comment="Where the controller lives, under the strictest of the Pod Security Standards.",
            manifest=_namespace(options),
        ),
        Document(
            comment="GatewayParameters: replicas, Service and Pods of data planes, by parametersRef.",
            manifest=crd.definition() | {"metadata": _metadata(options, name=crd.NAME)},
        ),
        Document(comment="Who the controller is to the API server.", manifest=access.service_account(here)),
        Document(
            comment="What it may do in all namespaces: exactly what it does.",
            manifest=access.role("ClusterRole", everywhere),
        ),
        Document(
            comment="That role, given to the account.",
            manifest=access.binding("ClusterRole", everywhere, options),
        ),
        Document(
            comment="What it may do in its own namespace on top: the election of a leader, and its authority.",
            manifest=access.role("Role", here),
        ),
        Document(comment="That role, given to the account.", manifest=access.binding("Role", here, options)),
        Document(
            comment="Where proxies find the controller (mutual TLS), and monitoring its metrics.",
            manifest=workload.service(here),
        ),
        Document(
            comment="Evictions take one replica at a time.",
            manifest=workload.disruption_budget(here),
        ),
        Document(
            comment="The controller. Every replica serves proxies, one of them writes.",
            manifest=workload.deployment(here, options),
        ),
    ]
    if options.gateway_class is not None:
        found.append(
            Document(
                comment="The class that Gateways name. It needs the CRDs of the Gateway API.",
                manifest=_gateway_class(options, options.gateway_class),
            )
        )
    return tuple(found)


def _labels(options: Options) -> dict[str, str]:
    return workload.SELECTOR | {"app.kubernetes.io/version": options.version}


def _metadata(options: Options, namespace: str = "", *, name: str = NAME) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, **place, "labels": _labels(options)}


def _namespace(options: Options) -> dict[str, Any]:
    standard = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    metadata = _metadata(options, name=options.namespace)
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata | {"labels": metadata["labels"] | standard},
    }


def _gateway_class(options: Options, name: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{GATEWAY_GROUP}/v1",
        "kind": "GatewayClass",
        "metadata": _metadata(options, name=name),
        "spec": {
            "controllerName": CONTROLLER_NAME,
            "description": "TCP by tidegate: an Envoy fleet for each Gateway.",
        },
    }
