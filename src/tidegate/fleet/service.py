"""The Service of a data plane: its ports are the Gateway's listeners, its addresses the Gateway's addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.fleet.kinds import Manifest
from tidegate.fleet.metadata import selector
from tidegate.plan.infrastructure import Infrastructure, InfrastructurePort, Parameters, ServiceType

NO_LISTENER: Final = InfrastructurePort(name="no-listener", port=65535, protocol="TCP")
"""Stands in for the ports of a Gateway that has none now.

A Service without a port is invalid, and to delete it would give its addresses away. No proxy listens there, so
connections are refused, as they are at a listener without a route.
"""


def service_spec(infrastructure: Infrastructure) -> dict[str, Any]:
    """The specification of a data plane's Service.

    Each port leads to the same port of the Pods, so that a listener comes and goes without a new Pod.
    """
    ports = infrastructure.ports or (NO_LISTENER,)
    return {
        "type": infrastructure.parameters.service_type.value,
        "selector": selector(infrastructure),
        "ports": [_port(port) for port in ports],
        "ipFamilyPolicy": "PreferDualStack",
        **_exposure(infrastructure.parameters),
        **_addresses(infrastructure),
    }


def cluster_addresses(manifest: Manifest) -> Sequence[str]:
    """The addresses in the cluster that a manifest asks for; none where it is no Service's."""
    spec: Mapping[str, Any] = manifest.body.get("spec", {})
    only: Sequence[str] = [spec["clusterIP"]] if "clusterIP" in spec else []
    several: Sequence[str] = spec.get("clusterIPs", only)
    return several


def _port(port: InfrastructurePort) -> dict[str, Any]:
    return {"name": port.name, "port": port.port, "targetPort": port.port, "protocol": port.protocol}


def _exposure(parameters: Parameters) -> dict[str, Any]:
    """The fields that a Service of this type may have: the API refuses them elsewhere."""
    fields: dict[str, Any] = {}
    if parameters.external_traffic_policy is not None and parameters.service_type is not ServiceType.CLUSTER_IP:
        fields["externalTrafficPolicy"] = parameters.external_traffic_policy
    if parameters.load_balancer_class is not None and parameters.service_type is ServiceType.LOAD_BALANCER:
        fields["loadBalancerClass"] = parameters.load_balancer_class
    return fields


def _addresses(infrastructure: Infrastructure) -> dict[str, Any]:
    """Where the addresses that a Gateway asks for go.

    A load balancer is asked for the first one: ``loadBalancerIP`` takes no second, and whether it is heeded is the
    provider's to decide. Otherwise they are the addresses in the cluster, of which there is one per IP family. A single
    one is no list: where the cluster has two families, it adds an address of the other, which nobody may take away.
    ``externalIPs`` are not used: with them, whoever may write a Gateway could take traffic meant for others
    (CVE-2020-8554).
    """
    if not infrastructure.addresses:
        return {}
    if infrastructure.parameters.service_type is ServiceType.LOAD_BALANCER:
        return {"loadBalancerIP": infrastructure.addresses[0]}
    chosen = _first_of_each_family(infrastructure.addresses)
    return {"clusterIP": chosen[0]} | ({"clusterIPs": chosen} if len(chosen) > 1 else {})


def _first_of_each_family(addresses: Sequence[str]) -> list[str]:
    families: dict[bool, str] = {}
    for address in addresses:
        families.setdefault(":" in address, address)
    return list(families.values())
