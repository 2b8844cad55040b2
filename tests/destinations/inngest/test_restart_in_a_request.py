"""A self-hosted Inngest that restarts during a request on a kept connection, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from relay.app.destinations.inngest import open_inngest
from relay.local.inngest import Fault, Function, InngestServer, Request, Rule
from relay.model.outcome import Delivered
from relay.settings.model import Settings
from tests.destinations.inngest.rig import event


@contextlib.asynccontextmanager
async def load_balancer(server: InngestServer, up: asyncio.Event) -> AsyncIterator[str]:
    """Passes connections on while the server is up. New ones wait for it."""
    tasks = set[asyncio.Task[None]]()

    async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await source.read(65_536):
                to.write(part)
        to.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await up.wait()
        upstream, to = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(copy(reader, to), copy(upstream, writer))
        for one in (to, writer):
            with contextlib.suppress(OSError):
                await one.wait_closed()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(connected(reader, writer)))

    async with await asyncio.start_server(accepted, "127.0.0.1") as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        await asyncio.gather(*tasks)


async def test_its_events_are_looked_for_before_they_are_sent_again() -> None:
    up, accepted = asyncio.Event(), asyncio.Event()
    up.set()

    def holds_the_answer(request: Request) -> Fault | None:
        if "second" not in request.ids or accepted.is_set():
            return None
        accepted.set()
        return Fault(delay=1e9)

    async with (
        InngestServer(functions=[Function(name="f", on="a/b")], faults=holds_the_answer) as server,
        load_balancer(server, up) as url,
    ):
        settings = Settings(inngest_url=url, confirm="on")
        async with open_inngest(settings, lambda _: None) as opened:
            await opened.destination.send([event("first")])
            sending = asyncio.create_task(opened.destination.send([event("second")]))
            await accepted.wait()
            up.clear()
            await server.kill()
            await server.restart()  # it forgets the ids that it knew
            up.set()
            (outcome,) = await sending
        assert isinstance(outcome, Delivered)
        assert [run.event_id for run in server.runs] == ["first", "second"]


async def test_events_that_an_idle_connection_lost_are_sent_again_at_once() -> None:
    async with InngestServer(functions=[Function(name="f", on="a/b")]) as server:
        settings = Settings(inngest_url=server.url, confirm="on")
        async with open_inngest(settings, lambda _: None) as opened:
            await opened.destination.send([event("first")])
            server.script.add(Rule(fault=Fault(end="refuse"), ids=frozenset({"second"})))
            (outcome,) = await opened.destination.send([event("second")])
        assert isinstance(outcome, Delivered)
        assert [run.event_id for run in server.runs] == ["first", "second"]
