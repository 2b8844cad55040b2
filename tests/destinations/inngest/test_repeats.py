"""Events are not sent again while they may be stored, however the search for them goes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

import pytest

from relay.destinations.inngest.confirm import ConfirmedInngest
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.earlier import EarlierAttempts
from relay.destinations.inngest.read_back import PAGE
from relay.model.destination import BatchRefused, Unavailable
from relay.model.outcome import Delivered, Outcome, Retry
from tests.destinations.inngest.double import (
    BROKE,
    NO_ANSWER,
    SLOW,
    Server,
    confirming,
    forwarding,
    is_denied,
    lose_the_answer,
)
from tests.destinations.inngest.rig import event, events
from tests.forwarding.virtual_time import now, run


async def _until_sent(
    send: Callable[[], Awaitable[Sequence[Outcome]]], *, tries: int
) -> Sequence[Outcome]:
    for _ in range(tries - 1):
        try:
            return await send()
        except Unavailable as error:
            failed = (error.reason, error.proven)
            if failed != ("listing events takes too long", True):
                raise
    return await send()


@pytest.mark.parametrize(("most", "delay"), [(PAGE, 1.0), (6, 0.2)], ids=["slow", "small pages"])
def test_an_unfinished_search_proves_no_absence_and_is_resumed(most: int, delay: float) -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            await lose_the_answer(server, lambda: destination.send(events(3)))
            await asyncio.sleep(60)
            for _ in range(30):
                await server.send([event(f"other{next(numbers)}") for _ in range(100)])
            server.most, server.read_delay = most, delay
            outcomes = await _until_sent(lambda: destination.send(events(3)), tries=30)
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert [post for post in server.posts if "e0" in post] == server.posts[:1]
        assert server.runs["e0"] == 1

    numbers = itertools.count()
    run(main)


def test_a_slow_search_ends_and_events_that_are_absent_are_sent_again() -> None:
    async def main() -> None:
        server = Server(lag=1.0)
        async with confirming(server) as destination:
            await lose_the_answer(server, lambda: destination.send(events(3)))
            server.lag = 0.0
            await asyncio.sleep(60)
            for at in range(20):
                await server.send([event(f"other{at}-{n}") for n in range(100)])
            server.read_delay = 1.0
            await _until_sent(lambda: destination.send(events(3)), tries=3)
        assert len([post for post in server.posts if "e0" in post]) == 2

    run(main)


def test_a_restart_between_two_lookups_is_noticed() -> None:
    async def main() -> None:
        server = Server(lag=5.0)
        async with confirming(server) as destination:
            server.send_fault, server.loses_answers = NO_ANSWER, True
            with pytest.raises(Unavailable):
                await destination.send([event("e")])
            await asyncio.sleep(60)
            server.heal()
            other = asyncio.create_task(destination.send([event("other")]))
            await asyncio.sleep(1)
            server.die()
            server.read_fault = Unavailable("502 when reading events back", disconnected=True)
            await asyncio.sleep(10)
            server.heal()
            assert isinstance((await other)[0], Retry)
            (outcome,) = await destination.send([event("e")])
            assert isinstance(outcome, Delivered)
        assert server.posts == [["e"], ["other"]]

    run(main)


@pytest.mark.parametrize("search_fails", [False, True])
def test_after_a_restart_an_event_is_also_searched_under_the_ids_of_earlier_attempts(
    *, search_fails: bool
) -> None:
    async def main() -> None:
        server = Server(lag=30.0)
        async with confirming(server) as destination:
            server.send_fault, server.loses_answers = NO_ANSWER, True
            with pytest.raises(Unavailable):
                await destination.send([event("e")])
            server.send_fault, server.lag = None, 1_000.0
            sending = asyncio.create_task(destination.send([event("e")]))
            await asyncio.sleep(40)
            server.die()
            with pytest.raises(Unavailable):
                await destination.send([event("probe")])
            await asyncio.gather(sending, return_exceptions=True)
            server.heal()
            server.lag = 30.0
            if search_fails:
                server.list_fault = SLOW
                with pytest.raises(Unavailable):
                    await destination.send([event("e")])
                server.list_fault = None
            (outcome,) = await destination.send([event("e")])
            assert outcome == Delivered(server.copies[0].internal_id)
        assert server.posts == [["e"], ["e"]]
        assert server.runs["e"] == 1

    run(main)


def test_the_suspect_of_a_refusal_is_counted_among_all_events() -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            await lose_the_answer(server, lambda: destination.send([event("e")]))
            server.send_fault = BatchRefused("event name is empty", suspect=1)
            with pytest.raises(BatchRefused) as caught:
                await destination.send([event("a"), event("e"), event("b"), event("c")])
            assert caught.value.suspect == 2

    run(main)


@pytest.mark.parametrize("accepted", [True, False])
def test_trouble_before_anything_was_sent_says_so(*, accepted: bool) -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            server.send_fault = None if accepted else BROKE
            is_denied(server)
            with pytest.raises(Unavailable) as caught:
                await destination.send([event("e")])
            assert not caught.value.not_accepted
            posts = len(server.posts)
            with pytest.raises(Unavailable) as caught:
                await destination.send([event("e"), event("fresh")])
            assert (caught.value.not_accepted, len(server.posts)) == (True, posts)

    run(main)


def test_trouble_before_a_repeat_keeps_the_mark_of_the_earlier_attempt() -> None:
    async def main() -> None:
        server = Server()
        async with forwarding(server) as forwarder:
            is_denied(server)
            sending = asyncio.create_task(forwarder.submit(event("e")))
            await asyncio.sleep(200)
            assert len(server.posts) == 1
            assert forwarder.may_have_run("e")
            server.heal()
            await sending

    run(main)


def test_a_clock_that_is_set_back_hides_no_restart() -> None:
    earlier = EarlierAttempts()
    earlier.record([event("e")], 90.0)
    earlier.may_have_restarted(100.0)
    earlier.may_have_restarted(50.0)
    attempt = earlier.of(event("e"))
    assert attempt is not None
    assert earlier.restarted_since(attempt)


def test_a_clock_that_is_set_back_does_not_lengthen_the_wait() -> None:
    async def main() -> None:
        server = Server(lag=1_000.0)
        times = iter([100.0, 50.0])
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            destination = ConfirmedInngest(
                server, confirmations, server, clock=lambda: next(times, 50.0)
            )
            assert isinstance((await destination.send([event("e")]))[0], Retry)
        assert now() < 61

    run(main)
