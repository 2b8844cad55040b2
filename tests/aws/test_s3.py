"""S3 that does not answer."""

from __future__ import annotations

import asyncio

import pytest

from relay.aws.errors import AwsError
from relay.aws.s3 import write_object
from relay.aws.session import open_session


async def test_a_write_without_an_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        while await reader.read(65_536):
            pass
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(is_silent, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        seconds = 0.2
        async with open_session() as session:
            while not reached.is_set():  # on a busy machine the time may end before it connects
                with pytest.raises(AwsError) as caught:
                    await write_object(session, "bucket", "key", b"body", seconds=seconds)
                seconds *= 2
        await left.wait()
    assert caught.value.kind == "connection"
    assert caught.value.transient
