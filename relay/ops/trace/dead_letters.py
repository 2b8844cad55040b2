"""Dead letters as a source, from a snapshot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from relay.delivery.payloads import Pointer, parse_pointer
from relay.dlq.claims import claimed_id
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.snapshot import Unreadable
from relay.dlq.statistics import expiry
from relay.model.message import Message
from relay.model.outcome import Reject
from relay.ops.trace.timeline import KnownIds, SourceResult, SourceUnavailable, TimelineEntry
from relay.output.times import format_time

DEAD_LETTERS = "dlq"


class DeadLetterSource:
    """The dead letters of one queue.

    Args:
        name: the name of the source in the output.
        messages: can be iterated more than once; iterating may raise `Unreadable`.
        read: decodes one, with its payload from S3 if that is available.
        retention: the queue's retention in seconds.
        unread: why a payload could not be read, by MessageId; filled by `read`.
        fifo: whether it is a FIFO queue.
        left: how many messages in the queue could not be received.
        taken_at: when the messages were read, epoch seconds; None if they are in the queue now.
    """

    def __init__(
        self,
        name: str,
        messages: Iterable[Message],
        read: Callable[[Message], Awaitable[DeadLetter]],
        retention: float,
        *,
        unread: Mapping[str, str] | None = None,
        fifo: bool = False,
        left: int = 0,
        taken_at: float | None = None,
    ) -> None:
        self.name = name
        self._messages = messages
        self._read = read
        self._retention = retention
        self._unread = {} if unread is None else unread
        self._fifo = fifo
        self._left = left
        self._taken_at = taken_at
        self._missing: dict[str, str] = {}
        self._ids: dict[str, frozenset[str]] = {}

    async def find(self, known: KnownIds) -> SourceResult:
        """Find the dead letters of the traced event.

        Raises:
            SourceUnavailable: the snapshot is damaged.
        """
        entries = list[TimelineEntry]()
        try:
            for message in self._messages:
                if not self._known_to_differ(message, known):
                    entries += self._entries(await self._decode(message), known)
        except Unreadable as error:
            raise SourceUnavailable(str(error)) from error
        return SourceResult(tuple(entries), self._gap(known))

    def _known_to_differ(self, message: Message, known: KnownIds) -> bool:
        """Whether its payload was read before and contains none of the ids known now."""
        ids = self._ids.get(message.message_id)
        if ids is None or known.has_message(message.message_id):
            return False
        return not any(known.has_event(ident) for ident in ids)

    async def _decode(self, message: Message) -> DeadLetter:
        dead_letter = await self._read(message)
        if isinstance(parse_pointer(message.body), Pointer):
            claimed = (own for claim in dead_letter.claims if (own := claimed_id(claim)))
            ids = (event.id for event in dead_letter.events)
            self._ids[message.message_id] = frozenset((dead_letter.base_id, *ids, *claimed))
        if isinstance(dead_letter.payload, Reject):
            self._missing[message.message_id] = dead_letter.payload.reason
        return dead_letter

    def _gap(self, known: KnownIds) -> str | None:
        gaps = []
        if self._left:
            gaps.append(f"{self._left} messages in the queue could not be received")
        unread = {**self._missing, **self._unread}
        reasons = [why for message_id, why in unread.items() if not known.has_message(message_id)]
        if reasons:
            gaps.append(
                f"the events of {len(reasons)} messages are in S3 and were not read: {reasons[0]}"
            )
        return "; ".join(gaps) or None

    def _entries(self, dead_letter: DeadLetter, known: KnownIds) -> Iterator[TimelineEntry]:
        message_id = dead_letter.message.message_id
        whole = known.matches(message_id) or known.matches(dead_letter.base_id)
        matching = [e for e in dead_letter.events if whole or known.has_event(e.id)]
        claimed = any(
            known.matches(own) for claim in dead_letter.claims if (own := claimed_id(claim))
        )
        if not (matching or whole or claimed or known.has_message(message_id)):
            return
        known.messages.add(message_id)
        if claimed:
            # The log contains no ids from inside a payload, but it has the base id, which is the
            # message's first MessageId.
            known.messages.add(dead_letter.base_id)
        known.events.update((event.name, event.id) for event in matching)
        known.environments.update(event.env for event in matching if event.env)
        details = _details(dead_letter)
        if dead_letter.first_sent_at is not None:
            yield TimelineEntry(
                at=dead_letter.first_sent_at,
                source=DEAD_LETTERS,
                what=f"sent to {dead_letter.source or 'its first queue'}",
                details={"message_id": message_id},
            )
        # When SQS itself moves a message, it keeps the sent time and does not record the move.
        at = None if dead_letter.moved_by_sqs else dead_letter.message.sent_at
        doubt = "; it may have run" if details.get("may_have_run") else ""
        yield TimelineEntry(
            at=at,
            source=DEAD_LETTERS,
            what=f"{self._verb} dead-letter queue {dead_letter.message.queue} as"
            f" {dead_letter.code}: {dead_letter.reason}{doubt}",
            details=details,
        )
        expires = expiry(dead_letter.message, self._retention, fifo=self._fifo)
        if expires is not None:
            yield TimelineEntry(
                at=expires.at,
                source=DEAD_LETTERS,
                what=self._deletion(dead_letter.message.queue, exact=expires.exact),
                details={"message_id": message_id},
            )

    @property
    def _verb(self) -> str:
        """What is certain: a dead letter of a snapshot may have been redriven since."""
        return "in" if self._taken_at is None else "put into"

    def _deletion(self, queue: str, *, exact: bool) -> str:
        text = f"SQS deletes it from {queue}" + ("" if exact else " (or later)")
        if self._taken_at is None:
            return text
        return f"{text}, if it is still there: it was at {format_time(self._taken_at)}"


def _details(dead_letter: DeadLetter) -> dict[str, Any]:
    return {
        "message_id": dead_letter.message.message_id,
        "base_id": dead_letter.base_id,
        "code": dead_letter.code,
        "reason": dead_letter.reason,
        "hops": dead_letter.hops,
        "receive_count": dead_letter.message.receive_count,
        **(
            {"may_have_run": True} if dead_letter.origin and dead_letter.origin.may_have_run else {}
        ),
    }
