"""The circuit breaker: a pure state machine that decides whether a request may be sent now."""

from __future__ import annotations

import random as chance
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_RETRY_AFTER = 300.0
"""Seconds. A longer `Retry-After` is cut to this: it may be a mistake, and a probe costs little."""

_MAX_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff in seconds, from `first` to `cap`, with jitter on half of each wait."""

    first: float
    cap: float

    def delay(
        self, failures: int, random: Callable[[], float], after: float | None = None
    ) -> float:
        """The wait after this many failures in a row; at least `after`, the requested wait."""
        doublings = min(max(failures - 1, 0), _MAX_DOUBLINGS)
        wait: float = min(self.cap, self.first * 2.0**doublings) * (0.5 + 0.5 * random())
        return max(wait, min(after or 0.0, MAX_RETRY_AFTER))


OUTAGE = Backoff(1.0, 20.0)
"""Between probes of a destination that is down: recovery is seen in seconds, at a low rate."""

HALT = Backoff(30.0, 45.0)
"""Between probes of a misconfiguration, which a person has to fix."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to send one request. Its result is ignored once the circuit has changed."""

    epoch: int
    probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderState:
    """The state of a forwarder for operators: the circuit, and what keeps events from delivery.

    Attributes:
        circuit: `closed`, `open`, `half-open` (an outage is being probed) or `halted`.
        reason: why it is not closed; while closed, that events fail alone without a witness.
        setting: the setting to check while halted.
        seconds: how long the circuit has been closed, or not closed.
        in_flight: events submitted and still without an outcome.
        last_error: the reason of the last failed request, however old.
    """

    circuit: str
    reason: str
    setting: str | None
    seconds: float
    in_flight: int
    last_error: str | None


class Breaker:
    """Closed until a failure is reported, then one probe at a time until one succeeds.

    It is `open` during an outage and `halted` when a person has to correct a setting. Both states
    are probed, and any well-formed answer to a probe closes the circuit. While a probe is due or
    running, an outage is `half-open`. Each change starts a new epoch, and results for permits
    of an older epoch are ignored. A cancelled request is neither a success nor a failure:
    call `release` for it. `closed` says whether requests may be sent.

    Args:
        outage: the wait between probes while open.
        halt: the wait between probes while halted.
        clock: monotonic seconds.
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
        self._epoch = 0
        self._failures = 0
        self.closed = True
        self._probing = False
        self._probe_at = 0.0
        self._since = clock()
        self._reason = ""
        self._setting: str | None = None
        self._proven = False

    @property
    def circuit(self) -> str:
        """`closed`, `open` or `halted`, without the short-lived `half-open`."""
        if self.closed:
            return "closed"
        return "open" if self._setting is None else "halted"

    @property
    def state(self) -> str:
        """The circuit, or `half-open` while an outage is being probed."""
        circuit = self.circuit
        return "half-open" if circuit == "open" and not self.wait else circuit

    @property
    def reason(self) -> str:
        """The failure that keeps the circuit open, as a sentence; empty while it is closed."""
        return self._reason

    @property
    def setting(self) -> str | None:
        """The setting to check while halted."""
        return self._setting

    @property
    def proven(self) -> bool:
        """Whether that failure was certainly caused by the destination."""
        return self._proven

    @property
    def seconds(self) -> float:
        """How long the circuit has been closed, or not closed."""
        return self._clock() - self._since

    @property
    def wait(self) -> float:
        """Seconds until the next probe is due; 0 when one is due, running or not needed."""
        if self.closed or self._probing:
            return 0.0
        return max(0.0, self._probe_at - self._clock())

    @property
    def admits(self) -> bool:
        """Whether `admit` may be called: the circuit is closed, or a probe is due and not sent."""
        return self.closed or not (self._probing or self.wait)

    def admit(self) -> Permit:
        """The permit for one request. While the circuit is not closed, that request is the probe.

        Raises:
            RuntimeError: no request may be sent now.
        """
        if not self.admits:
            raise RuntimeError(f"the circuit is {self.state} and admits no request")
        if self.closed:
            return Permit(self._epoch)
        self._probing = True
        return Permit(self._epoch, probe=True)

    def current(self, permit: Permit) -> bool:
        """Whether the circuit is unchanged since the permit was given."""
        return permit.epoch == self._epoch

    def answered(self, permit: Permit) -> bool:
        """Record a well-formed answer, whatever it says. Returns whether it counts."""
        if not self.current(permit):
            return False
        if permit.probe:
            self._failures, self.closed = 0, True
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
        """Record a failure of the destination itself, or of a probe. Returns whether it counts."""
        if not self.current(permit):
            return False
        moved = self.closed
        self._failures, self.closed = self._failures + 1, False
        self._proven = proven
        backoff = self._outage if setting is None else self._halt
        self._probe_at = self._clock() + backoff.delay(self._failures, self._random, after)
        self._change(reason, setting, moved=moved)
        return True

    def release(self, permit: Permit) -> None:
        """Record a request that was cancelled or whose end says nothing about the destination."""
        if permit.probe and self.current(permit):
            self._probing = False

    def _change(self, reason: str, setting: str | None, *, moved: bool) -> None:
        self._epoch += 1
        self._probing = False
        self._reason, self._setting = reason, setting
        if moved:
            self._since = self._clock()
