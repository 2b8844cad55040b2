"""`POST /e/{key}`, with the exact responses of the real server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from http.client import BAD_REQUEST, OK, responses
from typing import Literal, TypeAlias

from relay.local.clock import Clock
from relay.local.inngest.event import ParsedEvent
from relay.local.inngest.faults import Fault
from relay.local.inngest.pipeline import Pipeline
from relay.local.inngest.records import StoredEvent, read_seed, ulid
from relay.local.inngest.request import JSON, Reply, Request, as_json

Mode: TypeAlias = Literal["dev", "start"]

_NO_FAULT = Fault()


class EventApi:
    """Accepts events into the pipeline.

    Args:
        pipeline: where accepted events go.
        clock: for timestamps, ULIDs and the boot window.
        entropy: returns this many random bytes, for ULIDs.
        mode: `dev` accepts any event key, `start` only the given ones.
        event_keys: the keys of `start`; without any, every request gets a 503.
        boot_window: seconds after a start during which events are acknowledged and lost.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        clock: Clock,
        entropy: Callable[[int], bytes],
        *,
        mode: Mode = "dev",
        event_keys: Sequence[str] = (),
        boot_window: float = 0.0,
    ) -> None:
        self.acknowledged: Counter[str] = Counter()
        self._pipeline = pipeline
        self._clock = clock
        self._entropy = entropy
        self._mode = mode
        self._event_keys = frozenset(event_keys)
        self._boot_window = boot_window
        self._started_at = clock.time()

    def started(self) -> None:
        """Start the boot window."""
        self._started_at = self._clock.time()

    def answer(self, key: str, request: Request, fault: Fault | None = None) -> Reply:
        """Carry out a POST under this event key as far as the fault allows, and respond.

        The key is looked at first, and as it came: a percent-encoded one is another key.
        """
        return self._key_error(key) or self._receive(request, fault or _NO_FAULT)

    def accept_one(self, event: ParsedEvent) -> str:
        """Accept an event of another request; returns its internal id."""
        now = self._clock.time()
        internal_id = self._new_id(now)
        stored = StoredEvent.of(event, internal_id, now, self._received_at(now))
        self._accept([stored], now, forget=False)
        return internal_id

    def _key_error(self, key: str) -> Reply | None:
        if self._mode == "dev":
            return None
        if not self._event_keys:
            return error_reply(503, "Event keys are required to process events securely")
        return None if key in self._event_keys else error_reply(401, "Event key not found")

    def _receive(self, request: Request, fault: Fault) -> Reply:
        now = self._clock.time()
        ids = self._internal_ids(request, now)
        received = self._received_at(now)
        count = request.parsed.accepted if fault.accept is None else fault.accept
        events = request.parsed.events[:count]
        self._accept(
            [StoredEvent.of(event, ids[at], now, received) for at, event in enumerate(events)],
            now,
            forget=fault.forget,
        )
        error = fault.error if fault.status is not None else request.parsed.error
        status = fault.status or (OK if error is None else BAD_REQUEST)
        listed = len(ids if status == OK else events) if fault.claim is None else fault.claim
        ids += [self._new_id(now) for _ in range(listed - len(ids))]
        return _answer(status, ids[:listed], error)

    def _accept(self, events: Sequence[StoredEvent], now: float, *, forget: bool) -> None:
        self.acknowledged.update(event.id for event in events)
        if not forget and now - self._started_at >= self._boot_window:
            self._pipeline.accept(events, now)
            self._pipeline.advance(now)

    def _received_at(self, now: float) -> float:
        """When an event acknowledged now is stored, in whole microseconds as it is shown."""
        return round(now + self._pipeline.lags.insert, 6)

    def _internal_ids(self, request: Request, now: float) -> list[str]:
        seed = read_seed(request.headers.get("x-inngest-event-id-seed", ""))
        count = len(request.parsed.events)
        if seed is not None:
            return [seed.at(position) for position in range(count)]
        return [self._new_id(now) for _ in range(count)]

    def _new_id(self, now: float) -> str:
        return ulid(int(now * 1000), self._entropy(10))


def error_reply(status: int, error: str) -> Reply:
    """A JSON response for an error other than an invalid event."""
    return as_json({"status": status, "message": "", "error": error}, status, JSON)


def _answer(status: int, ids: Sequence[str], error: str | None) -> Reply:
    if status not in (OK, BAD_REQUEST):
        return error_reply(status, error or responses.get(status, "Unknown"))
    # The list is never empty: without events it contains one empty id.
    answer = {"ids": list(ids) or [""], "status": status}
    return as_json(answer if error is None else {**answer, "error": error}, status)
