"""Every HTTP client of the relay behind one function, for one suite of situations."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from relay.aws.errors import AwsError, translate
from relay.aws.json_protocol import open_json_client
from relay.aws.session import open_session
from relay.destinations.http_clients import http_client, post_client
from relay.destinations.http_errors import request_error
from relay.http import IncompleteResponse, NotConnected
from relay.model.destination import Unavailable

SETTING = "RELAY_INNGEST_URL"
BODY = b'{"QueueUrls": ["one"]}'


@dataclass(frozen=True)
class Got:
    """What one request came to: whether `BODY` was the answer, else a sentence."""

    answered: bool
    sentence: str = ""
    setting: str | None = None
    transient: bool = False


Ask = Callable[[], Awaitable[Got]]


@asynccontextmanager
async def posting(url: str, ca: Path | None) -> AsyncIterator[Ask]:
    """The relay's own client, as the event API of Inngest uses it."""
    client = post_client(url, 10.0, {}, _context(ca))

    async def ask() -> Got:
        try:
            found = await client.post("/", b"{}", {}, limit=1_000)
        except (NotConnected, IncompleteResponse) as error:
            return _unavailable(request_error(error, "the-host", SETTING))
        return Got(found.status == httpx.codes.OK and found.body == BODY, str(found.status))

    try:
        yield ask
    finally:
        await client.aclose()


@asynccontextmanager
async def general(url: str, ca: Path | None) -> AsyncIterator[Ask]:
    """The general client, as every other destination uses it."""
    async with http_client(url, 10.0, {}, _context(ca)) as client:

        async def ask() -> Got:
            try:
                found = await client.post(url, content=b"{}")
            except httpx.HTTPError as error:
                return _unavailable(request_error(error, "the-host", SETTING))
            return Got(
                found.status_code == httpx.codes.OK and found.content == BODY,
                str(found.status_code),
            )

        yield ask


@asynccontextmanager
async def aws_json(url: str, ca: Path | None) -> AsyncIterator[Ask]:
    """The relay's own client of AWS."""
    _trust(ca)
    async with open_session() as session, open_json_client(session, url, "us-east-1") as client:
        yield lambda: _called(client.call("ListQueues", {}, "queues"))


@asynccontextmanager
async def aws_general(url: str, ca: Path | None) -> AsyncIterator[Ask]:
    """aiobotocore, for every other service of AWS."""
    _trust(ca)
    async with open_session() as session:
        client = await session.client("sqs", "us-east-1", url)

        async def ask() -> Got:
            async def call() -> object:
                try:
                    return await client.list_queues()
                except Exception as error:
                    raise translate(error, "sqs:ListQueues", "queues") from error

            return await _called(call())

        yield ask


CLIENTS = {"post": posting, "httpx": general, "aws json": aws_json, "aiobotocore": aws_general}


async def _called(call: Awaitable[object]) -> Got:
    try:
        found = await call
    except AwsError as error:
        return Got(False, f"{error.code}: {error.sentence}", error.variable, error.transient)
    assert isinstance(found, dict)
    return Got(found["QueueUrls"] == ["one"])


def _unavailable(error: Unavailable) -> Got:
    return Got(False, error.reason, error.setting, error.setting is None)


def _context(ca: Path | None) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=ca) if ca else None


def _trust(ca: Path | None) -> None:
    if ca:
        os.environ["AWS_CA_BUNDLE"] = str(ca)
