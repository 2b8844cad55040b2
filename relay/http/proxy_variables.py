"""The variables of the environment that name proxies, as curl and Python's libraries read them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from relay.http.proxies import PORTS, Proxy

PROXY_VARIABLES = ("https_proxy", "http_proxy", "all_proxy")

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
_MOST = 65_535


class InvalidProxy(ValueError):
    """A variable does not name a usable proxy. The text does not quote it: it may be a secret."""

    def __init__(self, variable: str, what: str) -> None:
        super().__init__(
            f"{variable} {what}: set it to one such as http://proxy.example.com:3128, or set"
            " RELAY_PROXY=off to use none"
        )
        self.variable = variable


def proxy_for(url: str, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for this URL, None if it is reached directly.

    `https_proxy` or `http_proxy`, by the URL's scheme, else `all_proxy`. Names in lower case win
    over those in upper case. `no_proxy` excludes hosts.

    Raises:
        InvalidProxy: the variable does not name a usable proxy.
    """
    parts = urlsplit(url)
    found = _named(environ, f"{parts.scheme}_proxy")
    if found is None:
        return None
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    excluded = _variable(environ, "no_proxy")
    entries = re.split(r"[\s,]+", excluded[1]) if excluded else []
    if any(_matches(entry, host, port) for entry in (*DIRECT, *filter(None, entries))):
        return None
    return _parsed(*found)


def invalid_proxies(environ: Mapping[str, str] = os.environ) -> Iterator[InvalidProxy]:
    """The variables that name no usable proxy, each once: as a person has set them."""
    found = filter(None, (_named(environ, name) for name in PROXY_VARIABLES))
    for variable, value in dict.fromkeys(found):
        try:
            _parsed(variable, value)
        except InvalidProxy as error:
            yield error


def proxy_passwords(value: str) -> Iterator[str]:
    """The passwords in the value of a proxy's variable, as they are written and decoded."""
    login, at, _ = value.rpartition("://")[2].rpartition("@")
    if at:
        user, colon, password = login.partition(":")
        given = password if colon else user
        yield from (login, given, unquote(given))


def go_direct(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let no library of this process use a proxy."""
    environ["no_proxy"] = environ["NO_PROXY"] = "*"


def agree_on_proxies(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let every library of this process use the proxies that `proxy_for` finds.

    Not all of them read `all_proxy` or a value without a scheme, or passwords with every character,
    and some reach the metadata services through a proxy.
    """
    for name in PROXY_VARIABLES:
        found = _variable(environ, name)
        with contextlib.suppress(InvalidProxy):
            if found is not None:
                environ[found[0]] = _parsed(*found).url
    general, excluded = _variable(environ, "all_proxy"), _variable(environ, "no_proxy")
    for name in ("https_proxy", "http_proxy"):
        if general is not None and _variable(environ, name) is None:
            environ[name] = general[1]
    used = any(_variable(environ, name) for name in PROXY_VARIABLES)
    if used and (excluded is None or _METADATA not in excluded[1]):
        environ["no_proxy"] = ",".join(filter(None, (excluded and excluded[1], _METADATA)))


def apply_proxy_setting(setting: str) -> list[str]:
    """Do what `RELAY_PROXY` says. Returns a sentence for each proxy that is invalid."""
    if setting == "off":
        go_direct()
        return []
    agree_on_proxies()
    return [str(invalid) for invalid in invalid_proxies()]


def _named(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    own, general = _variable(environ, name), _variable(environ, "all_proxy")
    # The same after `agree_on_proxies`: what a person has set is named.
    same = own is not None and general is not None and own[1] == general[1]
    return general if same else own or general


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
    return Proxy(variable, scheme, found[1] or found[3], port, unquote(user), unquote(password))


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
