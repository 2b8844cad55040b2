"""Events that are begun without a task: only the troubled ones need one, and only they."""

from __future__ import annotations

import asyncio

from relay.forwarding import STOPPING
from relay.model.destination import Attempt
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.forwarding.scripted import (
    LATENCY,
    Failure,
    Relay,
    Scripted,
    bad_gateway,
    event,
    refused_connection,
)
from tests.forwarding.strict import Strict
from tests.forwarding.virtual_time import run


class Begun:
    """An event that was begun, with a task from when it is told to take one."""

    def __init__(self, relay: Relay, name: str) -> None:
        self.outcomes: list[Outcome] = []
        self.task: asyncio.Task[None] | None = None
        self.attempt: Attempt | None = relay.forwarder.begin(event(name), self)

    def delivered(self, outcome: Delivered) -> None:
        self.outcomes.append(outcome)

    def undelivered(self) -> None:
        self.task = asyncio.create_task(self._proceed())

    def take_apart(self) -> None:
        assert self.attempt is not None
        if self.attempt.detach():
            self.undelivered()

    async def _proceed(self) -> None:
        assert self.attempt is not None
        self.outcomes.append(await self.attempt.outcome())


async def ended(*begun: Begun) -> None:
    while not all(one.outcomes for one in begun):  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(LATENCY)


def test_delivered_events_have_no_task() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)
        begun = [Begun(relay, f"e{n}") for n in range(250)]
        assert relay.forwarder.state.in_flight == 250
        await ended(*begun)
        assert [one.outcomes for one in begun] == [[Delivered(f"ref-e{n}")] for n in range(250)]
        assert {one.task for one in begun} == {None}
        assert relay.forwarder.state.in_flight == 0
        assert not any(relay.forwarder.may_have_run(f"e{n}") for n in range(250))

    run(main)


def test_a_refused_event_goes_on_alone_and_its_neighbours_are_delivered() -> None:
    async def main() -> None:
        relay = Relay(Strict({"e7"}))
        begun = [Begun(relay, f"e{n}") for n in range(50)]
        await ended(*begun)
        kinds = [type(one.outcomes[0]) for one in begun]
        assert kinds == [Reject if n == 7 else Delivered for n in range(50)]
        assert relay.forwarder.state.in_flight == 0

    run(main)


def test_events_are_held_in_an_outage_and_delivered_after_it() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        begun = [Begun(relay, f"e{n}") for n in range(250)]
        await asyncio.sleep(300.0)
        assert relay.forwarder.state.circuit in ("open", "half-open")
        assert not any(one.outcomes for one in begun)
        sent = {event_id for request in destination.requests for event_id in request.ids}
        assert {one for one in begun if one.task is None} == {
            one for n, one in enumerate(begun) if f"e{n}" not in sent
        }
        assert len(sent) < len(begun)
        destination.down = None
        await ended(*begun)
        assert {type(one.outcomes[0]) for one in begun} == {Delivered}
        assert relay.forwarder.state.in_flight == 0

    run(main)


def test_a_cancelled_event_that_waits_is_not_sent() -> None:
    async def main() -> None:
        destination = Scripted(max_events=1)
        relay = Relay(destination)
        begun = [Begun(relay, f"e{n}") for n in range(4)]
        await asyncio.sleep(LATENCY / 2)  # two are on the wire
        for one in begun:
            one.take_apart()
        await asyncio.sleep(0)
        for one in (begun[0], begun[3]):
            assert one.task is not None
            one.task.cancel()
        await ended(begun[1], begun[2])
        assert [ids for r in destination.requests for ids in r.ids] == ["e0", "e1", "e2"]
        assert relay.forwarder.may_have_run("e0")  # accepted, and nobody was told
        assert not relay.forwarder.may_have_run("e1")
        assert relay.forwarder.state.in_flight == 0

    run(main)


def test_an_attempt_that_ends_before_its_task_starts_is_not_lost() -> None:
    async def main() -> None:
        relay = Relay(Scripted())
        begun = Begun(relay, "e")
        assert begun.attempt is not None
        assert begun.attempt.detach()
        assert not begun.attempt.detach()
        await asyncio.sleep(2 * LATENCY)
        assert begun.outcomes == []
        assert await begun.attempt.outcome() == Delivered("ref-e")
        assert relay.forwarder.state.in_flight == 0

    run(main)


def test_a_stop_gives_back_what_is_not_on_the_wire() -> None:
    async def main() -> None:
        relay = Relay(Scripted(max_events=1))
        begun = [Begun(relay, f"e{n}") for n in range(4)]
        await asyncio.sleep(LATENCY / 2)
        await relay.forwarder.stop(1.0)
        await ended(*begun)
        assert [one.outcomes[0] for one in begun[2:]] == [STOPPING, STOPPING]
        assert {type(one.outcomes[0]) for one in begun[:2]} == {Delivered}
        assert Begun(relay, "late").attempt is None

    run(main)


def test_a_destination_that_raises_fails_only_what_was_in_its_request() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)

        async def broken(_: object) -> list[Outcome]:
            destination.answer = destination.honest
            raise RuntimeError("a bug")

        destination.answer = broken
        failed = Begun(relay, "e0")
        await asyncio.sleep(LATENCY)
        other = Begun(relay, "e1")
        await ended(other)
        assert failed.task is not None
        (raised,) = await asyncio.gather(failed.task, return_exceptions=True)
        assert isinstance(raised, RuntimeError)
        assert relay.forwarder.may_have_run("e0")
        assert relay.forwarder.state.in_flight == 0

    run(main)


def test_a_suspect_has_to_be_submitted() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison = {"bad": Failure(bad_gateway)}
        relay = Relay(destination)
        bad = asyncio.create_task(relay.forwarder.submit(event("bad")))
        while relay.forwarder.state.last_error is None:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(LATENCY)
        assert Begun(relay, "bad").attempt is None
        good = Begun(relay, "good")
        await ended(good)
        assert isinstance(await bad, Retry)

    run(main)


def test_the_size_of_an_event_is_that_of_its_json() -> None:
    for one in (
        Event(id="a", name="b"),
        Event(id='ä"\n', name="€/😀", data=b'{"x":1}', ts=17, v="1.0"),
        Event(id="\ud800", name="b", user=b"{}", meta=b"[1]", ts=-5, v="\udfff"),
    ):
        assert one.size == len(one.wire)
