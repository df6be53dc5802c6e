"""What is said of the installed Gateway API."""

from __future__ import annotations

import pytest

from support.manifests import gateway, gateway_class, listener
from support.resources import World, message, said
from tidegate.core.apis import missing_kinds, version_rejection
from tidegate.core.reasons import Reason
from tidegate.model.apis import InstalledApis

SUFFIX = "gateway.networking.k8s.io"


def installed(**versions: str) -> InstalledApis:
    """The APIs with these bundle versions, by plural."""
    return InstalledApis(bundle_versions={f"{plural}.{SUFFIX}": version for plural, version in versions.items()})


@pytest.mark.parametrize("version", ["v1.6.1", "v1.6.0", "v1.6.12", "v1.5.0", "v1.5.3"])
def test_supported_versions(version: str) -> None:
    """Every patch of the releases that are supported is fine."""
    assert version_rejection(installed(gateways=version, tcproutes=version)) is None


@pytest.mark.parametrize("version", ["", "v1.4.1", "v1.7.0", "v1.6", "v1.6.1-rc.1", "1.6.1", "main", "v1.60.1"])
def test_unknown_versions(version: str) -> None:
    """One definition without a known version is enough; the message lists all that is found, and what is supported."""
    found = version_rejection(installed(gateways="v1.6.1", gatewayclasses=version, tcproutes=version))
    assert found is not None
    assert found.reason is Reason.UNSUPPORTED_VERSION
    assert found.message == (
        f"found of the Gateway API: {version or 'no version'} (gatewayclasses, tcproutes), v1.6.1 (gateways); "
        "supported: v1.5.x, v1.6.x"
    )


def test_nothing_known_is_not_supported() -> None:
    """Without any definition that can be read nobody knows what is installed; without a cluster nothing has to be."""
    rejection = version_rejection(InstalledApis())
    assert rejection is not None
    assert rejection.message.startswith("found of the Gateway API: none; ")
    assert version_rejection(None) is None


def test_missing_kinds() -> None:
    """The kinds without a served version, in alphabetical order."""
    assert missing_kinds(InstalledApis(served={"TCPRoute": None, "Gateway": "v1", "GatewayParameters": None})) == (
        "GatewayParameters",
        "TCPRoute",
    )
    assert missing_kinds(None) == ()


def test_a_class_tells_what_is_installed() -> None:
    """An unknown version and a missing kind are said on the class, and stop nothing."""
    world = World(gateway_class(), gateway("gw", [listener("tcp", 80)]), cluster=True)
    assert said(world.gateway_class("tidegate"), "SupportedVersion") == "True/SupportedVersion"
    world.decision.set_apis(InstalledApis(served={"TCPRoute": None}, bundle_versions={f"gateways.{SUFFIX}": "v1.2.0"}))
    change = world.decide()
    assert len(change.verdicts) == 1
    status = world.gateway_class("tidegate")
    assert said(status, "Accepted") == "True/Accepted"
    assert message(status, "Accepted") == "the class is served by tidegate; not installed: TCPRoute"
    assert said(status, "SupportedVersion") == "False/UnsupportedVersion"
    assert said(world.gateway("gw"), "Accepted") == "True/Accepted"
    world.decision.set_apis(InstalledApis(served={"TCPRoute": "v1"}, bundle_versions={f"gateways.{SUFFIX}": "v1.6.1"}))
    world.decide()
    assert said(world.gateway_class("tidegate"), "SupportedVersion") == "True/SupportedVersion"
    assert message(world.gateway_class("tidegate"), "Accepted") == "the class is served by tidegate"
