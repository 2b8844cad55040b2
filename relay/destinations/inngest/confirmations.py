"""Confirmations: waits until events can be read back; all waiting requests share the lookups."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Protocol, Self

from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.destinations.inngest.waiting import Lookup, ReadLag, WaitingRequest, doubtful
from relay.model.destination import Unavailable

BATCH_WINDOW = 0.05
"""Seconds. A lookup includes the events that are due this soon."""

PAGE_BYTES = 1_048_576
"""Bytes of a page that are worth reading repeatedly; larger events make smaller pages."""

SINGLES = 8
"""Concurrent lookups of single events."""

RECEIVED_BEFORE = 3_600.0
"""Seconds by which the server may have received an event before our clock says it was sent.

Pages are bounded by the time of receipt and never by the time in an internal id: with a seed that
is the event's own `ts`, of any year. A wide bound costs nothing, because each page begins at an
event that is wanted.
"""

_ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


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


class Confirmations:
    """Looks up the events of all waiting requests, in as few requests as possible.

    Internal ids are ordered by time, and so are pages. A page that begins at the newest wanted
    event settles all wanted events within its range, present or not; the next page begins at the
    newest one below it. So one pass takes at most one request for each wanted event, and one for
    51 events that were accepted together. A single event is looked up by its id, and so is one that
    pages do not show although they should.

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
        self._waiting: set[WaitingRequest] = set()
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

    async def stored(
        self, internal_ids: Collection[str], size: int, *, sent_at: float, spent: float = 0.0
    ) -> Lookup:
        """Wait until the events that were just accepted are stored, or until the deadline.

        Args:
            internal_ids: their internal ids.
            size: bytes of all the events.
            sent_at: the time of day when they were sent, or before that.
            spent: seconds of the deadline that are over, at most half of it.
        """
        seconds = max(self._deadline - spent, self._deadline / 2)
        waiting = self._waiting_request(internal_ids, size, sent_at)
        waiting.due = waiting.since + self._lag.next_lookup(0.0)
        return await self._wait(waiting, seconds)

    async def stored_meanwhile(
        self, internal_ids: Collection[str], size: int, *, sent_at: float, age: float = math.inf
    ) -> Lookup:
        """Look, after a failure, for events that were accepted `age` seconds ago; see `stored`.

        It takes half of the deadline at most. Events that are older than that are looked up once,
        or again only if the lookup fails.
        """
        half = self._deadline / 2
        waiting = self._waiting_request(internal_ids, size, sent_at)
        waiting.last_from = waiting.since + max(0.0, half - age)
        return await self._wait(waiting, half)

    def _waiting_request(
        self, internal_ids: Collection[str], size: int, sent_at: float
    ) -> WaitingRequest:
        mean = size // max(len(internal_ids), 1)
        return WaitingRequest(internal_ids, mean, sent_at=sent_at, now=self._clock())

    async def _wait(self, waiting: WaitingRequest, seconds: float) -> Lookup:
        self._waiting.add(waiting)
        self._ensure_running()
        try:
            async with asyncio.timeout(seconds):
                await waiting.done
        except TimeoutError:
            return Lookup(waiting.found, waiting.trouble(self._clock()), waiting.disconnected)
        finally:
            self._waiting.discard(waiting)
        return Lookup(waiting.found, waiting.error, waiting.disconnected)

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

    async def _look_up(self, due: Sequence[WaitingRequest], now: float) -> None:
        try:
            found = await self._find(due, now)
        except Unavailable as error:
            self._failed(due, error, now)
            return
        for waiting in due:
            self._found(waiting, found, now)

    def _found(self, waiting: WaitingRequest, found: Collection[str], now: float) -> None:
        waiting.error = None
        seen = waiting.left.intersection(found)
        waiting.found |= seen
        waiting.left -= seen
        age = now - waiting.since
        if not waiting.left and waiting.last_from == math.inf:
            self._lag.record(waiting.looked_up or 0.0, age)
        if not waiting.left or now >= waiting.last_from:
            self._end(waiting)
        waiting.looked_up = age
        waiting.due = waiting.since + self._lag.next_lookup(age)

    def _end(self, waiting: WaitingRequest) -> None:
        self._waiting.discard(waiting)
        if not waiting.done.done():
            waiting.done.set_result(None)

    def _failed(self, due: Sequence[WaitingRequest], error: Unavailable, now: float) -> None:
        for waiting in self._waiting.union(due):
            waiting.disconnected |= error.disconnected
        if error.proven or error.setting is not None:
            # The server as a whole fails: requests that are not due would get the same error.
            for waiting in list(self._waiting):
                waiting.error = error
                self._end(waiting)
            return
        for waiting in due:
            waiting.error = error
            age = self._clock() - waiting.since
            waiting.due = max(waiting.since + self._lag.next_lookup(age), now + (error.after or 0))

    async def _find(self, due: Sequence[WaitingRequest], now: float) -> Collection[str]:
        wanted = sorted({each for waiting in due for each in waiting.left}, reverse=True)
        if not self._pages_usable or len(wanted) == 1:
            return await self._find_singly(wanted)
        size = max(waiting.size for waiting in due)
        limit = min(PAGE, max(1, PAGE_BYTES // (size + 1)))
        after = min(waiting.sent_at for waiting in due) - RECEIVED_BEFORE
        try:
            found = await self._read_pages(wanted, after, limit=limit)
            missed = await self._find_singly(doubtful(due, found, now))
            if missed and not await self._read_pages(missed[:1], after, limit=1):
                # It is stored, and pages do not show it: perhaps the server's clock is far off.
                self._pages_usable = False
                return await self._find_singly(wanted)
        except PageTooLarge:
            return await self._find_singly(wanted)
        return found.union(missed)

    async def _find_singly(self, wanted: Sequence[str]) -> Sequence[str]:
        found = list[str]()
        for start in range(0, len(wanted), SINGLES):
            some = wanted[start : start + SINGLES]
            answers = await asyncio.gather(
                *map(self._reader.is_stored, some), return_exceptions=True
            )
            for each, answer in zip(some, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                if answer:
                    found.append(each)
        return found

    async def _read_pages(self, wanted: Sequence[str], after: float, *, limit: int) -> set[str]:
        """The ids of `wanted`, which are newest first, that are stored."""
        found: set[str] = set()
        left = list(wanted)
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
