"""If the environment names a proxy, calls are sent through it."""

from __future__ import annotations

import asyncio

import pytest

from relay.aws.errors import AwsError
from relay.aws.json_protocol import open_json_client
from relay.aws.session import open_session

ENDPOINT = "http://sqs.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(b'200 OK\r\nContent-Length: 16\r\n\r\n{"QueueUrls":[]}', {"QueueUrls": []}), (b"", None)],
)
async def test_calls_are_sent_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, expected: object
) -> None:
    heads: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if answer:
            writer.write(b"HTTP/1.1 " + answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with (
        listener,
        open_session() as session,
        open_json_client(session, ENDPOINT, "us-east-1") as client,
    ):
        if expected is None:
            with pytest.raises(AwsError) as caught:
                await client.call("ListQueues", {}, "queues")
            assert caught.value.kind == "connection"
        else:
            assert await client.call("ListQueues", {}, "queues") == expected
    assert heads[0].startswith(f"POST {ENDPOINT}/ HTTP/1.1\r\n")
    assert "\r\nHost: sqs.us-east-1.amazonaws.com\r\n" in heads[0].replace("host:", "Host:")
