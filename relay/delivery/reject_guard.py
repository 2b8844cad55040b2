"""The reject guard: stops a misconfiguration from emptying the queue into the dead-letter queue.

Poison messages are rare. When most of the last 200 distinct messages would be rejected with codes
that are far above their usual rates, the likely cause is a setting (a wrong envelope, a limit that
is too low) or a producer's new release, and a person should check before anything is moved. One
wrong setting can cause several codes, so their combined share counts.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from relay.delivery.held_rejects import HeldRejects
from relay.model.facts import Observe, RejectGuardChanged, RejectHeld, ignore
from relay.model.message import Message
from relay.model.outcome import Reject, Retry

SETTING = "RELAY_ENVELOPE"
"""The setting to check while the guard halts."""

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

SHOWN_FOR = 900.0
"""Seconds after the end of a halt for which it is still reported: a short one would be missed."""

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
            f" these codes; they stay in the queue. Check {SETTING} and the limits against what"
            " producers send. If the rejects are correct, set RELAY_REJECT_GUARD=off"
        )


class RejectGuard:
    """Counts how messages end, and holds rejects whose codes have suddenly become common.

    A held message goes back to the queue, so that it takes no place of others. Other messages go
    on; when they are the majority again, the held ones are admitted as they return. Its memory is
    bounded: `WINDOW` message ids, one rate for each code, and what `HeldRejects` remembers.

    Args:
        enabled: False to hold nothing.
        max_receives: receives after which SQS itself dead-letters a message.
        observe: called for each message that is held, and at the start and the end of a halt.
        clock: seconds.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        max_receives: int = 1_000,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._enabled = enabled
        self._observe = observe
        self._clock = clock
        self._ends: OrderedDict[str, str | None] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._usual: dict[str, float] = {}
        self._held = HeldRejects(max_receives=max_receives, clock=clock)
        self._changed_at = clock()
        self._has_held = False
        self._last: tuple[Suspicion, float] | None = None
        self.suspicion: Suspicion | None = None

    @property
    def recent(self) -> str | None:
        """A sentence about a halt that has ended lately, else None."""
        if self.suspicion is not None or self._last is None:
            return None
        (suspicion, seconds), ago = self._last, self._clock() - self._changed_at
        if ago > SHOWN_FOR:
            return None
        return (
            f"the reject guard halted for {seconds:.0f} s, until {ago:.0f} s ago: {suspicion.count}"
            f" of the last {suspicion.seen} messages would have been rejected as"
            f" {' and '.join(suspicion.codes)} ({suspicion.sample})"
        )

    def passed(self, message_id: str) -> None:
        """Count a message that was not rejected."""
        if self.suspicion is None and message_id not in self._ends:
            self._ends[message_id] = None  # nearly all messages, so in one call
            if len(self._ends) > WINDOW:
                oldest, code = self._ends.popitem(last=False)
                if code is not None or self._usual:
                    self._update_usual(oldest, code)
        else:
            self._count(message_id, None)
        if self._has_held:
            self._held.passed(message_id)

    def hold(self, message: Message, reject: Reject) -> Retry | None:
        """How long the rejected message has to wait in the queue; None to dead-letter it now.

        A message is counted once, however often it returns. One that was held when the guard was
        released is admitted, and one that SQS would move itself at the next receive: its dead
        letter has a reason.
        """
        message_id = message.message_id
        if not self._enabled or self._held.admitted(message_id):
            return None
        if self._held.code(message_id) != reject.code:
            self._count(message_id, reject.code)
            self._check(reject)
        if self.suspicion is None or reject.code not in self.suspicion.codes:
            return None
        if self._held.last_receive(message):
            return None
        self._has_held = True
        after = self._held.hold(message, reject.code)
        return self._retry(message, after, reject.code, f": {reject.reason}")

    def hold_again(self, message: Message) -> Retry | None:
        """The same for a held message that returns, without another attempt; else None."""
        if self.suspicion is None:
            return None
        found = self._held.hold_again(message)
        if found is None or found[0] not in self.suspicion.codes:
            return None
        code, after = found
        return self._retry(message, after, code)

    def _retry(self, message: Message, after: float, code: str, detail: str = "") -> Retry:
        self._observe(RejectHeld(message, code))
        return Retry(f"held by the reject guard: {code}{detail}", after)

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
            self._changed(str(self.suspicion))

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
        self._last = (self.suspicion, self._clock() - self._changed_at)
        self.suspicion = None
        self._held.release()
        self._changed("most messages are not rejected any more")

    def _changed(self, reason: str) -> None:
        now = self._clock()
        halted = self.suspicion is not None
        seconds = now - self._changed_at
        self._changed_at = now
        self._observe(
            RejectGuardChanged(halted=halted, reason=reason, seconds=seconds, setting=SETTING)
        )
