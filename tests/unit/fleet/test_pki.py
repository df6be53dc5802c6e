"""Certificates are what TLS libraries want: verified by a library, and by real handshakes."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from support.handshakes import context, handshake, identity
from tidegate.fleet import pki
from tidegate.fleet.pki import KeyPair, PrivateKey
from tidegate.names import CONTROLLER_IDENTITY, proxy_identity

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
SERVER = "tidegate.tidegate-system.svc"


def authority(now: dt.datetime = NOW) -> KeyPair:
    return pki.new_authority(now=now, lifetime=365 * DAY)


def server_pair(issuer: KeyPair, now: dt.datetime = NOW) -> KeyPair:
    return pki.issue(issuer, identity=CONTROLLER_IDENTITY, dns_names=(SERVER,), now=now, lifetime=DAY)


def client_pair(issuer: KeyPair, scope: str = "shop/public", now: dt.datetime = NOW) -> KeyPair:
    return pki.issue(issuer, identity=proxy_identity(scope), now=now, lifetime=30 * DAY)


def read(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def builder(issuer: KeyPair) -> verification.PolicyBuilder:
    return verification.PolicyBuilder().store(verification.Store([read(issuer)])).time(NOW)


def test_server_certificate_verifies_for_its_name_only() -> None:
    """A strict verifier of web servers' certificates accepts the name in it, and no other."""
    issuer = authority()
    chain = builder(issuer).build_server_verifier(x509.DNSName(SERVER)).verify(read(server_pair(issuer)), [])
    assert chain[-1] == read(issuer)
    with pytest.raises(verification.VerificationError):
        builder(issuer).build_server_verifier(x509.DNSName("elsewhere.svc")).verify(read(server_pair(issuer)), [])


def test_client_certificate_verifies_and_names_its_gateway() -> None:
    """A proxy's certificate is good for a client, and says whose proxy it is."""
    issuer = authority()
    verified = builder(issuer).build_client_verifier().verify(read(client_pair(issuer)), [])
    assert verified.subjects is not None
    assert [name.value for name in verified.subjects] == ["spiffe://tidegate.dev/gateway/shop/public"]


def test_proxy_cannot_serve() -> None:
    """A proxy that was taken over cannot play the controller."""
    issuer = authority()
    with pytest.raises(verification.VerificationError):
        builder(issuer).build_server_verifier(x509.DNSName(SERVER)).verify(read(client_pair(issuer)), [])


def test_other_authority_verifies_nothing() -> None:
    """A certificate is worth nothing to who trusts another authority."""
    mine, other = authority(), authority()
    with pytest.raises(verification.VerificationError):
        builder(other).build_client_verifier().verify(read(client_pair(mine)), [])
    assert pki.is_issued_by(client_pair(mine).certificate, mine.certificate)
    assert not pki.is_issued_by(client_pair(mine).certificate, other.certificate)


def test_both_sides_accept_each_other(tmp_path: Path) -> None:
    """Controller and proxy come together by mutual TLS, and the controller learns who the proxy is."""
    issuer = authority()
    side = handshake(
        context(tmp_path, client_pair(issuer), issuer.certificate, server=False),
        context(tmp_path, server_pair(issuer), issuer.certificate, server=True),
        SERVER,
    )
    assert identity(side) == proxy_identity("shop/public")


def test_replica_is_client_of_another_replica(tmp_path: Path) -> None:
    """A replica's one certificate is good on both sides."""
    issuer = authority()
    side = handshake(
        context(tmp_path, server_pair(issuer), issuer.certificate, server=False),
        context(tmp_path, server_pair(issuer), issuer.certificate, server=True),
        SERVER,
    )
    assert identity(side) == CONTROLLER_IDENTITY


def test_stranger_is_refused(tmp_path: Path) -> None:
    """A client of another authority does not get in."""
    issuer, other = authority(), authority()
    with pytest.raises(ssl.SSLError, match=r"verify failed|unknown ca"):
        handshake(
            context(tmp_path, client_pair(other), issuer.certificate, server=False),
            context(tmp_path, server_pair(issuer), issuer.certificate, server=True),
            SERVER,
        )


def test_expired_certificate_is_refused(tmp_path: Path) -> None:
    """A certificate ends when it says so."""
    then = NOW - 40 * DAY
    issuer = authority(then)
    with pytest.raises(ssl.SSLError, match=r"expired|verify failed"):
        handshake(
            context(tmp_path, client_pair(issuer, now=then), issuer.certificate, server=False),
            context(tmp_path, server_pair(issuer), issuer.certificate, server=True),
            SERVER,
        )


@pytest.mark.parametrize(("server_of", "client_of"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_old_and_new_authority_work_side_by_side(tmp_path: Path, server_of: int, client_of: int) -> None:
    """While both are trusted, it does not matter whose certificate each side has."""
    issuers = [authority(), authority()]
    bundle = b"".join(one.certificate for one in issuers)
    handshake(
        context(tmp_path, client_pair(issuers[client_of]), bundle, server=False),
        context(tmp_path, server_pair(issuers[server_of]), bundle, server=True),
        SERVER,
    )


def test_facts_of_a_certificate() -> None:
    """A certificate says who, and from when to when; that it is backdated is not shown."""
    issuer = authority()
    facts = pki.facts(server_pair(issuer).certificate)
    assert facts is not None
    assert (facts.identity, facts.dns_names) == (CONTROLLER_IDENTITY, (SERVER,))
    assert (facts.issued_at, facts.expires_at) == (NOW, NOW + DAY)
    assert read(server_pair(issuer)).not_valid_before_utc == NOW - pki.BACKDATED


def test_authority_names_nobody() -> None:
    """An authority's own certificate has no identity in it."""
    facts = pki.facts(authority().certificate)
    assert facts is not None
    assert facts.identity == ""


def test_nothing_outlives_its_authority() -> None:
    """A certificate that would live longer ends with its authority."""
    issuer = pki.new_authority(now=NOW, lifetime=DAY)
    facts = pki.facts(client_pair(issuer).certificate)
    assert facts is not None
    assert facts.expires_at == NOW + DAY


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_facts(text: bytes) -> None:
    """Broken input is a value, not an error."""
    assert pki.facts(text) is None
    assert not pki.is_sound(KeyPair(certificate=text, key=authority().key))
    assert not pki.is_sound(KeyPair(certificate=authority().certificate, key=PrivateKey(text)))


def test_certificate_with_another_key_is_not_sound() -> None:
    """Certificate and key have to belong together."""
    mine, other = authority(), authority()
    assert pki.is_sound(mine)
    assert not pki.is_sound(KeyPair(certificate=mine.certificate, key=other.key))


def test_private_key_prints_redacted() -> None:
    """No log, error or assertion shows a key."""
    pair = authority()
    for text in (str(pair), repr(pair), f"{pair.key}", repr(pair.key)):
        assert "PRIVATE" not in text
        assert "PrivateKey(redacted)" in text
