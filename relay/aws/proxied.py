"""POSTs through a proxy, which the lean client cannot do."""

from __future__ import annotations

import io
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from relay.aws.session import CONNECT_TIMEOUT, CONNECTIONS
from relay.http_client import Answer


class Proxied:
    """POSTs to one server by way of a proxy; an async context that owns its connections."""

    def __init__(
        self, url: str, proxy: str, headers: Mapping[str, str], tls: ssl.SSLContext | None
    ) -> None:
        self._url = url
        self._proxy = proxy
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls or True),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT),
            # As it was signed: the client would leave a usual port out.
            headers={**headers, "host": urlsplit(url).netloc},
            skip_auto_headers={"accept"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def post(
        self, target: str, body: bytes, headers: Mapping[str, str], *, limit: int
    ) -> Answer:
        """The answer to one POST. A longer one than the limit fails.

        Raises:
            aiohttp.ClientError: there was none.
        """
        async with self._http.post(
            urljoin(self._url, target),
            # The client warns of large bodies that are no files.
            data=io.BytesIO(body),
            headers=headers,
            proxy=self._proxy,
            allow_redirects=False,
        ) as response:
            parts, size = list[bytes](), 0
            async for part in response.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise aiohttp.ClientPayloadError("the answer is too long")
            told = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, told, b"".join(parts))
