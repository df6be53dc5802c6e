"""Plans for tests, written shortly: a port forwards to weighted pools, a pool has endpoints."""

from __future__ import annotations

import hashlib

import msgspec

from tidegate.names import GATEWAY_GROUP, ListenerKey, ObjectKey, PoolKey, SocketKey, TargetKey
from tidegate.plan.types import Endpoint, Match, PlanKey, PlanValue, Pool, Socket, Target, WeightedBackend

Change = dict[PlanKey, PlanValue | None]

SCOPE = "standalone"
GATEWAY = ObjectKey(GATEWAY_GROUP, "Gateway", "default", "gateway")


def socket_key(port: int, address: str = "127.0.0.1", scope: str = SCOPE) -> SocketKey:
    """The key of a TCP socket."""
    return SocketKey(scope, address, "TCP", port)


def pool_key(name: str) -> PoolKey:
    """The key of a pool."""
    return PoolKey("default", name, 80, "TCP")


def listener_key(name: str) -> ListenerKey:
    """A listener of the tests' Gateway."""
    return ListenerKey(GATEWAY, name)


def route_key(name: str) -> ObjectKey:
    """A TCPRoute."""
    return ObjectKey(GATEWAY_GROUP, "TCPRoute", "default", name)


def backend(pool: str | None, weight: int = 1, *, ref: str) -> WeightedBackend:
    """A share for a pool; None refuses it."""
    return WeightedBackend(
        ref=ref, weight=weight, pool=pool_key(pool) if pool is not None else None, label=pool or "missing"
    )


def forward(
    port: int,
    *shares: str | tuple[str | None, int],
    address: str = "127.0.0.1",
    scope: str = SCOPE,
    listener: str = "listener",
    route: str | None = "route",
) -> Change:
    """A socket and its target; each share is a pool's name, or a pool's name (None: refused) and a weight."""
    key = socket_key(port, address, scope)
    backends = tuple(
        backend(*((share, 1) if isinstance(share, str) else share), ref=f"0/{index}")
        for index, share in enumerate(shares)
    )
    target = Target(key=TargetKey(key), route=route_key(route) if route is not None else None, backends=backends)
    matches = (Match(target=target.key),)
    content = msgspec.json.encode((listener, route, backends))
    revision = hashlib.sha256(content).hexdigest()[:12]
    return {
        key: Socket(key=key, listener=listener_key(listener), matches=matches, revision=revision),
        target.key: target,
    }


def remove(port: int, address: str = "127.0.0.1", scope: str = SCOPE) -> Change:
    """The socket and its target are gone."""
    key = socket_key(port, address, scope)
    return {key: None, TargetKey(key): None}


def pool(name: str, *endpoints: int | tuple[str, int]) -> Change:
    """A pool; an endpoint is a port on 127.0.0.1, or an address and a port."""
    values = sorted(Endpoint("127.0.0.1", one) if isinstance(one, int) else Endpoint(*one) for one in endpoints)
    key = pool_key(name)
    return {key: Pool(key=key, endpoints=tuple(values), total=len(values))}
