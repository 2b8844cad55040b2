"""Delivers the events of one message: one outcome for each, or an end to the wait."""

from __future__ import annotations

import time
from collections.abc import Callable

from relay.delivery.in_flight import InFlightMessage, Progress
from relay.delivery.opening import for_each
from relay.delivery.pause import Pausing
from relay.delivery.redelivery import DeliveredEvents, RedeliveryHistory
from relay.delivery.retention import Retention
from relay.envelope import Decoded
from relay.model.destination import Attempt, Forward
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry


class EventDelivery:
    """Submits events, and ends the wait of a message that the queue is about to delete.

    Args:
        forward: where events go.
        retention: of the queue.
        pause: whether the queue is paused.
        history: knows which messages another process may have sent.
        progress: is told of each delivered event of several.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        forward: Forward,
        retention: Retention,
        pause: Pausing,
        history: RedeliveryHistory,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._forward = forward
        self._retention = retention
        self._pause = pause
        self._history = history
        self._progress = progress
        self._clock = clock
        self._delivered = DeliveredEvents()
        self._gave_up_at = float("-inf")

    async def deliver(
        self, item: InFlightMessage, decoded: Decoded, attempt: Attempt | None = None
    ) -> list[Outcome]:
        """One outcome for each event, in order; `expiring` if the wait was ended.

        `attempt` is that of the only event, if it was begun already.
        """
        results: list[Outcome | None] = [None] * len(events := decoded.events)
        try:
            ends = self._pause.paused and self._retention.must_end(item.message)
            expiring = ends or item.expired or self._retention.expiring(item.message)
            if expiring and attempt is None and self._hopeless():
                results[:] = map(self._delivered.of, events)
            else:
                await item.unless_expired(self._submit(item, decoded, results, attempt))
                if item.expired:
                    self._gave_up_at = self._clock()
        finally:
            if any(map(self._may_have_run, events, results)):
                self._history.mark_may_have_run(item.message)
            if decoded.total > 1:
                self._delivered.record(events, results, final=not decoded.rejects)
        return [
            self._expired(event)
            if result is None or (type(result) is Retry and self._retention.must_end(item.message))
            else result
            for event, result in zip(events, results, strict=True)
        ]

    def _hopeless(self) -> bool:
        """Whether an attempt is out of reach, or another message has just waited for one in vain.

        With no wait a backlog can expire in time, and a FIFO group, whose messages take turns.
        """
        if self._pause.paused:
            return True
        forward, grace = self._forward, self._retention.grace
        just_now = self._clock() - self._gave_up_at < grace
        return forward.down_for > grace or (just_now and forward.down)

    def _may_have_run(self, event: Event, result: Outcome | None) -> bool:
        return isinstance(result, Delivered) or self._forward.may_have_run(event.id)

    async def _submit(
        self,
        item: InFlightMessage,
        decoded: Decoded,
        results: list[Outcome | None],
        attempt: Attempt | None,
    ) -> None:
        if attempt is not None:
            results[0] = await attempt.outcome()
            return
        if decoded.total == len(results) == 1:
            results[0] = await self._forward.submit(decoded.events[0])
            return

        async def one(position: int) -> None:
            event = decoded.events[position]
            results[position] = known = self._delivered.of(event)
            if known is None:
                results[position] = result = await self._forward.submit(event)
                if type(result) is Delivered:
                    self._progress.event_delivered(item)

        await for_each(len(decoded.events), one)

    def _expired(self, event: Event) -> Reject:
        return Reject(
            "expiring",
            "the queue was about to delete the message before it could be delivered",
            may_have_run=self._forward.may_have_run(event.id),
        )
