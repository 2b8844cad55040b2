"""A pause: the mark on the queue that an operator sets, and the monitor that looks for it.

The mark is a tag of the queue, so that every relay on the queue sees it, whatever its host. A relay
reads the tags four times a minute, which is 6,400 requests a day. The value says when the queue was
paused, by whom and why. A tag with any other value pauses the queue too.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote, unquote

from relay.aws.errors import AwsError
from relay.model.facts import Observe, PauseChanged, ignore

TAG = "relay-paused"

LONGEST_VALUE = 256
"""Characters in the value of a tag, a quota of AWS."""

CHECK_EVERY = 15.0
"""Most seconds between two reads of the tags."""

REFUSED_EVERY = 60.0
"""Seconds between reads that only a person can make succeed, such as by granting a permission."""

START_EVERY = 2.0
START_WITHIN = 30.0
"""Seconds for which a relay that starts waits for the first successful read, trying every two. A
relay that cannot read the tags delivers: most likely nobody has paused the queue."""

READ_WITHIN = 10.0
WARN_AFTER = 300.0
"""Seconds of transient failures after which a person should know."""

_NO_TIME = "-"
_SAFE = "_.:/+-@"
"""Besides letters and digits, what a tag's value may hold unescaped; `=` begins an escape."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Who paused the queue, when (epoch seconds) and why, as far as the tag's value says."""

    by: str = ""
    at: float | None = None
    reason: str = ""

    @property
    def sentence(self) -> str:
        """`paused by ana@host since 2026-05-04 10:00:00Z: deploying`."""
        by = f" by {self.by}" if self.by else ""
        since = "" if self.at is None else f" since {datetime.fromtimestamp(self.at, UTC):%F %TZ}"
        return f"paused{by}{since}" + (f": {self.reason}" if self.reason else "")

    def as_json(self) -> dict[str, str | None]:
        """The pause as JSON, with the time in ISO 8601."""
        return {"by": self.by, "at": _written(self.at), "reason": self.reason}


def tag_value(pause: Pause) -> str:
    """The tag's value for a pause; longer than `LONGEST_VALUE` if its reason is too long.

    Characters that a tag may not hold are escaped as in a URL, with `=` in place of `%`.
    """
    at = _written(pause.at) or _NO_TIME
    return f"{at} {_escaped(pause.by)} {_escaped(pause.reason, ' ')}".rstrip()


def read_pause(tags: Mapping[str, str]) -> Pause | None:
    """The pause that a queue's tags say, None without one. Any value of the tag is one."""
    if (value := tags.get(TAG)) is None:
        return None
    first, _, rest = value[:LONGEST_VALUE].partition(" ")
    at = _read_time(first)
    if at is None and first != _NO_TIME:
        return Pause(reason=_line(value[:LONGEST_VALUE]))  # set by hand
    by, _, reason = rest.partition(" ")
    return Pause(by=_unescaped(by), at=at, reason=_unescaped(reason))


def _written(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_time(text: str) -> float | None:
    try:
        return datetime.strptime(f"{text}+0000", "%Y-%m-%dT%H:%M:%SZ%z").timestamp()
    except ValueError:
        return None


def _escaped(text: str, more: str = "") -> str:
    escaped = quote(text, safe=_SAFE + more, errors="replace")
    return escaped.replace("~", "%7E").replace("%", "=")


def _unescaped(text: str) -> str:
    return _line(unquote(text.replace("=", "%")))


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


class Pausing(Protocol):
    """Whether the queue is paused."""

    @property
    def paused(self) -> bool:
        """Whether no message may be taken now: also while that is not known yet, at the start."""
        ...

    @property
    def current(self) -> Pause | None:
        """The pause, if the queue is known to be paused."""
        ...

    @property
    def warning(self) -> str | None:
        """Why a pause would not be noticed, as a sentence."""
        ...

    async def wait_resumed(self) -> bool:
        """Return, with True, when messages may be taken."""
        ...


class NeverPaused:
    """For a handler that knows no queue, such as that of a command."""

    paused = False
    current: Pause | None = None
    warning: str | None = None

    async def wait_resumed(self) -> bool:
        """Return at once."""
        return True


class PauseMonitor:
    """Knows whether the queue is paused.

    A read that fails changes nothing: a paused relay stays paused, another one goes on. Only at the
    start is there nothing to keep; see `START_WITHIN`. A host that keeps running calls `run`, one
    that is suspended between messages awaits `refresh` before it takes some.

    Args:
        read: reads the queue's tags; raises `AwsError`.
        observe: gets the start and the end of a pause.
        clock: seconds since the epoch.
        sleep: sleeps on that clock.
        uniform: jitter, so that many relays do not read at the same time.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Mapping[str, str]]],
        *,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.current: Pause | None = None
        self.warning: str | None = None
        self._read = read
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._resumed = asyncio.Event()
        self._known = False
        self._refused = False
        self._started_at = clock()
        self._failing_since: float | None = None
        self._checked_at = float("-inf")
        self._paused_at = 0.0

    @property
    def paused(self) -> bool:
        """Whether no message may be taken now: also while that is not known yet, at the start."""
        return not self._resumed.is_set()

    async def wait_resumed(self) -> bool:
        """Return, with True, when messages may be taken."""
        return await self._resumed.wait()

    async def run(self) -> None:
        """Read the tags again and again, until cancelled."""
        while True:
            await self.check()
            await self._sleep(self._uniform(0.8, 1.0) * self._every)

    async def refresh(self) -> None:
        """Read the tags if the last read was `CHECK_EVERY` seconds ago or failed at the start."""
        if not self._known or self._clock() - self._checked_at >= self._every:
            await self.check()

    async def check(self) -> None:
        """Read the tags once."""
        self._checked_at = self._clock()
        try:
            async with asyncio.timeout(READ_WITHIN):
                tags = await self._read()
        except AwsError as error:
            self._failed(error.sentence, refused=not error.transient)
        except TimeoutError:
            self._failed(f"SQS did not answer within {READ_WITHIN:g} s", refused=False)
        else:
            self._succeeded(read_pause(tags))

    @property
    def _every(self) -> float:
        if not self._known:
            return START_EVERY
        return REFUSED_EVERY if self._refused else CHECK_EVERY

    def _failed(self, sentence: str, *, refused: bool) -> None:
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        self._refused = refused
        late = not self._known and now - self._started_at >= START_WITHIN
        if refused or late or now - self._failing_since >= WARN_AFTER:
            self._warn(sentence)
        if not self._known and (refused or late):
            self._known = True
            self._resumed.set()

    def _warn(self, sentence: str) -> None:
        """Say once that a change of the tag goes unnoticed."""
        kept = "stays paused" if self.current else "delivers"
        if self.warning is None:
            _log.warning(
                "the tags of the queue cannot be read, so the relay %s and notices no `relay pause`"
                " or `relay resume`: %s",
                kept,
                sentence,
            )
        self.warning = f"`relay pause` and `relay resume` have no effect: {sentence}"

    def _succeeded(self, pause: Pause | None) -> None:
        if self.warning is not None:
            _log.info("the tags of the queue can be read again")
        self.warning, self._failing_since, self._refused = None, None, False
        before, self.current, self._known = self.current, pause, True
        if pause is None:
            self._resumed.set()
        else:
            self._resumed.clear()
        if (pause is None) != (before is None):
            self._report(pause, before)

    def _report(self, pause: Pause | None, before: Pause | None) -> None:
        now, seconds = self._clock(), 0.0
        if pause is not None:
            self._paused_at = now if pause.at is None else min(now, pause.at)
        else:
            seconds = now - self._paused_at
        known = pause or before or Pause()
        self._observe(
            PauseChanged(
                paused=pause is not None, by=known.by, reason=known.reason, seconds=seconds
            )
        )
