"""Failure attribution: decides whether an event or the destination caused a failed attempt."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from relay.forwarding.circuit_breaker import Breaker, Permit
from relay.forwarding.lanes import FailedAlone, GoodRun, PendingEvent, Ramp, Step, TryAgain
from relay.forwarding.suspects import Evidence, Suspects, WaitEnd, WitnessWaits
from relay.model.destination import BatchRefused, Unavailable
from relay.model.event import Event
from relay.model.lru import LruCache
from relay.model.outcome import Delivered, Outcome, Reject

MAX_MAY_HAVE_RUN = 50_000
"""Events whose last attempt had an unknown end. A forgotten one only loses its `may_have_run`."""


class FailureAttribution:
    """Blames a destination only for what no single event can have caused.

    The circuit opens, by design, for an answer that is certainly about the destination, for two
    different events that failed alike, each alone, with no event answered in between, and for a
    failed probe while it is open already. After any other failure the batch is split until the
    event at fault is alone. Where the events' environment may be the cause, two environments must
    have failed alike: one that does not exist never stops the others.
    """

    def __init__(
        self,
        breaker: Breaker,
        ramp: Ramp,
        good_run: GoodRun,
        suspects: Suspects,
        witness_waits: WitnessWaits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breaker = breaker
        self._ramp = ramp
        self._good_run = good_run
        self._suspects = suspects
        self._witness_waits = witness_waits
        self._clock = clock
        self._hint_trust = HintTrust()
        self._evidence = Evidence()
        self._may_have_run: LruCache[None] = LruCache(MAX_MAY_HAVE_RUN)
        self._on_wire: dict[str, int] = {}
        self.last_error: str | None = None

    def may_have_run(self, event_id: str) -> bool:
        """Whether the destination may hold the event although no caller was told so.

        True while an attempt with it is on the wire, and after one that had an unknown end or a
        success that no caller received, until a caller receives a success.
        """
        return event_id in self._may_have_run or event_id in self._on_wire

    @contextlib.contextmanager
    def sending(self, batch: Sequence[PendingEvent]) -> Iterator[None]:
        """Count the events as on the wire while the block runs."""
        ids, counts = [pending.event.id for pending in batch], self._on_wire
        for event_id in ids:
            counts[event_id] = counts.get(event_id, 0) + 1
        try:
            yield
        finally:
            for event_id in ids:
                if left := counts.pop(event_id) - 1:
                    counts[event_id] = left

    def delivery_returned(self, event: Event) -> None:
        """A caller received a success; one that was cancelled meanwhile receives none."""
        self._may_have_run.forget(event.id)

    def aborted(self, permit: Permit, batch: Sequence[PendingEvent]) -> None:
        """The attempt was cancelled or failed on our side: its end is unknown."""
        self._mark_may_have_run(pending.event for pending in batch)
        self._breaker.release(permit)

    def answered(
        self, permit: Permit, batch: Sequence[PendingEvent], outcomes: Sequence[Outcome]
    ) -> list[Step]:
        """The destination gave an outcome for each event."""
        if self._breaker.answered(permit):
            self._evidence.clear()
            self._ramp.restart() if permit.probe else self._ramp.grow()
            if any(isinstance(outcome, Delivered) for outcome in outcomes):
                self._witness_waits.end_all(WaitEnd.OTHER_ACCEPTED)
        if len(batch) == 1 and batch[0].hinted:
            self._hint_trust.record(accepted=isinstance(outcomes[0], Delivered))
        elif not batch[0].reported and isinstance(outcomes[0], Delivered):
            self._good_run.accepted(len(batch))
        if {*map(type, outcomes)} == {Delivered}:
            self._record_all_delivered(batch)
            return list(outcomes)
        return [self._record_outcome(p.event, o) for p, o in zip(batch, outcomes, strict=True)]

    def refused(
        self, permit: Permit, batch: Sequence[PendingEvent], error: BatchRefused
    ) -> list[Step]:
        """One of several events made the request fail. It says nothing about the destination."""
        if len(batch) == 1:
            return self.unavailable(permit, batch, Unavailable(error.reason))
        self.last_error = error.reason
        if not error.not_accepted:
            self._mark_may_have_run(pending.event for pending in batch[: error.suspect])
        if batch[0].reported:
            self._hint_trust.record(accepted=True)  # it said that it had stored all of them
        again = self._hint_trust.regroup(batch, error)
        if any(step.hinted for step in again):
            self._good_run.refused(error.suspect or 0)
        return list(again)

    def unavailable(
        self, permit: Permit, batch: Sequence[PendingEvent], error: Unavailable
    ) -> list[Step]:
        """No event got an outcome of its own."""
        self.last_error = error.reason
        if not error.not_accepted:
            self._mark_may_have_run(pending.event for pending in batch)
        again: list[Step] = [TryAgain(pending.batch_limit) for pending in batch]
        if not self._breaker.current(permit):
            return again
        if permit.probe and error.environment is not None:
            self._environment_refused(permit, batch[0].event)
            return again
        if error.proven or permit.probe:
            self._suspect_probe(permit, batch, error)
            self._open_circuit(permit, error)
            return again
        if len(batch) > 1:
            return [TryAgain(1)] * len(batch)
        return [self._failed_alone(permit, batch[0].event, error)]

    def _failed_alone(self, permit: Permit, event: Event, error: Unavailable) -> Step:
        is_evidence = self._suspects.add(event.id)
        if is_evidence and self._evidence.suffices(event.id, error.setting, error.environment):
            self._open_circuit(permit, error)
            return TryAgain()
        return FailedAlone(error.reason, self._clock(), error.after)

    def _environment_refused(self, permit: Permit, event: Event) -> None:
        """A probe was answered with a refusal of its environment."""
        self._suspects.add(event.id)
        if self._breaker.setting is None:  # an outage, which is over: the destination answers
            self._breaker.answered(permit)
            self._ramp.restart()
        else:  # nothing is known about the setting: another event must probe it
            self._breaker.failed(
                permit,
                self._breaker.reason,
                setting=self._breaker.setting,
                proven=self._breaker.proven,
            )

    def _suspect_probe(
        self, permit: Permit, batch: Sequence[PendingEvent], error: Unavailable
    ) -> None:
        # Suspects probe last, so each probe is another event, whichever side is at fault.
        if permit.probe and not error.proven:
            self._suspects.add(batch[0].event.id)

    def _open_circuit(self, permit: Permit, error: Unavailable) -> None:
        self._breaker.failed(
            permit,
            error.reason,
            after=error.after,
            setting=error.setting,
            proven=error.proven,
        )
        self._evidence.clear()

    def _record_all_delivered(self, batch: Sequence[PendingEvent]) -> None:
        """The same as `_record_outcome` for each, at a fraction of the cost."""
        ids = [pending.event.id for pending in batch]
        self._may_have_run.put_all(ids, None)
        if self._suspects.ids:
            for event_id in ids:
                self._suspects.clear(event_id)

    def _record_outcome(self, event: Event, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Delivered):
            self._may_have_run.put(event.id, None)
            self._suspects.clear(event.id)
        elif isinstance(outcome, Reject):
            self._suspects.clear(event.id)
            return replace(
                outcome, may_have_run=outcome.may_have_run or self.may_have_run(event.id)
            )
        else:
            # It was accepted and not seen stored, or its own request got no answer.
            self._may_have_run.put(event.id, None)
        return outcome

    def _mark_may_have_run(self, events: Iterable[Event]) -> None:
        for event in events:
            self._may_have_run.put(event.id, None)


class HintTrust:
    """Whether to follow a destination's hint about which event is at fault.

    Hints are followed until a hinted event is accepted alone or an event reported as stored makes
    a request fail, and again after a hinted event is not accepted alone.
    """

    def __init__(self) -> None:
        self._trusted = True

    def record(self, *, accepted: bool) -> None:
        """Record the result of sending a hinted event alone."""
        self._trusted = not accepted

    def regroup(self, batch: Sequence[PendingEvent], error: BatchRefused) -> list[TryAgain]:
        """After a refusal: three groups, or all in halves.

        The groups are the suspect alone, the events before it, which the destination may have
        stored, and those behind it, one of which may be refused next. Each refusal makes the groups
        smaller, so every event ends up alone even with a destination whose hints are always wrong.
        """
        suspect = error.suspect
        if suspect is None or not self._trusted or not 0 <= suspect < len(batch):
            return [TryAgain(max(1, len(batch) // 2))] * len(batch)
        stored = not error.not_accepted
        again = [
            TryAgain(pending.batch_limit, reported=stored and position < suspect)
            for position, pending in enumerate(batch)
        ]
        again[suspect] = TryAgain(1, hinted=True)
        return again
