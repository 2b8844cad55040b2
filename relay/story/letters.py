"""Dead letters as a source: a snapshot, or the queue as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from relay.dlq.claims import claimed_id
from relay.dlq.expiry import expiry
from relay.dlq.letter import Letter
from relay.dlq.snapshot import Unreadable
from relay.story.known import Found, Known, Moment, Unreached

SOURCE = "dlq"


@dataclass(frozen=True, slots=True)
class Letters:
    """Letters of one queue.

    `read` gives them anew each time and may raise `Unreadable`; `retention` is the queue's, in
    seconds; `left` is how many it held besides, out of reach.
    """

    name: str
    read: Callable[[], Iterable[Letter]]
    retention: float
    fifo: bool = False
    left: int = 0

    async def find(self, known: Known) -> Found:
        """The letters that belong to the story.

        Raises:
            Unreached: the snapshot is damaged.
        """
        moments, sealed = list[Moment](), 0
        try:
            for letter in self.read():
                moments += self._of(letter, known)
                sealed += letter.sealed and not known.has_message(letter.message.message_id)
        except Unreadable as error:
            raise Unreached(str(error)) from error
        return Found(tuple(moments), self._gap(sealed))

    def _gap(self, sealed: int) -> str | None:
        gaps = []
        if self.left:
            gaps.append(f"the queue held {self.left} more than could be looked at")
        if sealed:
            gaps.append(
                f"the events of {sealed} messages are in S3, and `relay dlq show` reads them"
            )
        return "; ".join(gaps) or None

    def _of(self, letter: Letter, known: Known) -> Iterator[Moment]:
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
            yield Moment(
                at=letter.first_sent_at,
                source=SOURCE,
                what=f"sent to {letter.source or 'its first queue'}",
                details={"message_id": message_id},
            )
        # SQS's own move keeps the time of the first queue and tells none of its own.
        at = None if letter.moved else letter.message.sent_at
        doubt = "; it may have run" if details.get("may_have_run") else ""
        yield Moment(
            at=at,
            source=SOURCE,
            what=f"in {letter.message.queue} as {letter.code}: {letter.reason}{doubt}",
            details=details,
        )
        ends = expiry(letter.message, self.retention, fifo=self.fifo)
        if ends is not None:
            what = f"SQS deletes it from {letter.message.queue}" + (
                "" if ends.exact else " or later"
            )
            yield Moment(at=ends.at, source=SOURCE, what=what, details={"message_id": message_id})


def _details(letter: Letter) -> dict[str, Any]:
    return {
        "message_id": letter.message.message_id,
        "base_id": letter.base_id,
        "code": letter.code,
        "reason": letter.reason,
        "hops": letter.hops,
        "receive_count": letter.message.receive_count,
        **({"may_have_run": True} if letter.past and letter.past.may_have_run else {}),
    }
