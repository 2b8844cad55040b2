"""A destination that closes an idle connection as it is used again, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from relay.destinations.http_clients import http_client
from relay.destinations.http_endpoint import HttpEndpoint
from relay.destinations.http_transport import RepeatingTransport
from relay.http import HttpClient, IncompleteResponse
from relay.model.destination import Unavailable
from relay.model.outcome import Delivered
from tests.destinations import certificates
from tests.destinations.inngest_wire import ULIDS, destination, events
from tests.destinations.test_inngest_connections import closes, cuts, resets
from tests.destinations.wire import Answering, Wire, api, http, listening


def stale(answer: bytes, end: Answering) -> tuple[Answering, Callable[[], int]]:
    """The second request of the first connection has this end; also the count of connections."""
    connections = 0

    async def behave(
        wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal connections
        connections += 1
        first = connections == 1
        while True:
            await wire.read(reader)
            writer.write(answer)
            await writer.drain()
            if first:
                return await end(wire, reader, writer)

    return behave, lambda: connections


@pytest.mark.parametrize("end", [closes, resets])
async def test_inngest_gets_the_events_again_at_once(end: Answering) -> None:
    behave, connections = stale(api(200, ids=ULIDS[:1]), end)
    async with listening(behave=behave) as wire, destination(wire) as inngest:
        for _ in range(3):
            assert await inngest.send(events(1)) == [Delivered(ULIDS[0])]
    assert connections() == 2
    assert len(wire.requests) == 4


async def test_inngest_does_not_get_them_again_once_an_answer_has_begun() -> None:
    behave, _ = stale(api(200, ids=ULIDS[:1]), cuts)
    async with listening(behave=behave) as wire, destination(wire) as inngest:
        await inngest.send(events(1))
        with pytest.raises(Unavailable) as caught:
            await inngest.send(events(1))
    assert not caught.value.not_accepted
    assert len(wire.requests) == 2


@pytest.mark.parametrize("end", [closes, resets])
async def test_an_endpoint_gets_the_request_again_at_once(end: Answering) -> None:
    behave, connections = stale(http(200, "{}"), end)
    async with (
        listening(behave=behave) as wire,
        HttpEndpoint(wire.url, "RELAY_WEBHOOK_URL", timeout=10.0) as endpoint,
    ):
        for _ in range(3):
            assert (await endpoint.request("POST", "/", {}, b"{}")).status == 200
    assert connections() == 3  # the one of the repeat is not kept
    assert [body for _, _, body in wire.requests] == [b"{}"] * 4


@pytest.mark.parametrize("end", [closes, resets])
async def test_a_read_back_is_requested_again_at_once(end: Answering) -> None:
    behave, connections = stale(http(200, "{}"), end)
    async with listening(behave=behave) as wire, http_client(wire.url, 10.0, {}) as client:
        for _ in range(3):
            assert (await client.get(wire.url)).status_code == 200
    assert connections() == 3  # the one of the repeat is not kept


async def test_a_request_on_a_new_connection_is_not_repeated() -> None:
    async with listening(behave=closes) as wire, http_client(wire.url, 10.0, {}) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(wire.url)
    assert len(wire.requests) == 1


async def test_what_is_no_http_is_not_repeated() -> None:
    async def babbles(
        wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await wire.read(reader)
        writer.write(b"220 this is a mail server\r\n\r\n")

    behave, _ = stale(http(200, "{}"), babbles)
    async with listening(behave=behave) as wire, http_client(wire.url, 10.0, {}) as client:
        await client.get(wire.url)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(wire.url)
    assert len(wire.requests) == 2


async def test_a_connection_that_breaks_late_was_not_stale() -> None:
    behave, _ = stale(http(200, "{}"), closes)
    async with (
        listening(behave=behave) as wire,
        httpx.AsyncClient(
            transport=RepeatingTransport(
                wire.url, connections=1, keep_alive=5.0, stale_within=-1.0
            ),
            trust_env=False,
        ) as client,
    ):
        await client.get(wire.url)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(wire.url)
    assert len(wire.requests) == 2


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("end", [closes, resets])
async def test_over_tls_too(tmp_path: Path, end: Answering, *, repeatable: bool) -> None:
    made = certificates.made(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server.certificate, made.server.key)
    behave, connections = stale(http(200, "{}"), end)
    async with listening(behave=behave, tls=context) as wire:
        client = HttpClient(
            f"https://127.0.0.1:{wire.port}",
            {},
            connections=1,
            keep_alive=5.0,
            connect_timeout=5.0,
            tls=ssl.create_default_context(cafile=made.authority),
        )
        await client.post("/", b"{}", {}, limit=100, repeatable=repeatable)
        if repeatable:
            await client.post("/", b"{}", {}, limit=100, repeatable=True)
        else:
            with pytest.raises(IncompleteResponse):
                await client.post("/", b"{}", {}, limit=100, repeatable=False)
        await client.aclose()
    assert connections() == 1 + repeatable
