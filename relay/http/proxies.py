"""HTTP proxies: what they are asked for, and what they refuse."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote

from relay.http.addresses import authority
from relay.http.open_files import causes
from relay.http.tls import certificate_fault

PORTS = {"http": 80, "https": 443}

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)[ \r]")
_ANSWER_LIMIT = 65_536


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. `variable` is the one that names it; the password is not printed."""

    variable: str
    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def authority(self) -> str:
        """Host and port, without user and password."""
        return authority(self.host, self.port)

    @property
    def url(self) -> str:
        """The proxy's URL, with user and password."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        return f"{self.scheme}://{login if self.headers else ''}{self.authority}"

    @property
    def headers(self) -> dict[str, str]:
        """The header with user and password; none without them."""
        if not self.user and not self.password:
            return {}
        text = f"{self.user}:{self.password}".encode()
        return {"proxy-authorization": f"Basic {base64.b64encode(text).decode()}"}

    def connect_request(self, host: str, port: int) -> bytes:
        """The request for a tunnel to this host."""
        target = authority(host, port)
        headers = {"host": target, **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"CONNECT {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


class TunnelAnswer:
    """Parses a proxy's answer to `connect_request`."""

    def __init__(self) -> None:
        self._received = b""

    def feed(self, data: bytes) -> int | None:
        """The status of the answer; None if more of it has to be received. Empty data is its end.

        Raises:
            ConnectionError: it is no answer of a proxy.
        """
        if not data:
            raise ConnectionResetError("the proxy closed the connection")
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            found = _STATUS.match(self._received)
            if found is None:
                break
            if (status := int(found[1])) >= HTTPStatus.OK:
                return status
            self._received = self._received[end + 4 :]
        if len(self._received) > _ANSWER_LIMIT or not b"HTTP/1.".startswith(self._received[:7]):
            raise ConnectionError("what the proxy answers is not HTTP")
        return None


class ProxyFailed(ConnectionError):
    """There is no connection through the proxy, so nothing was sent. The text is a sentence.

    `variable` is the one to check; None for an outage.
    """

    def __init__(self, sentence: str, variable: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.variable = variable


def check_tunnel(proxy: Proxy, status: int, host: str) -> None:
    """Check the status of the answer to `connect_request`.

    Raises:
        ProxyFailed: there is no tunnel.
    """
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise proxy_refused(proxy, status, host)


def check_plain(proxy: Proxy, status: int, host: str) -> None:
    """Check the status of an answer to a request that was sent to a proxy without a tunnel.

    Raises:
        ProxyFailed: it is certainly the proxy's own.
    """
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise proxy_refused(proxy, status, host)


def proxy_refused(proxy: Proxy, status: int, host: str) -> ProxyFailed:
    """The error for a proxy that answers with this status instead of connecting to the host."""
    at = f"the proxy at {proxy.authority}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        what = (
            f"does not accept the user and password in {proxy.variable}: correct them"
            if proxy.headers
            else f"demands a password: add user and password to {proxy.variable}, as in"
            " http://user:password@host:port"
        )
        return ProxyFailed(f"{at} {what}", proxy.variable)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProxyFailed(f"{at} cannot reach {host} (it answers {status})")
    return ProxyFailed(
        f"{at} does not allow connections to {host} (it answers {status}): permit them there, or"
        f" exclude the host with NO_PROXY, or correct {proxy.variable}",
        proxy.variable,
    )


def proxy_unreachable(proxy: Proxy, error: BaseException) -> ProxyFailed:
    """The error for a proxy that cannot be connected to."""
    at = f"the proxy at {proxy.authority} ({proxy.variable})"
    if isinstance(error, ProxyFailed):
        return error
    for cause in causes(error):
        if isinstance(cause, TimeoutError):
            return ProxyFailed(f"connecting through {at} timed out")
        if isinstance(cause, ConnectionRefusedError):
            return ProxyFailed(f"{at} refuses connections")
        if isinstance(cause, ssl.SSLError):
            found = certificate_fault(cause, at)
            sentence = found.sentence if found else f"{at} offers no TLS: {cause.reason}"
            return ProxyFailed(sentence, proxy.variable)
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return ProxyFailed(f"the name of {at} does not resolve", proxy.variable)
    return ProxyFailed(f"{at} cannot be reached")
