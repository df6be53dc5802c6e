"""The composition root of a controller in a cluster: puts every part together.

Every replica watches, decides and serves the proxies that come to it; the one that holds the Lease also writes (see
`leadership`). Comes in: settings. Goes out: a running replica::

    API server ──KubernetesSource──▶ reconciler ──plan──▶ EnvoyFleet ◀──mTLS── proxies, other replicas
                                       │  └─infrastructure─▶ Fleet ──▶ API server                  (leader)
                                       └─statuses─▶ KubernetesStatusWriter ──▶ API server          (leader)
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
from collections.abc import AsyncIterator, Mapping
from functools import partial

from tidegate._version import __version__
from tidegate.admin.figures import figures_of
from tidegate.admin.server import Providers, serve
from tidegate.admin.view import Instance, State
from tidegate.app import interpreter
from tidegate.app.announcing import Announcer
from tidegate.app.cluster import cluster_config
from tidegate.app.handover import Handover
from tidegate.app.isolation import Isolation
from tidegate.app.leadership import Leadership, Part
from tidegate.app.tasks import first_error
from tidegate.controller.board import OUTCOME_PATIENCE_S
from tidegate.controller.picture import picture
from tidegate.controller.reconciler import Reconciler
from tidegate.core.decision import Decision, DecisionChange
from tidegate.dataplanes.envoy import pod
from tidegate.dataplanes.envoy.credentials import ServerCredentials
from tidegate.dataplanes.envoy.features import FLEET_FEATURES
from tidegate.dataplanes.envoy.fleet import EnvoyFleet
from tidegate.errors import TidegateError
from tidegate.fleet.applier import Fleet, ObjectOptions
from tidegate.fleet.authority import Authority
from tidegate.kube.client import KubeClient
from tidegate.kube.config import connected
from tidegate.kube.lease import Election, Following, Leading, Member, Standing, Terms
from tidegate.model.kinds import kind_of
from tidegate.model.status import Status
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Infrastructure, ProxyContainer, Trouble
from tidegate.reporting.base import Subject
from tidegate.reporting.events import EventRecorder
from tidegate.reporting.finalizers import ClassFinalizers
from tidegate.reporting.happenings import Tone
from tidegate.reporting.kubernetes import KubernetesStatusWriter
from tidegate.settings import ControllerSettings
from tidegate.sources.kubernetes import KubernetesSource
from tidegate.telemetry.logs import logger
from tidegate.telemetry.metrics import Metrics

LOOK_PATIENCE_S = 10.0
"""How long a new leader leaves statuses alone, at most, until it has looked at every data plane once."""

_LOOK_S = 0.1


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
        self._loaded = asyncio.Event()
        self._in_trouble: set[ObjectKey] = set()
        self._server_name = settings.control_plane.rpartition(":")[0].removeprefix("[").removesuffix("]")
        self._metrics = Metrics(version=__version__, data_plane=FLEET_FEATURES.name)
        self._election = _election(settings, client)
        # What leaders do ends soon after their time is over, but not at that very moment.
        leading = client.writing_while(lambda: self._election.leads)
        self._authority = Authority(leading, namespace=settings.namespace, server_names=(self._server_name,))
        self._plane = EnvoyFleet(
            address=settings.xds_address, server_name=self._server_name, credentials=self._credentials
        )
        self._isolation = Isolation(
            lease=settings.lease.duration, heard_at=lambda: client.heard_at, send_away=self._send_proxies_away
        )
        self._events = EventRecorder(leading, controller_name=settings.controller_name, instance=settings.replica)
        decision = Decision(cluster_config(settings.controller_name))
        self._handover = Handover(decision, lease=settings.lease.duration, covers=self._plane.covers)
        self._writer = KubernetesStatusWriter(
            leading,
            controller_name=settings.controller_name,
            counted=lambda kind, outcome: self._metrics.status_attended(kind.kind, outcome.value),
            written=self._events.wrote,
            crowded=self._events.left_out,
            doubted=self._handover.doubted,
        )
        self._finalizers = ClassFinalizers(leading)
        self._classes: dict[str, bool] = {}
        self._fleet = Fleet(
            leading,
            self._authority,
            ObjectOptions(container=self._container, image=settings.image, controller=settings.controller_name),
            troubled=self._troubled,
        )
        self._reconciler = Reconciler(
            decision=decision,
            source=KubernetesSource(client, observed=self._writer.observe),
            plane=self._plane,
            metrics=self._metrics,
            decided=self._decided,
            published=self._published,
        )
        self._leadership = Leadership(
            {
                "authority": self._authority.lead,
                "fleet": partial(self._once_loaded, self._fleet.run),
                "statuses": partial(self._once_looked, self._writer.run),
                "events": partial(self._once_looked, self._events.run),
                "finalizers": partial(self._once_loaded, self._finalizers.run),
            }
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
                        "completeness": self._tell_completeness(),
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

    async def _tell_completeness(self) -> None:
        """Tell the writer once every status has been published, the last ones when their patience is over."""
        await self._loaded.wait()
        await asyncio.sleep(2 * OUTCOME_PATIENCE_S)
        self._writer.complete()

    async def _once_loaded(self, part: Part) -> None:
        await self._loaded.wait()
        await part()

    async def _once_looked(self, part: Part) -> None:
        """After a change of leaders, statuses stay as they are until it is known what keeps data planes from being
        provided for. What proxies serve is not waited for: the writer leaves alone what is in doubt.
        """
        await self._loaded.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_PATIENCE_S):
                while not self._fleet.looked:  # noqa: ASYNC110 - it becomes so by little and little
                    await asyncio.sleep(_LOOK_S)
        if self._in_trouble:
            # It may have been found just now, and be in force only after a status has waited as long as it may.
            await asyncio.sleep(OUTCOME_PATIENCE_S + _LOOK_S)
        await part()

    def _stand(self, standing: Standing) -> None:
        match standing:
            case Leading():
                self._handover.begin()
                self._plane.lead()
            case Following(leader=leader):
                self._plane.follow(leader.address if leader is not None else None)
                for gateway in tuple(self._in_trouble):
                    self._hear(gateway, None)  # The next leader will know, and if it is us again, we ask anew.
        self._metrics.leads(leads=isinstance(standing, Leading))
        self._leadership.stand(leads=isinstance(standing, Leading))

    def _decided(self, change: DecisionChange) -> None:
        """Hand on what is not for the data plane as every plane has it."""
        self._plane.set_infrastructure(change.infrastructure)
        self._fleet.set(change.infrastructure)
        for scope, addresses in change.ready.items():
            self._plane.set_ready(scope, addresses)
        for gateway_class, in_use in change.classes_in_use.items():
            self._classes.pop(gateway_class.name, None)
            self._classes.update({} if in_use is None else {gateway_class.name: in_use})
        if change.classes_in_use:
            self._finalizers.set(self._classes)
        self._loaded.set()

    def _published(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        self._announcer.announce(statuses)
        self._writer.publish(statuses)

    def _troubled(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        """Something keeps a Gateway's own objects from being what they should be, or does not any more."""
        resource = self._reconciler.decision.resource(gateway)
        self._hear(gateway, trouble if resource is not None else None)
        if trouble is None or resource is None:
            self._log.info("data plane is provided for again", gateway=gateway.path)
            return
        self._log.warning("data plane cannot be provided for", gateway=gateway.path, problem=trouble.message)
        subject = Subject(key=gateway, version=kind_of(resource).versions[0], uid=resource.metadata.uid)
        self._events.tell(
            subject, tone=Tone.WARNING, reason="InfrastructureFailed", note=trouble.message, action="ProvideDataPlane"
        )

    def _hear(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        """Let statuses say it."""
        if trouble is None:
            self._in_trouble.discard(gateway)
        else:
            self._in_trouble.add(gateway)
        self._reconciler.hear(gateway, trouble)

    def _container(self, infrastructure: Infrastructure) -> ProxyContainer:
        return pod.container(infrastructure, control_plane=self._settings.control_plane, server_name=self._server_name)

    def _credentials(self) -> ServerCredentials:
        held = self._authority.credentials()
        return ServerCredentials(certificate=held.pair.certificate, key=held.pair.key.pem, authorities=held.authorities)

    def _is_ready(self) -> bool:
        """Whether proxies that come here get what they should have."""
        return self._serving and self._loaded.is_set() and not self._isolation.isolated

    def _state(self) -> State:
        reconciler = self._reconciler
        instance = Instance(
            name=self._settings.replica,
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            data_plane=FLEET_FEATURES.name,
            ready=self._is_ready(),
        )
        return picture(
            reconciler.decision, reconciler.board.statuses, reconciler.diagnostics, (), instance, objects=False
        )

    async def _render(self) -> bytes:
        return self._metrics.render(figures_of(self._state(), ()))


def _election(settings: ControllerSettings, client: KubeClient) -> Election:
    lease = settings.lease
    return Election(
        client,
        namespace=settings.namespace,
        name=lease.name,
        member=Member(settings.replica, settings.address),
        terms=Terms(lease=int(lease.duration), renew_within=lease.renew_deadline, retry=lease.retry),
    )
