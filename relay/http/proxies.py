"""HTTP proxies, from the variables that curl and Python's libraries read."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from relay.http.open_files import causes
from relay.http.tls import certificate_fault

PORTS = {"http": 80, "https": 443}

DIRECT = (
    "localhost",
    "127.0.0.0/8",
    "::1",
    "169.254.0.0/16",
    "fe80::/10",
    "fd00:ec2::/32",
)
"""What is never reached through a proxy: this machine, and the services that hand out metadata and
credentials on EC2, ECS and EKS."""

_METADATA = "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2,169.254.170.23"
"""The same for libraries that match no networks."""

_HOST = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|([^\s:/?#\[\]]+)(?::(\d{1,5}))?")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)[ \r]")
_MOST = 65_535
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
        return _authority(self.host, self.port)

    @property
    def headers(self) -> dict[str, str]:
        """The header with user and password; none without them."""
        if not self.user and not self.password:
            return {}
        text = f"{self.user}:{self.password}".encode()
        return {"proxy-authorization": f"Basic {base64.b64encode(text).decode()}"}

    def connect_request(self, host: str, port: int) -> bytes:
        """The request for a tunnel to this host."""
        target = _authority(host, port)
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


class InvalidProxy(ValueError):
    """A variable does not name a usable proxy. The text does not quote it: it may be a secret."""

    def __init__(self, variable: str, what: str) -> None:
        super().__init__(
            f"{variable} {what}: set it to one such as http://proxy.example.com:3128, or set"
            " RELAY_PROXY=off to use none"
        )
        self.variable = variable


class ProxyFailed(ConnectionError):
    """There is no connection through the proxy, so nothing was sent. The text is a sentence.

    `variable` is the one to check; None for an outage.
    """

    def __init__(self, sentence: str, variable: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.variable = variable


def proxy_for(url: str, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for this URL, None if it is reached directly.

    `https_proxy` or `http_proxy`, by the URL's scheme, else `all_proxy`. Names in lower case win
    over those in upper case. `no_proxy` excludes hosts.

    Raises:
        InvalidProxy: the variable does not name a usable proxy.
    """
    parts = urlsplit(url)
    found = _variable(environ, f"{parts.scheme}_proxy") or _variable(environ, "all_proxy")
    if found is None:
        return None
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    excluded = _variable(environ, "no_proxy")
    entries = re.split(r"[\s,]+", excluded[1]) if excluded else []
    if any(_matches(entry, host, port) for entry in (*DIRECT, *filter(None, entries))):
        return None
    return _parsed(*found)


def invalid_proxies(environ: Mapping[str, str] = os.environ) -> Iterator[InvalidProxy]:
    """The variables that name no usable proxy."""
    for name in ("https_proxy", "http_proxy", "all_proxy"):
        found = _variable(environ, name)
        try:
            if found is not None:
                _parsed(*found)
        except InvalidProxy as error:
            yield error


def go_direct(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let no library of this process use a proxy."""
    environ["no_proxy"] = environ["NO_PROXY"] = "*"


def agree_on_proxies(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let every library of this process use the proxies that `proxy_for` finds.

    Not all of them read `all_proxy`, and some reach the metadata services through a proxy.
    """
    for name in ("https_proxy", "http_proxy"):
        found = _variable(environ, name) or _variable(environ, "all_proxy")
        if found is None:
            continue
        environ[name] = found[1]
        excluded = _variable(environ, "no_proxy")
        if excluded is None or _METADATA not in excluded[1]:
            environ["no_proxy"] = ",".join(filter(None, (excluded and excluded[1], _METADATA)))


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


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """The variable as it is spelled, and its value; None if it is not set or empty."""
    for spelled in (name, name.upper()):
        if spelled in environ:
            value = environ[spelled].strip()
            return (spelled, value) if value else None
    return None


def _parsed(variable: str, value: str) -> Proxy:
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "http", value
    scheme = scheme.lower()
    if scheme not in PORTS:
        what = "a SOCKS proxy" if scheme.startswith("socks") else "no HTTP proxy"
        raise InvalidProxy(variable, f"names {what}, which the relay cannot use")
    login, _, place = rest.rpartition("@")
    found = _HOST.fullmatch(place.partition("/")[0])
    if found is None or int(found[2] or found[4] or 1) not in range(1, _MOST + 1):
        raise InvalidProxy(variable, "is not the address of a proxy")
    user, _, password = login.partition(":")
    port = int(found[2] or found[4] or PORTS[scheme])
    return Proxy(
        variable, scheme, found[1] or found[3], port, unquote(user), unquote(password)
    )


def _matches(entry: str, host: str, port: int) -> bool:
    """Whether an entry of `no_proxy` names the host: a domain, an address, a network or `*`."""
    if entry == "*":
        return True
    address = _address(host)
    if address is not None and _address(entry.partition("/")[0]) is not None:
        try:
            return address in ip_network(entry, strict=False)
        except ValueError:
            return False
    found = _HOST.fullmatch(entry)
    if found is None or int(found[2] or found[4] or port) != port:
        return False
    name = (found[1] or found[3]).removeprefix("*").strip(".").lower()
    host = host.rstrip(".").lower()
    if address is not None:
        return _address(name) == address
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(text: str) -> object:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
