"""The forwarder: sends events in batches, holds them during an outage, and returns each outcome."""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable

from relay.forwarding.admission import Admission
from relay.forwarding.attribution import FailureAttribution
from relay.forwarding.circuit_breaker import Backoff, Breaker, ForwarderState
from relay.forwarding.first_attempt import FirstAttempt, Forwarding
from relay.forwarding.lanes import (
    SEPARATOR,
    FailedAlone,
    GoodRun,
    Lanes,
    PendingEvent,
    Ramp,
    Step,
    TryAgain,
)
from relay.forwarding.requests import Requests, nothing
from relay.forwarding.suspects import Suspects, WaitEnd, WitnessWaits
from relay.forwarding.undelivered import Stuck, Undelivered
from relay.model.destination import Destination, Listener
from relay.model.event import Event
from relay.model.facts import Observe, ignore
from relay.model.outcome import Delivered, Outcome, Reject, Retry

STOPPING = Retry("stopping")

IN_PROCESS = Backoff(1.0, 30.0)
"""Between attempts of an event that fails alone while no other event shows whose fault that is."""

THROUGH_QUEUE = Backoff(60.0, 900.0)
"""Delay requested from the queue for an event that fails alone while others are accepted."""

MOST_TRIES = 3
"""Attempts of an event that fails alone with no witness, where events are not held."""


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
        before_probe: Callable[[], Awaitable[None]] = nothing,
        hold: bool = True,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._breaker = breaker or Breaker(clock=clock, random=random)
        self._undelivered = undelivered or Undelivered(clock=clock)
        self._hold = hold
        self._sleep = sleep
        self._random = random
        self._suspects = Suspects()
        self._witness_waits = WitnessWaits(sleep)
        ramp, good_run = Ramp(destination.limits.max_events), GoodRun()
        self._attribution = FailureAttribution(
            self._breaker, ramp, good_run, self._suspects, self._witness_waits, clock=clock
        )
        self._requests = Requests(
            destination,
            self._breaker,
            self._attribution,
            before_probe=before_probe,
            probe_sent=lambda: self._admission.probe_sent(),  # noqa: PLW0108 - created below
            ended=self._after_attempt,
            observe=observe,
            clock=clock,
        )
        self._lanes = Lanes(
            self._requests.begin, self._breaker, ramp, good_run, self._suspects, destination.limits
        )
        self._admission = Admission(
            self._breaker, self._lanes.wake, observe=observe, clock=clock, sleep=sleep
        )
        self._forwarding = Forwarding(
            self._accepted,
            self._lanes.withdraw,
            self._admission.leave,
            lambda attempt: self._finish(attempt.event, attempt),
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
        return await self._finish(event)

    def begin(self, event: Event, listener: Listener) -> FirstAttempt | None:
        """Begin to send the event, for a caller that awaits nothing as long as all goes well.

        None if it has to be submitted. An event that waits is withdrawn by detaching the attempt
        and cancelling the task that awaits its outcome.
        """
        if (
            self._stopping
            or event.id in self._suspects.ids
            or (not self._hold and self._gives_back)
        ):
            return None
        attempt = FirstAttempt(event, listener, self._forwarding)
        attempt.entry = self._lanes.add(PendingEvent(event, event.size + SEPARATOR), attempt)
        self._admission.enter()
        return attempt

    def _accepted(self, event: Event) -> None:
        """The first attempt delivered the event."""
        if self._undelivered.entries:
            self._undelivered.settled(event.id)
        self._attribution.delivery_returned(event)
        self._admission.leave()

    async def _finish(self, event: Event, attempt: FirstAttempt | None = None) -> Outcome:
        try:
            step = TryAgain() if attempt is None else await attempt.wait()
            return await self._await_outcome(event, step)
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

    async def _await_outcome(self, event: Event, step: Step) -> Outcome:
        failures, size = 0, event.size + SEPARATOR
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
                self._conclude(event, step)
                return step
            elif self._stopping:
                return STOPPING
            elif self._gives_back:
                return Retry(f"the destination is unavailable: {self._breaker.reason}")
            else:
                pending = PendingEvent(event, size, step.batch_limit, step.hinted, step.reported)
                step = await self._lanes.submit(pending)

    def _conclude(self, event: Event, outcome: Outcome) -> None:
        """The caller receives the destination's outcome."""
        if self._undelivered.entries or type(outcome) is Retry:
            self._note(event, outcome)
        if isinstance(outcome, Delivered):
            self._attribution.delivery_returned(event)

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
