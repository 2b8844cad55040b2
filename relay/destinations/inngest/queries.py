"""Read-only queries of an Inngest server: whether the key is valid, what is stored and what ran."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

import httpx

from relay.destinations.http_clients import transport
from relay.destinations.http_errors import request_error
from relay.destinations.inngest.answers import URL, Answer
from relay.destinations.inngest.read_back import CLOUD_API
from relay.destinations.redaction import ClientLogFilter
from relay.model.destination import Unavailable
from relay.output.redaction import HIDDEN, Redactor
from relay.output.secret_forms import url_password

ANSWER_LIMIT = 32 * 1_048_576
"""Bytes of an answer that are read: a page of 51 events can be large."""


class InngestQueries:
    """Queries one server and sends it no event; an async context manager that owns connections.

    Args:
        url: the base URL of its event API.
        event_key: for `check_event_key`; it is part of the URL and is redacted.
        signing_key: for `get`; None if the server needs none.
        cloud: whether it is Inngest Cloud.
        env: the name of a branch environment of the Cloud.
        timeout: seconds for one request and its whole answer.
        tls: the TLS context; None for the default.

    `api_v2` is the path of version 2 of the API.
    """

    def __init__(
        self,
        url: str,
        *,
        event_key: str = "relay",
        signing_key: str | None = None,
        cloud: bool = False,
        env: str | None = None,
        timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self.api_v2 = "/v2" if cloud else "/api/v2"
        self._api_url = CLOUD_API if cloud else self._url
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        self._event_key = event_key
        self._signing_key = signing_key
        self._timeout = timeout
        self._redactor = Redactor([event_key, signing_key or "", *url_password(url)])
        self._log_filter = ClientLogFilter(self._redactor)
        self._client = httpx.AsyncClient(
            headers={"accept-encoding": "identity", **({"x-inngest-env": env} if env else {})},
            timeout=timeout,
            transport=transport(self._url, tls),
            mounts={CLOUD_API: transport(CLOUD_API, tls)} if cloud else {},
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        self._log_filter.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()
        self._log_filter.__exit__(kind, error, trace)

    async def check_event_key(self) -> Answer:
        """Post an empty array of events: stores nothing, and shows whether the key is valid.

        Raises:
            Unavailable: there was no answer.
        """
        target = f"{urlsplit(self._url).path}/e/{quote(self._event_key, safe='')}".encode()
        return await self._answer(
            self._client.build_request(
                "POST",
                f"{self._url}/e/{HIDDEN}",
                content=b"[]",
                headers={"content-type": "application/json"},
                extensions={"target": target},
            )
        )

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET a path of the API, with the signing key.

        Raises:
            Unavailable: there was no answer.
        """
        signed = {"authorization": f"Bearer {self._signing_key}"} if self._signing_key else {}
        url = f"{self._api_url}{path}"
        return await self._answer(
            self._client.build_request("GET", url, params=query, headers=signed)
        )

    async def _answer(self, request: httpx.Request) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(request)
        except TimeoutError:
            raise Unavailable(f"{self._host} gave no answer in {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise request_error(error, self._host, URL) from None

    async def _exchange(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True)
        parts, size = list[bytes](), 0
        try:
            async for part in response.aiter_raw():
                parts.append(part)
                size += len(part)
                if size > ANSWER_LIMIT:
                    break
        finally:
            await response.aclose()
        text = self._redactor.redact_known(b"".join(parts).decode(errors="replace"))
        return Answer(response.status_code, text, response.headers)
