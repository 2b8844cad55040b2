"""`may_have_run`: True for each event whose outcome is unknown, and for no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.forwarding.scripted import LATENCY, Failure, Relay, Scripted, event, refused_connection
from tests.forwarding.strict import NAMES, Strict
from tests.forwarding.virtual_time import run


def test_a_reject_after_an_attempt_with_an_unknown_end_may_have_run() -> None:
    async def main() -> None:
        destination = Strict({"e-00"})
        relay = Relay(destination)
        ends = iter([Unavailable("no answer"), None])

        async def first_unknown(events: Sequence[Event]) -> Sequence[Outcome]:
            if error := next(ends):
                raise error
            return await destination.refuse(events)

        destination.answer = first_unknown
        outcome = await relay.forwarder.submit(event("e-00"))
        assert isinstance(outcome, Reject)
        assert outcome.may_have_run

    run(main)


def test_an_event_to_be_retried_may_have_run_until_it_is_delivered() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)

        async def later(_events: Sequence[Event]) -> Sequence[Outcome]:
            return [Retry("accepted, but not seen among the stored events in time")]

        destination.answer = later
        assert isinstance(await relay.forwarder.submit(event("e")), Retry)
        assert relay.forwarder.may_have_run("e")
        destination.answer = destination.honest
        assert isinstance(await relay.forwarder.submit(event("e")), Delivered)
        assert not relay.forwarder.may_have_run("e")

    run(main)


def test_an_event_before_the_refused_one_may_have_run_until_it_is_delivered() -> None:
    async def main() -> None:
        destination = Strict({"e-05"})
        relay = Relay(destination)
        tasks = relay.submit(*NAMES[:10])
        await asyncio.sleep(LATENCY / 2)
        destination.answer, destination.down = destination.honest, Failure(refused_connection)
        await relay.change()  # the retries are not accepted, so nothing is on the wire now
        assert [relay.forwarder.may_have_run(n) for n in NAMES[:10]] == [True] * 5 + [False] * 5
        destination.answer = destination.refuse
        await asyncio.gather(*tasks)
        assert not any(relay.forwarder.may_have_run(n) for n in NAMES)

    run(main)


def test_an_event_accepted_after_a_cancellation_may_have_run_until_a_caller_is_told() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)
        (task,) = relay.submit("left")
        await asyncio.sleep(LATENCY / 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert relay.forwarder.may_have_run("left"), "on the wire"
        await asyncio.sleep(LATENCY)
        assert destination.accepted == {"left"}
        assert relay.forwarder.may_have_run("left"), "accepted, and no caller was told"
        await asyncio.gather(*relay.submit("left"))
        assert not relay.forwarder.may_have_run("left")

    run(main)


def test_an_event_of_which_no_byte_was_sent_has_not_run() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        (task,) = relay.submit("held")
        await relay.change()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not relay.forwarder.may_have_run("held")

    run(main)
