"""Certificates for tests: authorities, and certificates for servers and clients that they sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CLIENT = "relay-of-orders"
HOUR = timedelta(hours=1)


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


class Authority:
    """Signs certificates. Its own is the file `certificate`; all are in the directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._name = _named(f"{name} of a test")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._numbers = count(1)
        self._prefix = name
        basic = x509.BasicConstraints(ca=True, path_length=None)
        own = self._written(name, self._key, self._name, basic, HOUR, HOUR)
        self.certificate, self.key = own.certificate, own.key

    def server(self, *names: str, since: timedelta = HOUR, until: timedelta = HOUR) -> Pair:
        """A certificate for these names and addresses, valid from `since` ago for `until`."""
        alternatives = x509.SubjectAlternativeName([*map(_alternative, names)])
        return self._issued(names[0], alternatives, since, until)

    def client(self, name: str) -> Pair:
        return self._issued(name, x509.BasicConstraints(ca=False, path_length=None), HOUR, HOUR)

    def _issued(
        self, name: str, more: x509.ExtensionType, since: timedelta, until: timedelta
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        file = f"{self._prefix}-{next(self._numbers)}-{name}"
        return self._written(file, key, _named(name), more, since, until)

    def _written(
        self,
        file: str,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        extension: x509.ExtensionType,
        since: timedelta,
        until: timedelta,
    ) -> Pair:
        now = datetime.now(UTC)
        identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - since)
            .not_valid_after(now + until)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .add_extension(identity, critical=False)
            .add_extension(above, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pair = Pair(self._directory / f"{file}.pem", self._directory / f"{file}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair


def made(directory: Path) -> Certificates:
    """An authority, a server's certificate for 127.0.0.1 and a client's."""
    authority = Authority(directory)
    return Certificates(
        authority.certificate, authority.server("127.0.0.1"), authority.client(CLIENT)
    )


def self_signed(directory: Path, name: str) -> Pair:
    """A certificate without an authority."""
    alone = Authority(directory, name)
    return Pair(alone.certificate, alone.key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
