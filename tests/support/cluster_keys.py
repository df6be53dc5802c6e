"""The keys and certificates of a test cluster: its authority, the API server's, the administrator's, the key that
signs service account tokens. They live as long as a test run.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey

ADMINISTRATORS = "system:masters"
"""Who is in this group may do everything, whatever RBAC says."""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of PEM files."""

    authority: Path
    server_certificate: Path
    server_key: Path
    admin_certificate: Path
    admin_key: Path
    tokens_key: Path


def make_keys(directory: Path) -> Keys:
    """New keys and certificates in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    subject = _named("test-cluster")
    authority = (
        _certificate(subject, subject, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )

    def issue(name: str, subject: x509.Name, *extensions: x509.ExtensionType) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(subject, authority.subject, key)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        signed = builder.sign(authority_key, hashes.SHA256())
        return _write(directory / f"{name}.crt", _pem(signed)), _write(directory / f"{name}.key", _key_pem(key))

    server_certificate, server_key = issue(
        "server",
        _named("kube-apiserver"),
        x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
        ),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    )
    admin_certificate, admin_key = issue(
        "admin", _named("admin", ADMINISTRATORS), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    )
    return Keys(
        authority=_write(directory / "authority.crt", _pem(authority)),
        server_certificate=server_certificate,
        server_key=server_key,
        admin_certificate=admin_certificate,
        admin_key=admin_key,
        tokens_key=_write(directory / "tokens.key", _key_pem(ec.generate_private_key(ec.SECP256R1()))),
    )


def _named(name: str, group: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if group is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _certificate(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
