"""Every identity of tidegate is defined here, and everything else derives from these.

Three identities decide what a data plane does when a name changes:

* a *listener key* says whose status and metrics a listener's are;
* a *socket key* says where connections are accepted, so it names the data plane's listener resource;
* a *target key* says where the connections of one match go, so it names the data plane's routing
  resource.

A Gateway listener that is renamed, or two that swap their ports, therefore change no socket.
Kubernetes names contain dots and dashes: a composed name is looked up, never taken apart.
"""

from __future__ import annotations

import hashlib

import msgspec

GATEWAY_GROUP = "gateway.networking.k8s.io"
CORE_GROUP = ""
DISCOVERY_GROUP = "discovery.k8s.io"
TIDEGATE_GROUP = "tidegate.dev"

CONTROLLER_NAME = "tidegate.dev/gateway-controller"

TRUST_DOMAIN = "tidegate.dev"
"""The SPIFFE trust domain of the identities in tidegate's own certificates."""

CONTROLLER_IDENTITY = f"spiffe://{TRUST_DOMAIN}/controller"
"""Who a replica of the controller is, in its certificate."""

WILDCARD_ADDRESS = "*"
"""The address of a socket that accepts connections on every address of the host."""


MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "tidegate"
"""What the label says on every object that tidegate makes in a cluster."""

GATEWAY_NAME_LABEL = f"{GATEWAY_GROUP}/gateway-name"
"""Which Gateway such an object is for (GEP-1762), by ``label_value``."""

ACCESS_LOG_LABEL = "tidegate.dev/access-log"
"""On the Service of a data plane that logs connections: in which format."""


class ObjectKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Identity of an API object: group and kind without version, namespace (empty: cluster), name."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    @property
    def path(self) -> str:
        """``namespace/name``, or ``name`` for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class ListenerKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Identity of a listener: the object that declares it, and the listener's name in there."""

    owner: ObjectKey
    listener: str

    def __str__(self) -> str:
        return f"{self.owner.path}/{self.listener}"


class SocketKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Identity of a listening socket in a scope.

    ``scope`` is what one data plane serves (standalone: all Gateways, Kubernetes: one Gateway).
    ``address`` is an IP address in its canonical text form or ``WILDCARD_ADDRESS``.
    ``protocol`` is the transport, ``TCP`` or ``UDP``.
    """

    scope: str
    address: str
    protocol: str
    port: int

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol} {address}:{self.port}"


class TargetKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, omit_defaults=True, gc=False):
    """Identity of the weighted backends behind one match of a socket.

    ``route`` stays empty where a socket has only one match (TCP).
    """

    socket: SocketKey
    route: str = ""


class PoolKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Identity of a set of endpoints: one port of one Service, for one transport protocol."""

    namespace: str
    service: str
    port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}:{self.port}"


def proxy_identity(scope: str) -> str:
    """Who a proxy is, in its certificate: one that serves ``scope``, and nothing else (SPIFFE ID, section 2)."""
    return f"spiffe://{TRUST_DOMAIN}/gateway/{scope}"


def proxy_scope(identity: str) -> str | None:
    """The scope that a proxy of this identity serves; None when it is no proxy's."""
    scope = identity.removeprefix(proxy_identity(""))
    return scope if scope and proxy_identity(scope) == identity else None


_LONGEST_LABEL_VALUE = 63
_LABEL_DIGITS = 8


def label_value(name: str) -> str:
    """A name as a label's value. The API allows Gateways longer names than labels: those end in a hash."""
    if len(name) <= _LONGEST_LABEL_VALUE:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_LABEL_DIGITS]
    return f"{name[: _LONGEST_LABEL_VALUE - _LABEL_DIGITS - 1].rstrip('-.')}-{digest}"
