"""`relay health`: what a container's health check is answered."""

from __future__ import annotations

import socket

import pytest
from starlette.applications import Starlette

from relay.http.server import health_routes, serving
from tests.cli.conftest import Relay
from tests.destinations.wire import http, listening


def app(*, ready: bool) -> Starlette:
    return Starlette(routes=health_routes(lambda: (ready, {"reason": "the key is wrong"})))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_relay_that_listens_is_healthy(relay: Relay, host: str) -> None:
    async with serving(app(ready=False), host=host) as port:
        result = await relay("health", PORT=str(port), RELAY_HOST=host)
    assert (result.code, result.out) == (0, f"http://127.0.0.1:{port}/health answered 200\n")


async def test_ready_gives_the_reason_why_events_are_not_delivered(relay: Relay) -> None:
    async with serving(app(ready=False)) as port:
        result = await relay("health", "--ready", PORT=str(port))
    assert result.code == 1
    assert "/ready answered 503: the key is wrong\n" in result.err


async def test_ready_is_0_while_events_are_delivered(relay: Relay) -> None:
    async with serving(app(ready=True)) as port:
        assert (await relay("health", "--ready", PORT=str(port))).code == 0


async def test_nobody_listening_is_unhealthy_in_one_sentence(
    process: Relay, unused_port: int
) -> None:
    result = await process("health", PORT=str(unused_port))
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert "does not answer (Connection refused): is PORT set" in result.err


async def test_invalid_settings_are_no_reason_to_be_unhealthy(relay: Relay) -> None:
    async with serving(app(ready=False)) as port:
        result = await relay("health", PORT=str(port), RELAY_HOLD="long", RELAY_PROXY="x")
    assert result.code == 0


async def test_a_proxy_is_not_asked(relay: Relay, unused_port: int) -> None:
    proxy = f"http://127.0.0.1:{unused_port}"
    async with serving(app(ready=True)) as port:
        result = await relay("health", PORT=str(port), HTTP_PROXY=proxy, http_proxy=proxy)
    assert result.code == 0


@pytest.mark.parametrize("body", ["", "[]", "nonsense", '{"reason": 5}', "[" * 60_000])
async def test_an_answer_of_another_server_is_unhealthy(relay: Relay, body: str) -> None:
    async with listening(http(503, body)) as wire:
        result = await relay("health", PORT=wire.url.rpartition(":")[2])
    assert result.code == 1
    assert result.err.endswith("/health answered 503\n")


async def test_what_is_not_http_is_unhealthy(relay: Relay) -> None:
    async with listening(b"220 mail.example.com ESMTP\r\n") as wire:
        result = await relay("health", PORT=wire.url.rpartition(":")[2])
    assert result.code == 1
    assert result.err.startswith("relay: http://127.0.0.1:")


async def test_a_relay_that_never_answers_is_unhealthy(process: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = await process("health", PORT=str(silent.getsockname()[1]))
    assert result.code == 1
    assert "timed out" in result.err
