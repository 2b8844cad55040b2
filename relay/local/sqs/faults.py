"""What goes wrong on purpose, request by request."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec


@dataclass(frozen=True)
class Request:
    """A request as a fault function sees it, decoded when first asked."""

    action: str
    body: bytes

    @functools.cached_property
    def payload(self) -> Mapping[str, Any]:
        """The request's parameters, under the service's names."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body or b"{}")
        return decoded

    @property
    def queue(self) -> str | None:
        """The name of the queue that it is about, if it names one."""
        url = self.payload.get("QueueUrl")
        return url.rstrip("/").rpartition("/")[2] if isinstance(url, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a request, and in a script, to which.

    To which: requests of `action` to `queue` (None: any), after `skip` of them went well, `times`
    times (None: always). What, in the order in which it takes effect:

    - `delay`: seconds to wait before anything else;
    - `refuse`: the connection is closed and nothing is carried out;
    - `error`: this code is the answer and nothing is carried out, e.g. `RequestThrottled`,
      `ThrottlingException`, `KmsThrottled`, `ServiceUnavailable`; `status` overrides its status;
    - `entries`: a batch's entries by index that fail with a code, the others are carried out;
      `sender_fault` is what their `SenderFault` says;
    - `stale`: the handles in a delete or visibility change have lapsed before it; those of a
      receive lapse right after it;
    - `duplicate`: sent messages arrive twice, received ones are in the line once more, deleted
      ones come back, each as a second copy with the same message id;
    - `drop`: it is carried out, and the connection is closed instead of the answer.
    """

    action: str | None = None
    queue: str | None = None
    skip: int = 0
    times: int | None = 1
    delay: float = 0.0
    refuse: bool = False
    error: str | None = None
    status: int | None = None
    entries: Mapping[int, str] = field(default_factory=dict)
    sender_fault: bool = False
    stale: bool = False
    duplicate: bool = False
    drop: bool = False

    def matches(self, request: Request) -> bool:
        """Whether this is about such a request."""
        return self.action in (None, request.action) and self.queue in (None, request.queue)


NO_FAULT = Fault()
Faults: TypeAlias = Callable[[Request], Fault | None]


class FaultScript:
    """Faults in a list: the first that matches a request and is not spent happens to it."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lines = [_Line(fault) for fault in faults]

    def __call__(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        for line in self._lines:
            if line.fault.matches(request) and line.strikes():
                return line.fault
        return None

    def add(self, *faults: Fault) -> None:
        """Append to the script."""
        self._lines += [_Line(fault) for fault in faults]

    def clear(self) -> None:
        """Let everything go well from now on."""
        self._lines.clear()

    @property
    def pending(self) -> tuple[Fault, ...]:
        """Those that may still happen."""
        return tuple(line.fault for line in self._lines if not line.spent)


class _Line:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0

    @property
    def spent(self) -> bool:
        times = self.fault.times
        return times is not None and self._seen >= self.fault.skip + times

    def strikes(self) -> bool:
        if self.spent:
            return False
        self._seen += 1
        return self._seen > self.fault.skip
