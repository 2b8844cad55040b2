"""The HTTP side of a destination, wired: its connections and how they talk TLS."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack

import httpx

from relay.destinations.addresses import OnlyPublic
from relay.destinations.http_peer import HttpPeer
from relay.settings import Settings


async def peer(
    stack: AsyncExitStack,
    settings: Settings,
    url: str,
    setting: str,
    *,
    hide_path: bool = False,
    tls: ssl.SSLContext | None = None,
    resolve: OnlyPublic | None = None,
) -> HttpPeer:
    """The server of the URL, for as long as the stack is open; see `HttpPeer`."""
    found = HttpPeer(
        url,
        setting,
        timeout=settings.request_timeout,
        in_flight=settings.concurrency,
        hide_path=hide_path,
        tls=tls,
        resolve=resolve,
    )
    return await stack.enter_async_context(found)


def tls(
    certificate: str | None = None, private_key: str | None = None, authority: str | None = None
) -> ssl.SSLContext | None:
    """How to talk TLS with these files; None for the usual way.

    Raises:
        OSError: one of them cannot be read, or is none (`ssl.SSLError`).
    """
    if not certificate and not authority:
        return None
    if authority:
        context = ssl.create_default_context(cafile=authority)
    else:
        context = httpx.create_ssl_context(trust_env=False)
    if certificate:
        context.load_cert_chain(certificate, private_key, password="")
    return context
