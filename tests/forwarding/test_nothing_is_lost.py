"""For any script of answers, errors, cancellations and stops, no event is lost or misjudged."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.forwarding.scripted import (
    POISONS,
    Failure,
    Relay,
    Scripted,
    event,
    key_not_found,
    refused_connection,
)
from tests.forwarding.virtual_time import now, run

OUTAGES = {
    **POISONS,
    "refused": Failure(refused_connection),
    "401": Failure(key_not_found),
}


@dataclass(frozen=True)
class Caller:
    arrives: float
    patience: float | None
    poison: str | None


@dataclass(frozen=True)
class Outage:
    starts: float
    lasts: float
    kind: str


callers = st.builds(
    Caller,
    arrives=st.floats(0, 120),
    patience=st.one_of(st.none(), st.none(), st.floats(0, 200)),
    poison=st.one_of(st.none(), st.none(), st.none(), st.sampled_from(sorted(POISONS))),
)
outages = st.builds(
    Outage,
    starts=st.floats(0, 120),
    lasts=st.floats(0.1, 90),
    kind=st.sampled_from(sorted(OUTAGES)),
)


class Watched(Scripted):
    """Checks the invariants at each request."""

    def __init__(self, script: Sequence[Outage], poison: dict[str, Failure]) -> None:
        super().__init__(max_events=8)
        self.script = script
        self.poison = poison
        self.gone: set[str] = set()
        self.on_the_wire: set[str] = set()
        self.probes = 0
        self.relay: Relay | None = None
        self.answer = self.watch

    async def watch(self, events: Sequence[Event]) -> Sequence[Outcome]:
        assert self.relay is not None
        names = {e.id for e in events}
        assert len(names) == len(events) <= 8
        assert names.isdisjoint(self.on_the_wire)
        assert names.isdisjoint(self.gone)
        probe = not self.relay.forwarder._breaker.closed
        if probe:
            assert (len(events), self.probes) == (1, 0)
        self.on_the_wire |= names
        self.probes += probe
        try:
            self.down = self.failure()
            return await self.honest(events)
        finally:
            self.on_the_wire -= names
            self.probes -= probe

    def failure(self) -> Failure | None:
        for outage in self.script:
            if outage.starts <= now() < outage.starts + outage.lasts:
                return OUTAGES[outage.kind]
        return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(callers, min_size=1, max_size=25),
    st.lists(outages, max_size=4),
    st.one_of(st.none(), st.floats(0, 200)),
)
def test_every_event_ends_as_it_should(
    script: list[Caller], down: list[Outage], stops: float | None
) -> None:
    async def main() -> None:
        names = [f"e-{i}" for i in range(len(script))]
        poison = {
            name: POISONS[caller.poison]
            for name, caller in zip(names, script, strict=True)
            if caller.poison
        }
        destination = Watched(down, poison)
        relay = destination.relay = Relay(destination)

        calls = [
            asyncio.create_task(call(relay, destination, *one))
            for one in zip(names, script, strict=True)
        ]
        if stops is None:
            good = [t for t, n in zip(calls, names, strict=True) if n not in poison]
            await asyncio.wait(good or calls, timeout=3_000)
        else:
            await asyncio.sleep(stops)
        await relay.forwarder.stop(60)
        outcomes = await asyncio.gather(*calls)

        for name, outcome in zip(names, outcomes, strict=True):
            check(name, outcome, destination, stopped=stops is not None)
        assert relay.forwarder.state.in_flight == 0
        assert destination.running == 0
        closed = [change.state == "closed" for change in relay.changes]
        assert not any(a and b for a, b in itertools.pairwise(closed))
        if stops is None and not down:
            patient = {n for n, c in zip(names, script, strict=True) if c.patience is None}
            assert patient - poison.keys() <= destination.accepted

    run(main)


async def call(relay: Relay, destination: Watched, name: str, caller: Caller) -> Outcome | None:
    await asyncio.sleep(caller.arrives)
    try:
        async with asyncio.timeout(caller.patience):
            return await relay.forwarder.submit(event(name))
    except TimeoutError:
        # A request that was formed just before starts only after these iterations of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if name not in destination.on_the_wire:
            destination.gone.add(name)
        return None


def check(name: str, outcome: Outcome | None, destination: Watched, *, stopped: bool) -> None:
    assert not isinstance(outcome, Reject)
    if isinstance(outcome, Delivered):
        assert name in destination.accepted
        assert outcome.reference == f"ref-{name}"
    if isinstance(outcome, Retry):
        assert outcome.reason == "stopping" or outcome.reason.startswith("fails_alone")
        assert stopped or name in destination.poison or destination.script
