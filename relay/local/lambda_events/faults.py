"""Faults of invocations, each with the number of the invocations that it applies to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["throttle", "kill", "lose-answer", "time-out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to an invocation. It applies `times` times (None: always), after `skip`.

    Attributes:
        kind: `throttle` refuses the invocation; `kill` kills the process `after` seconds into it;
            `lose-answer` kills it when its answer arrives, which nobody gets; `time-out` ends it
            after `after` seconds as if its timeout had been reached.
    """

    kind: Kind
    skip: int = 0
    times: int | None = 1
    after: float = 0.0


class FaultScript:
    """A list of faults: the first that is not used up applies to an invocation."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults: list[_Scripted] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Append faults."""
        self._faults += [_Scripted(fault) for fault in faults]

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def take(self) -> Fault | None:
        """The fault of the next invocation, if any."""
        return next((one.fault for one in self._faults if one.applies()), None)


@dataclass(slots=True)
class _Scripted:
    fault: Fault
    seen: int = 0

    def applies(self) -> bool:
        """Whether it applies to the next invocation, which is counted until it is used up."""
        fault = self.fault
        if fault.times is not None and self.seen >= fault.skip + fault.times:
            return False
        self.seen += 1
        return self.seen > fault.skip
