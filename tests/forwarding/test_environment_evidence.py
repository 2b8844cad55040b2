"""Failures that an environment may cause: one that does not exist never stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.forwarding.scripted import Failure, Relay, Scripted, event, forbidden, html, timeout
from tests.forwarding.virtual_time import now, run


class Environments(Scripted):
    """Answers events of unknown environments with a refusal."""

    def __init__(self, *unknown: str) -> None:
        super().__init__()
        self.unknown = set(unknown)
        self.setting: str | None = "RELAY_INNGEST_EVENT_KEY"
        self.answer = self.by_environment

    async def by_environment(self, events: Sequence[Event]) -> Sequence[Outcome]:
        (env,) = {one.env for one in events}
        if self.down is None and env in self.unknown:
            await asyncio.sleep(0.02)
            raise Unavailable("404: no such branch", setting=self.setting, environment=env)
        return await self.honest(events)


def submit(relay: Relay, env: str | None, *names: str) -> list[asyncio.Task[Outcome]]:
    return [asyncio.create_task(relay.forwarder.submit(event(name, env))) for name in names]


def cancel(tasks: Sequence[asyncio.Task[Outcome]]) -> None:
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize("setting", ["RELAY_INNGEST_EVENT_KEY", "RELAY_INNGEST_URL", None])
def test_events_of_an_unknown_environment_never_open_the_circuit(setting: str | None) -> None:
    async def main() -> None:
        destination = Environments("gone")
        destination.setting = setting
        relay = Relay(destination)
        bad = submit(relay, "gone", *(f"bad-{i}" for i in range(30)))
        await asyncio.sleep(120)
        start = now()
        good = await asyncio.gather(*submit(relay, None, "good-1"), *submit(relay, "b", "good-2"))
        assert all(isinstance(outcome, Delivered) for outcome in good)
        assert now() - start < 1
        assert relay.changes == []
        await asyncio.sleep(60)
        cancel(bad)

    run(main)


def test_events_of_an_unknown_environment_are_rejected_once_others_were_accepted_long_enough() -> (
    None
):
    async def main() -> None:
        relay = Relay(Environments("gone"))
        bad, outcome = event("bad", "gone"), None
        while not isinstance(outcome, Reject):
            sending = asyncio.create_task(relay.forwarder.submit(bad))
            while not sending.done():
                await asyncio.sleep(5)
                await asyncio.gather(*submit(relay, None, f"good-{now()}"))
            outcome = await sending
            assert isinstance(outcome, Retry | Reject)
            await asyncio.sleep(getattr(outcome, "after", 0))
        assert outcome.code == "fails_alone"
        assert now() >= 1_800
        assert relay.changes == []

    run(main)


def test_two_environments_that_fail_alike_halt_the_relay() -> None:
    async def main() -> None:
        relay = Relay(Environments("a", "b"))
        bad = [*submit(relay, "a", "bad-1", "bad-2"), *submit(relay, "b", "bad-3")]
        assert (await relay.change()).state == "halted"
        cancel(bad)

    run(main)


@pytest.mark.parametrize("failure", [Failure(forbidden), Failure(html), Failure(timeout, 30)])
def test_what_no_environment_causes_needs_two_events_as_before(failure: Failure) -> None:
    async def main() -> None:
        destination = Environments()
        destination.down = failure
        relay = Relay(destination)
        bad = submit(relay, "a", "bad-1", "bad-2")
        assert (await relay.change()).state in ("halted", "open")
        cancel(bad)

    run(main)


def test_one_event_of_the_relays_environment_proves_nothing_beside_an_unknown_environment() -> None:
    async def main() -> None:
        destination = Environments("gone")
        destination.poison["own"] = Failure(forbidden)
        relay = Relay(destination)
        bad = [*submit(relay, "gone", "bad-1"), *submit(relay, None, "own")]
        await asyncio.sleep(120)
        assert relay.changes == []
        cancel(bad)

    run(main)


def test_a_refused_environment_ends_an_outage_because_the_destination_answers() -> None:
    async def main() -> None:
        destination = Environments("gone")
        destination.down = Failure(timeout, 1)
        relay = Relay(destination)
        waiting = submit(relay, "gone", *(f"bad-{i}" for i in range(10)))
        assert (await relay.change()).state == "open"
        destination.down = None
        assert (await relay.change()).state == "closed"
        start = now()
        assert isinstance((await asyncio.gather(*submit(relay, None, "good")))[0], Delivered)
        assert now() - start < 1
        cancel(waiting)

    run(main)


def test_a_refused_environment_neither_ends_nor_changes_a_halt() -> None:
    async def main() -> None:
        destination = Environments("gone")
        destination.down = Failure(forbidden)
        relay = Relay(destination)
        own = submit(relay, None, "own-1", "own-2")
        assert (await relay.change()).state == "halted"
        cancel(own)
        destination.down = None
        destination.setting = "RELAY_INNGEST_URL"
        bad = submit(relay, "gone", "bad")
        await asyncio.sleep(60)
        assert len(destination.requests) > 2
        assert relay.forwarder.state.setting == "RELAY_INNGEST_EVENT_KEY"
        good = await asyncio.gather(*submit(relay, None, "good"))
        assert isinstance(good[0], Delivered)
        assert [change.state for change in relay.changes] == ["halted", "closed"]
        cancel(bad)

    run(main)
