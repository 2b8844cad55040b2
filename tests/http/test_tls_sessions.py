"""Later TLS connections to a server resume the session of an earlier one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from relay.http import HttpClient, NotConnected
from relay.http.tls import RESUMED_FOR, resuming
from tests.destinations.certificates import Authority
from tests.destinations.wire import listening

CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
KEEPING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def server(authority: Authority) -> ssl.SSLContext:
    pair = authority.server("localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def client(port: int, trusted: Path | ssl.SSLContext) -> HttpClient:
    if isinstance(trusted, Path):
        trusted = ssl.create_default_context(cafile=trusted)
    return HttpClient(
        f"https://localhost:{port}",
        {},
        connections=2,
        keep_alive=5.0,
        connect_timeout=5.0,
        tls=trusted,
    )


async def post(one: HttpClient, times: int) -> None:
    for _ in range(times):
        assert (await one.post("/", b"{}", {}, limit=100)).body == b"ok"


async def a_later_connection_resumes(authority: Authority) -> tuple[int, int]:
    context = server(authority)
    async with listening(CLOSING, tls=context) as wire:
        one = client(wire.port, authority.certificate)
        await post(one, 3)
        await one.aclose()
    found = context.session_stats()
    return found["accept_good"], found["hits"]


async def one_connection_serves_all(authority: Authority) -> tuple[int, int]:
    context = server(authority)
    async with listening(KEEPING, tls=context) as wire:
        one = client(wire.port, authority.certificate)
        await post(one, 3)
        await one.aclose()
    found = context.session_stats()
    return found["accept_good"], found["hits"]


async def a_server_forgets(authority: Authority) -> tuple[int, int]:
    """The second server has the same certificate and port, but not the first one's keys."""
    first, second = server(authority), server(authority)
    trusted = ssl.create_default_context(cafile=authority.certificate)

    def on(port: int) -> HttpClient:
        return HttpClient(
            f"https://localhost:{port}",
            {},
            connections=2,
            keep_alive=5.0,
            connect_timeout=5.0,
            tls=trusted,
        )

    for context in (first, second):
        async with listening(CLOSING, tls=context) as wire:
            one = on(wire.port)
            await post(one, 1)
            await one.aclose()
    found = second.session_stats()
    return found["accept_good"], found["hits"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("situation", "connections", "resumed"),
    [
        (a_later_connection_resumes, 3, 2),
        (one_connection_serves_all, 1, 0),
        (a_server_forgets, 1, 0),
    ],
)
def test_sessions_are_resumed(
    tmp_path: Path,
    loop: str,
    situation: Callable[[Authority], Awaitable[tuple[int, int]]],
    connections: int,
    resumed: int,
) -> None:
    async def run() -> tuple[int, int]:
        return await situation(Authority(tmp_path))

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        assert runner.run(run()) == (connections, resumed)


async def test_a_session_is_not_resumed_with_another_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = server(authority)
    pair = authority.server("localhost", "127.0.0.1")
    context.load_cert_chain(pair.certificate, pair.key)
    trusted = ssl.create_default_context(cafile=authority.certificate)
    async with listening(CLOSING, tls=context) as wire:
        for host in ("localhost", "127.0.0.1"):
            one = HttpClient(
                f"https://{host}:{wire.port}",
                {},
                connections=1,
                keep_alive=5.0,
                connect_timeout=5.0,
                tls=trusted,
            )
            await post(one, 1)
            await one.aclose()
    assert context.session_stats()["hits"] == 0


async def test_a_server_that_refuses_to_resume_is_refused_only_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = server(authority)

    def refuse(tls: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR if tls.session_reused else None

    context.sni_callback = refuse
    async with listening(CLOSING, tls=context) as wire:
        one = client(wire.port, authority.certificate)
        await post(one, 1)
        with pytest.raises(NotConnected):
            await post(one, 1)
        await post(one, 1)
        await one.aclose()


async def test_the_certificate_is_checked_again_after_a_while(tmp_path: Path) -> None:
    authority, now = Authority(tmp_path), [0.0]
    context = server(authority)
    async with listening(CLOSING, tls=context) as wire:
        trusted = ssl.create_default_context(cafile=authority.certificate)
        one = client(wire.port, resuming(trusted, lambda: now[0]))
        for now[0] in (0.0, 0.9 * RESUMED_FOR, 1.1 * RESUMED_FOR, 1.2 * RESUMED_FOR):
            await post(one, 1)
        await one.aclose()
    found = context.session_stats()
    assert (found["accept_good"], found["hits"]) == (4, 2)
