"""Confirmations: waits until events can be read back; all waiting requests share the lookups."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Protocol, Self

from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.model.destination import Unavailable

FIRST_MIN = 0.02
FIRST_MAX = 4.0
"""Seconds: bounds of the wait before the first lookup. Each later one follows after a sixth of the
age.
"""

PAUSE_MAX = 5.0
"""The most seconds between two lookups of the same events."""

BATCH_WINDOW = 0.05
"""Seconds. A lookup includes the events that are due this soon."""

PAGE_BYTES = 1_048_576
"""Bytes of a page that are worth reading repeatedly; larger events make smaller pages."""

RECEIVED_BEFORE = 60.0
"""Seconds by which an event may have been received before the time in its internal id."""

_NEWEST_WEIGHT = 0.2

_ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_TIME_DIGITS = 10


def milliseconds(ulid: str) -> int:
    """The time in the ULID, milliseconds since the epoch; 0 if it is no ULID."""
    value = 0
    for char in ulid[:_ULID_TIME_DIGITS].upper():
        digit = _ULID_DIGITS.find(char)
        if digit < 0:
            return 0
        value = value * len(_ULID_DIGITS) + digit
    return value


def above(ulid: str) -> str:
    """The next ULID in order, so that "less than it" includes the given one."""
    chars = list(ulid.upper())
    for at in range(len(chars) - 1, -1, -1):
        digit = _ULID_DIGITS.find(chars[at])
        if digit < len(_ULID_DIGITS) - 1:
            chars[at] = _ULID_DIGITS[digit + 1]
            break
        chars[at] = _ULID_DIGITS[0]
    return "".join(chars)


class ReadLag:
    """Schedules lookups by how long events usually take to be stored. Pure; ages are in seconds."""

    def __init__(self) -> None:
        self._usual = FIRST_MIN

    def next_lookup(self, age: float) -> float:
        """The age of the next lookup for events of this age that were not stored yet."""
        if age < self._usual:
            return self._usual
        return age + min(max(age / 6, FIRST_MIN), PAUSE_MAX)

    def record(self, missed: float, found: float) -> None:
        """Record events that were missing at one age (0 for no lookup) and found at the other."""
        halfway = (missed + found) / 2
        usual = (1 - _NEWEST_WEIGHT) * self._usual + _NEWEST_WEIGHT * halfway
        self._usual = min(max(usual, FIRST_MIN), FIRST_MAX)


class EventReader(Protocol):
    """Reads stored events; see `ReadBack`."""

    async def is_stored(self, internal_id: str) -> bool:
        """Whether the event is stored."""
        ...

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        """The newest stored events below an internal id."""
        ...


class _WaitingRequest:
    """The events of one request that wait to be read back.

    `size` is the mean bytes of an event, `due` the time of the next lookup, `looked_up` the age at
    the last one and `error` its failure.
    """

    __slots__ = ("done", "due", "error", "found", "left", "looked_up", "since", "size")

    def __init__(self, internal_ids: Collection[str], size: int, now: float) -> None:
        self.left = set(internal_ids)
        self.found: set[str] = set()
        self.size = size
        self.since = now
        self.looked_up = 0.0
        self.due = now
        self.error: Unavailable | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Confirmations:
    """Looks up the events of all waiting requests, in as few requests as possible.

    Internal ids are ordered by time, and so are pages. A page that begins at the newest wanted
    event settles all wanted events within its range, present or not; the next page begins at the
    newest one below it. So one pass takes at most one request for each wanted event, and one for
    51 events that were accepted together. A single event is looked up by its id.

    Args:
        reader: reads stored events.
        deadline: seconds after which an event that was not seen is given up.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        reader: EventReader,
        *,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._deadline = deadline
        self._clock = clock
        self._lag = ReadLag()
        self._waiting: set[_WaitingRequest] = set()
        self._added = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pages_usable = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def stored(self, internal_ids: Collection[str], size: int) -> Collection[str]:
        """The ids that were seen by the deadline; `size` is the bytes of all the events.

        Raises:
            Unavailable: the server refuses, is down, or gave no usable answer by the deadline.
        """
        waiting = _WaitingRequest(internal_ids, size // max(len(internal_ids), 1), self._clock())
        waiting.due = waiting.since + self._lag.next_lookup(0.0)
        self._waiting.add(waiting)
        self._ensure_running()
        try:
            async with asyncio.timeout(self._deadline):
                await waiting.done
        except TimeoutError:
            if not waiting.found and waiting.error is not None:
                raise waiting.error from None
        finally:
            self._waiting.discard(waiting)
        return waiting.found

    def _ensure_running(self) -> None:
        self._added.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """Fail the requests that still wait: no lookup will follow for them."""
        error = None if task.cancelled() else task.exception()
        for waiting in self._waiting:
            if waiting.done.done():
                continue
            if error is not None:
                waiting.done.set_exception(error)
            elif task.cancelled():
                waiting.done.cancel()

    async def _run(self) -> None:
        while self._waiting:
            self._added.clear()
            pause = min(waiting.due for waiting in self._waiting) - self._clock()
            if pause > 0:
                await self._pause(pause)
                continue
            now = self._clock()
            await self._look_up([w for w in self._waiting if w.due <= now + BATCH_WINDOW], now)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._added.wait()
        except TimeoutError:
            return

    async def _look_up(self, due: Sequence[_WaitingRequest], now: float) -> None:
        try:
            found = await self._find(due)
        except Unavailable as error:
            self._failed(due, error, now)
            return
        for waiting in due:
            self._found(waiting, found, now)

    def _found(self, waiting: _WaitingRequest, found: Collection[str], now: float) -> None:
        waiting.error = None
        seen = waiting.left.intersection(found)
        waiting.found |= seen
        waiting.left -= seen
        age = now - waiting.since
        if not waiting.left:
            self._lag.record(waiting.looked_up, age)
            self._waiting.discard(waiting)
            if not waiting.done.done():
                waiting.done.set_result(None)
        waiting.looked_up = age
        waiting.due = waiting.since + self._lag.next_lookup(age)

    def _failed(self, due: Sequence[_WaitingRequest], error: Unavailable, now: float) -> None:
        if error.proven or error.setting is not None:
            # The server as a whole fails: requests that are not due would get the same error.
            for waiting in list(self._waiting):
                self._waiting.discard(waiting)
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            return
        for waiting in due:
            waiting.error = error
            age = self._clock() - waiting.since
            waiting.due = max(waiting.since + self._lag.next_lookup(age), now + (error.after or 0))

    async def _find(self, due: Sequence[_WaitingRequest]) -> Collection[str]:
        wanted = sorted({each for waiting in due for each in waiting.left}, reverse=True)
        if self._pages_usable and len(wanted) > 1:
            size = max(waiting.size for waiting in due)
            try:
                limit = min(PAGE, max(1, PAGE_BYTES // (size + 1)))
                return await self._read_pages(wanted, limit=limit)
            except PageTooLarge:
                pass
        return [each for each in wanted if await self._reader.is_stored(each)]

    async def _read_pages(self, wanted: Sequence[str], limit: int) -> Collection[str]:
        """The ids of `wanted`, which are newest first, that are stored."""
        found: set[str] = set()
        left, after = list(wanted), milliseconds(wanted[-1]) / 1_000 - RECEIVED_BEFORE
        while left:
            top = above(left[0])
            page = await self._reader.page(after, below=top, limit=limit)
            ids = [each.internal_id for each in page]
            if ids != sorted(ids, reverse=True) or (ids and ids[0] >= top):
                # The server lists in another order, so a page proves no absence.
                self._pages_usable = False
                raise PageTooLarge
            found.update(ids)
            bottom = ids[-1] if ids else ""
            left = [each for each in left if each < bottom]
        return found.intersection(wanted)
