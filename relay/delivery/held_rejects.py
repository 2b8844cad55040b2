"""Rejects that the reject guard holds: their messages are back in the queue and return again.

Remembered by MessageId, so that a message that returns is neither counted nor sent another time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from msgspec import Struct

from relay.model.lru import LruCache
from relay.model.message import Message

REMEMBERED = 50_000
"""Held messages. A forgotten one counts as new when it returns."""

PROBE_EVERY = 60.0
"""Seconds between two held messages that are tried again: the cause may have been fixed outside."""

FIRST_HIDE = 300.0
"""Seconds for which a message is hidden at first. Then twice as long each time, so that a message
that turns out to be good is late by no more than twice the time until the fix."""

LONGEST_HIDE = 3_600.0
"""Seconds, the limit of that growth: some 32 receives a day, and a message survives 1,000."""

MANY = 20_000
"""Held messages above which all are hidden for `FIRST_HIDE` only. SQS returns no message while
120,000 are hidden, of all consumers together."""

SCARCE_HIDE = 43_200.0
"""Seconds, the longest visibility timeout: for a message that has used up half of the receives
after which SQS moves it to the dead-letter queue."""


class _Held(Struct, frozen=True):
    code: str
    hides: int
    epoch: int
    halt: int


class HeldRejects:
    """The held messages, and those that may be dead-lettered when they return.

    Args:
        max_receives: receives after which SQS itself dead-letters a message.
        clock: seconds.
        uniform: jitter: held messages return one after another, not all at once.
    """

    def __init__(
        self,
        *,
        max_receives: int = 1_000,
        clock: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._max_receives = max_receives
        self._clock = clock
        self._uniform = uniform
        self._messages: LruCache[_Held] = LruCache(REMEMBERED)
        self._count = 0
        self._epoch = 0
        self._halt = 0
        self._probe_at = 0.0

    def code(self, message_id: str) -> str | None:
        """The code with which the message is held or was held before a release, if it was."""
        found = self._messages.get(message_id)
        return None if found is None else found.code

    def admitted(self, message_id: str) -> bool:
        """Whether the message was held when the guard was released."""
        found = self._messages.get(message_id)
        return found is not None and found.halt != self._halt

    def last_receive(self, message: Message) -> bool:
        """Whether SQS moves the message itself, without a reason, instead of returning it again."""
        return message.receive_count >= self._max_receives

    def hold(self, message: Message, code: str) -> float:
        """Remember the message; returns the seconds for which it should be hidden."""
        found = self._messages.get(message.message_id)
        hides = 0 if found is None else found.hides
        self._count += found is None
        self._messages.put(message.message_id, _Held(code, hides + 1, self._epoch, self._halt))
        return self._hide(message, hides)

    def hold_again(self, message: Message) -> tuple[str, float] | None:
        """The code and the hide of a held message that returns and need not be tried again now.

        None for one that is not held, for one in `PROBE_EVERY` seconds, and once for each after a
        held message was not rejected any more.
        """
        found = self._messages.get(message.message_id)
        if found is None or self.last_receive(message):
            return None
        if (found.epoch, found.halt) != (self._epoch, self._halt):
            return None
        now = self._clock()
        if now >= self._probe_at:
            self._probe_at = now + PROBE_EVERY
            return None
        return found.code, self.hold(message, found.code)

    def passed(self, message_id: str) -> None:
        """A message was not rejected. If it was held, the others are tried again too."""
        if message_id in self._messages:
            self._messages.forget(message_id)
            self._epoch += 1

    def release(self) -> None:
        """Admit all messages that are held now when they return."""
        self._halt += 1
        self._count = 0

    def _hide(self, message: Message, hides: int) -> float:
        if 2 * message.receive_count >= self._max_receives:
            return SCARCE_HIDE
        doublings = 0 if self._count > MANY else min(hides, 16)
        return self._uniform(0.5, 1.0) * min(LONGEST_HIDE, FIRST_HIDE * 2.0**doublings)
