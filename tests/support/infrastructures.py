"""What the fleet is asked for: infrastructures of Gateways, and the container that their Pods run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from tidegate.fleet.credentials import Credentials
from tidegate.fleet.pki import KeyPair, PrivateKey
from tidegate.names import CONTROLLER_NAME, GATEWAY_GROUP, ObjectKey
from tidegate.plan.infrastructure import Infrastructure, InfrastructurePort, Parameters, ProxyContainer

IMAGE = "registry.example/tidegate:1.0"

CONTAINER = ProxyContainer(
    arguments=("proxy", "run", "--node", "$(POD_NAME)"),
    drain_arguments=("proxy", "drain", "--time", "60"),
    files={"bootstrap.json": '{"node": {}}\n'},
    configuration_directory="/etc/tidegate/configuration",
    certificates_directory="/etc/tidegate/certificates",
    run_directory="/run/tidegate",
    status_port=19000,
)

CREDENTIALS = Credentials(
    pair=KeyPair(certificate=b"certificate", key=PrivateKey(b"key")),
    authorities=b"authorities",
    good_until=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
)


def gateway_key(name: str = "public", namespace: str = "shop") -> ObjectKey:
    """The identity of a Gateway."""
    return ObjectKey(GATEWAY_GROUP, "Gateway", namespace, name)


def infrastructure(
    gateway: ObjectKey = gateway_key(),  # noqa: B008, a frozen value.
    *,
    uid: str = "0d1f5e7c-3f0e-4b5a-9c55-7a8d7a3f2b11",
    class_name: str = "tidegate",
    name: str | None = None,
    labels: Mapping[str, str] = {},
    annotations: Mapping[str, str] = {},
    ports: Mapping[str, int] = {"postgres": 5432},
    addresses: tuple[str, ...] = (),
    parameters: Mapping[str, Any] = {},
) -> Infrastructure:
    """What the decision would ask for; by default one listener and nothing special."""
    return Infrastructure(
        gateway=gateway,
        uid=uid,
        class_name=class_name,
        name=name or f"{gateway.name}-{class_name}",
        labels=labels,
        annotations=annotations,
        ports=tuple(sorted(InfrastructurePort(name=one, port=port, protocol="TCP") for one, port in ports.items())),
        addresses=addresses,
        parameters=msgspec.convert(parameters, Parameters),
    )


CONTROLLER = CONTROLLER_NAME
