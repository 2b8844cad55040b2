"""Requests: one attempt with a batch of events, and what follows for each of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from relay.forwarding.attribution import FailureAttribution
from relay.forwarding.batcher import WrongCount
from relay.forwarding.circuit_breaker import Breaker, Permit
from relay.forwarding.lanes import SEPARATOR, PendingEvent, Step
from relay.model.destination import BatchRefused, Destination, Unavailable
from relay.model.facts import Forwarded, Observe, ignore
from relay.model.outcome import Outcome


async def nothing() -> None:
    """Do nothing."""


class Requests:
    """Sends batches with the breaker's permits.

    Args:
        destination: where events go.
        breaker: gives the permits.
        attribution: interprets the results.
        before_probe: awaited before each probe while halted; may raise `Unavailable`.
        probe_sent: called when a probe begins.
        ended: called after each attempt.
        observe: called for each request.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        destination: Destination,
        breaker: Breaker,
        attribution: FailureAttribution,
        *,
        before_probe: Callable[[], Awaitable[None]] = nothing,
        probe_sent: Callable[[], None],
        ended: Callable[[], None],
        observe: Observe = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._destination = destination
        self._breaker = breaker
        self._attribution = attribution
        self._before_probe = before_probe
        self._probe_sent = probe_sent
        self._ended = ended
        self._observe = observe
        self._clock = clock

    def begin(self, batch: Sequence[PendingEvent]) -> Awaitable[Sequence[Step]]:
        """Take the permit now; the awaitable makes the attempt and returns what follows."""
        # No coroutine: the permit must be taken before the next lane checks whether one is left.
        permit = self._breaker.admit()
        if permit.probe:
            self._probe_sent()
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
            self._ended()

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
            size = sum([pending.size for pending in batch]) - SEPARATOR * len(batch)
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
