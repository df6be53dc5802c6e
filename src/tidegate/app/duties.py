"""What only the leader does: it writes statuses and events, keeps data planes, finalizers and the authority.

In: what the decision changes, for every replica, so that a new leader knows all of it. Out: requests, while
``leadership`` runs the ``parts``, and what is heard of data planes that cannot be provided for::

    decided ──infrastructure──▶ Fleet ──trouble──▶ heard (into the decision), events
       └─────classes in use───▶ ClassFinalizers
    published ────statuses────▶ KubernetesStatusWriter ──written──▶ events
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from tidegate.app.handover import Handover
from tidegate.app.leadership import Part
from tidegate.controller.board import OUTCOME_PATIENCE_S
from tidegate.core.decision import Decision, DecisionChange
from tidegate.fleet.applier import Fleet, ObjectOptions
from tidegate.fleet.authority import Authority
from tidegate.fleet.troubles import Troubled
from tidegate.kube.client import KubeClient
from tidegate.model.kinds import kind_of
from tidegate.model.observed import Observed
from tidegate.model.status import Status
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Infrastructure, ProxyContainer, Trouble
from tidegate.reporting.base import Subject
from tidegate.reporting.events import EventRecorder
from tidegate.reporting.finalizers import ClassFinalizers
from tidegate.reporting.happenings import Tone
from tidegate.reporting.kubernetes import KubernetesStatusWriter
from tidegate.settings import ControllerSettings
from tidegate.telemetry.logs import logger
from tidegate.telemetry.metrics import Metrics

LOOK_PATIENCE_S: Final = 10.0
"""How long a new leader leaves statuses alone, at most, until it has looked at every data plane once."""

_LOOK_S: Final = 0.1

_log = logger("controller")


class Duties:
    """The parts that write, and what they wait for. ``client`` writes while this replica leads, and not after.

    ``container`` says what the Pods of a data plane run. ``heard`` is told what keeps one from being provided for, and
    when that is over.
    """

    def __init__(
        self,
        client: KubeClient,
        settings: ControllerSettings,
        *,
        authority: Authority,
        decision: Decision,
        handover: Handover,
        metrics: Metrics,
        container: Callable[[Infrastructure], ProxyContainer],
        heard: Troubled,
    ) -> None:
        self.loaded = asyncio.Event()
        self._authority = authority
        self._decision = decision
        self._heard = heard
        self._classes: dict[str, bool] = {}
        self._in_trouble: set[ObjectKey] = set()
        self._events = EventRecorder(client, controller_name=settings.controller_name, instance=settings.replica)
        self._writer = KubernetesStatusWriter(
            client,
            controller_name=settings.controller_name,
            counted=lambda kind, outcome: metrics.status_attended(kind.kind, outcome.value),
            written=self._events.wrote,
            crowded=self._events.left_out,
            doubted=handover.doubted,
        )
        self._finalizers = ClassFinalizers(client)
        options = ObjectOptions(container=container, image=settings.image, controller=settings.controller_name)
        self._fleet = Fleet(client, authority, options, troubled=self._troubled)

    @property
    def parts(self) -> Mapping[str, Part]:
        """What runs while this replica leads, by name."""
        return {
            "authority": self._authority.lead,
            "fleet": partial(self._once_loaded, self._fleet.run),
            "statuses": partial(self._once_looked, self._writer.run),
            "events": partial(self._once_looked, self._events.run),
            "finalizers": partial(self._once_loaded, self._finalizers.run),
        }

    def observe(self, key: ObjectKey, observed: Observed | None) -> None:
        """Take what is written in an object's status now; None: the object is gone."""
        self._writer.observe(key, observed)

    def decided(self, change: DecisionChange) -> None:
        """Take what is to be there from now on. The first change has everything."""
        self._fleet.set(change.infrastructure)
        for gateway_class, in_use in change.classes_in_use.items():
            self._classes.pop(gateway_class.name, None)
            self._classes.update({} if in_use is None else {gateway_class.name: in_use})
        if change.classes_in_use:
            self._finalizers.set(self._classes)
        self.loaded.set()

    def published(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        """Take statuses that are in force from now on; None: withdrawn."""
        self._writer.publish(statuses)

    def over(self) -> None:
        """Lead no more. What is in trouble, the next leader will know, and if it is us again, we ask."""
        for gateway in tuple(self._in_trouble):
            self._hear(gateway, None)

    async def tell_completeness(self) -> None:
        """Tell the writer once every status has been published, the last ones when their patience is over."""
        await self.loaded.wait()
        await asyncio.sleep(2 * OUTCOME_PATIENCE_S)
        self._writer.complete()

    async def _once_loaded(self, part: Part) -> None:
        await self.loaded.wait()
        await part()

    async def _once_looked(self, part: Part) -> None:
        """After a change of leaders, statuses stay as they are until it is known what keeps data planes from being
        provided for. What proxies serve is not waited for: the writer leaves alone what is in doubt.
        """
        await self.loaded.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_PATIENCE_S):
                while not self._fleet.looked:  # noqa: ASYNC110 - it becomes so by little and little
                    await asyncio.sleep(_LOOK_S)
        if self._in_trouble:
            # It may have been found just now, and be in force only after a status has waited as long as it may.
            await asyncio.sleep(OUTCOME_PATIENCE_S + _LOOK_S)
        await part()

    def _troubled(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        """Something keeps a Gateway's own objects from being what they should be, or does not any more."""
        resource = self._decision.resource(gateway)
        self._hear(gateway, trouble if resource is not None else None)
        if trouble is None or resource is None:
            _log.info("data plane is provided for again", gateway=gateway.path)
            return
        _log.warning("data plane cannot be provided for", gateway=gateway.path, problem=trouble.message)
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
        self._heard(gateway, trouble)
