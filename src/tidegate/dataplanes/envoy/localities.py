"""Splits the connections of a target exactly: weighted backends become weighted groups of endpoints.

In: the backends of a target and the endpoints of their pools. Out: *shares*, each of which becomes one
locality of Envoy's endpoint resource, and the weight that is refused. Pure; knows no Envoy message.

Envoy picks a locality by weight and an endpoint inside it by weight, and silently uses an address that
is in two localities only once. So backends that have endpoints in common, also through a third one,
become one share: it weighs their sum, and an endpoint in it weighs the sum, over its backends, of the
backend's weight divided by the number of its endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import msgspec

from tidegate.names import PoolKey
from tidegate.plan.types import Endpoint, WeightedBackend

MAX_WEIGHT_SUM = 2**32 - 1
"""Envoy's limit for the sum of the weights of localities, and of the endpoints in a locality."""


class WeightedEndpoint(msgspec.Struct, frozen=True):
    """An endpoint inside a share. ``label`` names the backends that it serves there."""

    endpoint: Endpoint
    weight: int
    label: str


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints that together get ``weight`` of a target's connections. ``name`` is unique in a target."""

    name: str
    weight: int
    endpoints: tuple[WeightedEndpoint, ...]


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """All shares of a target; ``refused`` is the weight of the connections that are ended at once.

    The weights sum to at least 1 and at most ``MAX_WEIGHT_SUM``.
    """

    shares: tuple[Share, ...]
    refused: int


class _Usable(msgspec.Struct, frozen=True):
    """A backend that gets connections, with its endpoints."""

    backend: WeightedBackend
    endpoints: tuple[Endpoint, ...]


def split(backends: Sequence[WeightedBackend], endpoints_of: Callable[[PoolKey], tuple[Endpoint, ...]]) -> Split:
    """The shares of a target.

    Weight 0 gets no share. A backend that is refused or has no endpoint adds its weight to ``refused``.
    When nothing has a weight, everything is refused.
    """
    usable: list[_Usable] = []
    refused = 0
    for backend in backends:
        endpoints = endpoints_of(backend.pool) if backend.pool is not None else ()
        if backend.weight <= 0:
            continue
        if endpoints:
            usable.append(_Usable(backend, endpoints))
        else:
            refused += backend.weight
    if not usable:
        return Split(shares=(), refused=1)
    groups = _connected(usable)
    weights = [sum(member.backend.weight for member in group) for group in groups]
    if refused:
        weights.append(refused)
    weights = whole_weights(weights)
    return Split(
        shares=tuple(_share(group, weight) for group, weight in zip(groups, weights, strict=False)),
        refused=weights[-1] if refused else 0,
    )


def whole_weights(weights: Sequence[int | Fraction]) -> list[int]:
    """Positive weights as integers in the same proportion, their sum within ``MAX_WEIGHT_SUM``.

    Exact where that limit permits; else rounded down, but never to 0, which Envoy rejects.
    """
    fractions = [Fraction(weight) for weight in weights]
    denominator = math.lcm(*(fraction.denominator for fraction in fractions))
    whole = [int(fraction * denominator) for fraction in fractions]
    total = sum(whole)
    if total <= MAX_WEIGHT_SUM:
        return whole
    divisor = math.gcd(*whole)
    whole, total = [weight // divisor for weight in whole], total // divisor
    if total <= MAX_WEIGHT_SUM:
        return whole
    room = MAX_WEIGHT_SUM - len(whole)
    return [max(1, weight * room // total) for weight in whole]


def _connected(usable: Iterable[_Usable]) -> list[list[_Usable]]:
    """Groups of backends that share endpoints, directly or through others; in order of their first member."""
    groups: list[list[_Usable]] = []
    holders: dict[Endpoint, list[_Usable]] = {}
    for member in usable:
        group = [member]
        overlapping = {id(held): held for endpoint in member.endpoints if (held := holders.get(endpoint)) is not None}
        if overlapping:
            merged = [one for one in groups if id(one) in overlapping]
            group = [*(earlier for one in merged for earlier in one), member]
            groups[groups.index(merged[0])] = group
            groups = [one for one in groups if id(one) not in overlapping]
        else:
            groups.append(group)
        for earlier in group:
            holders.update(dict.fromkeys(earlier.endpoints, group))
    return groups


def _share(group: Sequence[_Usable], weight: int) -> Share:
    name = group[0].backend.ref
    if len(group) == 1:
        label = group[0].backend.label
        endpoints = tuple(WeightedEndpoint(endpoint, 1, label) for endpoint in group[0].endpoints)
        return Share(name=name, weight=weight, endpoints=endpoints)
    weights: dict[Endpoint, Fraction] = {}
    labels: dict[Endpoint, dict[str, None]] = {}
    for member in group:
        part = Fraction(member.backend.weight, len(member.endpoints))
        for endpoint in member.endpoints:
            weights[endpoint] = weights.get(endpoint, Fraction(0)) + part
            labels.setdefault(endpoint, {})[member.backend.label] = None
    whole = whole_weights(list(weights.values()))
    return Share(
        name=name,
        weight=weight,
        endpoints=tuple(
            WeightedEndpoint(endpoint, endpoint_weight, ",".join(labels[endpoint]))
            for endpoint, endpoint_weight in zip(weights, whole, strict=True)
        ),
    )
