"""The composition root of a controller in a cluster: puts every part together.

Every replica watches, decides and serves the proxies that come to it; the one that holds the Lease also writes (see
`duties`). Comes in: settings. Goes out: a running replica::

    API server ──KubernetesSource──▶ reconciler ──plan──▶ EnvoyFleet ◀──mTLS── proxies, other replicas
                                         └─infrastructure, statuses─▶ Duties ──▶ API server        (leader)
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from tidegate._version import __version__
from tidegate.admin.figures import figures_of
from tidegate.admin.server import Providers, serve
from tidegate.admin.view import Instance, State
from tidegate.app import interpreter
from tidegate.app.announcing import Announcer
from tidegate.app.cluster import cluster_config
from tidegate.app.duties import Duties
from tidegate.app.handover import Handover
from tidegate.app.isolation import Isolation
from tidegate.app.leadership import Leadership
from tidegate.app.tasks import first_error
from tidegate.controller.picture import picture_in_slices
from tidegate.controller.reconciler import Reconciler
from tidegate.core.decision import Decision, DecisionChange
from tidegate.dataplanes.envoy import pod
from tidegate.dataplanes.envoy.credentials import ServerCredentials
from tidegate.dataplanes.envoy.features import FLEET_FEATURES
from tidegate.dataplanes.envoy.fleet import EnvoyFleet
from tidegate.errors import TidegateError
from tidegate.fleet.authority import Authority
from tidegate.kube.client import KubeClient
from tidegate.kube.config import connected
from tidegate.kube.lease import Election, Following, Leading, Member, Standing, Terms
from tidegate.model.status import Status
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Infrastructure, ProxyContainer, Trouble
from tidegate.settings import ControllerSettings
from tidegate.sources.kubernetes import KubernetesSource
from tidegate.telemetry.logs import logger
from tidegate.telemetry.metrics import Metrics


async def run(settings: ControllerSettings, *, stop: asyncio.Event) -> None:
    """Serve the cluster until ``stop`` is set.

    Raises SettingsError, KubeError and DataPlaneError when it cannot start.
    """
    interpreter.prepare()
    async with connected(kubeconfig=settings.kubeconfig, context=settings.context) as client:
        await _Replica(settings, client).serve(stop)


class _Replica:
    """One replica between start and stop."""

    def __init__(self, settings: ControllerSettings, client: KubeClient) -> None:
        self._settings = settings
        self._log = logger("controller")
        self._announcer = Announcer(self._log)
        self._started_at = dt.datetime.now(dt.UTC)
        self._serving = False
        self._server_name = settings.control_plane.rpartition(":")[0].removeprefix("[").removesuffix("]")
        self._metrics = Metrics(version=__version__, data_plane=FLEET_FEATURES.name)
        self._election = _election(settings, client)
        # What leaders do ends soon after their time is over, but not at that very moment.
        leading = client.writing_while(lambda: self._election.leads)
        self._authority = Authority(leading, namespace=settings.namespace, server_names=(self._server_name,))
        self._plane = EnvoyFleet(
            address=settings.xds_address, server_name=self._server_name, credentials=self._credentials
        )
        decision, lease = Decision(cluster_config(settings.controller_name)), settings.lease.duration
        self._isolation = Isolation(lease=lease, heard_at=lambda: client.heard_at, send_away=self._send_proxies_away)
        self._handover = Handover(decision, lease=lease, covers=self._plane.covers)
        self._duties = Duties(
            leading,
            settings,
            authority=self._authority,
            decision=decision,
            handover=self._handover,
            metrics=self._metrics,
            container=self._container,
            heard=self._heard,
        )
        self._leadership = Leadership(self._duties.parts)
        self._reconciler = Reconciler(
            decision=decision,
            source=KubernetesSource(client, observed=self._duties.observe),
            plane=self._plane,
            metrics=self._metrics,
            decided=self._decided,
            published=self._published,
        )

    async def serve(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set: stop writing, release the Lease, leave the data planes serving."""
        providers = Providers(state=self._state, ready=self._is_ready, metrics=self._render)
        async with serve(self._settings.admin, providers, exposed=True) as bound:
            self._log.info("started", replica=self._settings.replica, admin=str(bound))
            try:
                async with self._taking_part(), asyncio.TaskGroup() as tasks:
                    parts = {
                        "authority": self._authority.follow(),
                        "reconciler": self._reconciler.run(),
                        "proxies": self._serve_proxies(),
                        "isolation": self._isolation.run(),
                        "completeness": self._duties.tell_completeness(),
                        "leadership": self._leadership.run(),
                    }
                    running = [tasks.create_task(part, name=name) for name, part in parts.items()]
                    await stop.wait()
                    self._log.info("stopping")
                    for part in running:
                        part.cancel()
            except* TidegateError as group:
                raise first_error(group) from group

    @contextlib.asynccontextmanager
    async def _taking_part(self) -> AsyncIterator[None]:
        """Around everything that a leader does, because the Lease may be released only after that has ended."""
        async with asyncio.TaskGroup() as tasks:
            election = tasks.create_task(self._election.run(self._stand), name="election")
            try:
                yield
            finally:
                election.cancel()

    async def _serve_proxies(self) -> None:
        """Once there is an authority: the first leader makes it."""
        await self._authority.known()
        await self._plane.start()
        self._serving = True
        try:
            await asyncio.Event().wait()
        finally:
            await self._plane.close(drain=None)

    async def _send_proxies_away(self) -> None:
        if self._serving and self._plane.has_proxies:
            self._log.warning("proxies are sent to other replicas, if the Service has any that are ready")
            await self._plane.send_away()

    def _stand(self, standing: Standing) -> None:
        match standing:
            case Leading():
                self._handover.begin()
                self._plane.lead()
            case Following(leader=leader):
                self._plane.follow(leader.address if leader is not None else None)
                self._duties.over()
        self._metrics.leads(leads=isinstance(standing, Leading))
        self._leadership.stand(leads=isinstance(standing, Leading))

    def _decided(self, change: DecisionChange) -> None:
        """Hand on what is not for the data plane as every plane has it."""
        self._plane.set_infrastructure(change.infrastructure)
        for scope, addresses in change.ready.items():
            self._plane.set_ready(scope, addresses)
        self._duties.decided(change)

    def _published(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        self._announcer.announce(statuses)
        self._duties.published(statuses)

    def _heard(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        self._reconciler.hear(gateway, trouble)

    def _container(self, infrastructure: Infrastructure) -> ProxyContainer:
        return pod.container(infrastructure, control_plane=self._settings.control_plane, server_name=self._server_name)

    def _credentials(self) -> ServerCredentials:
        held = self._authority.credentials()
        return ServerCredentials(certificate=held.pair.certificate, key=held.pair.key.pem, authorities=held.authorities)

    def _is_ready(self) -> bool:
        """Whether proxies that come here get what they should have."""
        return self._serving and self._duties.loaded.is_set() and not self._isolation.isolated

    async def _state(self) -> State:
        reconciler = self._reconciler
        instance = Instance(
            name=self._settings.replica,
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            data_plane=FLEET_FEATURES.name,
            ready=self._is_ready(),
        )
        return await picture_in_slices(
            reconciler.decision, reconciler.board.statuses, reconciler.diagnostics, (), instance, objects=False
        )

    async def _render(self) -> AsyncGenerator[bytes, None]:
        pieces = self._metrics.render(await asyncio.to_thread(figures_of, await self._state(), ()))
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece


def _election(settings: ControllerSettings, client: KubeClient) -> Election:
    lease = settings.lease
    return Election(
        client,
        namespace=settings.namespace,
        name=lease.name,
        member=Member(settings.replica, settings.address),
        terms=Terms(lease=int(lease.duration), renew_within=lease.renew_deadline, retry=lease.retry),
    )
