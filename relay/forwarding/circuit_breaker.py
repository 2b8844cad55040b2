"""The circuit breaker: a pure state machine that says who may send now, and who may probe."""

from __future__ import annotations

import random as chance
import time
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_AFTER = 300.0
"""Seconds. No `Retry-After` keeps us away for longer: it may be a mistake, a probe costs little."""

_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait: doubling from `first` to `cap`, the second half of each left to chance."""

    first: float
    cap: float

    def delay(
        self, failures: int, random: Callable[[], float], after: float | None = None
    ) -> float:
        """The wait after so many failures in a row, at least what the other side asked for."""
        doublings = min(max(failures - 1, 0), _DOUBLINGS)
        wait: float = min(self.cap, self.first * 2.0**doublings) * (0.5 + 0.5 * random())
        return max(wait, min(after or 0.0, LONGEST_AFTER))


OUTAGE = Backoff(1.0, 20.0)
"""Between probes of a destination that is down: back within seconds, never a hammer."""

HALT = Backoff(30.0, 45.0)
"""Between probes of a misconfiguration, which a person has to mend."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one request. It counts for nothing once the circuit has changed."""

    generation: int
    probe: bool = False


class Breaker:
    """Closed until told of a failure with evidence, then one probe at a time until one passes.

    It is `open` during an outage and `halted` where a person has to look at a setting; either is
    probed, and either is closed by any well-formed answer to a probe. While the probe is due or
    out, an outage is `half-open`. Each change starts a generation: answers to permits of an older
    one change nothing. What was cancelled is neither a success nor a failure: `release` it.

    Args:
        outage: the wait between probes while open.
        halt: the wait between probes while halted.
        clock: seconds that never go back.
        random: jitter, 0 to 1.
    """

    def __init__(
        self,
        *,
        outage: Backoff = OUTAGE,
        halt: Backoff = HALT,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._outage = outage
        self._halt = halt
        self._clock = clock
        self._random = random
        self._generation = 0
        self._failures = 0
        self._probing = False
        self._probe_at = 0.0
        self._since = clock()
        self._reason = ""
        self._setting: str | None = None
        self._proven = False

    @property
    def closed(self) -> bool:
        """Whether the way is free."""
        return self._failures == 0

    @property
    def circuit(self) -> str:
        """`closed`, `open` or `halted`: what changes only with the way itself."""
        if self.closed:
            return "closed"
        return "open" if self._setting is None else "halted"

    @property
    def state(self) -> str:
        """The circuit, or `half-open` where an outage is just being probed."""
        circuit = self.circuit
        return "half-open" if circuit == "open" and not self.wait else circuit

    @property
    def reason(self) -> str:
        """The failure that keeps the way closed, as a sentence; empty while there is none."""
        return self._reason

    @property
    def setting(self) -> str | None:
        """The setting to look at while halted."""
        return self._setting

    @property
    def proven(self) -> bool:
        """Whether that failure is the destination's own beyond doubt."""
        return self._proven

    @property
    def seconds(self) -> float:
        """How long the way has been free, or not free, without a break."""
        return self._clock() - self._since

    @property
    def wait(self) -> float:
        """Seconds until the next probe is due; 0 when one is, or none is needed."""
        if self.closed or self._probing:
            return 0.0
        return max(0.0, self._probe_at - self._clock())

    @property
    def admits(self) -> bool:
        """Whether `admit` may be called: the way is free, or a probe is due and none is out."""
        return self.closed or not (self._probing or self.wait)

    def admit(self) -> Permit:
        """The permit of one request. While the way is not free, that request is the probe.

        Raises:
            RuntimeError: nobody is admitted now.
        """
        if not self.admits:
            raise RuntimeError(f"the circuit is {self.state} and admits nobody")
        if self.closed:
            return Permit(self._generation)
        self._probing = True
        return Permit(self._generation, probe=True)

    def current(self, permit: Permit) -> bool:
        """Whether nothing has changed since the permit was given."""
        return permit.generation == self._generation

    def answered(self, permit: Permit) -> bool:
        """A well-formed answer, whatever it said. Returns whether it counts."""
        if not self.current(permit):
            return False
        if permit.probe:
            self._failures = 0
            self._change("", None, moved=True)
        return True

    def failed(
        self,
        permit: Permit,
        reason: str,
        *,
        after: float | None = None,
        setting: str | None = None,
        proven: bool = False,
    ) -> bool:
        """A failure of the destination itself, or of a probe. Returns whether it counts."""
        if not self.current(permit):
            return False
        moved = self.closed
        self._failures += 1
        self._proven = proven
        backoff = self._outage if setting is None else self._halt
        self._probe_at = self._clock() + backoff.delay(self._failures, self._random, after)
        self._change(reason, setting, moved=moved)
        return True

    def release(self, permit: Permit) -> None:
        """The request was cancelled, or ended in a way that says nothing about the destination."""
        if permit.probe and self.current(permit):
            self._probing = False

    def _change(self, reason: str, setting: str | None, *, moved: bool) -> None:
        self._generation += 1
        self._probing = False
        self._reason, self._setting = reason, setting
        if moved:
            self._since = self._clock()
