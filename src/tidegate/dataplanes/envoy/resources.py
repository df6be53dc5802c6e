"""What an xDS resource is to us: a kind, a name, its bytes, and a version made from the bytes.

In: serialised messages. Out: values that can be compared and sent. Because the version is a hash of the
content, a controller that starts anew gives the same versions and need not send anything again.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec


class Kind(enum.Enum):
    """The xDS resource types in use, in the order in which additions are sent."""

    CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    FILTER = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
    LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"

    @property
    def type_url(self) -> str:
        """How the kind is called on the wire."""
        return self.value


WILDCARD_KINDS = frozenset({Kind.CLUSTER, Kind.LISTENER})
"""The kinds of which Envoy takes all there are; it asks for the others by name."""


class Resource(msgspec.Struct, frozen=True):
    """One resource as Envoy gets it; ``body`` is the serialised message of its kind."""

    kind: Kind
    name: str
    version: str
    body: bytes


def resource(kind: Kind, name: str, body: bytes) -> Resource:
    """A resource with the version that its content has."""
    return Resource(kind, name, hashlib.blake2b(body, digest_size=8).hexdigest(), body)
