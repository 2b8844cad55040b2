"""What is known about the attempts at each event in hand: the ledger and its destination share it.

```
                note found                        unknown end
  looked up ──────────────────► doubtful ◄──────────────────────── sending
      │                                                            ▲     │
      ▼                         before a request                   │     │
    clean ─────────────────────────────────────────────────────────┘     │
      ▲                                                                  │
      └──────────────────────────────────────────────────────────────────┘
                 certainly not taken: the note is withdrawn
```

Nothing leads from doubtful back: that a later attempt was refused says nothing about the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator

from relay.ledger.note import Subject
from relay.ledger.records import Known
from relay.message import Event


class Attempt:
    """One event in hand.

    `memory` is for how many seconds the destination surely knows the event again. Where that is 0
    or for ever, age says nothing: it is sent again, at least once in the first case.

    Attributes:
        subject: which event it is to the ledger.
        first_at: when the destination may first have taken it, None while it cannot have.
        doubtful: whether an attempt ended in a way that leaves that open.
        noted: whether the ledger holds a note of sending that is ours to withdraw.
        may_note: whether a note overwrites none of an earlier time, as a look-up has shown.
    """

    __slots__ = ("_limit", "_memory", "doubtful", "first_at", "may_note", "noted", "subject")

    def __init__(self, subject: Subject, known: Known | None, memory: float = 0.0) -> None:
        sending = known.sending if known is not None else None
        self.subject = subject
        self.first_at = sending.at if sending is not None else None
        self.doubtful = sending is not None
        self.noted = False
        self.may_note = known is not None
        self._memory = memory or math.inf
        self._limit: asyncio.Timeout | None = None

    def rest(self, now: float) -> float | None:
        """Seconds until the destination may have forgotten it; None where it never will."""
        if self.first_at is None or self._memory == math.inf:
            return None
        return self.first_at + self._memory - now

    def watch(self, limit: asyncio.Timeout | None) -> None:
        """The limit of the wait for it, to be set by the first unknown end; None after the wait."""
        self._limit = limit

    def doubt(self, now: float) -> None:
        """An attempt had an unknown end."""
        self.doubtful = True
        rest = self.rest(now)
        if rest is not None and self._limit is not None and self._limit.when() is None:
            self._limit.reschedule(asyncio.get_running_loop().time() + rest)

    def clear(self) -> None:
        """The destination certainly has not taken it."""
        self.first_at = None
        self.noted = False


class Attempts:
    """The attempts by the event that is in hand. Another message's equal event is another one."""

    def __init__(self) -> None:
        self._by_identity: dict[int, Attempt] = {}

    def of(self, event: Event) -> Attempt | None:
        """The attempt at exactly this event; None where nobody waits for it any more."""
        return self._by_identity.get(id(event))

    @contextlib.contextmanager
    def following(self, event: Event, attempt: Attempt) -> Iterator[None]:
        """Know the attempt for as long as the block runs."""
        self._by_identity[id(event)] = attempt
        try:
            yield
        finally:
            self._by_identity.pop(id(event), None)
