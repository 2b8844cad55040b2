"""Dead letters as a source: a snapshot, or the queue as it is now."""

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

DEAD_LETTERS = "dlq"


class DeadLetterSource:
    """Letters of one queue.

    Args:
        name: what the source is called.
        messages: gives them anew each time, and may raise `Unreadable`.
        read: reads one, with its payload in S3 if that can be had.
        retention: the queue's, in seconds.
        unread: why payloads could not be had, by MessageId, as far as `read` was asked.
        fifo: whether the queue keeps an order.
        left: how many it held besides, out of reach.
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
    ) -> None:
        self.name = name
        self._messages = messages
        self._read = read
        self._retention = retention
        self._unread = {} if unread is None else unread
        self._fifo = fifo
        self._left = left
        self._gone: dict[str, str] = {}
        self._names: dict[str, frozenset[str]] = {}

    async def find(self, known: KnownIds) -> SourceResult:
        """The letters that belong to the story.

        Raises:
            Unreached: the snapshot is damaged.
        """
        moments = list[TimelineEntry]()
        try:
            for message in self._messages:
                if not self._passes(message, known):
                    letter = await self._opened(message)
                    moments += self._of(letter, known)
        except Unreadable as error:
            raise SourceUnavailable(str(error)) from error
        return SourceResult(tuple(moments), self._gap(known))

    def _passes(self, message: Message, known: KnownIds) -> bool:
        """Whether its payload was asked for before, and what is in it is still not of the story."""
        names = self._names.get(message.message_id)
        if names is None or known.has_message(message.message_id):
            return False
        return not any(known.has_event(name) for name in names)

    async def _opened(self, message: Message) -> DeadLetter:
        letter = await self._read(message)
        if isinstance(parse_pointer(message.body), Pointer):
            claimed = (own for claim in letter.claims if (own := claimed_id(claim)))
            ids = (event.id for event in letter.events)
            self._names[message.message_id] = frozenset((letter.base_id, *ids, *claimed))
        if isinstance(letter.payload, Reject):
            self._gone[message.message_id] = letter.payload.reason
        return letter

    def _gap(self, known: KnownIds) -> str | None:
        gaps = []
        if self._left:
            gaps.append(f"the queue held {self._left} more than could be looked at")
        without = {**self._gone, **self._unread}
        why = [reason for one, reason in without.items() if not known.has_message(one)]
        if why:
            gaps.append(f"the events of {len(why)} messages are in S3 and were not read: {why[0]}")
        return "; ".join(gaps) or None

    def _of(self, letter: DeadLetter, known: KnownIds) -> Iterator[TimelineEntry]:
        message_id = letter.message.message_id
        whole = known.means(message_id) or known.means(letter.base_id)
        mine = [e for e in letter.events if whole or known.has_event(e.id)]
        claimed = any(known.means(own) for claim in letter.claims if (own := claimed_id(claim)))
        if not (mine or whole or claimed or known.has_message(message_id)):
            return
        known.messages.add(message_id)
        if claimed:
            # No line of the log has what is in a payload, and its base id is its first MessageId.
            known.messages.add(letter.base_id)
        known.events.update((event.name, event.id) for event in mine)
        details = _details(letter)
        if letter.first_sent_at is not None:
            yield TimelineEntry(
                at=letter.first_sent_at,
                source=DEAD_LETTERS,
                what=f"sent to {letter.source or 'its first queue'}",
                details={"message_id": message_id},
            )
        # SQS's own move keeps the time of the first queue and tells none of its own.
        at = None if letter.moved_by_sqs else letter.message.sent_at
        doubt = "; it may have run" if details.get("may_have_run") else ""
        yield TimelineEntry(
            at=at,
            source=DEAD_LETTERS,
            what=f"in {letter.message.queue} as {letter.code}: {letter.reason}{doubt}",
            details=details,
        )
        ends = expiry(letter.message, self._retention, fifo=self._fifo)
        if ends is not None:
            what = f"SQS deletes it from {letter.message.queue}" + (
                "" if ends.exact else " or later"
            )
            yield TimelineEntry(
                at=ends.at, source=DEAD_LETTERS, what=what, details={"message_id": message_id}
            )


def _details(letter: DeadLetter) -> dict[str, Any]:
    return {
        "message_id": letter.message.message_id,
        "base_id": letter.base_id,
        "code": letter.code,
        "reason": letter.reason,
        "hops": letter.hops,
        "receive_count": letter.message.receive_count,
        **({"may_have_run": True} if letter.origin and letter.origin.may_have_run else {}),
    }
