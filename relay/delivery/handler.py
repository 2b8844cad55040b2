"""Handles a message, the same for every source: decode it, deliver its events or dead-letter it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.in_flight import HandlerStatus, InFlight, InFlightMessage, Progress
from relay.delivery.message_ids import MessageIds
from relay.delivery.next_origin import next_origin
from relay.delivery.opening import Opening, for_each
from relay.delivery.pause import NeverPaused, Pausing
from relay.delivery.redelivery import DeliveredEvents, RedeliveryHistory, flag_may_have_run
from relay.delivery.reject_guard import SETTING, RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Decoded
from relay.model import outcome
from relay.model.destination import Forward
from relay.model.event import Event
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
        self._delivered = DeliveredEvents()
        self._gave_up_at = float("-inf")
        self.progress = Progress(self._in_flight, clock=clock)

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

    async def handle_exclusive(self, message: Message) -> Outcome:
        """The same for pull mode: the lease ensures that no second delivery has to be joined."""
        if (reject := self._dead_letters.recent(message)) is not None:
            return reject
        self._history.record(message)
        return await self._in_flight.run_exclusive(message, self._work, self._clock())

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

    async def _work(self, item: InFlightMessage) -> Outcome:
        message, start = item.message, self._clock()
        self._observe(Received(message))
        if self._guard.suspicion is not None and not self.retention.must_end(message):
            held = self._guard.hold_again(message)
            if held is not None:
                self._handled(message, held, start)
                return held
        try:
            if (small := self._opening.open_small(message)) is not None:
                return await self._process(item, small, start)
            async with self._opening.opened(item) as decoded:
                if isinstance(decoded, Decoded):
                    return await self._process(item, decoded, start)
            return await self._process(item, decoded, start)  # it may take long, and is not open
        except BaseException as error:
            self.progress.interrupted(message, error, self._clock() - start)
            raise

    async def _process(
        self, item: InFlightMessage, decoded: Decoded | Reject | Retry, start: float
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
        results = await self._deliver(item, decoded)
        if not seen_all:
            results = [flag_may_have_run(result) for result in results]
            rejects = tuple((index, flag_may_have_run(reject)) for index, reject in decoded.rejects)
            decoded = msgspec.structs.replace(decoded, rejects=rejects)
        outcome = await self._conclude(item, decoded, results)
        self._handled(message, outcome, start, decoded, results)
        return outcome

    async def _deliver(self, item: InFlightMessage, decoded: Decoded) -> list[Outcome]:
        """One outcome for each event, in order; `expiring` if the wait was ended."""
        results: list[Outcome | None] = [None] * len(events := decoded.events)
        try:
            expiring = item.expired or self.retention.expiring(item.message)
            if expiring and self._hopeless():
                results[:] = map(self._delivered.of, events)
            else:
                await item.unless_expired(self._submit(item, decoded, results))
                if item.expired:
                    self._gave_up_at = self._clock()
        finally:
            if any(map(self._may_have_run, events, results)):
                self._history.mark_may_have_run(item.message)
            if decoded.total > 1:
                self._delivered.record(events, results, final=not decoded.rejects)
        return [
            self._expired(event)
            if result is None or (type(result) is Retry and self.retention.must_end(item.message))
            else result
            for event, result in zip(events, results, strict=True)
        ]

    def _hopeless(self) -> bool:
        """Whether an attempt is out of reach, or another message has just waited for one in vain.

        With no wait a backlog can expire in time, and a FIFO group, whose messages take turns.
        """
        if self._pause.paused:
            return True
        forward, grace = self._forward, self.retention.grace
        just_now = self._clock() - self._gave_up_at < grace
        return forward.down_for > grace or (just_now and forward.down)

    def _may_have_run(self, event: Event, result: Outcome | None) -> bool:
        return isinstance(result, Delivered) or self._forward.may_have_run(event.id)

    async def _submit(
        self, item: InFlightMessage, decoded: Decoded, results: list[Outcome | None]
    ) -> None:
        if decoded.total == len(results) == 1:
            results[0] = await self._forward.submit(decoded.events[0])
            return

        async def one(position: int) -> None:
            event = decoded.events[position]
            results[position] = known = self._delivered.of(event)
            if known is None:
                results[position] = result = await self._forward.submit(event)
                if type(result) is Delivered:
                    self.progress.event_delivered(item)

        await for_each(len(decoded.events), one)

    def _expired(self, event: Event) -> Reject:
        return Reject(
            "expiring",
            "the queue was about to delete the message before it could be delivered",
            may_have_run=self._forward.may_have_run(event.id),
        )

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
