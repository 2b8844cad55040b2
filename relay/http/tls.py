"""TLS contexts and sessions, and what is wrong with a certificate that is not accepted."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import certifi

from relay.http.open_files import causes

CA_FILE = "SSL_CERT_FILE"
CA_DIR = "SSL_CERT_DIR"
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")

RESUMED_FOR = 3_600.0
"""Seconds after a full handshake until the next one. Servers renew what is resumed each time, so
that otherwise a certificate would be checked only once in the life of a process."""

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

    def __init__(self, variable: str, path: str, why: str) -> None:
        super().__init__(f"{variable} names no certificates: {path} ({why})")
        self.variable = variable


@dataclass(frozen=True, slots=True)
class CertificateFault:
    """What is wrong with a certificate. `sentence` is for a person, without what to do."""

    fault: Fault
    sentence: str


def default_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """A context that trusts `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the public authorities.

    Raises:
        NoAuthorities: one of them is set, but there are no certificates.
    """
    found = environment_context(environ)
    return found or ssl.create_default_context(cafile=certifi.where())


def environment_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext | None:
    """A context that trusts `SSL_CERT_FILE` and `SSL_CERT_DIR`; None if neither is set.

    Raises:
        NoAuthorities: one of them is set, but there are no certificates.
    """
    file, directories = environ.get(CA_FILE), environ.get(CA_DIR)
    if not file and not directories:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if file:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:
            raise NoAuthorities(CA_FILE, file, reason_of(error)) from error
    found = [Path(one) for one in (directories or "").split(os.pathsep) if one]
    if found and not any(_HASHED.fullmatch(path.name) for one in found for path in one.glob("*")):
        raise NoAuthorities(CA_DIR, directories or "", "it has no files as `openssl rehash` makes")
    for one in found:
        context.load_verify_locations(capath=one)
    return context


def resuming(
    context: ssl.SSLContext, clock: Callable[[], float] = time.monotonic
) -> ssl.SSLContext:
    """The same context, whose connections resume the session that `keep_session` kept last.

    A resumed handshake sends and checks no certificates, so that a session is not resumed for
    longer than `RESUMED_FOR`. Neither asyncio nor uvloop has a parameter for it, so that the
    context gets its own class of TLS objects.
    """
    if not issubclass(context.sslobject_class or ssl.SSLObject, _Resuming):
        members = {"sessions": {}, "clock": staticmethod(clock)}
        context.sslobject_class = type("Resuming", (_Resuming,), members)
    return context


def keep_session(found: object) -> None:
    """Have later connections with this context to this server resume this connection's session.

    Call it after something was received: with TLS 1.3 the server sends what is resumed after the
    handshake. What is not the TLS object of a context that is `resuming` is ignored.
    """
    if isinstance(found, _Resuming) and found.session is not None:
        checked_at = found.resumed_of if found.session_reused else found.begun_at
        found.sessions[found.server_hostname] = found.session, checked_at


def forget_sessions(context: ssl.SSLContext) -> None:
    """Resume no session that was kept so far: it may be why a connection cannot be opened."""
    objects = context.sslobject_class or ssl.SSLObject
    if issubclass(objects, _Resuming):
        objects.sessions.clear()


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


class _Resuming(ssl.SSLObject):
    """Begins its handshake with the session that was kept for the server, if there is one."""

    sessions: dict[str | None, tuple[ssl.SSLSession, float]]
    """By the server's name, with the time of the handshake that checked its certificate; of all
    connections with one context."""

    clock: Callable[[], float]

    begun_at = 0.0
    resumed_of = 0.0
    _begun = False

    def do_handshake(self) -> None:
        """Begin the handshake, or go on with it."""
        if not self._begun:
            self._begun, self.begun_at = True, self.clock()
            kept, checked_at = self.sessions.get(self.server_hostname, (None, 0.0))
            # If the server has forgotten it, it makes a full handshake.
            if kept is not None and self.begun_at - checked_at <= RESUMED_FOR:
                self.session, self.resumed_of = kept, checked_at
        super().do_handshake()
