"""Configurations of any size, as YAML text: what the benchmarks run on.

In: a shape and a number of routes. Out: documents in a fixed order, one text each, so that one of them can be
exchanged. Two shapes:

* ``spread``: Gateways with 64 listeners each, one route on a listener. The last Gateway has 64 listeners as well,
  because what a change costs includes the status of its Gateway, and this must not differ between sizes;
* ``crowded``: all routes on one listener, of which the oldest serves.

Every route has one backendRef. With ``own`` backends each route has a Service and an EndpointSlice of its
own; with ``shared`` ones all routes share eight.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LISTENERS_PER_GATEWAY = 64
SHARED_BACKENDS = 8
SHAPES = ("spread", "crowded")
SIZES = (10, 100, 1_000, 5_000)

_ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata:
  name: route-{number}
spec:
  parentRefs:
  - name: gateway-{gateway}
    sectionName: l{listener}
  rules:
  - backendRefs:
    - name: service-{service}
      port: 6000
      weight: {weight}
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: service-{number}
spec:
  ports:
  - name: main
    protocol: TCP
    port: 6000
"""
_SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: service-{number}-a
  labels:
    kubernetes.io/service-name: service-{number}
addressType: IPv4
ports:
- name: main
  protocol: TCP
  port: {port}
endpoints:
- addresses: ["{address}"]
  conditions:
    ready: true
"""
_GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gateway-{number}
spec:
  gatewayClassName: bench
  listeners:
"""
_LISTENER = """\
  - name: l{number}
    protocol: TCP
    port: {port}
"""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Documents by what they are. Route ``i`` has the backend ``i % len(services)``."""

    shape: str
    gateways: tuple[str, ...]
    routes: tuple[str, ...]
    services: tuple[str, ...]
    slices: tuple[str, ...]

    @property
    def documents(self) -> tuple[str, ...]:
        """All of them, in the order in which they stand in a file."""
        return (*self.gateways, *self.services, *self.slices, *self.routes)

    def route(self, number: int, *, weight: int = 1, service: int | None = None) -> str:
        """Route ``number`` with another weight, or with the backend of another number."""
        return _route(self.shape, number, number % len(self.services) if service is None else service, weight)


def configuration(shape: str, routes: int, *, shared: bool, first_port: int, backend: tuple[str, int]) -> Configuration:
    """A configuration with ``routes`` routes; its listeners take ports from ``first_port`` on.

    ``backend`` is the address and port of every endpoint.
    """
    backends = SHARED_BACKENDS if shared else routes
    address, port = backend
    return Configuration(
        shape=shape,
        gateways=tuple(_gateways(1 if shape == "crowded" else routes, first_port)),
        routes=tuple(_route(shape, number, number % backends, 1) for number in range(routes)),
        services=tuple(_SERVICE.format(number=number) for number in range(backends)),
        slices=tuple(_SLICE.format(number=number, address=address, port=port) for number in range(backends)),
    )


def endpoints(number: int, address: str, port: int) -> str:
    """The EndpointSlice of service ``number`` with another endpoint."""
    return _SLICE.format(number=number, address=address, port=port)


def joined(documents: Sequence[str]) -> str:
    """One file with all the documents."""
    return "---\n".join(documents)


def _gateways(listeners: int, first_port: int) -> list[str]:
    found = []
    each = 1 if listeners == 1 else LISTENERS_PER_GATEWAY
    for first in range(0, listeners, LISTENERS_PER_GATEWAY):
        numbers = range(first, first + each)
        head = _GATEWAY.format(number=first // LISTENERS_PER_GATEWAY)
        found.append(head + "".join(_LISTENER.format(number=number, port=first_port + number) for number in numbers))
    return found


def _route(shape: str, number: int, service: int, weight: int) -> str:
    listener = 0 if shape == "crowded" else number
    gateway = listener // LISTENERS_PER_GATEWAY
    return _ROUTE.format(number=number, gateway=gateway, listener=listener, service=service, weight=weight)
