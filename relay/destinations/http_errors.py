"""What a request without an answer means: where it broke says what can have arrived."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from relay.http import IncompleteResponse, NotConnected
from relay.model.destination import Unavailable

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait from `now` (epoch seconds), never negative; None where it tells nothing."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)


_MISTAKES = (httpx.InvalidURL, httpx.UnsupportedProtocol)

_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ssl.SSLWantReadError)
_TROUBLE = ("ALERT_INTERNAL_ERROR", "ALERT_BAD_RECORD_MAC", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC")
"""How OpenSSL's names of what no setting can cause end: the server's own fault, or the wire's."""


def broken(error: Exception, host: str, setting: str) -> Unavailable:
    """The client's error as ours. `host` is safe to print, `setting` is where it comes from.

    Raise it `from None`: what the client prints holds the request.
    """
    if isinstance(error, _MISTAKES):
        return Unavailable("the URL is none", setting=setting, proven=True, not_accepted=True)
    if isinstance(error, httpx.ConnectTimeout):
        return Unavailable(f"{host} lets nobody connect", proven=True, not_accepted=True)
    if isinstance(error, NotConnected) and isinstance(error.__cause__, TimeoutError):
        return Unavailable(f"{host} lets nobody connect", proven=True, not_accepted=True)
    if isinstance(error, httpx.ConnectError | NotConnected):
        return unconnected(error, host, setting)
    if isinstance(error, httpx.PoolTimeout):
        return Unavailable("all connections are busy", not_accepted=True)
    return Unavailable(_half_way(error, host))


def _half_way(error: Exception, host: str) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"{host} stopped answering"
    if isinstance(error, IncompleteResponse):
        return f"{host} {error.reason}"
    if isinstance(error, httpx.RemoteProtocolError):
        return f"{host} closed the connection without a whole answer"
    return f"the connection to {host} broke"


def unconnected(error: Exception, host: str, setting: str) -> Unavailable:
    """No connection was made: nothing was sent, and no event had a part in it."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _without_tls(cause, host, setting)
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            reason = f"the name of {host} does not resolve"
            return Unavailable(reason, setting=setting, proven=True, not_accepted=True)
        if isinstance(cause, ConnectionRefusedError):
            return Unavailable(f"{host} refuses connections", proven=True, not_accepted=True)
    return Unavailable(f"{host} cannot be reached", proven=True, not_accepted=True)


def _without_tls(error: ssl.SSLError, host: str, setting: str) -> Unavailable:
    """A server that breaks off is in trouble; one with another certificate or protocol is wrong."""
    told = error.reason or "unknown"
    if not isinstance(error, _HUNG_UP) and not told.endswith(_TROUBLE):
        reason = f"{host} offers no TLS that can be trusted: {told}"
        return Unavailable(reason, setting=setting, proven=True, not_accepted=True)
    # Some servers have an internal error for every name that they have no certificate for.
    reason = f"{host} breaks off the TLS handshake: {told}; if it goes on doing so, see {setting}"
    return Unavailable(reason, proven=True, not_accepted=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    yield from _causes(error.__cause__ or error.__context__)
