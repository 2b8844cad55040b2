"""The handler while the queue is paused: push mode holds, what is in flight is finished."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from relay.app.forwarding import EventForwarder
from relay.app.readiness import StuckMonitor, readiness
from relay.delivery.handler import Handler
from relay.delivery.pause import Pause
from relay.delivery.reject_guard import RejectGuard
from relay.delivery.retention import Retention
from relay.forwarding.circuit_breaker import ForwarderState
from relay.model.outcome import Delivered, Reject
from tests.delivery.handler_rig import DAY, NOW, HandlerRig, message, turns

EVENT = {"name": "order/paid", "data": {}}


class ManualPause:
    """A pause that a test begins and ends."""

    def __init__(self) -> None:
        self.current: Pause | None = None
        self.warning: str | None = None
        self._resumed = asyncio.Event()
        self._resumed.set()

    @property
    def paused(self) -> bool:
        return not self._resumed.is_set()

    async def wait_resumed(self) -> bool:
        return await self._resumed.wait()

    def begin(self) -> None:
        self.current = Pause(by="ana", at=NOW)
        self._resumed.clear()

    def end(self) -> None:
        self.current = None
        self._resumed.set()


class PausedRig(HandlerRig):
    def __init__(self) -> None:
        super().__init__()
        self.pause = ManualPause()
        self.handler = Handler(
            self.opening,
            self.forwarder,
            self.dead_letters,
            guard=RejectGuard(observe=self.facts.append, clock=lambda: self.now),
            retention=Retention(10 * DAY, hidden=300.0, clock=lambda: self.now),
            pause=self.pause,
            observe=self.facts.append,
            clock=lambda: self.now,
        )


@pytest.fixture
def rig() -> PausedRig:
    return PausedRig()


async def test_a_posted_message_is_held_and_delivered_after_the_pause(rig: PausedRig) -> None:
    rig.pause.begin()
    handling = asyncio.create_task(rig.handler.handle(message(EVENT)))
    await turns()
    assert rig.forwarder.sent == []
    assert rig.handler.status.in_flight == 1
    rig.pause.end()
    assert isinstance(await handling, Delivered)


async def test_what_is_in_flight_when_the_pause_begins_is_finished(rig: PausedRig) -> None:
    several = message([{**EVENT, "id": f"e-{n}"} for n in range(40)])
    rig.forwarder.answers["e-7"] = None
    handling = asyncio.create_task(rig.handler.handle(several))
    await turns()
    rig.pause.begin()
    sent = len(rig.forwarder.sent)
    assert sent
    later = asyncio.create_task(rig.handler.handle(message(EVENT, "m-2")))
    await turns()
    # The other events of the array were sent, the other message was not.
    assert set(rig.forwarder.sent) == {f"e-{n}" for n in range(40)}
    for task in (handling, later):
        task.cancel()
    await asyncio.gather(handling, later, return_exceptions=True)


async def test_a_message_that_is_given_back_at_the_end_of_the_hold_was_not_sent(
    rig: PausedRig,
) -> None:
    rig.pause.begin()
    posted = message(EVENT, sent_at=NOW)
    handling = asyncio.create_task(rig.handler.handle(posted))
    await turns()
    assert not rig.handler.end_wait(posted)
    handling.cancel()
    await asyncio.gather(handling, return_exceptions=True)
    assert (rig.forwarder.sent, rig.store.copies, rig.handler.status.in_flight) == ([], [], 0)


async def test_a_held_message_that_expires_is_dead_lettered_and_not_sent(rig: PausedRig) -> None:
    rig.pause.begin()
    handling = asyncio.create_task(rig.handler.handle(message(EVENT, sent_at=NOW - 9 * DAY)))
    await turns()
    assert not handling.done()
    rig.now += 61.0
    rig.handler.expire()
    outcome = await handling
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"
    assert rig.forwarder.sent == []
    assert len(rig.store.copies) == 1


async def test_a_message_that_sqsd_would_hide_for_too_long_is_dead_lettered_instead(
    rig: PausedRig,
) -> None:
    rig.pause.begin()
    posted = message(EVENT, sent_at=NOW - 9 * DAY + 200.0)
    handling = asyncio.create_task(rig.handler.handle(posted))
    await turns()
    assert rig.handler.end_wait(posted)
    outcome = await handling
    assert isinstance(outcome, Reject)
    assert (outcome.code, rig.forwarder.sent) == ("expiring", [])


async def test_a_received_message_that_expires_is_dead_lettered_at_once(rig: PausedRig) -> None:
    rig.pause.begin()
    outcome = await rig.handler.handle_exclusive(message(EVENT, sent_at=NOW - 9 * DAY))
    assert isinstance(outcome, Reject)
    assert (outcome.code, rig.forwarder.sent) == ("expiring", [])


async def test_a_received_message_that_waited_for_its_turn_is_finished(rig: PausedRig) -> None:
    rig.pause.begin()
    assert isinstance(await rig.handler.handle_exclusive(message(EVENT, sent_at=NOW)), Delivered)


class Forwarding:
    """What the monitor and `/ready` see of a forwarder whose circuit is closed."""

    state = ForwarderState(
        circuit="closed", reason="", setting=None, seconds=1.0, in_flight=0, last_error=None
    )

    def stuck(self, _after: float) -> None:
        return None


async def test_held_messages_are_not_stuck_and_a_paused_relay_is_ready_and_says_who_paused_it(
    rig: PausedRig,
) -> None:
    forwarding = cast("EventForwarder", Forwarding())
    monitor = StuckMonitor(
        forwarding, rig.handler, after=180.0, pause=rig.pause, clock=lambda: rig.now
    )
    answer = readiness(forwarding, rig.handler, monitor, pause=rig.pause)
    rig.pause.begin()
    handling = asyncio.create_task(rig.handler.handle(message(EVENT)))
    await turns()
    rig.now += 3_600.0
    ready, fields = answer()
    assert (ready, fields["stuck"], fields["paused"], fields["in_flight"]) == (True, False, True, 1)
    assert fields["pause"] == {"by": "ana", "at": "2026-01-01T00:00:00Z", "reason": ""}
    rig.pause.end()
    ready, fields = answer()
    assert (ready, fields["paused"], fields["pause"]) == (True, False, None)
    assert isinstance(await handling, Delivered)
