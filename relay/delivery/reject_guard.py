"""The reject guard: stops a misconfiguration from emptying the queue into the dead-letter queue.

Poison messages are rare. When most of the last 200 distinct messages would be rejected with codes
that are far above their usual rates, the likely cause is a setting (a wrong envelope, a limit that
is too low) or a producer's new release, and a person should check before anything is moved. One
wrong setting can cause several codes, so their combined share counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from relay.model.outcome import Reject

WINDOW = 200
"""Distinct messages whose ends are counted."""

MIN_REJECTS = 20
"""Rejects in the window below which the guard never halts."""

SHARE = 0.5
"""The share of rejects in the window above which the guard halts."""

ABOVE_USUAL = 3.0
"""The multiple of its usual rate from which a code is suspicious."""

MIN_OF_CODE = 5
"""Messages of a code in the window; fewer are taken for poison messages."""

HISTORY = 2_000
"""Messages after which an older usual rate hardly counts any more."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why the guard halts: the codes, how many of the last messages had them, and one reason."""

    codes: tuple[str, ...]
    count: int
    seen: int
    sample: str

    def __str__(self) -> str:
        """What happened and what to do, for a person."""
        return (
            f"{self.count} of the last {self.seen} messages would be rejected as"
            f" {' and '.join(self.codes)} ({self.sample}). No more messages are dead-lettered with"
            " these codes. Check RELAY_ENVELOPE and the limits against what producers send. If the"
            " rejects are correct, set RELAY_REJECT_GUARD=off"
        )


class RejectGuard:
    """Counts how messages end, and holds rejects whose codes have suddenly become common.

    Other messages go on. When they are the majority again, the held rejects are admitted. Its
    memory is bounded: `WINDOW` message ids, and one rate for each code.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._ends: OrderedDict[str, str | None] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._usual: dict[str, float] = {}
        self._released = asyncio.Event()
        self.suspicion: Suspicion | None = None

    def passed(self, message_id: str) -> None:
        """Count a message that was not rejected."""
        self._count(message_id, None)

    async def admit(self, message_id: str, reject: Reject) -> None:
        """Return when this message may be dead-lettered."""
        if not self._enabled:
            return
        self._count(message_id, reject.code)
        self._check(reject)
        while self.suspicion is not None and reject.code in self.suspicion.codes:
            await self._released.wait()

    def _count(self, message_id: str, code: str | None) -> None:
        if self._ends.get(message_id, code) != code or message_id not in self._ends:
            self._forget(message_id)
            self._ends[message_id] = code
            if code is not None:
                self._counts[code] += 1
        while len(self._ends) > WINDOW:
            self._update_usual(*self._ends.popitem(last=False))
        self._release()

    def _forget(self, message_id: str) -> None:
        before = self._ends.pop(message_id, None)
        if before is not None:
            self._counts[before] -= 1

    def _update_usual(self, _message_id: str, code: str | None) -> None:
        """Count what leaves the window in the usual rates, except for codes that are held."""
        if code is not None:
            self._counts[code] -= 1
        if self.suspicion is not None and code in self.suspicion.codes:
            return
        if code is not None:
            self._usual.setdefault(code, 0.0)
        for other, rate in self._usual.items():
            self._usual[other] = rate + ((other == code) - rate) / HISTORY

    def _check(self, reject: Reject) -> None:
        codes = self._risen_codes()
        if reject.code not in codes:
            return
        count, seen = self._total(codes), len(self._ends)
        if self.suspicion is not None:
            if reject.code not in self.suspicion.codes:
                codes = (*self.suspicion.codes, reject.code)
                self.suspicion = Suspicion(codes, self._total(codes), seen, self.suspicion.sample)
        elif count >= MIN_REJECTS and count > SHARE * seen:
            self.suspicion = Suspicion(codes, count, seen, reject.reason)
            self._released.clear()

    def _risen_codes(self) -> tuple[str, ...]:
        """The codes that are neither rare nor at their usual rate, the most common first."""
        return tuple(
            code
            for code, count in self._counts.most_common()
            if count >= MIN_OF_CODE and self._unusual(code)
        )

    def _unusual(self, code: str) -> bool:
        share = self._counts[code] / max(1, len(self._ends))
        return share >= ABOVE_USUAL * self._usual.get(code, 0.0)

    def _total(self, codes: Iterable[str]) -> int:
        return sum(self._counts[code] for code in codes)

    def _release(self) -> None:
        if self.suspicion is None or self._total(self._risen_codes()) > SHARE * len(self._ends):
            return
        self.suspicion = None
        self._released.set()
