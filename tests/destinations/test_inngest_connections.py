"""Connections to Inngest that fail, break or hang, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from relay.destinations.inngest.event_api import Inngest
from relay.model.destination import Unavailable
from relay.model.outcome import Delivered
from tests.destinations.inngest_wire import ULIDS, URL, destination, events, fails, is_silent, key
from tests.destinations.wire import Answering, Wire, api, http, listening


async def test_a_refused_connection_is_proven_and_accepted_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Inngest(f"http://127.0.0.1:{unused.getsockname()[1]}", key) as inngest:
            with pytest.raises(Unavailable, match="refuses connections") as caught:
                await inngest.send(events(1))
    error = caught.value
    assert (error.proven, error.not_accepted, error.setting) == (True, True, None)


async def test_a_name_that_does_not_resolve_names_the_url_setting() -> None:
    async with Inngest("http://nowhere.invalid", key) as inngest:
        with pytest.raises(Unavailable) as caught:
            await inngest.send(events(1))
    assert (caught.value.proven, caught.value.not_accepted) == (True, True)


async def is_plain(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(http(400))
    await writer.drain()


async def test_a_handshake_that_never_ends_is_an_outage() -> None:
    async with (
        listening(behave=is_silent) as wire,
        Inngest(wire.url.replace("http:", "https:"), key, timeout=0.3) as inngest,
    ):
        with pytest.raises(Unavailable) as caught:
            await inngest.send(events(1))
    assert caught.value.setting is None


async def test_a_server_without_tls_behind_https_names_the_url_setting() -> None:
    async with (
        listening(behave=is_plain) as wire,
        Inngest(wire.url.replace("http:", "https:"), key) as inngest,
    ):
        with pytest.raises(Unavailable, match="TLS") as caught:
            await inngest.send(events(1))
    error = caught.value
    assert (error.proven, error.not_accepted, error.setting) == (True, True, URL)


async def closes(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await wire.read(reader)


async def resets(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await wire.read(reader)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def cuts(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await wire.read(reader)
    writer.write(api(200, ids=ULIDS[:2])[:-10])
    await writer.drain()


async def babbles(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await wire.read(reader)
    writer.write(b"220 this is a mail server\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("behave", [closes, resets, cuts, babbles])
async def test_a_connection_that_breaks_after_the_request_has_an_unknown_end(
    behave: Answering,
) -> None:
    error = await fails(behave=behave)
    assert (error.setting, error.proven, error.not_accepted) == (None, False, False)


async def trickles(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await wire.read(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b" ")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("behave", [is_silent, trickles])
async def test_the_timeout_is_for_the_whole_request(behave: Answering) -> None:
    error = await fails(behave=behave, timeout=0.3)
    assert (error.setting, error.proven, error.not_accepted) == (None, False, False)


async def pours(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await wire.read(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    written = 0
    try:
        while written < 1_000_000_000:
            writer.write(b"<p>" * 20_000)
            written += 60_000
            await writer.drain()
    finally:
        wire.answer = str(written).encode()


async def test_a_huge_answer_is_not_read_completely() -> None:
    async with listening(behave=pours) as wire, destination(wire) as inngest:
        with pytest.raises(Unavailable):
            await inngest.send(events(1))
    assert int(wire.answer or b"0") < 20_000_000


async def test_a_large_success_is_read_completely() -> None:
    ids = [f"01J{i:023}" for i in range(5_000)]
    async with listening(api(200, ids=ids)) as wire, destination(wire) as inngest:
        outcomes = await inngest.send(events(5_000))
    assert [o.reference for o in outcomes if isinstance(o, Delivered)] == ids


async def test_cancelling_a_send_leaves_the_client_usable() -> None:
    async with listening(behave=is_silent) as wire, destination(wire) as inngest:
        task = asyncio.create_task(inngest.send(events(1)))
        while not wire.requests:  # noqa: ASYNC110 - the condition is the server's
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wire.behave, wire.answer = None, api(200, ids=ULIDS[:1])
        assert await inngest.send(events(1)) == [Delivered(ULIDS[0])]
