"""Translates a failed HTTP request: the step that failed tells what can have arrived."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC
from email.utils import parsedate_to_datetime

from relay.http import IncompleteResponse, NotConnected
from relay.http.open_files import TOO_MANY, causes, out_of_files
from relay.http.proxies import ProxyFailed
from relay.http.tls import CertificateFault, certificate_fault
from relay.model.destination import Unavailable

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")

_HANDSHAKE_CLOSED = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ssl.SSLSyscallError,
    ssl.SSLWantReadError,
)
_TRANSIENT_TLS = (
    "ALERT_INTERNAL_ERROR",
    "ALERT_BAD_RECORD_MAC",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
)
"""Endings of OpenSSL's reasons that no setting can cause: a fault of the server or the network."""


def retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a `Retry-After` asks for at `now` (epoch seconds); None if it is invalid.

    Never negative.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)


def request_error(error: Exception, host: str, setting: str) -> Unavailable:
    """The client's error as `Unavailable`. `host` must be safe to print; `setting` holds the URL.

    Raise it `from None`: the client's own message contains the request.
    """
    failed = next((one for one in causes(error) if isinstance(one, ProxyFailed)), None)
    if failed is not None:
        return _proxy_error(failed)
    if isinstance(error, NotConnected):
        if isinstance(error.__cause__, TimeoutError):
            return _connecting_timed_out(host)
        return connection_error(error, host, setting)
    if isinstance(error, IncompleteResponse):
        return Unavailable(f"{host} {error.reason}", disconnected=True)
    return _httpx_error(error, host, setting)


def _httpx_error(error: Exception, host: str, setting: str) -> Unavailable:
    import httpx  # noqa: PLC0415 - then it is already imported: the relay's own client needs none

    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return Unavailable("the URL is invalid", setting=setting, proven=True, not_accepted=True)
    if isinstance(error, httpx.ConnectTimeout):
        return _connecting_timed_out(host)
    if isinstance(error, httpx.ConnectError):
        return connection_error(error, host, setting)
    if isinstance(error, httpx.PoolTimeout):
        return Unavailable("all connections are busy", not_accepted=True)
    # A server that stops answering keeps its connections; one that dies loses them.
    if isinstance(error, httpx.TimeoutException):
        return Unavailable(f"{host} stopped answering")
    closed = isinstance(error, httpx.RemoteProtocolError)
    reason = f"{host} closed the connection before a complete answer"
    return Unavailable(reason if closed else f"the connection to {host} broke", disconnected=True)


def connection_error(error: Exception, host: str, setting: str) -> Unavailable:
    """No connection was made, so nothing was sent and no event can be the cause."""
    if out_of_files(error):
        return _no_connection(f"no connection to {host}: {TOO_MANY}")
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_error(cause, host, setting)
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            # Either a wrong name, or that of a container that is stopped or restarting.
            return Unavailable(
                f"the name {host} does not resolve",
                setting=setting,
                proven=True,
                not_accepted=True,
                disconnected=True,
            )
        if isinstance(cause, ConnectionRefusedError):
            return _no_connection(f"{host} refuses connections")
    return _no_connection(f"{host} cannot be reached")


def _connecting_timed_out(host: str) -> Unavailable:
    return _no_connection(f"connecting to {host} timed out")


def _no_connection(reason: str) -> Unavailable:
    return Unavailable(reason, proven=True, not_accepted=True, disconnected=True)


def _proxy_error(error: ProxyFailed) -> Unavailable:
    """A proxy that is down is an outage; one that refuses is a misconfiguration."""
    return Unavailable(
        error.sentence,
        setting=error.variable,
        proven=True,
        not_accepted=True,
        disconnected=error.variable is None,
    )


def _certificate_error(found: CertificateFault, setting: str) -> Unavailable:
    """A misconfiguration: of the authorities to trust, of the address, or of the server."""
    reason = found.sentence
    if found.fault == "unknown-issuer":
        setting = ca_file_setting(setting)
        reason += f": set {setting} to the file with the certificate of its authority"
    elif found.fault == "wrong-name":
        reason += f": set {setting} to the name in the certificate"
    return Unavailable(reason, setting=setting, proven=True, not_accepted=True)


def ca_file_setting(setting: str) -> str:
    """The setting for the authority's certificate, by the setting that holds the URL."""
    destination = "INNGEST" if setting == "RELAY_CONFIRM" else setting.split("_")[1]
    return f"RELAY_{destination}_CA_FILE"


def _tls_error(error: ssl.SSLError, host: str, setting: str) -> Unavailable:
    """A closed handshake is an outage; a wrong certificate or protocol is a misconfiguration."""
    fault = certificate_fault(error, host)
    if fault is not None:
        return _certificate_error(fault, setting)
    detail = error.reason or "unknown"
    if not isinstance(error, _HANDSHAKE_CLOSED) and not detail.endswith(_TRANSIENT_TLS):
        reason = f"{host} offers no TLS that can be trusted: {detail}"
        return Unavailable(reason, setting=setting, proven=True, not_accepted=True)
    # Some servers send an internal error for every name that they have no certificate for.
    reason = f"{host} aborts the TLS handshake: {detail}; if this persists, check {setting}"
    return Unavailable(reason, proven=True, not_accepted=True)
