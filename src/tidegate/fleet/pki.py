"""Certificates as values: an authority, and what it issues. The one place that knows cryptography.

In: who, from when, for how long. Out: PEM. What is trusted when is `trust`'s to say; this module holds no clock.
All keys are ECDSA on P-256, which every TLS library speaks. Who somebody is stands in a certificate as a URI
(SPIFFE X.509-SVID, section 2); a server carries its DNS names beside it, for clients that check those.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from tidegate.errors import ExtraMissingError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    raise ExtraMissingError from error

BACKDATED = dt.timedelta(hours=1)
"""How much earlier than now a certificate begins, since the clocks of nodes differ."""

_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate")])


class PrivateKey(msgspec.Struct, frozen=True):
    """A private key in PEM (PKCS #8). It prints redacted."""

    pem: bytes

    def __repr__(self) -> str:
        return "PrivateKey(redacted)"


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate in PEM, and its private key."""

    certificate: bytes
    key: PrivateKey


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says. ``identity`` is its URI, empty where it has none. ``issued_at`` is not backdated."""

    identity: str
    dns_names: tuple[str, ...]
    issued_at: dt.datetime
    expires_at: dt.datetime
    fingerprint: str


def new_authority(*, now: dt.datetime, lifetime: dt.timedelta) -> KeyPair:
    """A new certificate authority, which signs itself and issues certificates of ends only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _authority_name(key.public_key())
    builder = (
        _builder(name, name, key.public_key(), now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return _signed(builder, key, key)


def issue(
    authority: KeyPair,
    *,
    identity: str,
    dns_names: tuple[str, ...] = (),
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> KeyPair:
    """A certificate for ``identity``, which ends no later than its authority's.

    With ``dns_names`` it serves for servers too, otherwise for clients only.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + lifetime, issuer.not_valid_after_utc)
    names = [x509.UniformResourceIdentifier(identity), *map(x509.DNSName, dns_names)]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if dns_names else [])]
    builder = (
        _builder(_SUBJECT, issuer.subject, key.public_key(), now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_key_identifier(issuer), critical=False)
    )
    signer = serialization.load_pem_private_key(authority.key.pem, password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey), "is_sound has seen to it"
    return _signed(builder, key, signer)


def facts(certificate: bytes) -> Facts | None:
    """What a certificate in PEM says; None when it is none that can be read."""
    try:
        read = x509.load_pem_x509_certificate(certificate)
        names = _alternative_names(read)
    except ValueError:
        return None
    return Facts(
        identity=next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), ""),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        issued_at=read.not_valid_before_utc + BACKDATED,
        expires_at=read.not_valid_after_utc,
        fingerprint=read.fingerprint(hashes.SHA256()).hex(),
    )


def is_sound(pair: KeyPair) -> bool:
    """Whether both can be read, are of our kind, and belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key.pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key()


def is_issued_by(certificate: bytes, authority: bytes) -> bool:
    """Whether ``authority`` signed ``certificate``; both can be read."""
    issuer = x509.load_pem_x509_certificate(authority)
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _authority_name(key: ec.EllipticCurvePublicKey) -> x509.Name:
    """A name for each key: while two authorities are trusted, a certificate says whose it is."""
    digest = x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "tidegate authority"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, digest),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> KeyPair:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate = builder.sign(signer, hashes.SHA256())
    return KeyPair(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=PrivateKey(pem))


def _key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
