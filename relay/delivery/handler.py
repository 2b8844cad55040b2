"""The one path of a message, the same in push and pull mode: decode, deliver, else dead-letter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from relay.delivery.dead_letter_queue import DeadLetterQueue
from relay.delivery.in_flight import InFlight, InFlightMessage
from relay.delivery.payloads import Payloads
from relay.delivery.redelivery import DeliveredEvents, RedeliveryHistory, maybe_sent
from relay.delivery.reject_guard import RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Decoded
from relay.model import outcome
from relay.model.event import Event
from relay.model.facts import Observe, Received, Settled, ignore
from relay.model.message import Message
from relay.model.origin import ATTRIBUTE, Origin, UnreadableOrigin, origin_of
from relay.model.outcome import Delivered, Outcome, Reject, Retry

GRACE = 60.0
"""Seconds. What arrives when it is almost too late still gets one honest try."""


class Forward(Protocol):
    """What the handler asks of the forwarder."""

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, after as many attempts as it takes. Cancelling withdraws it."""
        ...

    def may_have_run(self, event_id: str) -> bool:
        """Whether the destination may hold the event although no success was seen."""
        ...


@dataclass(frozen=True, slots=True)
class Status:
    """How many messages are in hand and what keeps some from being settled, if anything does."""

    in_flight: int
    problem: str | None = None
    setting: str | None = None


class Handler:
    """Handles each message once at a time, whatever number of deliveries it has.

    `handle` returns `Delivered` when all of its events were accepted (or there was nothing to
    send), `Reject` when its copy is safely in the dead-letter queue, and `Retry` otherwise. The
    first two may be acknowledged, the last never. `retention` is the queue's, and may change.
    """

    def __init__(
        self,
        decode: Callable[[Message], Decoded | Reject],
        forward: Forward,
        dead_letters: DeadLetterQueue,
        *,
        guard: RejectGuard,
        retention: float | None = None,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
        payloads: Payloads | None = None,
    ) -> None:
        self._decode = decode
        self._forward = forward
        self._dead_letters = dead_letters
        self._guard = guard
        self.retention = Retention(retention, clock=clock)
        self._observe = observe
        self._clock = clock
        self._payloads = payloads
        self._in_hand = InFlight()
        self._first_hand = RedeliveryHistory()
        self._accepted = DeliveredEvents()

    @property
    def status(self) -> Status:
        """What a person should know now."""
        if self._guard.suspicion is not None:
            return Status(len(self._in_hand), str(self._guard.suspicion), "RELAY_ENVELOPE")
        letters = self._dead_letters
        return Status(len(self._in_hand), letters.problem, letters.setting)

    async def handle(self, message: Message) -> Outcome:
        """Bring the message to its end; a second delivery of one in hand shares its outcome."""
        known = self._dead_letters.known(message.message_id)
        if known is not None:
            return known
        self._first_hand.note(message)
        return await self._in_hand.join(message, self._work, self._clock())

    async def handle_exclusive(self, message: Message) -> Outcome:
        """The same for a source that hands each message to one caller at a time, as leases do."""
        known = self._dead_letters.known(message.message_id)
        if known is not None:
            return known
        self._first_hand.note(message)
        return await self._in_hand.own(message, self._work, self._clock())

    def expire(self) -> None:
        """End the wait of what the queue is about to delete. Called now and then by a timer."""
        for item in self._in_hand:
            if self.retention.expiring(item.message) and self._clock() - item.since >= GRACE:
                item.expire()

    async def _work(self, item: InFlightMessage) -> Outcome:
        message, start = item.message, self._clock()
        self._observe(Received(message))
        if self._payloads is None or not self._payloads.concern(message):
            return await self._process(item, self._decode(message), start)
        async with self._payloads.opened(message) as whole:
            decoded = self._decode(whole) if isinstance(whole, Message) else whole
            if isinstance(decoded, Decoded):
                return await self._process(item, decoded, start)
        del whole  # what is refused may be held for long, and needs no place in memory
        return await self._process(item, decoded, start)

    async def _process(
        self, item: InFlightMessage, decoded: Decoded | Reject | Retry, start: float
    ) -> Outcome:
        """Deliver or dead-letter what was read. The dead letter has the body as it came."""
        message = item.message
        if isinstance(decoded, Retry):
            if not self.retention.expiring(message):
                self._settled(message, decoded, start)
                return decoded
            decoded = Reject("expiring", decoded.reason)
        first_hand = message in self._first_hand
        if isinstance(decoded, Reject):
            reject = decoded if first_hand else maybe_sent(decoded)
            outcome: Outcome = await self._dead_letter(item, reject, None)
            self._settled(message, outcome, start)
            return outcome
        results = await self._deliver(item, decoded.events)
        if not first_hand:
            results = [maybe_sent(result) for result in results]
            told = tuple((index, maybe_sent(reject)) for index, reject in decoded.rejects)
            decoded = msgspec.structs.replace(decoded, rejects=told)
        outcome = await self._conclude(item, decoded, results)
        self._settled(message, outcome, start, decoded, results)
        return outcome

    async def _deliver(self, item: InFlightMessage, events: Sequence[Event]) -> list[Outcome]:
        """One outcome for each event, in order; `expiring` where the wait was ended."""
        results: list[Outcome | None] = [None] * len(events)
        try:
            await item.unless_expired(self._submit(events, results))
        finally:
            if any(map(self._maybe_ran, events, results)):
                self._first_hand.forget(item.message)
            if len(events) > 1:
                self._accepted.note(events, results)
        late = self.retention.expiring(item.message)
        return [
            self._expired(event)
            if result is None or (late and isinstance(result, Retry))
            else result
            for event, result in zip(events, results, strict=True)
        ]

    def _maybe_ran(self, event: Event, result: Outcome | None) -> bool:
        return isinstance(result, Delivered) or self._forward.may_have_run(event.id)

    async def _submit(self, events: Sequence[Event], results: list[Outcome | None]) -> None:
        if len(events) == 1:
            results[0] = await self._forward.submit(events[0])
            return

        async def one(position: int) -> None:
            event = events[position]
            results[position] = self._accepted.of(event) or await self._forward.submit(event)

        await asyncio.gather(*(one(position) for position in range(len(events))))

    def _expired(self, event: Event) -> Reject:
        return Reject(
            "expiring",
            "the queue was about to delete the message before it could be delivered",
            may_have_run=self._forward.may_have_run(event.id),
        )

    async def _conclude(
        self, item: InFlightMessage, decoded: Decoded, results: Sequence[Outcome]
    ) -> Outcome:
        """The message's outcome from those of its events: it stays while any must wait."""
        later = outcome.waiting(results)
        if later is not None:
            return later
        rejects = dict(decoded.rejects)
        for event, result in zip(decoded.events, results, strict=True):
            if isinstance(result, Reject):
                rejects[event.index] = result
        if rejects:
            return await self._dead_letter(
                item, outcome.rejected(rejects), decoded, tuple(sorted(rejects))
            )
        self._guard.passed(item.message.message_id)
        return outcome.delivered(results)

    async def _dead_letter(
        self,
        item: InFlightMessage,
        reject: Reject,
        decoded: Decoded | None,
        pending: tuple[int, ...] | None = None,
    ) -> Outcome:
        """Dead-letter the message once the guard agrees, or the queue would delete it."""
        message = item.message
        if reject.code != "expiring" and not item.expired:
            await item.unless_expired(self._guard.admit(message.message_id, reject))
        if decoded is not None and decoded.total == 1:
            pending = None
        return await self._dead_letters.put(
            message, self._origin(message, reject, decoded, pending), reject
        )

    def _origin(
        self,
        message: Message,
        reject: Reject,
        decoded: Decoded | None,
        pending: tuple[int, ...] | None,
    ) -> Origin:
        """The message's past with this hop added."""
        past = _past(message) or Origin(
            id=message.message_id,
            undecoded=True,
            sent_at=message.sent_at,
            source=message.queue,
            task=(message.task.name, message.task.scheduled_at) if message.task else None,
        )
        return replace(
            past,
            id=decoded.base_id if decoded and past.undecoded else past.id,
            undecoded=past.undecoded and decoded is None,
            pending=pending if decoded else past.pending,
            hops=past.hops + 1,
            code=reject.code,
            reason=reject.reason,
            may_have_run=past.may_have_run or reject.may_have_run,
        )

    def _settled(
        self,
        message: Message,
        outcome: Outcome,
        start: float,
        decoded: Decoded | None = None,
        results: Sequence[Outcome] = (),
    ) -> None:
        events, now = decoded.events if decoded else (), self._clock()
        self._observe(
            Settled(
                message=message,
                outcome=outcome,
                at=now,
                seconds=now - start,
                results=tuple(zip(events, results, strict=True)),
                rejects=decoded.rejects if decoded else (),
                notices=decoded.notices if decoded else (),
            )
        )


def _past(message: Message) -> Origin | None:
    try:
        return origin_of(message)
    except UnreadableOrigin:
        # Its ids are lost with it: whatever a person does next may be a second run.
        return Origin(
            id=message.message_id,
            sent_at=message.sent_at,
            source=message.queue,
            may_have_run=True,
            lost=(ATTRIBUTE,),
        )
