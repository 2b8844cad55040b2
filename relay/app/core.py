"""Builds what push mode, pull mode and `redrive --direct` share, from the handler to the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from relay.app.decoding import opening
from relay.app.forwarding import EventForwarder, open_forwarder, rate_for
from relay.app.ledger import LedgerWiring, open_ledger
from relay.app.readiness import CHECK_EVERY, LONGEST_IN_FLIGHT, StuckMonitor, readiness
from relay.app.telemetry import Telemetry, relay_state
from relay.aws.session import SharedSession
from relay.delivery.dead_letter_bucket import DeadLetterBucket
from relay.delivery.dead_letter_store import SqsDeadLetterStore
from relay.delivery.dead_lettering import DeadLettering, DeadLetterStore
from relay.delivery.handler import Handler
from relay.delivery.pause import NeverPaused, Pausing
from relay.delivery.reject_guard import RejectGuard
from relay.delivery.retention import Retention
from relay.model.facts import Fact, Observe
from relay.settings.clocks import LAST_REQUESTS
from relay.settings.model import Settings

if TYPE_CHECKING:
    from relay.http.server import Readiness
    from relay.ops.audit.unheard import UnheardSweep

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Core:
    """The parts of a running relay that do not depend on its host."""

    handler: Handler
    forwarder: EventForwarder
    dead_letters: DeadLettering
    ledger: LedgerWiring
    stuck: StuckMonitor
    pause: Pausing

    @property
    def readiness(self) -> Readiness:
        """The answer of `GET /ready`."""
        parts = (self.forwarder, self.handler, self.stuck)
        return readiness(*parts, lambda: self.ledger.warning, self.pause)

    async def stop(self, deadline: float) -> None:
        """Finish open requests within `deadline` seconds. All other messages are received again.

        What is open then gets `LAST_REQUESTS` more: a third of it requests to the destination, the
        rest dead letters and ledger entries. The platform kills a process that takes too long.
        """
        await self.forwarder.stop(deadline + LAST_REQUESTS / 3)
        last = LAST_REQUESTS * 2 / 3
        await asyncio.gather(self.dead_letters.drain(last), self.ledger.drain(last))


@contextlib.asynccontextmanager
async def open_core(
    settings: Settings,
    telemetry: Telemetry,
    dead_letter_store: DeadLetterStore | None = None,
    *,
    pause: Pausing | None = None,
    pushed: bool = False,
    hold: bool = True,
    from_command: bool = False,
    warn: bool = True,
) -> AsyncIterator[Core]:
    """Build the core, for as long as the block runs. It calls neither AWS nor a destination yet.

    A message takes this path: handler (decodes it) -> ledger (skips delivered events) -> forwarder
    -> ledger (records the request) -> telemetry (traces it) -> destination.

    Args:
        settings: all settings.
        telemetry: observes facts and traces requests.
        dead_letter_store: replaces the dead-letter queue of the settings.
        pause: whether the queue is paused.
        pushed: True in push mode, where the relay cannot choose which messages it gets.
        hold: False in AWS Lambda, where no message can wait for the end of an outage.
        from_command: True for a command that an operator runs. Then no message expires, the reject
            guard is off, and the warnings of the relay's start are not repeated.
        warn: False for a process that is one of several, another of which warns of the same.
    """
    pausing = pause or NeverPaused()
    async with contextlib.AsyncExitStack() as stack:
        sweep = None if from_command else await _unheard_sweep(settings, stack)
        observe = telemetry.observe if sweep is None else _both(telemetry.observe, sweep.observe)
        session = SharedSession(stack)
        ledger = await stack.enter_async_context(
            open_ledger(settings, session, observe, from_command=from_command)
        )
        opened = await open_forwarder(
            settings,
            stack,
            session,
            lambda destination: ledger.wrap(telemetry.wrap(destination)),
            observe,
            pushed=pushed,
            hold=hold,
            warn=warn and not from_command,
            register_secret=telemetry.register_secret,
            attempted=ledger.attempted,
        )
        forwarder = opened.forwarder
        store = dead_letter_store or SqsDeadLetterStore(
            session, stack, queue=settings.queue_url, dead_letter_queue=settings.dlq_url
        )
        bucket = settings.dead_letter_bucket
        bodies = DeadLetterBucket(session, bucket) if bucket else None
        dead_letters = DeadLettering(store, bodies=bodies, observe=observe)
        handler = Handler(
            opening(settings, session),
            ledger.wrap_forwarder(forwarder),
            dead_letters,
            guard=RejectGuard(
                enabled=settings.reject_guard and not from_command,
                max_receives=settings.max_receive_count,
                observe=observe,
            ),
            retention=None if from_command else _retention(settings, pushed=pushed, hold=hold),
            pause=pausing,
            observe=ledger.observe,
        )
        stuck = StuckMonitor(
            forwarder,
            handler,
            after=settings.stuck_after,
            longest=_longest_in_flight(settings, pushed=pushed),
            setting="RELAY_REQUEST_TIMEOUT" if pushed else "RELAY_MAX_IN_FLIGHT",
            pause=pausing,
            observe=observe,
        )
        telemetry.state = partial(
            relay_state,
            forwarder,
            handler,
            opened.concurrency,
            lambda: stuck.current is not None,
            lambda: 0 if sweep is None else len(sweep.unheard),
            lambda: pausing.current is not None,
        )
        retention = handler.retention
        expiring = _every(lambda: retention.check_every, handler.expire)
        await stack.enter_async_context(expiring)
        await stack.enter_async_context(_every(lambda: CHECK_EVERY, stuck.check))
        yield Core(
            handler=handler,
            forwarder=forwarder,
            dead_letters=dead_letters,
            ledger=ledger,
            stuck=stuck,
            pause=pausing,
        )


async def _unheard_sweep(
    settings: Settings, stack: contextlib.AsyncExitStack
) -> UnheardSweep | None:
    if settings.unheard_every is None or "inngest" not in settings.destinations:
        return None
    # Few need it, and it is slow to import.
    from relay.app.unheard import open_unheard_sweep  # noqa: PLC0415 - see above

    return await stack.enter_async_context(open_unheard_sweep(settings, settings.unheard_every))


def _both(first: Observe, second: Observe) -> Observe:
    def observe(fact: Fact) -> None:
        first(fact)
        second(fact)

    return observe


def _longest_in_flight(settings: Settings, *, pushed: bool) -> float:
    """Seconds that a message may be in flight: a rate limit makes those received at once wait."""
    if pushed:
        return LONGEST_IN_FLIGHT
    rates = [rate for name in settings.destinations if (rate := rate_for(name, settings))]
    return LONGEST_IN_FLIGHT + (settings.max_in_flight / min(rates) if rates else 0.0)


def _retention(settings: Settings, *, pushed: bool, hold: bool) -> Retention:
    """The queue's. Without the relay, sqsd and Lambda hide messages for a time of their own."""
    if pushed:
        hidden = settings.sqsd_error_visibility_timeout
    else:
        hidden = 0.0 if hold else settings.lambda_visibility_timeout
    return Retention(settings.queue_retention, hidden=hidden)


@contextlib.asynccontextmanager
async def _every(seconds: Callable[[], float], call: Callable[[], None]) -> AsyncIterator[None]:
    """Call again and again for as long as the block runs, even after a call that raised."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(seconds())
            try:
                call()
            except Exception:  # noqa: BLE001 - one failure must not end the timer
                _log.exception(
                    "%s failed; it is called again in %g s", call.__qualname__, seconds()
                )

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
