"""Divides one plan into those of its scopes, and keeps for each scope the resources that its proxies should have.

In: changes of the whole plan. Out: for each scope that a change concerns, its part of it, and what that changes in
the scope's catalogs. Sockets and targets carry their scope; pools belong to nobody, so each goes to the scopes whose
targets use it. The cost of a change depends on what it touches, not on how many scopes there are. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from tidegate.dataplanes.entries import put
from tidegate.dataplanes.envoy.catalog import Catalog, Changed, LoggersFor
from tidegate.dataplanes.envoy.translate import TranslateOptions
from tidegate.names import PoolKey, SocketKey, TargetKey
from tidegate.plan.types import PlanChange, PlanKey, PlanValue, Pool, Target


class PlanRouter:
    """Divides changes by scope. Changes that were divided add up to the same as if the plan had been."""

    def __init__(self) -> None:
        self._pools: dict[PoolKey, Pool] = {}
        self._pools_of: dict[TargetKey, frozenset[PoolKey]] = {}
        self._users: defaultdict[PoolKey, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))

    def divide(self, change: PlanChange) -> dict[str, dict[PlanKey, PlanValue | None]]:
        """The part of each scope that has one."""
        parts: defaultdict[str, dict[PlanKey, PlanValue | None]] = defaultdict(dict)
        pools: set[PoolKey] = set()
        moved: set[tuple[str, PoolKey]] = set()
        for key, value in change.items():
            match key:
                case SocketKey():
                    parts[key.scope][key] = value
                case TargetKey():
                    parts[key.socket.scope][key] = value
                    moved |= self._use(key, value if isinstance(value, Target) else None)
                case PoolKey():
                    pools.add(key)
                    put(self._pools, key, value if isinstance(value, Pool) else None)
        for scope, pool in moved:
            parts[scope][pool] = self._pools.get(pool) if self._users[pool][scope] else None
            self._tidy(scope, pool)
        for pool in pools & self._users.keys():
            for scope in self._users[pool]:
                parts[scope][pool] = self._pools.get(pool)
        return dict(parts)

    def _use(self, key: TargetKey, target: Target | None) -> set[tuple[str, PoolKey]]:
        """Returns the pools that the scope uses only now, or no longer."""
        before = self._pools_of.pop(key, frozenset())
        after = frozenset(one.pool for one in target.backends if one.pool is not None) if target else frozenset()
        if after:
            self._pools_of[key] = after
        scope = key.socket.scope
        for pool in after - before:
            self._users[pool][scope] += 1
        for pool in before - after:
            self._users[pool][scope] -= 1
        came = {pool for pool in after - before if self._users[pool][scope] == 1}
        went = {pool for pool in before - after if self._users[pool][scope] == 0}
        return {(scope, pool) for pool in came | went}

    def _tidy(self, scope: str, pool: PoolKey) -> None:
        users = self._users[pool]
        if not users[scope]:
            del users[scope]
        if not users:
            del self._users[pool]


class Scope:
    """What is planned for one Gateway, and the catalogs made of it: one for each kind of surroundings of its proxies.

    ``known`` says whether the Gateway is one of ours now. While it is not, its proxies are told nothing: neither what
    is there nor that something is gone.
    """

    def __init__(self, loggers: LoggersFor) -> None:
        self._loggers = loggers
        self._known = False
        self._plan: dict[PlanKey, PlanValue] = {}
        self._catalogs: dict[TranslateOptions, Catalog] = {}

    @property
    def known(self) -> bool:
        """Whether its proxies are served."""
        return self._known

    @known.setter
    def known(self, value: bool) -> None:
        self._known = value
        for catalog in self._catalogs.values():
            catalog.ready = value

    @property
    def is_empty(self) -> bool:
        """Whether nothing is planned for it."""
        return not self._plan

    def catalog(self, surroundings: TranslateOptions) -> Catalog:
        """The catalog for proxies in these surroundings, made when the first of them comes."""
        catalog = self._catalogs.get(surroundings)
        if catalog is None:
            catalog = self._catalogs[surroundings] = Catalog(surroundings, self._loggers)
            catalog.apply(self._plan)
            catalog.ready = self._known
        return catalog

    def apply(self, change: PlanChange) -> Mapping[TranslateOptions, Changed]:
        """Take a change; returns what is different now in each catalog."""
        for key, value in change.items():
            put(self._plan, key, value)
        return {surroundings: catalog.apply(change) for surroundings, catalog in self._catalogs.items()}

    def refresh(self) -> Mapping[TranslateOptions, Changed]:
        """The loggers are others now; returns what is different now in each catalog."""
        return {surroundings: catalog.refresh() for surroundings, catalog in self._catalogs.items()}
