"""Which proxies are ready, by the EndpointSlices of the Service in front of them."""

from __future__ import annotations

import pytest

from support.generated import proxies
from support.manifests import backend, gateway, gateway_class, listener, parent, service, tcproute
from support.resources import World, gateway_key
from tidegate.core.incremental import _each
from tidegate.core.readiness import READY
from tidegate.core.tables import SLICES_OF

TCP = listener("tcp", 80)


def world(*names: str) -> World:
    """Gateways in a cluster."""
    return World(gateway_class(), *(gateway(name, [TCP]) for name in names), cluster=True)


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ({"ready": True}, True),
        ({"ready": None}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
    ],
)
def test_conditions(conditions: dict[str, bool | None], ready: bool) -> None:
    """A proxy takes new connections when its Pod is ready; one that is to end does not."""
    found = world("gw")
    found.apply(proxies("gw-tidegate", "10.0.0.1", **conditions))
    assert found.ready == {"default/gw": frozenset({"10.0.0.1"} if ready else ())}


def test_addresses_of_all_slices_and_families() -> None:
    """Addresses are in the form in which proxies give theirs."""
    found = world("gw")
    found.apply(
        proxies("gw-tidegate", "10.0.0.1", "10.0.0.2"),
        proxies("gw-tidegate", "2001:DB8::0:1", slice_name="b"),
        proxies("gw-tidegate", "10.0.0.3", slice_name="elsewhere", namespace="other"),
    )
    assert found.ready == {"default/gw": frozenset({"10.0.0.1", "10.0.0.2", "2001:db8::1"})}


def test_a_change_says_only_whose_proxies_changed() -> None:
    """Other Gateways, and the endpoints of backends, are not looked at again."""
    found = world("one", "two")
    found.apply(tcproute("route", [parent("one")], [backend("web")]), service("web"))
    assert found.apply(proxies("one-tidegate", "10.0.0.1")).ready == {"default/one": frozenset({"10.0.0.1"})}
    assert found.apply(proxies("one-tidegate", "10.0.0.1", ready=None)).ready == {}
    assert found.apply(proxies("web", "10.0.0.9")).ready == {}
    cells = found.decision.graph._states[READY].cells
    reads = {
        key: [read.key for read in _each(cell.reads) if read.state.node is SLICES_OF] for key, cell in cells.items()
    }
    assert reads == {gateway_key(name): [("default", f"{name}-tidegate")] for name in ("one", "two")}


def test_who_is_gone_has_no_ready_proxy() -> None:
    """A Gateway that leaves withdraws its proxies; its scope is told so."""
    found = world("gw")
    found.apply(proxies("gw-tidegate", "10.0.0.1"))
    assert found.remove(gateway("gw", [TCP])).ready == {"default/gw": frozenset()}


def test_a_data_plane_that_is_kept_as_it_is_stays_ready() -> None:
    """What goes on serving although its Gateway is not accepted is still known."""
    found = world("gw")
    found.apply(proxies("gw-tidegate", "10.0.0.1"))
    broken = gateway_class(parametersRef={"group": "", "kind": "ConfigMap", "name": "x"})
    assert found.apply(broken).ready == {}
    assert found.ready == {"default/gw": frozenset({"10.0.0.1"})}
