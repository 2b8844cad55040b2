"""What is not delivered although nothing is known to be wrong: attempts that end without success.

A closed circuit says only that the destination answers. An answer that accepts nothing, or an event
that is accepted and never seen stored, leaves it closed. This counts such attempts, so that a relay
that delivers nothing does not look healthy.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST = 1_000
"""Keys that are remembered. The oldest are kept: they are the ones that matter."""

FORGOTTEN_AFTER = 2_400.0
"""Seconds after the last failed attempt. It is longer than any delay between two deliveries of a
message; after it, another relay has delivered the message, or it was deleted."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """That something is not delivered: a sentence with the reason, and the setting to check."""

    reason: str
    setting: str | None = None


@dataclass(slots=True)
class _Entry:
    since: float  # on the closed circuit's clock
    last: float
    attempts: int
    reason: str
    setting: str | None


class Undelivered:
    """The keys (ids of events or messages) whose last attempt ended without success.

    Time in which the circuit is not closed does not count. It costs nothing while every attempt
    succeeds: `settled` need only be called while there are `entries`.

    Args:
        what: what the keys are, with an article.
        setting: the setting to check if an attempt names none.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        what: str = "an event",
        setting: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.entries: OrderedDict[str, _Entry] = OrderedDict()
        self._what = what
        self._setting = setting
        self._clock = clock
        self._closed = True
        self._closed_before = 0.0
        self._changed_at = clock()
        self._settled_at = 0.0

    def failed(self, key: str, reason: str, setting: str | None = None) -> None:
        """An attempt ended without success, and the key is to be tried again."""
        now, at = self._closed_seconds(), self._clock()
        entry = self.entries.get(key)
        if entry is not None:
            entry.last, entry.reason, entry.setting = at, reason, setting or entry.setting
            entry.attempts += 1
        elif len(self.entries) < MOST:
            self.entries[key] = _Entry(now, at, 1, reason, setting)

    def settled(self, key: str) -> None:
        """The key was delivered or rejected; whatever is left, the destination works."""
        self.entries.pop(key, None)
        self._settled_at = self._closed_seconds()

    def forget(self, key: str) -> None:
        """The failure is the key's own and is handled as such."""
        self.entries.pop(key, None)

    def follow(self, *, closed: bool) -> None:
        """Follow the circuit: time counts only while it is closed."""
        if closed != self._closed:
            self._closed_before = self._closed_seconds()
            self._changed_at, self._closed = self._clock(), closed

    def restart(self) -> None:
        """Count from now on: what failed before the circuit closed was the outage's fault."""
        now = self._closed_seconds()
        for entry in self.entries.values():
            entry.attempts, entry.since = 1, now

    def stuck(self, after: float) -> Stuck | None:
        """What has not been settled `after` seconds after its first failed attempt, if anything.

        One attempt proves nothing: either the key failed again, or others failed and nothing at all
        was settled in the meantime.
        """
        self._forget_old()
        now = self._closed_seconds()
        attempts = sum(entry.attempts for entry in self.entries.values())
        old = [entry for entry in self.entries.values() if now - entry.since >= after]
        for entry in old:
            if entry.attempts > 1 or (attempts > 1 and self._settled_at <= entry.since):
                others = f" (and {len(old) - 1} more)" if len(old) > 1 else ""
                return Stuck(
                    f"{self._what}{others} not delivered for {now - entry.since:.0f} s although the"
                    f" circuit is closed: {entry.reason}",
                    entry.setting or self._setting,
                )
        return None

    def _closed_seconds(self) -> float:
        """How long the circuit has been closed in all."""
        return self._closed_before + (self._clock() - self._changed_at if self._closed else 0.0)

    def _forget_old(self) -> None:
        limit = self._clock() - FORGOTTEN_AFTER
        for key in [key for key, entry in self.entries.items() if entry.last < limit]:
            del self.entries[key]
