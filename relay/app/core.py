"""The middle of the relay, the same in push and pull mode: handler, forwarder, dead letters."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from relay.app.decoding import payloads, rules
from relay.app.forwarding import EventForwarder, open_forwarder
from relay.app.ledger import Bookkeeping, bookkeeping
from relay.app.telemetry import Telemetry, relay_state
from relay.aws.session import SharedSession
from relay.delivery.dead_letter_queue import DeadLetterQueue, DeadLetterStore
from relay.delivery.dead_letter_store import SqsDeadLetterStore
from relay.delivery.handler import Handler
from relay.delivery.reject_guard import RejectGuard
from relay.envelope import decode
from relay.settings.model import Settings

EXPIRY_EVERY = 30.0
"""Seconds between looks for messages that the queue is about to delete; it counts in days."""

COPIES = 2.0
"""Seconds of a stop for a dead-letter queue that does not answer: the platform's patience ends."""


@dataclass(frozen=True, kw_only=True)
class Core:
    """What both modes run on."""

    handler: Handler
    forwarder: EventForwarder
    dead_letters: DeadLetterQueue
    session: SharedSession
    ledger: Bookkeeping

    async def stop(self, deadline: float) -> None:
        """Finish what is on the wire, and the copies on their way; all else may come again.

        The copies have `COPIES` seconds after the deadline.
        """
        await self.forwarder.stop(deadline)
        await self.dead_letters.drain(COPIES)
        await self.ledger.drain()


@contextlib.asynccontextmanager
async def open_core(
    settings: Settings,
    telemetry: Telemetry,
    letters: DeadLetterStore | None = None,
    *,
    pushed: bool = False,
) -> AsyncIterator[Core]:
    """The parts, wired, for as long as the block runs. Nothing of AWS is called yet.

    `letters` stands in for the dead-letter queue that the settings name. `pushed` is for push mode.
    """
    observe = telemetry.observe
    async with contextlib.AsyncExitStack() as stack:
        session = SharedSession(stack)
        ledger = await stack.enter_async_context(bookkeeping(settings, session, observe))
        opened = await open_forwarder(
            settings,
            stack,
            session,
            lambda destination: ledger.wrap(telemetry.wrap(destination)),
            observe,
            pushed=pushed,
            register_secret=telemetry.register_secret,
        )
        forwarder = opened.forwarder
        store = letters or SqsDeadLetterStore(
            session, stack, queue=settings.queue_url, dead_letter_queue=settings.dlq_url
        )
        dead_letters = DeadLetterQueue(store, observe=observe)
        handler = Handler(
            partial(decode, rules=rules(settings)),
            ledger.before(forwarder),
            dead_letters,
            guard=RejectGuard(enabled=settings.reject_guard),
            retention=settings.queue_retention,
            observe=ledger.observe,
            payloads=payloads(settings, session),
        )
        telemetry.state = partial(relay_state, forwarder, handler, opened.concurrency)
        await stack.enter_async_context(_every(EXPIRY_EVERY, handler.expire))
        yield Core(
            handler=handler,
            forwarder=forwarder,
            dead_letters=dead_letters,
            session=session,
            ledger=ledger,
        )


@contextlib.asynccontextmanager
async def _every(seconds: float, call: Callable[[], None]) -> AsyncIterator[None]:
    async def tick() -> None:
        while True:
            await asyncio.sleep(seconds)
            call()

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
