"""Calls to AWS's JSON protocol, signed here: the general client costs several times the work.

Most of that client's time goes into its user agent, its validation of what we built ourselves and
its parsing by shapes. Region, endpoint and credentials are still found by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # ships no types
from botocore.utils import get_environ_proxies  # type: ignore[import-untyped]  # the same

from relay.aws.errors import AwsError, error_from_response, translate
from relay.aws.session import CONNECT_TIMEOUT, CONNECTIONS, READ_TIMEOUT, Session, Signer
from relay.http import Answer, HttpClient


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


KEEP_ALIVE = 12.0
"""Seconds that an idle connection is kept. AWS closes its end later than that."""

ANSWER_LIMIT = 64 * 1_048_576
"""Bytes: ten messages of a mebibyte in all, every character escaped, take a tenth of it."""

_HEADERS = {"user-agent": "sqs-relay", "accept-encoding": "identity"}
_TYPE = "application/x-amz-json-1.0"
_OK = 200
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Service:
    """A service that speaks the protocol: what it is signed as, and the prefix of its actions."""

    name: str
    target: str


SQS = Service("sqs", "AmazonSQS")
DYNAMODB = Service("dynamodb", "DynamoDB_20120810")


class Posting(Protocol):
    """The seam to whatever speaks HTTP."""

    async def post(
        self, target: str, body: bytes, headers: Mapping[str, str], *, limit: int
    ) -> Answer:
        """The answer to one POST."""
        ...


class JsonClient:
    """One endpoint of a service. Every failure is a `AwsError`."""

    def __init__(
        self,
        http: Posting,
        session: Session,
        endpoint: str,
        region: str,
        *,
        service: Service = SQS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(endpoint)
        self._http = http
        self._session = session
        self._path = parts.path or "/"
        self._service = service
        self._signer = Signer(service.name, region, parts.netloc, self._path)
        self._clock = clock

    async def call(self, action: str, request: Mapping[str, Any], about: str) -> Any:
        """The answer to one request, made once.

        Args:
            action: one of the service's, such as `ReceiveMessage`.
            request: its parameters. Bytes are sent in base64, as the protocol has it.
            about: the queue or table, for the sentence of an error.

        Raises:
            AwsError: there was no answer, or it was an error.
        """
        # The batch actions of SQS have no permission of their own.
        permission = f"{self._service.name}:{action.removesuffix('Batch')}"
        try:
            found = await self._post(action, _encode(request))
            status, answer = found.status, _read(found)
        except Exception as failure:
            raise translate(failure, permission, about) from failure
        if status == _OK:
            return answer
        code = _code(answer, found.headers.get("x-amzn-query-error", ""), status)
        raise self._refused(code, answer, status, permission, about)

    async def _post(self, action: str, body: bytes) -> Answer:
        credentials = await self._session.credentials()
        headers = {"content-type": _TYPE, "x-amz-target": f"{self._service.target}.{action}"}
        signed = self._signer.headers(body, headers, credentials, self._clock())
        del signed["host"]  # the client's own, which is the same
        async with asyncio.timeout(READ_TIMEOUT):
            return await self._http.post(self._path, body, signed, limit=ANSWER_LIMIT)

    def _refused(
        self, code: str, answer: Mapping[str, Any], status: int, permission: str, about: str
    ) -> AwsError:
        told = answer.get("message") or answer.get("Message")
        error = error_from_response(code, str(told or ""), status, permission, about)
        if error.kind == "expired-credentials":
            self._session.forget_credentials()
        return error


@contextlib.asynccontextmanager
async def open_json_client(
    session: Session, endpoint: str, region: str, service: Service = SQS
) -> AsyncIterator[JsonClient]:
    """Connections to an endpoint for as long as the block runs.

    A proxy that the environment names is gone through, by a client that can.
    """
    parts = urlsplit(endpoint)
    proxy = get_environ_proxies(endpoint).get(parts.scheme)
    secure = None
    if parts.scheme == "https":
        secure = session.trusted()
    if proxy is not None:
        async with Proxied(endpoint, proxy, _HEADERS, secure) as proxied:
            yield JsonClient(proxied, session, endpoint, region, service=service)
        return
    http = HttpClient(
        endpoint,
        _HEADERS,
        connections=CONNECTIONS,
        keep_alive=KEEP_ALIVE,
        connect_timeout=CONNECT_TIMEOUT,
        tls=secure,
    )
    try:
        yield JsonClient(http, session, endpoint, region, service=service)
    finally:
        await http.aclose()


def _read(found: Answer) -> dict[str, Any]:
    """The object in an answer; empty where an error comes in a proxy's words, not the service's.

    Raises:
        ResponseParserError: a success without one is none.
    """
    answer = _value(found.body)
    if isinstance(answer, dict):
        return answer
    if found.status == _OK:
        raise ResponseParserError(f"HTTP {_OK} and no JSON object")
    return {}


def _value(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError):
        # SQS lets no lone surrogate in, but what a stranger's emulator does must not stop a queue.
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(body)
    return None


def _code(answer: Mapping[str, Any], query_error: str, status: int) -> str:
    """The error's code: of the protocol, else of the older one that it travels with."""
    return (
        str(answer.get("__type", "")).rpartition("#")[2]
        or query_error.partition(";")[0]
        or f"HTTP {status}"
    )
