"""Delivers dead letters directly to the destination, through the relay's own handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from msgspec import structs

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import Outgoing, Sent
from relay.delivery.dead_letter_copy import DeadLetterCopy, TooLarge, dead_letter_copy
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.selection import BLOCKED, Skipped
from relay.dlq.targets import Accepted, Result, group_rounds
from relay.envelope import Decoded
from relay.model.facts import CircuitChanged, Fact, Forwarded, Handled
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered, Outcome, Reject

DEADLINE = 120.0
"""Seconds for one dead letter. An unavailable destination holds it for as long as that lasts."""


class NoDeadLetters:
    """Replaces the handler's dead-letter queue: what is rejected again is there already."""

    async def limit(self) -> int:
        """Accept any size: nothing is sent."""
        return 1 << 40

    async def put(self, copy: DeadLetterCopy) -> None:
        """Store nothing."""


class OutcomeObserver:
    """Observes which events of a message were accepted, and what is wrong with the destination.

    `trouble` is a sentence, None while nothing is known to be wrong.
    """

    def __init__(self) -> None:
        self._accepted: dict[str, frozenset[int]] = {}
        self.trouble: str | None = None

    def observe(self, fact: Fact) -> None:
        """Record the outcome of a message or of a request."""
        if isinstance(fact, Forwarded):
            self.trouble = fact.error
        elif isinstance(fact, CircuitChanged):
            if fact.state in ("open", "halted"):
                self.trouble = f"{fact.reason}{f', see {fact.setting}' if fact.setting else ''}"
            elif fact.state == "closed":
                self.trouble = None
        elif isinstance(fact, Handled):
            self._accepted[fact.message.message_id] = frozenset(
                event.index for event, outcome in fact.results if isinstance(outcome, Delivered)
            )

    def take(self, message_id: str) -> frozenset[int]:
        """The positions of the message's accepted events; they are forgotten."""
        return self._accepted.pop(message_id, frozenset())


class DestinationTarget:
    """Passes dead letters to the handler and waits for their outcome.

    If only some events of an array are accepted, a new dead letter with the others replaces the
    old one. In a FIFO queue that would change its position, so there the dead letter is left as it
    is, and its ids keep the accepted events from running again.

    Args:
        handle: the relay's handler, whose own dead letters go to `NoDeadLetters`.
        observer: observes that handler.
        dead: the dead-letter queue.
        max_bytes: the most that it accepts.
        deadline: seconds for one dead letter.
    """

    def __init__(
        self,
        handle: Callable[[Message], Awaitable[Outcome]],
        observer: OutcomeObserver,
        dead: Queue,
        *,
        max_bytes: int,
        deadline: float = DEADLINE,
    ) -> None:
        self._handle = handle
        self._observer = observer
        self._dead = dead
        self._max_bytes = max_bytes
        self._deadline = deadline

    async def prepare(self, dead_letter: DeadLetter) -> DeadLetter | Skipped:
        """Any dead letter can be tried."""
        return dead_letter

    async def send(self, messages: Sequence[DeadLetter]) -> Sequence[Result]:
        """Deliver all; of a FIFO queue one of each group at a time."""
        results: list[Result] = [BLOCKED] * len(messages)
        fifo = self._dead.fifo
        groups = [dead_letter.message.group_id for dead_letter in messages]
        blocked: set[str | None] = set()
        for positions in group_rounds(groups) if fifo else [list(range(len(messages)))]:
            free = [i for i in positions if groups[i] not in blocked or not fifo]
            delivered = await asyncio.gather(*(self._deliver(messages[i]) for i in free))
            for i, result in zip(free, delivered, strict=True):
                results[i] = result
                if isinstance(result, Skipped):
                    blocked.add(groups[i])
        return results

    async def _deliver(self, dead_letter: DeadLetter) -> Result:
        message = with_origin(dead_letter)
        try:
            async with asyncio.timeout(self._deadline):
                outcome = await self._handle(message)
        except TimeoutError:
            return Skipped("timed_out", self._timed_out())
        accepted = self._observer.take(message.message_id)
        if isinstance(outcome, Delivered):
            return Accepted(outcome.reference)
        code = outcome.code if isinstance(outcome, Reject) else "retry"
        skipped = Skipped("not_delivered", f"{code}: {outcome.reason}")
        if not accepted or self._dead.fifo or dead_letter.origin is None:
            return skipped
        remaining = _remaining(dead_letter, dead_letter.origin, accepted, outcome)
        return await self._replace(dead_letter, remaining, skipped)

    def _timed_out(self) -> str:
        trouble = self._observer.trouble
        why = f" because of a problem with the destination: {trouble}" if trouble else ""
        return f"no outcome within {self._deadline:g} s{why}; its id is kept"

    async def _replace(self, dead_letter: DeadLetter, origin: Origin, skipped: Skipped) -> Result:
        """Replace the dead letter by one with its remaining events."""
        try:
            copy = dead_letter_copy(dead_letter.message, origin, self._max_bytes)
            [sent] = await self._dead.send([_outgoing(copy)])
        except (TooLarge, AwsError):
            return skipped  # it stays as it was; the accepted events are known by their ids
        return Accepted(remainder=skipped) if isinstance(sent, Sent) else skipped


def with_origin(dead_letter: DeadLetter) -> Message:
    """The message as its queue would deliver it, with its origin (in memory there is room)."""
    message = dead_letter.message
    if dead_letter.origin is None:
        return message
    attributes = {k: v for k, v in message.attributes.items() if k.casefold() != ATTRIBUTE}
    attributes[ATTRIBUTE] = Attribute("String", dead_letter.origin.pack())
    return structs.replace(
        message, attributes=attributes, queue=dead_letter.source or message.queue, task=None
    )


def _remaining(
    dead_letter: DeadLetter, origin: Origin, accepted: frozenset[int], outcome: Outcome
) -> Origin:
    """The origin with the events pending that were not accepted."""
    total = dead_letter.decoded.total if isinstance(dead_letter.decoded, Decoded) else 0
    before = range(total) if origin.pending is None else origin.pending
    remaining = replace(origin, pending=tuple(i for i in before if i not in accepted))
    if not isinstance(outcome, Reject):
        return remaining
    return replace(
        remaining,
        code=outcome.code,
        reason=outcome.reason,
        may_have_run=origin.may_have_run or outcome.may_have_run,
    )


def _outgoing(copy: DeadLetterCopy) -> Outgoing:
    return Outgoing(
        body=copy.body,
        attributes=copy.attributes,
        group_id=copy.group_id,
        trace_header=copy.trace_header,
    )
