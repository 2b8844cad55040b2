"""What becomes of a decoded message: its events are delivered, or the message is dead-lettered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.event_delivery import EventDelivery
from relay.delivery.in_flight import InFlightMessage, Progress
from relay.delivery.next_origin import next_origin
from relay.delivery.redelivery import RedeliveryHistory, flag_may_have_run
from relay.delivery.reject_guard import RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Decoded
from relay.model import outcome
from relay.model.destination import Attempt
from relay.model.facts import Handled, Observe, ignore
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry


class Processing:
    """Finds the outcome of a message.

    Args:
        events: delivers the events.
        dead_letters: where rejected messages go.
        guard: holds rejects that have suddenly become common.
        retention: of the queue.
        history: knows which messages another process may have sent.
        progress: is told of each outcome.
        observe: called with facts.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        events: EventDelivery,
        dead_letters: DeadLettering,
        guard: RejectGuard,
        retention: Retention,
        history: RedeliveryHistory,
        progress: Progress,
        *,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._events = events
        self._dead_letters = dead_letters
        self._guard = guard
        self._retention = retention
        self._history = history
        self._progress = progress
        self._observe = observe
        self._clock = clock

    async def process(
        self,
        item: InFlightMessage,
        decoded: Decoded | Reject | Retry,
        start: float,
        attempt: Attempt | None = None,
    ) -> Outcome:
        """Deliver or dead-letter the message. The dead letter has the body as it was received.

        `attempt` is that of the only event, if it was begun already.
        """
        message = item.message
        if isinstance(decoded, Retry):
            if not self._retention.must_end(message):
                self.handled(message, decoded, start)
                return decoded
            decoded = Reject("expiring", decoded.reason)
        seen_all = self._history.has_seen_all(message)
        if isinstance(decoded, Reject):
            reject = decoded if seen_all else flag_may_have_run(decoded)
            outcome: Outcome = await self._dead_letter(item, reject, None)
            self.handled(message, outcome, start)
            return outcome
        results = await self._events.deliver(item, decoded, attempt)
        if not seen_all:
            results = [flag_may_have_run(result) for result in results]
            rejects = tuple((index, flag_may_have_run(reject)) for index, reject in decoded.rejects)
            decoded = msgspec.structs.replace(decoded, rejects=rejects)
        outcome = await self._conclude(item, decoded, results)
        self.handled(message, outcome, start, decoded, results)
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
        if reject.code != "expiring" and not (item.expired or self._retention.must_end(message)):
            held = self._guard.hold(message, reject)
            if held is not None:
                return held
        if decoded is not None and decoded.total == 1:
            pending = None
        async with self._dead_letters.turn(message):
            origin = next_origin(message, reject, decoded, pending)
            return await self._dead_letters.put(message, origin, reject, self._retention.must_end)

    def handled(
        self,
        message: Message,
        outcome: Outcome,
        start: float,
        decoded: Decoded | None = None,
        results: Sequence[Outcome] = (),
    ) -> None:
        """Note that the message has its outcome, and tell who observes."""
        events, now = decoded.events if decoded else (), self._clock()
        if type(outcome) is Delivered and not self._progress.entries:
            self._progress.settled_at = now
        elif not isinstance(outcome, Retry) or self._guard.suspicion is None:
            self._progress.note(message, outcome, results, now)
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
