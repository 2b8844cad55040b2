"""Connects to a destination as its client would, and sends nothing: for `relay doctor`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from relay.app.destinations.connections import tls_context
from relay.destinations.http_errors import request_error
from relay.destinations.public_addresses import PublicAddressResolver
from relay.http import NotConnected
from relay.http.addresses import Resolve, Resolver
from relay.http.dialing import Dialer
from relay.http.proxies import PORTS
from relay.http.proxy_variables import proxy_for
from relay.http.tls import default_context
from relay.settings.model import Settings

_ADDRESSES = {
    "prefect": "prefect_api_url",
    "argo": "argo_url",
    "webhook": "webhook_url",
    "temporal": "temporal_address",
    "bullmq": "bullmq_url",
}
_REDIS = {"redis": ("http", 6379), "rediss": ("https", 6379)}

TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a destination is, and the setting that says so. `url` has no path: it may be secret."""

    name: str
    host: str
    url: str
    setting: str


def place_of(settings: Settings, name: str) -> Place | None:
    """Where the destination is; None if it has no address, or one that is looked up."""
    field = _ADDRESSES.get(name)
    value = getattr(settings, field) if field else None
    given = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not field or not given:
        return None
    parts = urlsplit(_temporal_url(settings) if name == "temporal" else given)
    if not parts.hostname:
        return None
    scheme, port = _REDIS.get(parts.scheme, (parts.scheme, PORTS.get(parts.scheme, 0)))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Place(name, host, f"{scheme}://{host}:{parts.port or port}", f"RELAY_{field.upper()}")


async def reach(settings: Settings, place: Place) -> str:
    """Connect, and return how.

    Raises:
        Unavailable: it failed.
        OSError: a certificate file cannot be read.
        relay.http.proxy_variables.InvalidProxy: a variable names no usable proxy.
    """
    proxy = None if place.name == "bullmq" else proxy_for(place.url)
    resolve: Resolve = Resolver()
    if place.name == "webhook" and proxy is None and not settings.webhook_allow_private:
        resolve = PublicAddressResolver(place.setting)
    parts = urlsplit(place.url)
    context = _context(settings, place.name) if parts.scheme == "https" else None
    dialer = Dialer(
        parts.hostname or "",
        parts.port or 0,
        timeout=TIMEOUT,
        resolve=resolve,
        tls=(lambda: context) if context else None,
        proxy=proxy,
    )
    try:
        connection = await dialer.connect()
    except NotConnected as error:
        raise request_error(error, place.host, place.setting) from error
    connection.close()
    how = f"through the proxy at {proxy.authority} ({proxy.variable})" if proxy else "directly"
    return f"{place.host} accepts connections, {how}"


def _context(settings: Settings, name: str) -> ssl.SSLContext:
    cert, key, ca = (
        getattr(settings, f"{name}_{part}", None) for part in ("cert_file", "key_file", "ca_file")
    )
    return tls_context(cert, key, ca) or default_context()


def _temporal_url(settings: Settings) -> str:
    used = (
        settings.temporal_tls,
        settings.temporal_api_key,
        settings.temporal_api_key_secret,
        settings.temporal_cert_file,
        settings.temporal_ca_file,
    )
    return f"{'https' if any(used) else 'http'}://{settings.temporal_address}"
