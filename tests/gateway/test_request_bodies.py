"""How the gateway reads bodies: within its memory, and whole or not at all."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.gateway.running import KEY, running_gateway, until

EVENT = {"name": "shop/order.created", "data": {"n": 1}}


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
async def test_an_encoded_body_is_refused_with_a_sentence(encoding: str) -> None:
    async with running_gateway() as gateway:
        body = gzip.compress(json.dumps(EVENT).encode())
        answer = await gateway.post(body, content_encoding=encoding)
        assert answer.status_code == answer.json()["status"] == 415
        assert "without" in answer.json()["error"]


async def test_memory_is_bounded_and_a_request_above_it_is_answered_503() -> None:
    async with running_gateway(max_in_flight_bytes=1_000_000) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        head = f"POST /e/{KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 240000\r\n\r\n"
        writer.write(head.encode() + b" " * 200_000)
        await until(lambda: gateway.app.memory_used >= 800_000)
        refused = await gateway.post({"name": "a", "data": {"x": "x" * 60_000}})
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        writer.write(b" " * (40_000 - 12) + b'{"name":"a"}')
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        await until(lambda: gateway.app.memory_used == 0)
        assert (await gateway.post({"name": "a", "data": {"x": "x" * 60_000}})).status_code == 200


async def test_a_request_that_is_alone_may_take_more_memory_than_the_limit() -> None:
    async with running_gateway(max_in_flight_bytes=1_000_000) as gateway:
        assert (await gateway.post({"name": "a", "data": {"x": "x" * 900_000}})).status_code == 200


async def test_a_body_that_is_cut_off_sends_nothing_and_frees_its_memory() -> None:
    async with running_gateway() as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        head = f"POST /e/{KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
        writer.write(head.encode() + b'{"name":"a"}')
        await until(lambda: gateway.app.memory_used)
        writer.close()
        await until(lambda: gateway.codes == ["disconnected"])
        assert gateway.messages == []
        assert gateway.app.memory_used == gateway.app.in_flight == 0


async def test_a_body_that_does_not_arrive_in_time_is_given_up() -> None:
    async with running_gateway(request_timeout=0.2) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        head = f"POST /e/{KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
        writer.write(head.encode() + b'{"name":"a"}')
        assert b"200" not in await reader.read()
        writer.close()
        await until(lambda: gateway.codes == ["disconnected"])
        assert gateway.messages == []


async def test_a_chunked_body_is_refused() -> None:
    async with running_gateway() as gateway:

        async def parts() -> Any:
            yield json.dumps(EVENT).encode()

        answer = await gateway.http.post(f"/e/{KEY}", content=parts())
        assert answer.status_code == 411
        assert answer.json()["code"] == "length_required"
        assert "Content-Length" in answer.json()["error"]
        assert gateway.messages == []
