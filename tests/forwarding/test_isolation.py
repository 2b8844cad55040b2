"""Isolation: a refused request is split, and a hint about the event at fault is only a hint."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.model.destination import BatchRefused, Limits
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from tests.forwarding.scripted import LATENCY, Relay, Scripted, bad_gateway, event
from tests.forwarding.strict import NAMES, Hint, Strict
from tests.forwarding.virtual_time import run


def test_the_suspect_is_sent_alone_and_those_before_and_behind_it_together() -> None:
    async def main() -> None:
        destination = Strict({"e-07"})
        relay = Relay(destination)
        outcomes = await asyncio.gather(*relay.submit(*NAMES))
        assert [isinstance(o, Delivered) for o in outcomes] == [n != "e-07" for n in NAMES]
        assert isinstance(outcomes[7], Reject)
        assert not outcomes[7].may_have_run
        assert sorted(destination.sizes[:2]) == [7, 40]
        assert 1 in destination.sizes
        assert max(Counter(n for one in destination.requests for n in one.ids).values()) == 2
        assert relay.changes == []

    run(main)


def test_several_bad_events_are_isolated_one_after_the_other() -> None:
    async def main() -> None:
        destination = Strict({"e-03", "e-20", "e-39"})
        outcomes = await asyncio.gather(*Relay(destination).submit(*NAMES))
        assert {n for n, o in zip(NAMES, outcomes, strict=True) if isinstance(o, Reject)} == {
            "e-03",
            "e-20",
            "e-39",
        }
        assert len(destination.requests) < 20
        assert max(Counter(n for one in destination.requests for n in one.ids).values()) <= 4

    run(main)


LIES: dict[str, Hint] = {
    "always the first": lambda _events, _bad_index: 0,
    "always the last": lambda events, _bad_index: len(events) - 1,
    "the one before": lambda _events, bad_index: max(0, bad_index - 1),
    "none": lambda _events, _bad_index: None,
    "one that is not there": lambda _events, _bad_index: 10_000,
    "a negative one": lambda _events, _bad_index: -1,
}


@pytest.mark.parametrize("lie", LIES)
def test_wrong_hints_lose_no_event(lie: str) -> None:
    async def main() -> None:
        destination = Strict({"e-17"}, LIES[lie])
        outcomes = await asyncio.gather(*Relay(destination).submit(*NAMES))
        assert [isinstance(o, Delivered) for o in outcomes] == [n != "e-17" for n in NAMES]
        assert set(NAMES) - destination.stored == {"e-17"}
        assert len(destination.requests) < 30

    run(main)


def test_an_event_said_to_be_stored_by_a_failed_request_is_sent_again() -> None:
    """The destination claims a stored prefix that is lost: only a success settles an event."""

    async def main() -> None:
        destination = Strict({"e-17"})
        claimed: set[str] = set()

        async def forgetful(events: Sequence[Event]) -> Sequence[Outcome]:
            try:
                return await destination.refuse(events)
            except BatchRefused as error:
                claimed.update(e.id for e in events[: error.suspect])
                destination.stored.clear()
                raise

        destination.answer = forgetful
        outcomes = await asyncio.gather(*Relay(destination).submit(*NAMES))
        assert claimed
        delivered = {n for n, o in zip(NAMES, outcomes, strict=True) if isinstance(o, Delivered)}
        assert delivered == destination.stored == set(NAMES) - {"e-17"}

    run(main)


def test_a_request_that_is_too_large_is_split_and_an_event_too_large_is_rejected() -> None:
    async def main() -> None:
        destination = Scripted()

        async def small_requests_only(events: Sequence[Event]) -> Sequence[Outcome]:
            await asyncio.sleep(LATENCY)
            if len(events) > 6:
                raise BatchRefused("413", not_accepted=True)
            if any(e.id == "e-11" for e in events):
                if len(events) == 1:
                    return [Reject("too_large_for_destination", "413")]
                raise BatchRefused("413", not_accepted=True)
            return [Delivered() for _ in events]

        destination.answer = small_requests_only
        outcomes = await asyncio.gather(*Relay(destination).submit(*NAMES))
        assert [isinstance(o, Delivered) for o in outcomes] == [n != "e-11" for n in NAMES]
        assert outcomes[11] == Reject("too_large_for_destination", "413", may_have_run=False)
        assert max(destination.sizes[1:]) <= 20

    run(main)


def test_a_refusal_of_a_single_event_counts_as_no_answer() -> None:
    async def main() -> None:
        destination = Scripted()

        async def confused(events: Sequence[Event]) -> Sequence[Outcome]:
            raise BatchRefused("one of one", suspect=0)

        destination.answer = confused
        relay = Relay(destination)
        task = relay.submit("lonely")[0]
        await asyncio.sleep(10)
        assert not task.done()
        destination.answer = destination.honest
        assert isinstance(await task, Delivered)

    run(main)


def test_requests_stay_within_the_limits_of_the_destination() -> None:
    async def main() -> None:
        destination = Scripted()
        destination._limits = Limits(max_events=10, max_bytes=200)
        relay = Relay(destination)
        await asyncio.gather(*relay.submit(*NAMES))
        assert all(fact.size <= 200 for fact in relay.forwarded)
        assert sum(fact.events for fact in relay.forwarded) == len(NAMES)
        assert max(fact.events for fact in relay.forwarded) > 1

    run(main)


def test_each_request_is_reported_with_its_error() -> None:
    async def main() -> None:
        destination = Strict({"e-00"})
        relay = Relay(destination)
        await asyncio.gather(*relay.submit(*NAMES[:3]))
        reported = [(fact.events, fact.error) for fact in relay.forwarded]
        assert sorted(reported, key=str) == [(1, None), (2, None), (3, "event name is empty")]
        assert all(fact.seconds > 0.01 for fact in relay.forwarded)
        assert all(fact.size == fact.events * len(event("e-00").wire) for fact in relay.forwarded)

    run(main)


def test_a_bug_in_a_destination_reaches_its_callers_and_blocks_no_other_event() -> None:
    async def main() -> None:
        destination = Scripted()

        async def short(events: Sequence[Event]) -> Sequence[Outcome]:
            return []

        destination.answer = short
        relay = Relay(destination)
        results = await asyncio.gather(*relay.submit("a", "b"), return_exceptions=True)
        assert all(isinstance(result, RuntimeError) for result in results)
        destination.answer = destination.honest
        assert isinstance(await relay.forwarder.submit(event("c")), Delivered)
        assert relay.forwarder.state.in_flight == 0

    run(main)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    bad=st.sets(st.sampled_from(NAMES), max_size=6),
    seed=st.integers(0, 2**32),
    max_events=st.integers(2, 50),
    flaky=st.integers(0, 6),
)
def test_for_any_hint_good_events_are_delivered_and_bad_ones_are_not(
    bad: set[str], seed: int, max_events: int, flaky: int
) -> None:
    async def main() -> None:
        def anything(events: Sequence[Event], bad_index: int) -> int | None:
            anywhere: list[int | None] = [None, bad_index, *range(-1, len(events) + 1)]
            return chance.choice(anywhere)

        destination = Strict(bad, anything, max_events=max_events)
        left, chance = [flaky], Random(seed)

        async def sometimes_broken(events: Sequence[Event]) -> Sequence[Outcome]:
            if left[0] and chance.random() < 0.3:
                left[0] -= 1
                raise bad_gateway()
            return await destination.refuse(events)

        destination.answer = sometimes_broken
        outcomes = await asyncio.gather(*Relay(destination).submit(*NAMES))
        for name, outcome in zip(NAMES, outcomes, strict=True):
            if name in bad:
                assert not isinstance(outcome, Delivered)
            elif isinstance(outcome, Delivered):
                assert name in destination.stored
            else:
                # It failed alone on the flaky server while other events were accepted.
                assert not isinstance(outcome, Reject)

    run(main)
