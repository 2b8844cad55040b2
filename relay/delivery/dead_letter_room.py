"""Finds room for a dead letter: in the dead-letter queue, in S3, or in the main queue for now.

Nothing of a message is lost while it is in the main queue, where a person may still make room for
it. SQS's own move to the dead-letter queue is not relied on: AWS does not document what it does
with a message that is larger than that queue's MaximumMessageSize.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from relay.delivery.dead_letter_copy import (
    DeadLetterCopy,
    NotStored,
    TooLarge,
    dead_letter_copy,
    pointer_copy,
    truncated_copy,
)
from relay.model.encoded_body import is_truncated
from relay.model.message import Message
from relay.model.origin import Origin

TRY_AGAIN_AFTER = 1_800.0
"""Seconds for which a message that does not fit is hidden. In 14 days, the longest retention, that
is 672 receives; SQS moves a message by itself after `RELAY_MAX_RECEIVE_COUNT`, 1,000."""

TOO_LARGE_FOR = 2 * TRY_AGAIN_AFTER
"""Seconds for which a message that does not fit counts as waiting after its last try."""

MAX_TOO_LARGE = 1_000
"""Such messages that are counted."""

BUCKET_PAUSE = 30.0
"""Seconds after a failure of the bucket in which it is not tried again. A try can take as long, and
those that wait for it hold places in flight."""

LAST_PAUSE = 1.0
"""The same for a message that cannot wait: a failure of a moment should not cost it its body."""

TOO_LARGE_FIX = (
    "set the dead-letter queue's MaximumMessageSize to 1048576, and RELAY_DEAD_LETTER_BUCKET to an"
    " S3 bucket for what is larger still"
)


class BodyStore(Protocol):
    """Keeps the bodies that do not fit into the dead-letter queue."""

    def pointer(self, message: Message) -> str:
        """The body of the dead letter: it points to where `put` keeps the message's body."""
        ...

    async def put(self, message: Message) -> None:
        """Return once the body is kept. Raises `NotStored`."""
        ...


class Room:
    """Chooses the copy that keeps most of a message, and knows which messages wait for room.

    Args:
        bodies: keeps the bodies that do not fit, if there is such a place.
        clock: seconds since the epoch.
    """

    def __init__(
        self, bodies: BodyStore | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._bodies = bodies
        self._clock = clock
        self._waiting: OrderedDict[str, float] = OrderedDict()
        self._failure: tuple[float, NotStored] | None = None

    @property
    def warning(self) -> str | None:
        """How many messages wait for room and what to do, as a sentence; None if none does."""
        oldest = self._clock() - TOO_LARGE_FOR
        while self._waiting and next(iter(self._waiting.values())) <= oldest:
            self._waiting.popitem(last=False)
        count = len(self._waiting)
        if not count:
            return None
        what = "1 message is" if count == 1 else f"{count} messages are"
        return (
            f"{what} too large for the dead-letter queue, and kept in the queue until shortly"
            f" before SQS deletes what is there: {self.fix}"
        )

    @property
    def fix(self) -> str:
        """What makes room for the messages that wait."""
        if self._failure is None or self._failure[1].setting is None:
            return TOO_LARGE_FIX
        return f"{self._failure[1].reason}; check {self._failure[1].setting}"

    def waits(self, message_id: str) -> None:
        """Count a message that waits for room. It is forgotten if it does not come again."""
        self._waiting[message_id] = self._clock()
        self._waiting.move_to_end(message_id)
        while len(self._waiting) > MAX_TOO_LARGE:
            self._waiting.popitem(last=False)

    def found(self, message_id: str) -> None:
        """Count the message no longer: it has its copy."""
        self._waiting.pop(message_id, None)

    async def copy_of(
        self, message: Message, origin: Origin, limit: int, last_chance: Callable[[], bool]
    ) -> DeadLetterCopy:
        """The copy of at most `limit` bytes that keeps most. A body for S3 is stored there first.

        It is truncated only if `last_chance` says that the message cannot wait, or if its body was
        truncated before.

        Raises:
            NotStored: the body could not be stored for now, and the message can wait.
            TooLarge: the message does not fit whole, or a person has to fix the bucket, and the
                message can wait.
        """
        whole, too_large = None, TooLarge()
        try:
            whole = dead_letter_copy(message, origin, limit)
        except TooLarge as error:
            too_large = error
        if whole is None or whole.kept == "without_attributes":
            whole = await self._in_s3(message, origin, limit, whole, last_chance) or whole
        if whole is not None:
            return whole
        if last_chance() or is_truncated(origin.encoding):
            return truncated_copy(message, origin, limit)
        raise too_large

    async def _in_s3(
        self,
        message: Message,
        origin: Origin,
        limit: int,
        whole: DeadLetterCopy | None,
        last_chance: Callable[[], bool],
    ) -> DeadLetterCopy | None:
        """A copy that points to the body; None if there is no bucket, or `whole` loses no more."""
        if self._bodies is None or is_truncated(origin.encoding):
            return None
        try:
            copy = pointer_copy(message, origin, self._bodies.pointer(message), limit)
            if copy.kept != "in_s3" and whole is not None:
                return None
            pause = LAST_PAUSE if last_chance() else BUCKET_PAUSE
            await self._store(self._bodies, message, pause)
        except TooLarge:
            return None
        except NotStored as error:
            if last_chance():
                return None
            if error.setting is not None:
                # It gives its place in flight back: what fits is not affected.
                raise TooLarge(error.reason) from error
            raise
        return copy

    async def _store(self, bodies: BodyStore, message: Message, pause: float) -> None:
        """Store the body. Fails at once if another one failed less than `pause` seconds ago."""
        if self._failure is not None and self._clock() - self._failure[0] < pause:
            raise self._failure[1]
        try:
            await bodies.put(message)
        except NotStored as error:
            self._failure = self._clock(), error
            raise
        self._failure = None
