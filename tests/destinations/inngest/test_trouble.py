"""Trouble with reading back accuses no event; what may be stored is looked for, not repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Retry
from tests.destinations.inngest.double import (
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


def is_slow(server: Server) -> None:
    server.read_fault, server.read_delay = SLOW, 10.0


def fails_at_once(server: Server) -> None:
    server.read_fault = Unavailable("503 when reading events back")


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


def test_after_a_lost_answer_and_a_restart_stored_events_are_not_sent_again() -> None:
    async def main() -> None:
        server = Server()
        async with confirming(server) as destination:
            await lose_the_answer(server, lambda: destination.send(events(60)))
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
            await lose_the_answer(server, lambda: destination.send(events(60)))
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
            await lose_the_answer(server, lambda: destination.send(events(20)))
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
