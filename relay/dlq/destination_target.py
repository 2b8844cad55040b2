"""The road straight to the destination: each letter through the relay's own handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from msgspec import structs

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import Outgoing, Sent
from relay.delivery.dead_letter_queue import DeadLetterCopy, TooLarge, dead_letter_copy
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.selection import BLOCKED, Skipped
from relay.dlq.targets import Accepted, Result, group_rounds
from relay.envelope import Decoded
from relay.model.facts import CircuitChanged, Fact, Forwarded, Settled
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered, Outcome, Reject

DEADLINE = 120.0
"""Seconds for one letter: a destination that is away holds what is handled for as long as it is."""


class NoDeadLetters:
    """Stands for the dead-letter queue: what is rejected again is there already."""

    async def limit(self) -> int:
        """Nothing is too large: nothing is sent."""
        return 1 << 40

    async def put(self, copy: DeadLetterCopy) -> None:
        """Keep nothing."""


class OutcomeObserver:
    """Hears which events of a message were accepted, and what is wrong with the destination.

    `trouble` is a sentence, None while nothing is known to be wrong.
    """

    def __init__(self) -> None:
        self._accepted: dict[str, frozenset[int]] = {}
        self.trouble: str | None = None

    def observe(self, fact: Fact) -> None:
        """Note how a message ended, or how a request did."""
        if isinstance(fact, Forwarded):
            self.trouble = fact.error
        elif isinstance(fact, CircuitChanged):
            if fact.state in ("open", "halted"):
                self.trouble = f"{fact.reason}{f', see {fact.setting}' if fact.setting else ''}"
            elif fact.state == "closed":
                self.trouble = None
        elif isinstance(fact, Settled):
            self._accepted[fact.message.message_id] = frozenset(
                event.index for event, end in fact.results if isinstance(end, Delivered)
            )

    def take(self, message_id: str) -> frozenset[int]:
        """The positions of the message's accepted events; asked once."""
        return self._accepted.pop(message_id, frozenset())


class DestinationTarget:
    """Hands letters to the handler and waits for their outcome.

    Where only some of an array's events are accepted, a new dead letter with the others takes the
    place of the old one. In a FIFO queue it would change its place, so there the letter stays as it
    is, and its ids keep what was accepted from running again.

    Args:
        handle: the relay's handler, whose own dead letters are `NoCopies`.
        ends: what that handler is observed by.
        dead: the dead-letter queue.
        max_bytes: the most that it takes.
        deadline: seconds for one letter.
    """

    def __init__(
        self,
        handle: Callable[[Message], Awaitable[Outcome]],
        ends: OutcomeObserver,
        dead: Queue,
        *,
        max_bytes: int,
        deadline: float = DEADLINE,
    ) -> None:
        self._handle = handle
        self._ends = ends
        self._dead = dead
        self._max_bytes = max_bytes
        self._deadline = deadline

    async def ready(self, letter: DeadLetter) -> DeadLetter | Skipped:
        """Anything can be tried."""
        return letter

    async def carry(self, loads: Sequence[DeadLetter]) -> Sequence[Result]:
        """Deliver all; of a FIFO queue one of each group at a time."""
        results: list[Result] = [BLOCKED] * len(loads)
        groups = [letter.message.group_id for letter in loads]
        blocked: set[str | None] = set()
        for wave in group_rounds(groups) if self._dead.fifo else [list(range(len(loads)))]:
            free = [i for i in wave if groups[i] not in blocked or not self._dead.fifo]
            ends = await asyncio.gather(*(self._deliver(loads[i]) for i in free))
            for i, end in zip(free, ends, strict=True):
                results[i] = end
                if isinstance(end, Skipped):
                    blocked.add(groups[i])
        return results

    async def _deliver(self, letter: DeadLetter) -> Result:
        message = as_noted(letter)
        try:
            async with asyncio.timeout(self._deadline):
                outcome = await self._handle(message)
        except TimeoutError:
            return Skipped("undecided", self._undecided())
        accepted = self._ends.take(message.message_id)
        if isinstance(outcome, Delivered):
            return Accepted(outcome.reference)
        code = outcome.code if isinstance(outcome, Reject) else "retry"
        stays = Skipped("not_delivered", f"{code}: {outcome.reason}")
        if not accepted or self._dead.fifo or letter.origin is None:
            return stays
        return await self._narrow(letter, letter.origin, accepted, outcome, stays)

    def _undecided(self) -> str:
        why = (
            f", for the destination is in trouble: {self._ends.trouble}"
            if self._ends.trouble
            else ""
        )
        return f"no outcome within {self._deadline:g} s{why}; its id is kept"

    async def _narrow(
        self,
        letter: DeadLetter,
        origin: Origin,
        accepted: frozenset[int],
        outcome: Outcome,
        stays: Skipped,
    ) -> Result:
        """Put a letter with the rest of its events into the place of this one."""
        total = letter.found.total if isinstance(letter.found, Decoded) else 0
        before = range(total) if origin.pending is None else origin.pending
        now = replace(origin, pending=tuple(i for i in before if i not in accepted))
        if isinstance(outcome, Reject):
            may = origin.may_have_run or outcome.may_have_run
            now = replace(now, code=outcome.code, reason=outcome.reason, may_have_run=may)
        try:
            copy = dead_letter_copy(letter.message, now, self._max_bytes)
            [sent] = await self._dead.send([_entry(copy)])
        except (TooLarge, AwsError):
            return stays  # as it was: what was accepted is known by its id
        return Accepted(rest=stays) if isinstance(sent, Sent) else stays


def as_noted(letter: DeadLetter) -> Message:
    """The message as its queue would give it, with its past; in memory there is always room."""
    message = letter.message
    if letter.origin is None:
        return message
    attributes = {k: v for k, v in message.attributes.items() if k.casefold() != ATTRIBUTE}
    attributes[ATTRIBUTE] = Attribute("String", letter.origin.pack())
    return structs.replace(
        message, attributes=attributes, queue=letter.source or message.queue, task=None
    )


def _entry(copy: DeadLetterCopy) -> Outgoing:
    return Outgoing(
        body=copy.body,
        attributes=copy.attributes,
        group_id=copy.group_id,
        trace_header=copy.trace_header,
    )
