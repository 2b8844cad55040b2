"""What letters are brought back with: queues, reading, routes and the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from relay.aws.errors import QueueError
from relay.aws.sqs import Queue, open_queue
from relay.commands.dlq.queues import Desk, opened
from relay.commands.dlq.reading import Read, reader
from relay.commands.failure import fail
from relay.dlq.fate import Memory
from relay.dlq.routes import Routes
from relay.settings import Settings
from relay.wiring.ledger_memory import ledger_memory


@dataclass(frozen=True, slots=True)
class Tools:
    """What the work is done with, open for as long as it takes."""

    desk: Desk
    read: Read
    routes: Routes
    memory: Memory | None
    stack: AsyncExitStack


@asynccontextmanager
async def tools(
    settings: Settings, dlq: str | None, main: str | None, to: str | None
) -> AsyncIterator[Tools]:
    """All of them, for as long as the block runs. What SQS refuses ends the command."""
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(opened(settings, dlq, main))
        name = desk.main.name if desk.main else None
        read = await stack.enter_async_context(reader(settings, name))
        memory = await stack.enter_async_context(ledger_memory(settings))
        routes = await _routes(desk, to, stack)
        yield Tools(desk, read, routes, memory, stack)


async def _routes(desk: Desk, to: str | None, stack: AsyncExitStack) -> Routes:
    async def open_(reference: str) -> Queue:
        return await stack.enter_async_context(open_queue(desk.session, reference))

    try:
        fixed = None if to is None else await open_(to)
    except QueueError as error:
        fail(error.sentence)
    return Routes(desk.queue, open_, main=desk.main, fixed=fixed)
