"""Fault injection, request by request."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec


@dataclass(frozen=True)
class Request:
    """A request as a fault function sees it. The payload is decoded on first use."""

    action: str
    body: bytes

    @functools.cached_property
    def payload(self) -> Mapping[str, Any]:
        """The request's parameters by their names in the API."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body or b"{}")
        return decoded

    @property
    def queue(self) -> str | None:
        """The name of the queue in the request, if there is one."""
        url = self.payload.get("QueueUrl")
        return url.rstrip("/").rpartition("/")[2] if isinstance(url, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault: which requests of a script it applies to, and what happens to them.

    It applies to requests of `action` to `queue` (None: any), after `skip` of them succeeded,
    `times` times (None: always). The effects, in the order in which they are applied:

    - `delay`: wait this many seconds first;
    - `refuse`: close the connection; nothing is carried out;
    - `error`: respond with this code; nothing is carried out. Examples: `RequestThrottled`,
      `ThrottlingException`, `KmsThrottled`, `ServiceUnavailable`. `status` overrides its status;
    - `entries`: these entries of a batch, by index, fail with a code; the others are carried out.
      `sender_fault` is their `SenderFault`;
    - `stale`: the handles of a delete or visibility change expire before it is carried out, which a
      FIFO queue rejects; those of a receive expire right after it;
    - `duplicate`: sent messages arrive twice, received ones become visible once more, deleted ones
      come back: each as a second copy with the same MessageId;
    - `drop`: carry the request out, then close the connection instead of responding.
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
        """Whether the fault is for this action and queue."""
        return self.action in (None, request.action) and self.queue in (None, request.queue)


NO_FAULT = Fault()
Faults: TypeAlias = Callable[[Request], Fault | None]


class FaultScript:
    """A list of faults: the first that matches a request and is not used up applies to it."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = [_ScriptedFault(fault) for fault in faults]

    def __call__(self, request: Request) -> Fault | None:
        """The fault for this request, if any."""
        for scripted in self._faults:
            if scripted.fault.matches(request) and scripted.applies():
                return scripted.fault
        return None

    def add(self, *faults: Fault) -> None:
        """Append faults."""
        self._faults += [_ScriptedFault(fault) for fault in faults]

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that are not used up."""
        return tuple(scripted.fault for scripted in self._faults if not scripted.used_up)


class _ScriptedFault:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0

    @property
    def used_up(self) -> bool:
        times = self.fault.times
        return times is not None and self._seen >= self.fault.skip + times

    def applies(self) -> bool:
        if self.used_up:
            return False
        self._seen += 1
        return self._seen > self.fault.skip
