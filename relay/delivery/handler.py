"""Handles a message, the same for every source: decode it, deliver its events or dead-letter it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.event_delivery import EventDelivery
from relay.delivery.fast_path import Caller, FastDelivery, FastPath, PendingOutcome, Rest
from relay.delivery.in_flight import HandlerStatus, InFlight, InFlightMessage, Progress
from relay.delivery.message_ids import MessageIds
from relay.delivery.opening import Opening
from relay.delivery.pause import NeverPaused, Pausing
from relay.delivery.processing import Processing
from relay.delivery.redelivery import RedeliveryHistory
from relay.delivery.reject_guard import SETTING, RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Decoded
from relay.model.destination import Forward
from relay.model.facts import Observe, Received, ignore
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject


class Handler:
    """Never handles the same message twice concurrently, however often it is delivered meanwhile.

    `handle` returns `Delivered` when all of its events were accepted (or there was nothing to
    send), `Reject` when its copy is in the dead-letter queue, and `Retry` otherwise. The first two
    may be acknowledged, the last never. `progress` says whether messages are handled.

    Args:
        decode: a message's events.
        forward: where events go.
        dead_letters: where rejected messages go.
        guard: holds rejects that have suddenly become common.
        retention: of the queue; pull mode updates it. None if no message expires.
        pause: whether the queue is paused.
        observe: called with facts.
        clock: seconds since the epoch.
        payloads: opens payloads in S3.
    """

    def __init__(
        self,
        opening: Opening,
        forward: Forward,
        dead_letters: DeadLettering,
        *,
        guard: RejectGuard,
        retention: Retention | None = None,
        pause: Pausing | None = None,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._opening = opening
        self._forward = forward
        self._dead_letters = dead_letters
        self._guard = guard
        self.retention = retention or Retention(clock=clock)
        self._pause = pause or NeverPaused()
        self._observe = observe
        self._clock = clock
        self._in_flight = InFlight()
        self._message_ids = MessageIds()
        self._history = RedeliveryHistory()
        path = partial(FastPath, forward, self._in_flight, self._delivered_fast)
        self._fast, self._fast_exclusive = path(self._proceed), path(self._proceed_exclusive)
        self.progress = Progress(self._in_flight, clock=clock)
        self._processing = Processing(
            EventDelivery(
                forward, self.retention, self._pause, self._history, self.progress, clock=clock
            ),
            dead_letters,
            guard,
            self.retention,
            self._history,
            self.progress,
            observe=observe,
            clock=clock,
        )

    @property
    def status(self) -> HandlerStatus:
        """The current status."""
        found, guard = self._dead_letters, self._guard
        problem, setting = found.problem, found.setting
        if guard.suspicion is not None:
            problem, setting = str(guard.suspicion), SETTING
        return HandlerStatus(len(self._in_flight), problem, setting, found.warning or guard.recent)

    async def handle(
        self, message: Message, small: Decoded | Reject | None = None, *, observed: bool = False
    ) -> Outcome:
        """The message's outcome. A second delivery of a message in flight shares its outcome.

        Another message with the same MessageId does not: anybody may post to the port. `small` is
        what the message was decoded to, if it was; `observed` whether it is known to have been
        received.
        """
        in_flight = self._in_flight.get(message.message_id)
        message = self._message_ids.distinct(message, in_flight)
        if (reject := self._dead_letters.recent(message)) is not None:
            return reject
        self._history.record(message)
        work = partial(self._hold_and_work, small=small, observed=observed)
        return await self._in_flight.join(message, work, self._clock())

    async def handle_exclusive(
        self, message: Message, small: Decoded | Reject | None = None, *, observed: bool = False
    ) -> Outcome:
        """The same for pull mode: the lease ensures that no second delivery has to be joined."""
        if (reject := self._dead_letters.recent(message)) is not None:
            return reject
        self._history.record(message)
        work = partial(self._work, small=small, observed=observed)
        return await self._in_flight.run_exclusive(message, work, self._clock())

    def begin(self, message: Message, caller: Caller) -> FastDelivery | Rest:
        """Begin what `handle` does, on the fast path if nothing is special so far.

        Returns the rest of the work for a message that is not on it. The caller's `proceed` must
        call the rest that it gets at once, so that a second delivery finds the message in flight.
        """
        in_flight = self._in_flight.get(message.message_id)
        message = self._message_ids.distinct(message, in_flight)
        joins = in_flight is not None or self._in_flight.find(message.message_id) is not None
        if joins or self._pause.paused:
            return partial(self.handle, message)
        return self._begin(message, caller, self._fast, self.handle)

    def begin_exclusive(self, message: Message, caller: Caller) -> FastDelivery | Rest:
        """The same for what `handle_exclusive` does. The rest may be called later."""
        return self._begin(message, caller, self._fast_exclusive, self.handle_exclusive)

    def _begin(
        self,
        message: Message,
        caller: Caller,
        path: FastPath,
        handle: Callable[..., PendingOutcome],
    ) -> FastDelivery | Rest:
        if (
            message.receive_count != 1  # the history of the first one needs no record until it ends
            or self._guard.suspicion is not None
            or self.retention.must_end(message)
            or self._dead_letters.recent(message) is not None
        ):
            return partial(handle, message)
        small = self._opening.open_small(message)
        if type(small) is Decoded and small.total == 1 == len(small.events):
            self._observe(Received(message))  # before the attempt: it may raise
            begun = path.begin(message, small, caller, self._clock())
            return begun or partial(handle, message, small, observed=True)
        return partial(handle, message, small)

    def _delivered_fast(
        self, message: Message, outcome: Delivered, start: float, decoded: Decoded
    ) -> None:
        self._guard.passed(message.message_id)
        self._processing.handled(message, outcome, start, decoded, (outcome,))

    def _proceed(self, begun: FastDelivery) -> PendingOutcome:
        """The outcome of a message that left the fast path, for all who wait for it."""
        self._history.record(begun.message)
        return self._in_flight.join(begun.message, partial(self._resume, begun), begun.since)

    async def _proceed_exclusive(self, begun: FastDelivery) -> Outcome:
        """The same in the caller's task."""
        self._history.record(begun.message)
        resume = partial(self._resume, begun)
        return await self._in_flight.run_exclusive(begun.message, resume, begun.since)

    async def _resume(self, begun: FastDelivery, item: InFlightMessage) -> Outcome:
        """Go on with a message that left the fast path; its attempt may have ended or not."""
        if begun.expired:
            asyncio.get_running_loop().call_soon(item.expire)
        attempt, begun.attempt = begun.attempt, None  # no cycle: the collector runs rarely
        try:
            return await self._processing.process(item, begun.decoded, begun.since, attempt)
        except BaseException as error:
            self.progress.interrupted(begun.message, error, self._clock() - begun.since)
            raise

    def expire(self) -> None:
        """Stop waiting with messages that the queue is about to delete. A timer calls this."""
        now, grace = self._clock(), self.retention.grace
        for item in self._in_flight:
            if now - item.since >= grace and self.retention.expiring(item.message):
                item.expire()

    def end_wait(self, message: Message) -> bool:
        """End the wait of a message that must not be given back any more. Returns whether it must.

        Its outcome follows at once, except while the dead-letter queue does not answer.
        """
        if not self.retention.must_end(message):
            return False
        in_flight = self._in_flight.get(message.message_id)
        message = self._message_ids.distinct(message, in_flight)  # it may be handled as another one
        if (item := self._in_flight.find(message.message_id)) is not None:
            item.expire()
        return True

    async def _hold_and_work(
        self, item: InFlightMessage, small: Decoded | Reject | None, *, observed: bool
    ) -> Outcome:
        """Hold a message while the queue is paused: sqsd goes on posting. Pull mode takes none."""
        if self._pause.paused:
            await item.unless_expired(self._pause.wait_resumed())
        return await self._work(item, small, observed=observed)

    async def _work(
        self,
        item: InFlightMessage,
        small: Decoded | Reject | None = None,
        *,
        observed: bool = False,
    ) -> Outcome:
        message, start = item.message, self._clock()
        if not observed:
            self._observe(Received(message))
        if self._guard.suspicion is not None and not self.retention.must_end(message):
            held = self._guard.hold_again(message)
            if held is not None:
                self._processing.handled(message, held, start)
                return held
        try:
            if (small := small or self._opening.open_small(message)) is not None:
                return await self._processing.process(item, small, start)
            async with self._opening.opened(item) as decoded:
                if isinstance(decoded, Decoded):
                    return await self._processing.process(item, decoded, start)
            return await self._processing.process(
                item, decoded, start
            )  # it may take long, and is not open
        except BaseException as error:
            self.progress.interrupted(message, error, self._clock() - start)
            raise
