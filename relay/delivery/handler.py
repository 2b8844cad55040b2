"""Handles a message, the same for every source: decode it, deliver its events or dead-letter it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.event_delivery import EventDelivery
from relay.delivery.fast_path import Caller, FastDelivery, FastPath, Rest
from relay.delivery.in_flight import HandlerStatus, InFlight, InFlightMessage, Progress
from relay.delivery.message_ids import MessageIds
from relay.delivery.next_origin import next_origin
from relay.delivery.opening import Opening
from relay.delivery.pause import NeverPaused, Pausing
from relay.delivery.redelivery import RedeliveryHistory, flag_may_have_run
from relay.delivery.reject_guard import SETTING, RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Decoded
from relay.model import outcome
from relay.model.destination import Attempt, Forward
from relay.model.facts import Handled, Observe, Received, ignore
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry


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
        self._fast = FastPath(forward, self._in_flight, self._delivered_fast, self._proceed)
        self.progress = Progress(self._in_flight, clock=clock)
        self._events = EventDelivery(
            forward, self.retention, self._pause, self._history, self.progress, clock=clock
        )

    @property
    def status(self) -> HandlerStatus:
        """The current status."""
        found, guard = self._dead_letters, self._guard
        problem, setting = found.problem, found.setting
        if guard.suspicion is not None:
            problem, setting = str(guard.suspicion), SETTING
        return HandlerStatus(len(self._in_flight), problem, setting, found.warning or guard.recent)

    async def handle(self, message: Message) -> Outcome:
        """The message's outcome. A second delivery of a message in flight shares its outcome.

        Another message with the same MessageId does not: anybody may post to the port.
        """
        in_flight = self._in_flight.get(message.message_id)
        message = self._message_ids.distinct(message, in_flight)
        if (reject := self._dead_letters.recent(message)) is not None:
            return reject
        self._history.record(message)
        return await self._in_flight.join(message, self._hold_and_work, self._clock())

    async def handle_exclusive(
        self, message: Message, small: Decoded | Reject | None = None, *, observed: bool = False
    ) -> Outcome:
        """The same for pull mode: the lease ensures that no second delivery has to be joined.

        `small` is what the message was decoded to, if it was; `observed` whether it is known to
        have been received.
        """
        if (reject := self._dead_letters.recent(message)) is not None:
            return reject
        self._history.record(message)
        work = partial(self._work, small=small, observed=observed)
        return await self._in_flight.run_exclusive(message, work, self._clock())

    def begin(self, message: Message, caller: Caller) -> FastDelivery | Rest:
        """Begin what `handle_exclusive` does, on the fast path if nothing is special so far.

        Returns the rest of the work, to be run in a task, for a message that is not on it.
        """
        if (
            message.receive_count != 1  # the history of the first one needs no record until it ends
            or self._guard.suspicion is not None
            or self.retention.must_end(message)
            or self._dead_letters.recent(message) is not None
        ):
            return partial(self.handle_exclusive, message)
        small = self._opening.open_small(message)
        if type(small) is Decoded and small.total == 1 == len(small.events):
            self._observe(Received(message))  # before the attempt: it may raise
            begun = self._fast.begin(message, small, caller, self._clock())
            return begun or partial(self.handle_exclusive, message, small, observed=True)
        return partial(self.handle_exclusive, message, small)

    def _delivered_fast(
        self, message: Message, outcome: Delivered, start: float, decoded: Decoded
    ) -> None:
        self._guard.passed(message.message_id)
        self._handled(message, outcome, start, decoded, (outcome,))

    async def _proceed(self, begun: FastDelivery) -> Outcome:
        """The outcome of a message that left the fast path; its attempt may have ended or not."""
        self._history.record(begun.message)

        async def work(item: InFlightMessage) -> Outcome:
            if begun.expired:
                asyncio.get_running_loop().call_soon(item.expire)
            try:
                return await self._process(item, begun.decoded, begun.since, begun.attempt)
            except BaseException as error:
                self.progress.interrupted(begun.message, error, self._clock() - begun.since)
                raise

        return await self._in_flight.run_exclusive(begun.message, work, begun.since)

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
        if (item := self._in_flight.find(message.message_id)) is not None:
            item.expire()
        return True

    async def _hold_and_work(self, item: InFlightMessage) -> Outcome:
        """Hold a message while the queue is paused: sqsd goes on posting. Pull mode takes none."""
        if self._pause.paused:
            await item.unless_expired(self._pause.wait_resumed())
        return await self._work(item)

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
                self._handled(message, held, start)
                return held
        try:
            if (small := small or self._opening.open_small(message)) is not None:
                return await self._process(item, small, start)
            async with self._opening.opened(item) as decoded:
                if isinstance(decoded, Decoded):
                    return await self._process(item, decoded, start)
            return await self._process(item, decoded, start)  # it may take long, and is not open
        except BaseException as error:
            self.progress.interrupted(message, error, self._clock() - start)
            raise

    async def _process(
        self,
        item: InFlightMessage,
        decoded: Decoded | Reject | Retry,
        start: float,
        attempt: Attempt | None = None,
    ) -> Outcome:
        """Deliver or dead-letter the message. The dead letter has the body as it was received."""
        message = item.message
        if isinstance(decoded, Retry):
            if not self.retention.must_end(message):
                self._handled(message, decoded, start)
                return decoded
            decoded = Reject("expiring", decoded.reason)
        seen_all = self._history.has_seen_all(message)
        if isinstance(decoded, Reject):
            reject = decoded if seen_all else flag_may_have_run(decoded)
            outcome: Outcome = await self._dead_letter(item, reject, None)
            self._handled(message, outcome, start)
            return outcome
        results = await self._events.deliver(item, decoded, attempt)
        if not seen_all:
            results = [flag_may_have_run(result) for result in results]
            rejects = tuple((index, flag_may_have_run(reject)) for index, reject in decoded.rejects)
            decoded = msgspec.structs.replace(decoded, rejects=rejects)
        outcome = await self._conclude(item, decoded, results)
        self._handled(message, outcome, start, decoded, results)
        return outcome

    async def _conclude(
        self, item: InFlightMessage, decoded: Decoded, results: Sequence[Outcome]
    ) -> Outcome:
        """The message's outcome from those of its events: `Retry` while any must wait."""
        later = outcome.combined_retry(results)
        if later is not None:
            return later
        rejects = dict(decoded.rejects)
        for event, result in zip(decoded.events, results, strict=True):
            if isinstance(result, Reject):
                rejects[event.index] = result
        if rejects:
            return await self._dead_letter(
                item, outcome.combined_reject(rejects), decoded, tuple(sorted(rejects))
            )
        self._guard.passed(item.message.message_id)
        return outcome.combined_delivery(results)

    async def _dead_letter(
        self,
        item: InFlightMessage,
        reject: Reject,
        decoded: Decoded | None,
        pending: tuple[int, ...] | None = None,
    ) -> Outcome:
        """Dead-letter the message, unless the guard holds it; never if it is about to expire."""
        message = item.message
        if reject.code != "expiring" and not (item.expired or self.retention.must_end(message)):
            held = self._guard.hold(message, reject)
            if held is not None:
                return held
        if decoded is not None and decoded.total == 1:
            pending = None
        async with self._dead_letters.turn(message):
            origin = next_origin(message, reject, decoded, pending)
            return await self._dead_letters.put(message, origin, reject, self.retention.must_end)

    def _handled(
        self,
        message: Message,
        outcome: Outcome,
        start: float,
        decoded: Decoded | None = None,
        results: Sequence[Outcome] = (),
    ) -> None:
        events, now = decoded.events if decoded else (), self._clock()
        if type(outcome) is Delivered and not self.progress.entries:
            self.progress.settled_at = now
        elif not isinstance(outcome, Retry) or self._guard.suspicion is None:
            self.progress.note(message, outcome, results, now)
        self._observe(
            Handled(
                message=message,
                outcome=outcome,
                at=now,
                seconds=now - start,
                results=tuple(zip(events, results, strict=True)),
                rejects=decoded.rejects if decoded else (),
                notices=decoded.notices if decoded else (),
            )
        )
