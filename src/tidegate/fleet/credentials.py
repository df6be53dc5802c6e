"""What one side of a TLS connection holds, and when it needs a new certificate.

In: the authorities, what is held already, the time. Out: the same again while it is good, or a new one. Both sides
have such credentials: a replica of the controller in its memory, a proxy in its Secret.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec

from tidegate.fleet import pki
from tidegate.fleet.pki import KeyPair, PrivateKey
from tidegate.fleet.trust import Issuer, Trust, renewal


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Who a certificate is for, and how long it is to live. A server has ``dns_names``."""

    identity: str
    dns_names: tuple[str, ...] = ()
    lifetime: dt.timedelta


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its key, the authorities to trust (PEM), and until when there can be nothing better."""

    pair: KeyPair
    authorities: bytes
    good_until: dt.datetime


def credentials(trust: Trust, subject: Subject, held: KeyPair | None, now: dt.datetime) -> Credentials | None:
    """What ``subject`` should hold at ``now``: what it holds while that is good, else a new certificate.

    None while there is no authority that could issue one.
    """
    issuer = trust.issuer(now)
    if issuer is None:
        return None
    due = _renewal(held, subject, issuer) if held is not None else None
    if held is None or due is None or due <= now:
        held = pki.issue(
            issuer.pair, identity=subject.identity, dns_names=subject.dns_names, now=now, lifetime=subject.lifetime
        )
        due = _renewal(held, subject, issuer)
        assert due is not None, "what was just issued is good"
    return Credentials(pair=held, authorities=trust.bundle, good_until=min(due, trust.next_due(now)))


def to_secret(held: Credentials) -> dict[str, bytes]:
    """The data of a Secret of type ``kubernetes.io/tls`` with the authorities beside it."""
    return {"tls.crt": held.pair.certificate, "tls.key": held.pair.key.pem, "ca.crt": held.authorities}


def from_secret(data: Mapping[str, bytes]) -> KeyPair | None:
    """What such a Secret holds; None without both a certificate and a key."""
    certificate, key = data.get("tls.crt"), data.get("tls.key")
    return KeyPair(certificate=certificate, key=PrivateKey(key)) if certificate and key else None


def _renewal(held: KeyPair, subject: Subject, issuer: Issuer) -> dt.datetime | None:
    """When a certificate is to be renewed; None when it is not one that ``issuer`` gave to ``subject``."""
    facts = pki.facts(held.certificate)
    if facts is None or not pki.is_sound(held) or not pki.is_issued_by(held.certificate, issuer.pair.certificate):
        return None
    if (facts.identity, facts.dns_names) != (subject.identity, subject.dns_names):
        return None
    return renewal(facts.issued_at, facts.expires_at)
