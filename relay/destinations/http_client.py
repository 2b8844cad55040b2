"""The HTTP client of destinations: no redirects, no environment, no second try by itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

import httpx

from relay.http_client import HttpClient

CONNECT_TIMEOUT = 5.0
CONNECTIONS = 16

KEEP_ALIVE = 4.0
"""Seconds. Below the 5 after which common servers close an idle connection, lest we race them."""


def http_client(timeout: float, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """A client for one server, with `timeout` seconds for each step of a request.

    It asks for no encoding, so that `start_of` may read what comes as it is.
    """
    return httpx.AsyncClient(
        headers={**_usual(), **headers},
        # Connecting ends before the whole request does: cut off from outside in the middle of a TLS
        # handshake, the client leaves its socket to the garbage collector.
        timeout=httpx.Timeout(timeout, connect=_to_connect(timeout)),
        limits=httpx.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
        ),
        http2=False,
        follow_redirects=False,
        trust_env=False,
    )


def lean_client(url: str, timeout: float, headers: Mapping[str, str]) -> HttpClient:
    """The same for POSTs only, at a tenth of the CPU: for who sends a request for every batch."""
    return HttpClient(
        url,
        {**_usual(), **headers},
        connections=CONNECTIONS,
        keep_alive=KEEP_ALIVE,
        connect_timeout=_to_connect(timeout),
        tls=httpx.create_ssl_context(trust_env=False) if url.startswith("https:") else None,
    )


async def start_of(response: httpx.Response, limit: int) -> bytes:
    """The body, read little further than `limit` bytes: what is longer is no answer of an API.

    Raw, because no encoding was asked for: a small compressed body can hold gigabytes.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw(chunk_size=16_384):
        parts.append(part)
        size += len(part)
        if size > limit:
            break
    return b"".join(parts)


def _usual() -> dict[str, str]:
    return {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"sqs-relay/{_version()}",
    }


def _to_connect(timeout: float) -> float:
    return min(CONNECT_TIMEOUT, timeout / 2)


def _version() -> str:
    try:
        return metadata.version("sqs-relay")
    except metadata.PackageNotFoundError:
        return "source"
