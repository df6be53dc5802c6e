"""A fleet under test: replicas of the control plane, and the proxies of several Gateways, all on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from support.certificates import SERVER_NAME, Issuer
from support.infrastructures import infrastructure
from support.planes import Serving, serving, short_directory
from support.plans import SCOPE
from support.ports import Ports
from support.proxies import ProxyPod, directories
from tidegate.dataplanes.envoy.credentials import ServerCredentials
from tidegate.dataplanes.envoy.fleet import EnvoyFleet, FleetOptions
from tidegate.dataplanes.envoy.pod import container
from tidegate.names import GATEWAY_GROUP, ObjectKey
from tidegate.plan.infrastructure import Infrastructure

GRACE = 3.0
"""Seconds for which a lost proxy counts."""


def gateway_key(scope: str) -> ObjectKey:
    """The Gateway of a scope."""
    namespace, _, name = scope.rpartition("/")
    return ObjectKey(GATEWAY_GROUP, "Gateway", namespace, name)


def plan_of(scope: str, **parameters: Any) -> Infrastructure:
    """A Gateway's data plane, with one worker, which makes shares exact."""
    return infrastructure(gateway_key(scope), parameters={"resources": {"limits": {"cpu": "1"}}} | parameters)


def addresses(*some: ProxyPod) -> frozenset[str]:
    """Their addresses, as ready endpoints of a Service."""
    return frozenset(pod.address for pod in some)


@asynccontextmanager
async def replica(
    issuer: Issuer,
    *scopes: str,
    port: int = 0,
    grace: float = GRACE,
    credentials: Callable[[], ServerCredentials] | None = None,
) -> AsyncIterator[tuple[EnvoyFleet, Serving]]:
    """A replica of the control plane at 127.0.0.1 to which these Gateways are known."""
    own = issuer.server()
    plane = EnvoyFleet(
        address=f"127.0.0.1:{port}",
        server_name=SERVER_NAME,
        credentials=credentials or (lambda: own),
        options=FleetOptions(grace=grace),
    )
    async with serving(plane, drain=None) as present:
        plane.set_infrastructure({gateway_key(scope): plan_of(scope) for scope in scopes})
        yield plane, present


class Pods:
    """Makes Pods of proxies, each with a directory, an address and a status port of its own; ends them all."""

    def __init__(self, issuer: Issuer, ports: Ports) -> None:
        self._issuer = issuer
        self._ports = ports
        self._stack = AsyncExitStack()
        self._count = 0

    def pod(self, scope: str, control_plane: int, *, identity: str | None = None, **parameters: Any) -> ProxyPod:
        """A Pod of a Gateway, not started yet; ``identity`` instead of that in its certificate."""
        self._count += 1
        base = self._stack.enter_context(short_directory())
        made = ProxyPod(
            container(
                plan_of(scope, **parameters),
                control_plane=f"127.0.0.1:{control_plane}",
                server_name=SERVER_NAME,
                directories=directories(Path(base)),
                status_port=self._ports.reserve(),
            ),
            name=f"proxy-{self._count}",
            address=f"10.0.0.{self._count}",
        )
        pair = self._issuer.proxy(scope) if identity is None else self._issuer.pair(identity)
        made.mount(pair, self._issuer.authorities)
        self._stack.push_async_callback(made.stop)
        return made

    def run(self, scope: str, control_plane: int, **options: Any) -> ProxyPod:
        """A Pod of a Gateway, started."""
        made = self.pod(scope, control_plane, **options)
        made.start()
        return made

    async def close(self) -> None:
        """End all."""
        await self._stack.aclose()


@asynccontextmanager
async def pods(issuer: Issuer, ports: Ports) -> AsyncIterator[Pods]:
    """Makes Pods that end with the block."""
    made = Pods(issuer, ports)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def serving_fleet() -> AsyncIterator[Serving]:
    """A fleet with one Gateway, whose scope is that of ``support.plans``, and one proxy, which is ready."""
    issuer, ports = Issuer(), Ports()
    try:
        async with replica(issuer, SCOPE) as (plane, present), pods(issuer, ports) as made:
            pod = made.run(SCOPE, plane.port)
            plane.set_ready(SCOPE, frozenset({pod.address}))
            # Until the first plan is applied it is told nothing, so this is all that can be awaited.
            await pod.until_connected()
            yield present
    finally:
        ports.release()
