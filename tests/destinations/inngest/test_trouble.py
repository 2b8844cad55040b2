"""Trouble with reading back accuses no event; what may be stored is looked for, not repeated."""

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
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Retry
from tests.destinations.inngest.double import (
    BROKE,
    NO_ANSWER,
    NO_READ,
    Server,
    confirming,
    forwarding,
)
from tests.destinations.inngest.rig import event, events
from tests.forwarding.virtual_time import now, run

SLOW = Unavailable("127.0.0.1 gave no answer in 10 s when reading events back")


def is_slow(server: Server) -> None:
    server.read_fault, server.read_delay = SLOW, 10.0


def fails_at_once(server: Server) -> None:
    server.read_fault = Unavailable("503 when reading events back")


def is_denied(server: Server) -> None:
    server.read_fault = Unavailable("401", setting="RELAY_INNGEST_SIGNING_KEY", proven=True)


@pytest.mark.parametrize("trouble", [is_slow, fails_at_once, is_denied])
def test_no_event_is_sent_twice_because_it_could_not_be_read_back(
    trouble: Callable[[Server], None],
) -> None:
    async def main() -> None:
        server = Server()
        trouble(server)
        async with forwarding(server) as forwarder:
            tasks = [asyncio.create_task(forwarder.submit(each)) for each in events(400)]
            await asyncio.sleep(400)
            assert forwarder.state.circuit in ("open", "half-open", "halted")
            assert not any(task.done() for task in tasks)
            server.heal()
            outcomes = await asyncio.gather(*tasks)
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
            assert forwarder.state.circuit == "closed"
        sent = [each for post in server.posts for each in post]
        assert len(sent) == len(set(sent)) == 400
        # The batches were formed before the trouble was known, and none was taken apart.
        assert len(server.posts) <= 24

    run(main)


@pytest.mark.parametrize("lag", [0.0, 0.5, 5.0])
def test_a_killed_server_gets_what_it_lost_and_nothing_that_it_stored(lag: float) -> None:
    async def main() -> None:
        server = Server(lag)
        async with forwarding(server) as forwarder:
            early = [asyncio.create_task(forwarder.submit(each)) for each in events(150)]
            await asyncio.sleep(0.7)
            late = [asyncio.create_task(forwarder.submit(event(f"l{n}"))) for n in range(150)]
            await asyncio.sleep(0.1)
            server.die()
            await asyncio.sleep(30)
            server.heal()
            outcomes = await asyncio.gather(*early, *late)
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        stored = [copy.id for copy in server.copies]
        assert len(stored) == len(set(stored)) == 300

    run(main)


async def _lose_the_answer(server: Server, send: Callable[[], Awaitable[object]]) -> None:
    server.send_fault, server.read_fault, server.loses_answers = BROKE, NO_READ, True
    with pytest.raises(Unavailable):
        await send()
    server.die()
    server.heal()


def test_after_a_lost_answer_and_a_restart_stored_events_are_not_sent_again() -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            await _lose_the_answer(server, lambda: destination.send(events(60)))
            await asyncio.sleep(60)
            outcomes = await destination.send([*events(60), event("new")])
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert server.posts[1:] == [["new"]]
        assert set(server.runs.values()) == {1}

    run(main)


def test_after_a_lost_answer_and_a_restart_missing_events_are_sent_again() -> None:
    async def main() -> None:
        server = Server(lag=1.0)
        async with confirming(server) as destination:
            await _lose_the_answer(server, lambda: destination.send(events(60)))
            assert not server.copies
            outcomes = await destination.send(events(60))
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert [len(post) for post in server.posts] == [60, 60]

    run(main)


def test_stored_events_are_found_among_thousands_and_in_small_pages() -> None:
    async def main() -> None:
        server = Server()
        server.most = 10
        async with confirming(server) as destination:
            await _lose_the_answer(server, lambda: destination.send(events(20)))
            await asyncio.sleep(60)
            for _ in range(3):
                await server.send([event(f"other{n}") for n in range(100)])
            await destination.send(events(20))
        assert len(server.posts) == 4

    run(main)


def test_a_timeout_of_a_request_is_no_sign_of_a_restart_and_costs_no_search_before_a_repeat() -> (
    None
):
    async def main() -> None:
        server = Server(lag=1.0)
        async with confirming(server) as destination:
            server.send_fault, server.loses_answers = NO_ANSWER, True
            with pytest.raises(Unavailable) as caught:
                await destination.send(events(5))
            assert (caught.value.reason, caught.value.proven) == (NO_ANSWER.reason, False)
            searched = server.pages
            server.heal()
            (outcome,) = await destination.send(events(1))
            assert isinstance(outcome, Delivered)
            assert server.pages == searched
        assert server.runs["e0"] == 1

    run(main)


def test_a_request_and_a_search_that_both_fail_are_the_servers_fault() -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            server.send_fault = NO_ANSWER
            fails_at_once(server)
            with pytest.raises(Unavailable) as caught:
                await destination.send(events(5))
            assert (caught.value.reason, caught.value.proven) == (NO_ANSWER.reason, True)

    run(main)


def test_the_setting_of_the_request_is_named_before_that_of_the_search() -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            server.send_fault = Unavailable("200 with a web page", setting="RELAY_INNGEST_URL")
            server.read_fault = Unavailable("200", setting="RELAY_CONFIRM", proven=True)
            with pytest.raises(Unavailable, match="web page") as caught:
                await destination.send(events(2))
            assert caught.value.setting == "RELAY_INNGEST_URL"
            server.send_fault = NO_ANSWER
            with pytest.raises(Unavailable) as caught:
                await destination.send(events(2))
            assert caught.value.setting == "RELAY_CONFIRM"

    run(main)


@pytest.mark.parametrize("at", [0.005, 0.5], ids=["on the wire", "while it is read back"])
def test_a_cancelled_event_that_was_stored_is_not_sent_again_after_a_restart(at: float) -> None:
    async def main() -> None:
        server = Server(lag=1.0)
        async with confirming(server) as destination:
            sending = asyncio.create_task(destination.send(events(3)))
            await asyncio.sleep(at)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            if not server.posts:
                await server.send(events(3))  # the server reads the request to its end
            await asyncio.sleep(10)
            server.die()
            with pytest.raises(Unavailable):
                await destination.send([event("probe")])
            server.heal()
            outcomes = await destination.send(events(3))
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert len(server.posts) == 1
        assert set(server.runs.values()) == {1}

    run(main)


def test_an_event_that_was_just_accepted_gets_time_to_be_stored_before_it_is_sent_again() -> None:
    async def main() -> None:
        server = Server(lag=2.0)
        async with confirming(server) as destination:
            is_denied(server)
            with pytest.raises(Unavailable):
                await destination.send([event("e")])
            server.heal()
            (outcome,) = await destination.send([event("e")])
            assert outcome == Delivered(server.copies[0].internal_id)
            assert now() < 3
        assert len(server.posts) == 1

    run(main)


def test_an_event_that_was_not_seen_in_time_is_looked_for_before_it_is_sent_again() -> None:
    async def main() -> None:
        server = Server(lag=100.0)
        async with confirming(server) as destination:
            assert isinstance((await destination.send([event("e")]))[0], Retry)
            assert 60 <= now() < 61
            await asyncio.sleep(300)
            (outcome,) = await destination.send([event("e")])
            assert outcome == Delivered(server.copies[0].internal_id)
        assert len(server.posts) == 1

    run(main)


def test_an_event_that_was_lost_is_sent_again() -> None:
    async def main() -> None:
        server = Server(lag=100.0)
        async with confirming(server) as destination:
            assert isinstance((await destination.send([event("e")]))[0], Retry)
            server.die()
            server.heal()
            server.lag = 0.0
            assert isinstance((await destination.send([event("e")]))[0], Delivered)
        assert len(server.posts) == 2

    run(main)


def test_events_that_were_found_before_the_trouble_are_delivered_without_another_look() -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            sending = asyncio.create_task(destination.send(events(2)))
            await asyncio.sleep(0.005)
            await asyncio.sleep(0.01)
            server.copies[1:] = []  # the second event is not stored
            await asyncio.sleep(10)
            fails_at_once(server)
            with pytest.raises(Unavailable) as caught:
                await sending
            assert caught.value.proven
            (outcome,) = await destination.send(events(1))
            assert outcome == Delivered(server.copies[0].internal_id)

    run(main)


def test_another_kind_of_server_is_a_restart() -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            await destination.send([event("first")])
            server.send_fault, server.loses_answers = NO_ANSWER, True
            server.lag = 5.0
            with pytest.raises(Unavailable):
                await destination.send([event("e")])
            await asyncio.sleep(60)
            server.heal()
            server.server_kind = "dev"
            (outcome,) = await destination.send([event("e")])
            assert outcome == Delivered(server.copies[1].internal_id)
        assert len(server.posts) == 2

    run(main)


def test_an_event_that_another_process_may_have_sent_is_looked_for_first() -> None:
    async def main() -> None:
        server = Server()
        await server.send([event("e"), event("f")])
        server.die()
        server.heal()
        sent_at: dict[str, float] = {"e": 0.0, "g": 0.0}

        def recorded(each: Event) -> float | None:
            return sent_at.get(each.id)

        async with confirming(server, recorded) as destination:
            outcomes = await destination.send([event("e"), event("g")])
            assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert server.posts[1:] == [["g"]]
        assert server.runs == {"e": 1, "f": 1, "g": 1}

    run(main)


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
            await _lose_the_answer(server, lambda: destination.send(events(3)))
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
            await _lose_the_answer(server, lambda: destination.send(events(3)))
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
            await _lose_the_answer(server, lambda: destination.send([event("e")]))
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
