"""Push mode with the real forwarder: random interleavings lose, repeat and leave behind nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import MutableMapping, Sequence
from functools import partial
from typing import Any

import pytest

from relay.delivery.fast_path import FastDelivery
from relay.delivery.handler import Handler
from relay.delivery.reject_guard import RejectGuard
from relay.forwarding import Forwarder
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.sources.sqsd import PushApp
from tests.delivery.handler_rig import HandlerRig, event
from tests.forwarding.scripted import Failure, Scripted, refused_connection
from tests.forwarding.virtual_time import now, run

STEPS = (0.0, 0.0, 0.001, 0.1, 0.24, 0.25, 0.26)
ENDS = (Delivered("ref"), Delivered("ref"), Reject("refused", "no"), Retry("later"))


class Posts:
    """Posts to the application in virtual time, without a socket, and judges the answers."""

    def __init__(self, seed: int, ends: Sequence[Outcome] = ENDS, hold: float = 0) -> None:
        self.random = random.Random(seed)
        self.ends = ends
        self.destination = Scripted(max_events=5)
        self.destination.answer = self._answer
        self.forwarder = Forwarder(self.destination, clock=now, random=self.random.random)
        self.rig = HandlerRig()
        handler = self.handler = Handler(
            self.rig.opening,
            self.forwarder,
            self.rig.dead_letters,
            guard=RejectGuard(enabled=False),
        )
        hold = hold or self.random.choice((0.05, 0.25, 0.3, 40))
        self.app = PushApp(
            handler.begin, end_wait=handler.end_wait, hold=hold, ready=lambda: (True, {})
        )
        self.accepted: list[object] = []
        self.wire: list[tuple[float, str]] = []
        self.given_back: dict[str, float] = {}

    async def _answer(self, events: Sequence[Event]) -> Sequence[Outcome]:
        mine = [(now(), one.id) for one in events]
        for at, name in self.wire:  # what was given back may come again while it is on the wire
            again = any(one.id == name for one in events)
            assert not again or self.given_back.get(name[:3], -1) >= at, f"{name} is sent twice"
        self.wire += mine
        try:
            await asyncio.sleep(self.random.choice((*STEPS, 3)))
            if self.random.random() < 0.1:
                raise Unavailable("down")
            ends = [self.random.choice(self.ends) for _ in events]
        finally:
            self.wire = [one for one in self.wire if one not in mine]
        self.accepted += [e.data for e, end in zip(events, ends, strict=True) if end == ENDS[0]]
        return ends

    async def post(self, name: str, leaves: float = 1e3, *, forged: bool = False) -> int:
        label = f"{name} {forged}"
        body = [json.dumps(event(data={"of": label})).encode()]
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            if body:
                return {"type": "http.request", "body": body.pop()}
            await asyncio.sleep(leaves)
            return {"type": "http.disconnect"}

        async def send(part: MutableMapping[str, Any]) -> None:
            if part["type"] == "http.response.start":
                statuses.append(part["status"])

        headers = [(b"x-aws-sqsd-msgid", name.encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        await self.app.asgi()(scope, receive, send)
        if statuses == [200]:
            copies = [copy.body for copy in self.rig.store.copies]
            assert any(label in str(one) for one in (*self.accepted, *copies)), f"{label} is lost"
        else:
            self.given_back[name] = now()
        return statuses[0]

    async def stop(self) -> None:
        self.app.stop()
        await self.forwarder.stop(self.random.choice((0.1, 5)))
        self.app.release()


@pytest.mark.parametrize("part", range(4))
def test_no_interleaving_loses_repeats_or_leaves_anything_behind(part: int) -> None:
    async def main(seed: int) -> None:
        posts, tasks = Posts(seed), list[asyncio.Task[int]]()
        pick = posts.random.choice
        for _ in range(pick(range(2, 30))):
            one = posts.post(f"m-{pick('012')}", pick((1e3, *STEPS)), forged=pick((True, False)))
            tasks.append(asyncio.create_task(one))
            await asyncio.sleep(pick(STEPS))
        await posts.stop()
        assert set(await asyncio.gather(*tasks)) <= {200, 503}
        await asyncio.sleep(0.1)
        assert posts.handler.status.in_flight == posts.forwarder.state.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for seed in range(40):
        run(partial(main, 40 * part + seed))


@pytest.mark.parametrize("end", [*ENDS, None])
def test_a_message_that_left_the_fast_path_is_no_work_for_the_collector(
    end: Outcome | None,
) -> None:
    async def main() -> int:
        posts = Posts(1, [end] if end else ENDS, hold=5)
        if end is None:
            posts.destination.answer = posts.destination.honest
            posts.destination.down = Failure(refused_connection)
        await posts.post("m-0")
        await asyncio.sleep(1)
        found = sum(isinstance(one, FastDelivery) for one in gc.get_objects())
        await posts.stop()
        return found

    gc.collect()
    gc.disable()
    try:
        assert run(main) == 0
    finally:
        gc.enable()
