"""The forwarder: sends events in batches, holds them during an outage, and returns each outcome."""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable, Sequence

from relay.forwarding.admission import Admission
from relay.forwarding.attribution import FailureAttribution
from relay.forwarding.batcher import WrongCount
from relay.forwarding.circuit_breaker import Backoff, Breaker, ForwarderState, Permit
from relay.forwarding.lanes import FailedAlone, GoodRun, Lanes, PendingEvent, Ramp, Step, TryAgain
from relay.forwarding.suspects import Suspects, WaitEnd, WitnessWaits
from relay.forwarding.undelivered import Stuck, Undelivered
from relay.model.destination import BatchRefused, Destination, Unavailable
from relay.model.event import Event
from relay.model.facts import Forwarded, Observe, ignore
from relay.model.outcome import Outcome, Reject, Retry

STOPPING = Retry("stopping")

IN_PROCESS = Backoff(1.0, 30.0)
"""Between attempts of an event that fails alone while no other event shows whose fault that is."""

THROUGH_QUEUE = Backoff(60.0, 900.0)
"""Delay requested from the queue for an event that fails alone while others are accepted."""

MOST_TRIES = 3
"""Attempts of an event that fails alone with no witness, where events are not held."""


async def _nothing() -> None:
    return


class Forwarder:
    """Forwards events that are submitted concurrently to one destination.

    Args:
        destination: where events go. It makes one attempt; all retries are the forwarder's.
        breaker: a circuit breaker with the same clock.
        undelivered: notices events whose attempts end without success; with the same clock.
        before_probe: awaited before each probe while halted, to look a corrected secret up again;
            it may raise `Unavailable`.
        hold: False where nothing may wait for minutes (AWS Lambda): while no event can be sent,
            the outcome is `Retry` at once.
        observe: called for each request, and at the start and end of an outage.
        clock: monotonic seconds.
        sleep: waits on that clock.
        random: jitter, 0 to 1.
    """

    def __init__(  # noqa: PLR0913 - its parts have defaults
        self,
        destination: Destination,
        *,
        breaker: Breaker | None = None,
        undelivered: Undelivered | None = None,
        before_probe: Callable[[], Awaitable[None]] = _nothing,
        hold: bool = True,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._destination = destination
        self._breaker = breaker or Breaker(clock=clock, random=random)
        self._undelivered = undelivered or Undelivered(clock=clock)
        self._before_probe = before_probe
        self._hold = hold
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._suspects = Suspects()
        self._witness_waits = WitnessWaits(sleep)
        ramp, good_run = Ramp(destination.limits.max_events), GoodRun()
        self._attribution = FailureAttribution(
            self._breaker, ramp, good_run, self._suspects, self._witness_waits, clock=clock
        )
        self._lanes = Lanes(
            self._begin, self._breaker, ramp, good_run, self._suspects, destination.limits
        )
        self._admission = Admission(
            self._breaker, self._lanes.wake, observe=observe, clock=clock, sleep=sleep
        )
        self._stopping = False

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, after as many attempts as that takes.

        The event is held while the circuit is not closed, unless `hold` is False. Cancelling the
        call withdraws it, unless it is on the wire: that attempt continues for the other events.
        """
        if self._stopping:
            return STOPPING
        self._admission.enter()
        try:
            return await self._await_outcome(event)
        except asyncio.CancelledError:
            # Its message expires, or is given back, which the handler notes for the message.
            self._undelivered.forget(event.id)
            raise
        finally:
            self._admission.leave()

    def may_have_run(self, event_id: str) -> bool:
        """Whether the destination may hold the event although no success was seen."""
        return self._attribution.may_have_run(event_id)

    @property
    def state(self) -> ForwarderState:
        """The state for operators."""
        return ForwarderState(
            circuit=self._breaker.state,
            reason=self._breaker.reason or self._unwitnessed(),
            setting=self._breaker.setting,
            seconds=self._breaker.seconds,
            in_flight=self._admission.in_flight,
            last_error=self._attribution.last_error,
        )

    def stuck(self, after: float) -> Stuck | None:
        """Which events have failed for `after` seconds while the circuit was closed, if any."""
        return self._undelivered.stuck(after)

    @property
    def accepting(self) -> bool:
        """Whether new messages should be taken; see `Admission.accepting`."""
        return self._admission.accepting

    @property
    def down_for(self) -> float:
        """Seconds for which no event can be sent; 0 if one can, as a probe too."""
        return 0.0 if self.accepting else self._breaker.seconds

    @property
    def down(self) -> bool:
        """Whether the circuit is not closed: an event can be sent as a probe at most."""
        return not self._breaker.closed

    async def wait_accepting(self) -> None:
        """Return when new messages should be taken; never after `stop`."""
        await self._admission.wait_accepting()

    async def stop(self, deadline: float) -> None:
        """Start no request and let those on the wire finish, for `deadline` seconds at most.

        Every other event resolves to `Retry("stopping")` at once.
        """
        self._stopping = True
        self._admission.stop()
        self._lanes.resolve_all(STOPPING)
        self._witness_waits.end_all(WaitEnd.STATE_CHANGED)
        drained = asyncio.ensure_future(self._lanes.drain())
        late = asyncio.ensure_future(self._sleep(deadline))
        try:
            await asyncio.wait({drained, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
            late.cancel()
        self._lanes.resolve_all(STOPPING, sent=True)
        await self._lanes.aclose()

    async def _await_outcome(self, event: Event) -> Outcome:
        step: Step = TryAgain()
        failures, size = 0, event.size
        while True:
            if isinstance(step, FailedAlone):
                failures += 1
                self._undelivered.failed(event.id, step.reason)
                step = await self._await_witness(event, step, failures)
                if isinstance(step, Retry | Reject):
                    # The event's own failure, which ends in a rejection after half an hour.
                    self._undelivered.forget(event.id)
                    return step
            elif not isinstance(step, TryAgain):
                if self._undelivered.entries or type(step) is Retry:
                    self._note(event, step)
                self._attribution.outcome_returned(event, step)
                return step
            elif self._stopping:
                return STOPPING
            elif self._gives_back:
                return Retry(f"the destination is unavailable: {self._breaker.reason}")
            else:
                pending = PendingEvent(event, size, step.batch_limit, step.hinted, step.reported)
                step = await self._lanes.submit(pending)

    def _note(self, event: Event, outcome: Outcome) -> None:
        """Note the destination's outcome, if it is no success or other events had none."""
        if not isinstance(outcome, Retry):
            self._undelivered.settled(event.id)
        elif outcome is not STOPPING:
            self._undelivered.failed(event.id, outcome.reason)

    async def _await_witness(self, event: Event, failed: FailedAlone, failures: int) -> Step:
        """Wait for another event to be accepted: then the failure was this event's own."""
        if not self._breaker.closed or self._stopping:
            return TryAgain(1)
        if not self._hold and failures >= MOST_TRIES:
            wait = THROUGH_QUEUE.delay(failures, self._random, failed.after)
            return Retry(f"fails alone, without a witness: {failed.reason}", wait)
        delay = IN_PROCESS.delay(failures, self._random, failed.after)
        if await self._witness_waits.wait(delay) is not WaitEnd.OTHER_ACCEPTED:
            return TryAgain(1)
        record = self._suspects.record_failure(event.id, failed.at)
        if record.conclusive:
            self._suspects.clear(event.id)
            return _fails_alone(failed.reason, may_have_run=self.may_have_run(event.id))
        wait = THROUGH_QUEUE.delay(record.failures, self._random, failed.after)
        return Retry(f"fails_alone: {failed.reason}", wait)

    def _begin(self, batch: Sequence[PendingEvent]) -> Awaitable[Sequence[Step]]:
        # No coroutine: the permit must be taken before the next lane checks whether one is left.
        permit = self._breaker.admit()
        if permit.probe:
            self._admission.probe_sent()
        return self._attempt(permit, batch)

    async def _attempt(self, permit: Permit, batch: Sequence[PendingEvent]) -> Sequence[Step]:
        try:
            if permit.probe and self._breaker.setting is not None:
                await self._before_probe()
            with self._attribution.sending(batch):
                outcomes = await self._send(batch)
        except Unavailable as error:
            return self._attribution.unavailable(permit, batch, error)
        except BatchRefused as error:
            return self._attribution.refused(permit, batch, error)
        except BaseException:
            self._attribution.aborted(permit, batch)
            raise
        else:
            return self._attribution.answered(permit, batch, outcomes)
        finally:
            self._after_attempt()

    async def _send(self, batch: Sequence[PendingEvent]) -> Sequence[Outcome]:
        events = [pending.event for pending in batch]
        start, error = self._clock(), "cancelled"
        try:
            outcomes = await self._destination.send(events)
            if len(outcomes) != len(events):
                raise WrongCount(f"{len(outcomes)} outcomes for {len(events)} events")
            error = ""
        except (Unavailable, BatchRefused) as failure:
            error = failure.reason
            raise
        finally:
            size = sum(pending.size for pending in batch)
            seconds = self._clock() - start
            self._observe(
                Forwarded(
                    events=len(events),
                    size=size,
                    seconds=seconds,
                    error=error or None,
                    sent=events,
                )
            )
        return outcomes

    def _after_attempt(self) -> None:
        self._undelivered.follow(closed=self._breaker.closed)
        if self._admission.update():
            # The destination is at fault, so the events it made fail need not be sent alone.
            self._lanes.release_singles()
            self._witness_waits.end_all(WaitEnd.STATE_CHANGED)
        if self._gives_back:
            self._lanes.give_back()
        self._lanes.wake()

    @property
    def _gives_back(self) -> bool:
        """Whether events are given back now: none is held, and the next probe is not due."""
        return not self._hold and self._breaker.wait > 0

    def _unwitnessed(self) -> str:
        if not len(self._witness_waits):
            return ""
        return (
            "events that fail alone, with no other event to show whose fault it is:"
            f" {len(self._witness_waits)}"
        )


def _fails_alone(reason: str, *, may_have_run: bool) -> Reject:
    return Reject(
        "fails_alone",
        f"the event failed alone repeatedly while other events were accepted: {reason}",
        may_have_run,
    )
