"""What a leader waits for before it writes; what is written is in ``tests/integration``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.manifests import gateway, gateway_class, listener
from support.resources import World, gateway_key
from support.running import running
from support.scripted_api import ScriptedApi, scripted
from support.waiting import arrival, silence
from tidegate.admin.address import TcpAddress
from tidegate.app.duties import Duties
from tidegate.app.handover import Handover
from tidegate.core.decision import DecisionChange
from tidegate.dataplanes.envoy import pod
from tidegate.fleet.authority import Authority
from tidegate.kube.config import connected
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Trouble, TroubleReason
from tidegate.settings import ControllerSettings
from tidegate.telemetry.metrics import Metrics

Heard = tuple[ObjectKey, Trouble | None]

SETTINGS = ControllerSettings(
    namespace="tidegate-system",
    replica="one",
    address="127.0.0.1:1",
    image="example/tidegate",
    control_plane="tidegate-controller.tidegate-system.svc:18000",
    xds_address="127.0.0.1:0",
    admin=TcpAddress("127.0.0.1", 0),
)


class Leader:
    """The duties in a cluster with one Gateway, of whose server nothing is answered."""

    def __init__(self, duties: Duties, change: DecisionChange, api: ScriptedApi, heard: list[Heard]) -> None:
        self.duties = duties
        self.change = change
        self.api = api
        self.heard = heard


@asynccontextmanager
async def leader() -> AsyncIterator[Leader]:
    """One that has not decided anything yet."""
    world = World(cluster=True)
    change = world.apply(gateway_class(), gateway("gw", [listener("tcp", 80)]))
    heard: list[Heard] = []
    async with scripted() as api, connected(kubeconfig=api.kubeconfig) as client:
        duties = Duties(
            client,
            SETTINGS,
            authority=Authority(client, namespace=SETTINGS.namespace, server_names=()),
            decision=world.decision,
            handover=Handover(world.decision, lease=15.0, covers=lambda _: True),
            metrics=Metrics(version="1", data_plane="envoy"),
            container=lambda one: pod.container(one, control_plane=SETTINGS.control_plane, server_name="controller"),
            heard=lambda key, trouble: heard.append((key, trouble)),
        )
        yield Leader(duties, change, api, heard)


async def test_nothing_is_written_before_all_is_known() -> None:
    """What is not wanted yet would be taken for left over."""
    async with leader() as made, running(*(part() for part in made.duties.parts.values())):
        await arrival(made.api.asked, 1, what="requests")
        assert made.api.asked[0].path.endswith("/secrets/tidegate-authority")
        await silence(made.api.asked, during=0.2)
        made.duties.decided(made.change)
        await arrival(made.api.asked, 2, what="requests")
        assert made.api.asked[1].path.endswith("/gatewayclasses/tidegate")


async def test_what_only_a_leader_knows_ends_with_its_time() -> None:
    """Another one knows better, and statuses of this one are not written."""
    trouble = Trouble(reason=TroubleReason.REFUSED, message="no")
    async with leader() as made:
        made.duties._troubled(gateway_key("gw"), trouble)
        made.duties.over()
        made.duties.over()
        assert made.heard == [(gateway_key("gw"), trouble), (gateway_key("gw"), None)]
