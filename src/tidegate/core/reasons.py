"""Condition types and reasons with the spec's exact strings (Gateway API v1.6)."""

from __future__ import annotations

import enum


class ConditionType(enum.StrEnum):
    """Types of conditions that this build writes."""

    ACCEPTED = "Accepted"
    PROGRAMMED = "Programmed"
    RESOLVED_REFS = "ResolvedRefs"
    CONFLICTED = "Conflicted"
    PARTIALLY_INVALID = "PartiallyInvalid"
    SUPPORTED_VERSION = "SupportedVersion"


class Reason(enum.StrEnum):
    """Reasons of conditions that this build writes."""

    ACCEPTED = "Accepted"
    ADDRESS_NOT_ASSIGNED = "AddressNotAssigned"
    ADDRESS_NOT_USABLE = "AddressNotUsable"
    BACKEND_NOT_FOUND = "BackendNotFound"
    HOSTNAME_CONFLICT = "HostnameConflict"
    INVALID = "Invalid"
    INVALID_KIND = "InvalidKind"
    INVALID_PARAMETERS = "InvalidParameters"
    INVALID_ROUTE_KINDS = "InvalidRouteKinds"
    LISTENERS_NOT_VALID = "ListenersNotValid"
    NOT_ALLOWED_BY_LISTENERS = "NotAllowedByListeners"
    NO_RESOURCES = "NoResources"
    NO_MATCHING_LISTENER_HOSTNAME = "NoMatchingListenerHostname"
    NO_MATCHING_PARENT = "NoMatchingParent"
    PENDING = "Pending"
    PORT_UNAVAILABLE = "PortUnavailable"
    PROGRAMMED = "Programmed"
    PROTOCOL_CONFLICT = "ProtocolConflict"
    REF_NOT_PERMITTED = "RefNotPermitted"
    RESOLVED_REFS = "ResolvedRefs"
    SUPPORTED_VERSION = "SupportedVersion"
    UNSUPPORTED_ADDRESS = "UnsupportedAddress"
    UNSUPPORTED_PROTOCOL = "UnsupportedProtocol"
    UNSUPPORTED_VALUE = "UnsupportedValue"
    UNSUPPORTED_VERSION = "UnsupportedVersion"
