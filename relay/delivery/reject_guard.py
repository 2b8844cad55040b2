"""The reject guard: stops a misconfiguration from emptying the queue into the dead-letter queue.

Poison is rare. When most of the last couple of hundred distinct messages would be rejected with
codes that are far above their usual rates, the fault is more likely ours (a wrongly pinned
envelope, a limit set too low) or a producer's new release, and a person should look before anything
is moved. One wrong setting can show in several codes, so it is their share together that counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from relay.model.outcome import Reject

WINDOW = 200
MIN_REJECTS = 20
SHARE = 0.5
ABOVE_USUAL = 3.0
FEW = 5
"""Messages of a code in the window; fewer are honest poison, as far as anybody can tell."""

HISTORY = 2_000
"""Messages after which the usual rate has mostly forgotten an older habit."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why the guard holds: the codes, how many of the last messages had them, and one reason."""

    codes: tuple[str, ...]
    count: int
    seen: int
    sample: str

    def __str__(self) -> str:
        """One sentence for a person, with what to do."""
        return (
            f"{self.count} of the last {self.seen} messages would be rejected as"
            f" {' and '.join(self.codes)} ({self.sample}). Nothing more is dead-lettered for it."
            " Check RELAY_ENVELOPE and the limits against what producers send; if it is right to"
            " reject these, set RELAY_REJECT_GUARD=off"
        )


class RejectGuard:
    """Judges each message's end and holds rejects of codes that became common overnight.

    Messages without those codes go on; as soon as they are the majority again, the held ones are
    let go. Bounded: remembers `WINDOW` message ids and one rate for each code.
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
        """Return once this reject may be dead-lettered; wait for as long as it must not be."""
        if not self._enabled:
            return
        self._count(message_id, reject.code)
        self._suspect(reject)
        while self.suspicion is not None and reject.code in self.suspicion.codes:
            await self._released.wait()

    def _count(self, message_id: str, code: str | None) -> None:
        if self._ends.get(message_id, code) != code or message_id not in self._ends:
            self._forget(message_id)
            self._ends[message_id] = code
            if code is not None:
                self._counts[code] += 1
        while len(self._ends) > WINDOW:
            self._learn(*self._ends.popitem(last=False))
        self._relent()

    def _forget(self, message_id: str) -> None:
        before = self._ends.pop(message_id, None)
        if before is not None:
            self._counts[before] -= 1

    def _learn(self, _message_id: str, code: str | None) -> None:
        """What leaves the window becomes the usual, unless it was held: no habit comes of that."""
        if code is not None:
            self._counts[code] -= 1
        if self.suspicion is not None and code in self.suspicion.codes:
            return
        if code is not None:
            self._usual.setdefault(code, 0.0)
        for known, rate in self._usual.items():
            self._usual[known] = rate + ((known == code) - rate) / HISTORY

    def _suspect(self, reject: Reject) -> None:
        codes = self._risen()
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

    def _risen(self) -> tuple[str, ...]:
        """The codes that are neither rare nor usual, the most common first."""
        return tuple(
            code
            for code, count in self._counts.most_common()
            if count >= FEW and self._unusual(code)
        )

    def _unusual(self, code: str) -> bool:
        share = self._counts[code] / max(1, len(self._ends))
        return share >= ABOVE_USUAL * self._usual.get(code, 0.0)

    def _total(self, codes: Iterable[str]) -> int:
        return sum(self._counts[code] for code in codes)

    def _relent(self) -> None:
        if self.suspicion is None or self._total(self._risen()) > SHARE * len(self._ends):
            return
        self.suspicion = None
        self._released.set()
