"""TLS contexts, and what is wrong with a certificate that is not accepted."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import certifi

from relay.http.open_files import causes

CA_FILE = "SSL_CERT_FILE"
CA_DIR = "SSL_CERT_DIR"

Fault: TypeAlias = Literal["unknown-issuer", "expired", "not-yet-valid", "wrong-name", "other"]

_SELF_SIGNED = 18
_FAULTS: dict[int, Fault] = {
    2: "unknown-issuer",
    9: "not-yet-valid",
    10: "expired",
    _SELF_SIGNED: "unknown-issuer",
    19: "unknown-issuer",
    20: "unknown-issuer",
    21: "unknown-issuer",
    62: "wrong-name",
    64: "wrong-name",
}
"""By OpenSSL's X509_V_ERR numbers (openssl/x509_vfy.h)."""


class NoAuthorities(OSError):
    """A variable of the environment names no certificates of authorities. The text names it."""

    def __init__(self, variable: str, path: str, error: OSError | None) -> None:
        why = f" ({reason_of(error)})" if error else ""
        super().__init__(f"{variable} names no certificates: {path}{why}")
        self.variable = variable


@dataclass(frozen=True, slots=True)
class CertificateFault:
    """What is wrong with a certificate. `sentence` is for a person, without what to do."""

    fault: Fault
    sentence: str


def default_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """A context that trusts `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the public authorities.

    Raises:
        NoAuthorities: they are set, but there are no certificates.
    """
    file, directory = environ.get(CA_FILE), environ.get(CA_DIR)
    if not file and not directory:
        return ssl.create_default_context(cafile=certifi.where())
    if directory and not os.path.isdir(directory):  # noqa: PTH112 - `Path` adds nothing
        raise NoAuthorities(CA_DIR, directory, NotADirectoryError(20, "not a directory"))
    try:
        context = ssl.create_default_context(cafile=file or None, capath=directory or None)
    except OSError as error:
        raise NoAuthorities(CA_FILE, file or "", error) from error
    return context


def certificate_fault(error: BaseException, host: str) -> CertificateFault | None:
    """What is wrong with the certificate of the host; None if that is not the error's cause."""
    for cause in causes(error):
        # aiohttp keeps the error of the certificate beside the chain of causes.
        found = getattr(cause, "certificate_error", cause)
        if isinstance(found, ssl.SSLCertVerificationError):
            fault = _FAULTS.get(found.verify_code, "other")
            return CertificateFault(fault, _sentence(fault, found, host))
    return None


def reason_of(error: OSError) -> str:
    """Why a file with certificates cannot be used, in a few words."""
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or "unreadable").replace("_", " ").lower()


def _sentence(fault: Fault, error: ssl.SSLCertVerificationError, host: str) -> str:
    of = f"the certificate of {host}"
    if error.verify_code == _SELF_SIGNED:
        return f"{of} is self-signed, and this machine does not trust it"
    return {
        "unknown-issuer": f"{of} has an issuer that this machine does not trust",
        "expired": f"{of} has expired, or this machine's clock is wrong",
        "not-yet-valid": f"{of} is not valid yet, or this machine's clock is wrong",
        "wrong-name": f"{of} is for another name",
    }.get(fault, f"{of} is not valid: {error.verify_message}")
