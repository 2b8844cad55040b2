"""Failure attribution: one event never harms others, and no event is blamed for an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.forwarding.scripted import (
    POISONS,
    Failure,
    Relay,
    Scripted,
    bad_gateway,
    event,
    forbidden,
    html,
    key_not_found,
    refused_connection,
    timeout,
)
from tests.forwarding.virtual_time import now, run

GOOD = [f"good-{i}" for i in range(30)]


@pytest.mark.parametrize("kind", POISONS)
def test_one_poison_event_among_good_ones_neither_halts_nor_opens_the_circuit(kind: str) -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison["bad"] = POISONS[kind]
        relay = Relay(destination)
        tasks = relay.submit(*GOOD[:15], "bad", *GOOD[15:])
        outcomes = await asyncio.gather(*tasks[:15], *tasks[16:])
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        if kind == "nothing at all":
            await asyncio.sleep(30)
        await asyncio.gather(*relay.submit("another"))
        verdict = await tasks[15]
        assert isinstance(verdict, Retry)
        assert verdict.reason.startswith("fails_alone")
        assert verdict.after is not None
        assert relay.changes == []

    run(main)


def test_a_hanging_event_does_not_delay_other_events() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison |= {f"bad-{i}": POISONS["nothing at all"] for i in range(3)}
        relay = Relay(destination)
        # Each becomes a suspect by failing alone once.
        for i in range(3):
            task = relay.submit(f"bad-{i}")[0]
            await asyncio.sleep(30.5)
            await asyncio.gather(*relay.submit(f"witness-{i}"))
            assert isinstance(await task, Retry)
        hanging = relay.submit("bad-0", "bad-1", "bad-2")
        await asyncio.sleep(1)
        start = now()
        for batch in range(20):
            await asyncio.gather(*relay.submit(*(f"{batch}-{name}" for name in GOOD)))
        assert now() - start < 1
        for task in hanging:
            task.cancel()

    run(main)


@pytest.mark.parametrize(
    ("failure", "may_have_run"),
    [
        (Failure(forbidden), False),
        (Failure(html), True),
        (Failure(bad_gateway), True),
        (Failure(timeout, 30), True),
    ],
)
def test_an_event_that_fails_alone_for_half_an_hour_while_others_are_accepted_is_rejected(
    failure: Failure, may_have_run: bool
) -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison["bad"] = failure
        relay = Relay(destination)
        traffic = asyncio.create_task(steady_traffic(relay))
        start, outcome = now(), await relay.forwarder.submit(event("bad"))
        while isinstance(outcome, Retry):
            await asyncio.sleep(outcome.after or 300)
            outcome = await relay.forwarder.submit(event("bad"))
        assert isinstance(outcome, Reject)
        assert (outcome.code, outcome.may_have_run) == ("fails_alone", may_have_run)
        assert 1_800 <= now() - start < 3_600
        assert relay.changes == []
        traffic.cancel()

    run(main)


def test_a_lone_event_that_fails_is_held_and_retried_without_a_verdict() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison["lonely"] = POISONS["502"]
        relay = Relay(destination)
        task = relay.submit("lonely")[0]
        await asyncio.sleep(600)
        assert not task.done()
        assert relay.changes == []
        assert relay.forwarder.accepting
        state = relay.forwarder.state
        assert (state.circuit, state.in_flight, state.last_error) == ("closed", 1, "502")
        assert "fail alone" in state.reason
        assert 10 < len(destination.requests) < 60
        del destination.poison["lonely"]
        assert isinstance(await task, Delivered)
        assert relay.forwarder.state.reason == ""

    run(main)


@pytest.mark.parametrize(
    ("failure", "circuit", "setting"),
    [
        (Failure(bad_gateway), "half-open", None),
        (Failure(timeout, 30), "half-open", None),
        (Failure(forbidden), "halted", "RELAY_INNGEST_EVENT_KEY"),
        (Failure(html), "halted", "RELAY_INNGEST_URL"),
    ],
)
def test_two_different_events_that_fail_alone_alike_open_the_circuit(
    failure: Failure, circuit: str, setting: str | None
) -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = failure
        relay = Relay(destination)
        tasks = relay.submit(*GOOD)
        await relay.change()
        assert destination.sizes[:3] == [30, 1, 1]
        assert len(destination.requests) <= 4
        assert relay.forwarder.state.setting == setting
        await asyncio.sleep(300)
        assert not any(task.done() for task in tasks)
        assert relay.forwarder.state.circuit in (circuit, "open" if setting is None else circuit)
        destination.down = None
        probes = len(destination.requests)
        outcomes = await asyncio.gather(*tasks)
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        # Events whose batch the outage made fail are sent in batches again.
        assert max(destination.sizes[probes:]) > 1
        assert [change.state for change in relay.changes] == [
            "open" if setting is None else "halted",
            "closed",
        ]

    run(main)


@pytest.mark.parametrize(
    ("failure", "circuit"), [(refused_connection, "open"), (key_not_found, "halted")]
)
def test_a_proven_failure_needs_no_second_event(
    failure: Callable[[], Exception], circuit: str
) -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(failure)
        relay = Relay(destination)
        tasks = relay.submit(*GOOD)
        await asyncio.sleep(0.1)
        assert destination.sizes == [30]
        assert [change.state for change in relay.changes] == [circuit]
        destination.down = None
        await asyncio.gather(*tasks)

    run(main)


def test_an_answer_in_between_clears_the_first_failure() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison |= {"bad-1": POISONS["502"], "bad-2": POISONS["502"]}
        relay = Relay(destination)
        first = relay.submit("bad-1")
        await asyncio.sleep(0.1)
        assert isinstance((await asyncio.gather(*relay.submit("good")))[0], Delivered)
        assert isinstance(await first[0], Retry)
        second = relay.submit("bad-2")
        await asyncio.sleep(0.1)
        assert relay.changes == []
        await asyncio.gather(*relay.submit("good-2"))
        assert isinstance(await second[0], Retry)

    run(main)


def test_two_poison_events_may_open_the_circuit_but_do_not_keep_it_open() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison |= {"bad-1": POISONS["403"], "bad-2": POISONS["403"]}
        relay = Relay(destination)
        bad = relay.submit("bad-1", "bad-2")
        await asyncio.sleep(1)
        assert relay.forwarder.state.circuit == "halted"
        good = await asyncio.gather(*relay.submit("good-1"))
        assert isinstance(good[0], Delivered)
        assert now() < 60
        await asyncio.sleep(5)
        await asyncio.gather(*relay.submit("good-2"))
        await asyncio.sleep(5)
        await asyncio.gather(*relay.submit("good-3"))
        assert all(isinstance(outcome, Retry) for outcome in await asyncio.gather(*bad))
        assert [change.state for change in relay.changes] == ["halted", "closed"]

    run(main)


def test_a_new_event_probes_before_those_that_have_failed_as_probes() -> None:
    async def main() -> None:
        destination = Scripted()
        names = [f"bad-{i}" for i in range(20)]
        destination.poison |= dict.fromkeys(names, POISONS["502"])
        relay = Relay(destination)
        bad = relay.submit(*names)
        await asyncio.sleep(900)
        start = now()
        assert isinstance((await asyncio.gather(*relay.submit("fresh")))[0], Delivered)
        assert now() - start < 21
        for task in bad:
            task.cancel()

    run(main)


def test_the_first_event_to_fail_in_an_outage_is_not_blamed_when_it_ends() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway)
        relay = Relay(destination)
        first = relay.submit("first")
        await asyncio.sleep(200)
        second = relay.submit("second")
        await relay.change()
        destination.down = None
        assert isinstance((await asyncio.gather(*second))[0], Delivered)
        assert isinstance((await asyncio.gather(*first))[0], Delivered)

    run(main)


def test_a_late_failure_of_a_batch_does_not_suspect_its_events() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(timeout, 30.0)
        relay = Relay(destination)
        late = relay.submit(*GOOD)
        await asyncio.sleep(10)
        destination.down = Failure(refused_connection)
        others = relay.submit("other")
        await relay.change()
        destination.down = None
        await asyncio.gather(*others, *late)
        assert now() > 30
        assert 1 not in destination.sizes[-2:]

    run(main)


def test_events_that_probed_an_outage_are_not_blamed_for_it() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)
        for _ in range(6):
            destination.down = Failure(bad_gateway)
            tasks = relay.submit(*GOOD)
            await asyncio.sleep(900)
            destination.down = None
            outcomes: list[Outcome] = await asyncio.gather(*tasks)
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)

    run(main)


async def steady_traffic(relay: Relay) -> None:
    for i in range(1_000_000):
        await asyncio.gather(*relay.submit(*(f"{i}-{name}" for name in GOOD[:3])))
        await asyncio.sleep(10)
