"""The forwarder: brings each event to its outcome, and holds it while the way is not free."""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from relay.forwarding.attribution import Judge
from relay.forwarding.batcher import WrongCount
from relay.forwarding.circuit_breaker import Backoff, Breaker, Permit
from relay.forwarding.gate import Way
from relay.forwarding.isolation import Again, Alone, Hearing, News, Parcel, Ramp, Step, Suspects
from relay.forwarding.lanes import Lanes
from relay.model.destination import Destination, Refused, Unavailable
from relay.model.event import Event
from relay.model.facts import Forwarded, Observe, ignore
from relay.model.outcome import Outcome, Reject, Retry

STOPPING = Retry("stopping")

IN_PROCESS = Backoff(1.0, 30.0)
"""Between tries of an event that fails alone while nobody else is there to tell why."""

THROUGH_QUEUE = Backoff(60.0, 900.0)
"""Asked of the queue for an event that fails alone while others pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderState:
    """What keeps events from being delivered, if anything does.

    Attributes:
        circuit: `closed`, `open`, `half-open` (an outage is being probed) or `halted`.
        reason: why it is not closed; while closed, that events fail alone without a witness.
        setting: what to look at while halted.
        seconds: how long the way has been free, or not free.
        in_hand: events submitted and not settled.
        last_error: the last failed request's reason, of any age.
    """

    circuit: str
    reason: str
    setting: str | None
    seconds: float
    in_hand: int
    last_error: str | None


async def _nothing() -> None:
    return


class Forwarder:
    """Submits to it are concurrent; requests are batches of what waits.

    Args:
        destination: where events go. It makes one attempt; attempts are counted here.
        breaker: of the same clock.
        before_probe: awaited before each probe while halted, to look a mended secret up again; it
            may raise `Unavailable`.
        observe: is told of each request, and of an outage's start and end.
        clock: seconds that never go back.
        sleep: waits on that clock.
        random: jitter, 0 to 1.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        breaker: Breaker | None = None,
        before_probe: Callable[[], Awaitable[None]] = _nothing,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._destination = destination
        self._breaker = breaker or Breaker(clock=clock, random=random)
        self._before_probe = before_probe
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._suspects = Suspects()
        self._hearing = Hearing(sleep)
        ramp = Ramp(destination.limits.max_events)
        self._judge = Judge(self._breaker, ramp, self._suspects, self._hearing, clock=clock)
        self._lanes = Lanes(self._begin, self._breaker, ramp, self._suspects, destination.limits)
        self._way = Way(self._breaker, self._lanes.wake, observe=observe, clock=clock, sleep=sleep)
        self._stopping = False

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, after as many attempts as that takes.

        It is held while the way is not free. Cancelling withdraws it, unless it is on the wire:
        that attempt finishes for the others in it.
        """
        if self._stopping:
            return STOPPING
        self._way.come()
        try:
            return await self._settle(event)
        finally:
            self._way.go()

    def may_have_run(self, event_id: str) -> bool:
        """Whether the destination may hold the event although no success was seen."""
        return self._judge.may_have_run(event_id)

    @property
    def state(self) -> ForwarderState:
        """What a person should know now."""
        return ForwarderState(
            circuit=self._breaker.state,
            reason=self._breaker.reason or self._unwitnessed(),
            setting=self._breaker.setting,
            seconds=self._breaker.seconds,
            in_hand=self._way.in_hand,
            last_error=self._judge.last_error,
        )

    @property
    def accepting(self) -> bool:
        """Whether new messages should be taken; while the way is not free, one.

        One is needed then when a probe is due and nothing is in hand to probe with, or when all in
        hand have been tried and might be at fault themselves.
        """
        return self._way.accepting

    async def wait_accepting(self) -> None:
        """Return when new messages should be taken; never after `stop`."""
        await self._way.wait_accepting()

    async def stop(self, deadline: float) -> None:
        """Start nothing new and let what is on the wire finish, for `deadline` seconds at most.

        Everything else resolves to `Retry("stopping")`, at once.
        """
        self._stopping = True
        self._way.stop()
        self._lanes.dismiss(STOPPING)
        self._hearing.tell(News.CHANGED)
        drained = asyncio.ensure_future(self._lanes.drain())
        late = asyncio.ensure_future(self._sleep(deadline))
        try:
            await asyncio.wait({drained, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
            late.cancel()
        self._lanes.dismiss(STOPPING, sent=True)
        await self._lanes.aclose()

    async def _settle(self, event: Event) -> Outcome:
        step: Step = Again()
        failures, size = 0, len(event.wire)
        while True:
            if isinstance(step, Alone):
                failures += 1
                step = await self._hear(event, step, failures)
            elif not isinstance(step, Again):
                self._judge.heard(event, step)
                return step
            elif self._stopping:
                return STOPPING
            else:
                step = await self._lanes.submit(Parcel(event, size, step.company, step.named))

    async def _hear(self, event: Event, alone: Alone, failures: int) -> Step:
        """It failed alone: its own fault once another event passes, else it is tried again."""
        if not self._breaker.closed or self._stopping:
            return Again(1)
        news = await self._hearing.wait(IN_PROCESS.delay(failures, self._random, alone.after))
        if news is not News.PASSED:
            return Again(1)
        record = self._suspects.confirm(event.id, alone.at)
        if record.conclusive:
            self._suspects.acquit(event.id)
            return _fails_alone(alone.reason, may_have_run=self.may_have_run(event.id))
        wait = THROUGH_QUEUE.delay(record.failures, self._random, alone.after)
        return Retry(f"fails_alone: {alone.reason}", wait)

    def _begin(self, parcels: Sequence[Parcel]) -> Awaitable[Sequence[Step]]:
        # Not a coroutine: the permit must be taken before anybody else asks whether one is left.
        permit = self._breaker.admit()
        if permit.probe:
            self._way.probed()
        return self._attempt(permit, parcels)

    async def _attempt(self, permit: Permit, parcels: Sequence[Parcel]) -> Sequence[Step]:
        try:
            if permit.probe and self._breaker.setting is not None:
                await self._before_probe()
            with self._judge.sending(parcels):
                outcomes = await self._post(parcels)
        except Unavailable as error:
            return self._judge.unavailable(permit, parcels, error)
        except Refused as error:
            return self._judge.refused(permit, parcels, error)
        except BaseException:
            self._judge.cut_off(permit, parcels)
            raise
        else:
            return self._judge.answered(permit, parcels, outcomes)
        finally:
            self._turn()

    async def _post(self, parcels: Sequence[Parcel]) -> Sequence[Outcome]:
        events = [parcel.event for parcel in parcels]
        start, error = self._clock(), "cut off"
        try:
            outcomes = await self._destination.send(events)
            if len(outcomes) != len(events):
                raise WrongCount(f"{len(outcomes)} outcomes for {len(events)} events")
            error = ""
        except (Unavailable, Refused) as failure:
            error = failure.reason
            raise
        finally:
            size = sum(parcel.size for parcel in parcels)
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

    def _turn(self) -> None:
        if self._way.turn():
            # The destination is to blame: whoever went alone because of it need not any more.
            self._lanes.rejoin()
            self._hearing.tell(News.CHANGED)
        self._lanes.wake()

    def _unwitnessed(self) -> str:
        if not len(self._hearing):
            return ""
        return (
            f"events that fail alone, and no other to tell whose fault it is: {len(self._hearing)}"
        )


def _fails_alone(reason: str, *, may_have_run: bool) -> Reject:
    return Reject(
        "fails_alone",
        f"the event fails alone, again and again, while others pass: {reason}",
        may_have_run,
    )
