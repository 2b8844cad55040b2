"""Certificates for tests: a CA, a server certificate for 127.0.0.1 and a client certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CLIENT = "relay-of-orders"


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its private key, PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    authority: Path
    server: Pair
    client: Pair


def made(directory: Path) -> Certificates:
    """All of them, as files in the directory."""
    root = ec.generate_private_key(ec.SECP256R1())
    issuer = _named("authority of a test")
    basic = x509.BasicConstraints(ca=True, path_length=None)
    authority = _written(directory, "authority", root, _signed(issuer, root, root, issuer, basic))
    pairs = []
    for name, more in (
        ("127.0.0.1", x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])),
        (CLIENT, x509.BasicConstraints(ca=False, path_length=None)),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        pairs.append(_written(directory, name, key, _signed(_named(name), key, root, issuer, more)))
    return Certificates(authority.certificate, *pairs)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    root: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .add_extension(identity, critical=False)
        .add_extension(above, critical=False)
        .sign(root, hashes.SHA256())
    )


def _written(
    directory: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> Pair:
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair
