"""Confirmations: waits until events can be read back, with look-ups that all who wait share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Protocol, Self

from relay.destinations.inngest.read_back import PAGE, Stored, TooLong
from relay.model.destination import Unavailable

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME = 10


def milliseconds(ulid: str) -> int:
    """The time in it, milliseconds since the epoch; 0 for what is no ULID."""
    value = 0
    for letter in ulid[:_TIME].upper():
        place = LETTERS.find(letter)
        if place < 0:
            return 0
        value = value * len(LETTERS) + place
    return value


def above(ulid: str) -> str:
    """The next one in their order, so that "less than it" includes the given one."""
    letters = list(ulid.upper())
    for at in range(len(letters) - 1, -1, -1):
        place = LETTERS.find(letters[at])
        if place < len(LETTERS) - 1:
            letters[at] = LETTERS[place + 1]
            break
        letters[at] = LETTERS[0]
    return "".join(letters)


SHORTEST = 0.02
LONGEST = 4.0
"""Seconds: bounds of the first wait. Then a look follows whenever the age has grown by a sixth."""

LONGEST_PAUSE = 5.0
_SHARE = 0.2


class ReadLag:
    """When to look next for what was accepted a while ago. Pure; ages are in seconds."""

    def __init__(self) -> None:
        self._usual = SHORTEST

    def next_look(self, age: float) -> float:
        """The age at which to look, for what is of this age and was not there yet."""
        if age < self._usual:
            return self._usual
        return age + min(max(age / 6, SHORTEST), LONGEST_PAUSE)

    def learn(self, missed: float, found: float) -> None:
        """What was not there at one age (0 if nobody looked) was there at the other."""
        halfway = (missed + found) / 2
        usual = (1 - _SHARE) * self._usual + _SHARE * halfway
        self._usual = min(max(usual, SHORTEST), LONGEST)


AT_ONCE = 0.05
"""Seconds. What is due so soon goes with what is due now."""

PAGE_BYTES = 1_048_576
"""Bytes of a page that are worth reading again and again; larger events make smaller pages."""

BEFORE = 60.0
"""Seconds by which an event may have been received before the time in its internal id."""


class Reading(Protocol):
    """What is asked of the server, see `ReadBack`."""

    async def one(self, internal_id: str) -> bool:
        """Whether it is stored."""
        ...

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        """The newest below a given one."""
        ...


class _Waiting:
    """The events of one request."""

    __slots__ = ("done", "due", "found", "left", "looked", "since", "size", "trouble")

    def __init__(self, internal_ids: Collection[str], size: int, now: float) -> None:
        self.left = set(internal_ids)
        self.found: set[str] = set()
        self.size = size
        self.since = now
        self.looked = 0.0
        self.due = now
        self.trouble: Unavailable | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Confirmations:
    """Looks for all that wait, in as few requests as that takes.

    Internal ids are in the order of time, and so are pages. A page that begins at the newest event
    that is looked for settles all within its reach, whether they are on it or not; the next begins
    at the newest one below it. So a pass takes no more requests than there are events to look for,
    and one for 51 where they were accepted together. One event alone is asked for by its id.

    Args:
        reading: asks the server.
        deadline: seconds after which what was not seen is given up.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        reading: Reading,
        *,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading
        self._deadline = deadline
        self._clock = clock
        self._lag = ReadLag()
        self._waiting: set[_Waiting] = set()
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._listed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def stored(self, internal_ids: Collection[str], size: int) -> Collection[str]:
        """Those that were seen by the deadline; `size` is the bytes of all of them.

        Raises:
            Unavailable: the server refuses to tell, is away, or never told in all that time.
        """
        waiting = _Waiting(internal_ids, size // max(len(internal_ids), 1), self._clock())
        waiting.due = waiting.since + self._lag.next_look(0.0)
        self._waiting.add(waiting)
        self._look_on()
        try:
            async with asyncio.timeout(self._deadline):
                await waiting.done
        except TimeoutError:
            if not waiting.found and waiting.trouble is not None:
                raise waiting.trouble from None
        finally:
            self._waiting.discard(waiting)
        return waiting.found

    def _look_on(self) -> None:
        self._news.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())
            self._looking.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a look that will not come."""
        error = None if task.cancelled() else task.exception()
        for waiting in self._waiting:
            if waiting.done.done():
                continue
            if error is not None:
                waiting.done.set_exception(error)
            elif task.cancelled():
                waiting.done.cancel()

    async def _look(self) -> None:
        while self._waiting:
            self._news.clear()
            rest = min(waiting.due for waiting in self._waiting) - self._clock()
            if rest > 0:
                await self._pause(rest)
                continue
            now = self._clock()
            await self._pass([one for one in self._waiting if one.due <= now + AT_ONCE], now)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def _pass(self, due: Sequence[_Waiting], now: float) -> None:
        try:
            found = await self._find(due)
        except Unavailable as error:
            self._failed(due, error, now)
            return
        for waiting in due:
            self._found(waiting, found, now)

    def _found(self, waiting: _Waiting, found: Collection[str], now: float) -> None:
        waiting.trouble = None
        seen = waiting.left.intersection(found)
        waiting.found |= seen
        waiting.left -= seen
        age = now - waiting.since
        if not waiting.left:
            self._lag.learn(waiting.looked, age)
            self._waiting.discard(waiting)
            if not waiting.done.done():
                waiting.done.set_result(None)
        waiting.looked = age
        waiting.due = waiting.since + self._lag.next_look(age)

    def _failed(self, due: Sequence[_Waiting], error: Unavailable, now: float) -> None:
        if error.proven or error.setting is not None:
            # The destination as a whole: those who are not due would hear the same.
            for waiting in list(self._waiting):
                self._waiting.discard(waiting)
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            return
        for waiting in due:
            waiting.trouble = error
            age = self._clock() - waiting.since
            waiting.due = max(waiting.since + self._lag.next_look(age), now + (error.after or 0))

    async def _find(self, due: Sequence[_Waiting]) -> Collection[str]:
        wanted = sorted({each for waiting in due for each in waiting.left}, reverse=True)
        if self._listed and len(wanted) > 1:
            size = max(waiting.size for waiting in due)
            try:
                return await self._walk(wanted, limit=min(PAGE, max(1, PAGE_BYTES // (size + 1))))
            except TooLong:
                pass
        return [each for each in wanted if await self._reading.one(each)]

    async def _walk(self, wanted: Sequence[str], limit: int) -> Collection[str]:
        """Those of `wanted`, newest first, that are stored."""
        found: set[str] = set()
        left, after = list(wanted), milliseconds(wanted[-1]) / 1_000 - BEFORE
        while left:
            top = above(left[0])
            page = await self._reading.page(after, below=top, limit=limit)
            ids = [each.internal_id for each in page]
            if ids != sorted(ids, reverse=True) or (ids and ids[0] >= top):
                # A server that lists in an order of its own: its lists tell nothing of absence.
                self._listed = False
                raise TooLong
            found.update(ids)
            bottom = ids[-1] if ids else ""
            left = [each for each in left if each < bottom]
        return found.intersection(wanted)
