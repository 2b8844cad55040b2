"""HTTP clients for Inngest.

The clients follow no redirect and repeat only what a stale connection lost. The environment names
their proxy, and the certificates to trust without a context of their own.

httpx is imported with its first client: that takes 4 MB, and a relay that only sends POSTs to
Inngest has none.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

from relay.http import HttpClient
from relay.http.proxy_variables import proxy_for
from relay.version import version

if TYPE_CHECKING:
    import httpx

    from relay.destinations.http_transport import RepeatingTransport

CONNECT_TIMEOUT = 5.0
CONNECTIONS = 16

KEEP_ALIVE = 4.0
"""Seconds. Common servers close an idle connection after 5: ours must be closed before that."""


def http_client(
    url: str, timeout: float, headers: Mapping[str, str], tls: ssl.SSLContext | None = None
) -> httpx.AsyncClient:
    """An httpx client for one server, with `timeout` seconds for each step of a request.

    It requests no content encoding, so that `read_body` may read the raw bytes.
    """
    import httpx  # noqa: PLC0415 - see the module docstring

    return httpx.AsyncClient(
        headers={**_default_headers(), **headers},
        # Connecting must time out before the whole request does: a client that is cancelled during
        # a TLS handshake leaves its socket to the garbage collector.
        timeout=httpx.Timeout(timeout, connect=_connect_timeout(timeout)),
        transport=transport(url, tls),
        follow_redirects=False,
        trust_env=False,
    )


def transport(url: str, tls: ssl.SSLContext | None = None) -> RepeatingTransport:
    """The transport of an httpx client for one server."""
    from relay.destinations.http_transport import RepeatingTransport  # noqa: PLC0415 - the same

    return RepeatingTransport(url, connections=CONNECTIONS, keep_alive=KEEP_ALIVE, tls=tls)


def post_client(
    url: str, timeout: float, headers: Mapping[str, str], tls: ssl.SSLContext | None = None
) -> HttpClient:
    """A client for POSTs only, at a tenth of httpx's CPU: for the request of every batch."""
    return HttpClient(
        url,
        {**_default_headers(), **headers},
        connections=CONNECTIONS,
        keep_alive=KEEP_ALIVE,
        connect_timeout=_connect_timeout(timeout),
        tls=tls,
        proxy=proxy_for(url),
    )


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body, read little further than `limit` bytes: an API's answer is not longer.

    The bytes are raw, because a small compressed body can hold gigabytes.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw(chunk_size=16_384):
        parts.append(part)
        size += len(part)
        if size > limit:
            break
    return b"".join(parts)


def _default_headers() -> dict[str, str]:
    return {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"sqs-relay/{version()}",
    }


def _connect_timeout(timeout: float) -> float:
    return min(CONNECT_TIMEOUT, timeout / 2)
