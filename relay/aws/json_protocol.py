"""A client of AWS's JSON protocol, several times cheaper than aiobotocore.

Most of aiobotocore's time goes into its user agent, the validation of parameters and the parsing by
shapes. Botocore
still finds the region, the endpoint and the credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from relay.aws.credentials import REJECTED
from relay.aws.errors import AwsError, error_from_response, translate
from relay.aws.session import CONNECT_TIMEOUT, CONNECTIONS, READ_TIMEOUT, Session
from relay.aws.signing import Signer
from relay.http import HttpClient, Response
from relay.http.proxy_variables import InvalidProxy, proxy_for

KEEP_ALIVE = 12.0
"""Seconds that an idle connection is kept open. AWS closes its end later."""

RESPONSE_LIMIT = 64 * 1_048_576
"""Bytes. Ten messages of one mebibyte in total, with every character escaped, take a tenth."""

_HEADERS = {"user-agent": "sqs-relay", "accept-encoding": "identity"}
_TYPE = "application/x-amz-json-1.0"
_OK = 200
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Service:
    """A service with this protocol: its name in signatures, and the prefix of its actions.

    `permissions` is the prefix of its permissions, None if that is its name. `repeatable` are the
    actions that are harmless when they are done twice. `silent` are those whose success has no
    content.
    """

    name: str
    target: str
    repeatable: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    permissions: str | None = None


SQS = Service(
    "sqs",
    "AmazonSQS",
    # Receiving again is what follows a lost answer anyway. Sending again would add a message.
    frozenset(
        {
            "ChangeMessageVisibilityBatch",
            "DeleteMessageBatch",
            "GetQueueAttributes",
            "GetQueueUrl",
            "ListMessageMoveTasks",
            "ListQueueTags",
            "ReceiveMessage",
        }
    ),
    silent=frozenset({"TagQueue", "UntagQueue"}),
)
DYNAMODB = Service(
    "dynamodb",
    "DynamoDB_20120810",
    frozenset({"BatchGetItem", "BatchWriteItem"}),  # the latter without conditions
)


class UnreadableResponse(ConnectionError):
    """A success without an object: another server may answer at the service's address."""


class HttpPoster(Protocol):
    """An HTTP client."""

    async def post(
        self,
        target: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        limit: int,
        repeatable: bool = False,
    ) -> Response:
        """The response to one POST. See `HttpClient.post` for `repeatable`."""
        ...


class JsonClient:
    """A client of one endpoint of a service. Every failure is an `AwsError`."""

    def __init__(
        self,
        http: HttpPoster,
        session: Session,
        endpoint: str,
        region: str,
        *,
        service: Service = SQS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(endpoint)
        self.endpoint = endpoint
        self._http = http
        self._session = session
        self._host = parts.hostname
        self._path = parts.path or "/"
        self._service = service
        self._signer = Signer(service.name, region, parts.netloc, self._path)
        self._clock = clock

    async def call(self, action: str, request: Mapping[str, Any], about: str) -> Any:
        """Send one request, without a retry, and return the response.

        Args:
            action: an action of the service, such as `ReceiveMessage`.
            request: its parameters. Bytes are sent in base64, as the protocol requires.
            about: the queue or table, for the sentence of an error.

        Raises:
            AwsError: there was no response, or it was an error.
        """
        # The batch actions of SQS have no permission of their own.
        prefix = self._service.permissions or self._service.name
        permission = f"{prefix}:{action.removesuffix('Batch')}"
        try:
            response = await self._post(action, _encode(request))
            silent = action in self._service.silent
            status, answer = response.status, _read(response, empty=silent)
        except Exception as failure:
            raise translate(failure, permission, about, self._host) from failure
        if status == _OK:
            return answer
        code = _code(answer, response.headers.get("x-amzn-query-error", ""), status)
        raise self._refused(code, answer, status, permission, about)

    async def _post(self, action: str, body: bytes) -> Response:
        credentials = await self._session.credentials()
        headers = {"content-type": _TYPE, "x-amz-target": f"{self._service.target}.{action}"}
        signed = self._signer.headers(body, headers, credentials, self._clock())
        del signed["host"]  # the HTTP client sends it
        async with asyncio.timeout(READ_TIMEOUT):
            return await self._http.post(
                self._path,
                body,
                signed,
                limit=RESPONSE_LIMIT,
                repeatable=action in self._service.repeatable,
            )

    def _refused(
        self, code: str, answer: Mapping[str, Any], status: int, permission: str, about: str
    ) -> AwsError:
        detail = answer.get("message") or answer.get("Message")
        error = error_from_response(code, str(detail or ""), status, permission, about)
        if error.kind in REJECTED:
            self._session.forget_credentials()
        return error


@contextlib.asynccontextmanager
async def open_json_client(
    session: Session, endpoint: str, region: str, service: Service = SQS
) -> AsyncIterator[JsonClient]:
    """A client of an endpoint for the duration of the block. The environment names its proxy.

    Raises:
        AwsError: the proxy or the certificates are unusable.
    """
    try:
        proxy = proxy_for(endpoint)
    except InvalidProxy as error:
        raise translate(error, f"opening {service.name}", endpoint) from error
    http = HttpClient(
        endpoint,
        _HEADERS,
        connections=CONNECTIONS,
        keep_alive=KEEP_ALIVE,
        connect_timeout=CONNECT_TIMEOUT,
        tls=session.tls_context() if endpoint.startswith("https:") else None,
        proxy=proxy,
    )
    try:
        yield JsonClient(http, session, endpoint, region, service=service)
    finally:
        await http.aclose()


def _read(response: Response, *, empty: bool) -> dict[str, Any]:
    """The object in a response; empty for an error that did not come from the service.

    With `empty` a success may have no body.

    Raises:
        UnreadableResponse: it is a success without an object.
    """
    answer = {} if empty and not response.body else _value(response.body)
    if isinstance(answer, dict):
        return answer
    if response.status == _OK:
        raise UnreadableResponse(f"HTTP {_OK} without a JSON object")
    return {}


def _value(body: bytes | bytearray) -> Any:
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        # SQS accepts no lone surrogates, but some emulators do, and one must not stop a queue.
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(body)
    return None


def _code(answer: Mapping[str, Any], query_error: str, status: int) -> str:
    """The error's code in this protocol, else in the older query protocol."""
    return (
        str(answer.get("__type", "")).rpartition("#")[2]
        or query_error.partition(";")[0]
        or f"HTTP {status}"
    )
