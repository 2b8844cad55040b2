"""An authority of the benchmark's own, and the certificate of its servers, in PEM files.

Both last a day. The keys are on P-256, as those of most public servers are.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"

AUTHORITY = "authority.pem"
CERTIFICATE = "server.pem"
KEY = "server-key.pem"

_LIFETIME = timedelta(days=1)


def create_certificates(directory: Path) -> Path:
    """Write the three files into the directory; the path of the authority's certificate."""
    directory.mkdir(parents=True, exist_ok=True)
    issuer, signing = _name("Relay's benchmark"), ec.generate_private_key(ec.SECP256R1())
    root = _draft(issuer, issuer, signing).add_extension(x509.BasicConstraints(True, 0), True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    root = root.add_extension(usage, True)
    own = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    )
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    leaf = _draft(_name("localhost"), issuer, own).add_extension(names, False)
    leaf = leaf.add_extension(identifier, False)
    (directory / AUTHORITY).write_bytes(_signed(root, signing))
    (directory / CERTIFICATE).write_bytes(_signed(leaf, signing))
    (directory / KEY).write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return directory / AUTHORITY


def server_context(directory: str) -> ssl.SSLContext:
    """The context of a server with the certificate in this directory."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    files = Path(directory)
    context.load_cert_chain(files / CERTIFICATE, files / KEY)
    return context


def handshakes(context: ssl.SSLContext | None) -> dict[str, int]:
    """The TLS connections that a server has accepted, and how many resumed a session."""
    found = context.session_stats() if context else {}
    return {"connections": found.get("accept_good", 0), "resumed": found.get("hits", 0)}


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)


def _signed(draft: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return draft.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
