"""Push mode's fast path, over real sockets: it ends as the path with a task does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from relay.delivery.handler import Handler
from relay.http.server import serving
from relay.model.event import Event
from relay.model.facts import Handled, Received
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.sources.sqsd import PushApp
from tests.delivery.handler_rig import Answer, HandlerRig, event

BODY = json.dumps(event()).encode()


@dataclass
class Push:
    """A handler behind the application, and a client like sqsd."""

    rig: HandlerRig
    app: PushApp
    http: httpx.AsyncClient
    begun: list[str] = field(default_factory=list)

    def post(self, message_id: str = "m-1", *, body: bytes = BODY, received: int = 1) -> Posting:
        headers = {"X-Aws-Sqsd-Msgid": message_id, "X-Aws-Sqsd-Receive-Count": str(received)}
        return asyncio.create_task(self.http.post("/", headers=headers, content=body))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - nothing tells when a request has arrived
                await asyncio.sleep(0.005)

    def answer_after(self, gate: asyncio.Event) -> None:
        """Answer no event until the gate is open."""
        submit = self.rig.forwarder.submit

        async def late(one: Event) -> Outcome:
            self.begun.append(one.id)
            await gate.wait()
            return await submit(one)

        self.rig.forwarder.submit = late  # type: ignore[method-assign,assignment]

    async def posted(self, count: int) -> list[Posting]:
        """Post one message so many times; they all wait for the one that was begun first."""
        first = self.post()
        await self.until(lambda: self.rig.handler.status.in_flight == 1)
        others = [self.post(received=2) for _ in range(count - 1)]
        await self.until(lambda: self.waiters() == count)
        return [first, *others]

    def waiters(self) -> int:
        """The deliveries that wait for the message, once it has a task."""
        return getattr(self.rig.handler._in_flight.find("m-1"), "waiters", 0)

    def count(self, fact: type) -> int:
        return sum(isinstance(one, fact) for one in self.rig.facts)


Posting = asyncio.Task[httpx.Response]


@contextlib.asynccontextmanager
async def pushing(
    answers: dict[str, Answer] | None = None, hold: float = 30
) -> AsyncIterator[Push]:
    rig = HandlerRig(answers)
    handler: Handler = rig.handler
    app = PushApp(handler.begin, end_wait=handler.end_wait, hold=hold, ready=lambda: (True, {}))
    async with (
        serving(app.asgi()) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=30
        ) as http,
    ):
        yield Push(rig, app, http)


@pytest.mark.parametrize(
    ("answer", "status"),
    [(Delivered("ref"), 200), (Retry("later", 5.0), 503), (Reject("refused", "no"), 200)],
)
async def test_the_answer_is_that_of_the_path_with_a_task(answer: Outcome, status: int) -> None:
    async with pushing({"m-1": answer}) as push:
        response = await push.post()
    assert response.status_code == status
    assert (push.count(Received), push.count(Handled)) == (1, 1)
    assert push.rig.forwarder.sent == ["m-1"]
    assert len(push.rig.store.copies) == isinstance(answer, Reject)
    assert push.rig.handler.status.in_flight == 0


async def test_a_second_delivery_joins_the_first_and_the_event_is_sent_once() -> None:
    gate = asyncio.Event()
    async with pushing() as push:
        push.answer_after(gate)
        posted = await push.posted(3)
        assert push.begun == ["m-1"]
        gate.set()
        assert [(await one).status_code for one in posted] == [200, 200, 200]
    assert push.rig.forwarder.sent == ["m-1"]
    assert push.rig.handler.status.in_flight == 0


async def test_a_second_delivery_goes_on_when_the_first_has_left() -> None:
    gate = asyncio.Event()
    async with pushing() as push:
        push.answer_after(gate)
        first, second = await push.posted(2)
        first.cancel()
        await push.until(lambda: push.waiters() == 1)
        gate.set()
        assert (await second).status_code == 200
    assert push.rig.forwarder.sent == ["m-1"]
    assert push.rig.forwarder.withdrawn == []


async def test_an_event_that_waits_is_withdrawn_when_the_client_has_left() -> None:
    async with pushing({"m-1": None}) as push:
        left = push.post()
        await push.until(lambda: push.rig.handler.status.in_flight == 1)
        left.cancel()
        await push.until(lambda: push.rig.forwarder.withdrawn == ["m-1"])
        await push.until(lambda: push.rig.handler.status.in_flight == 0)


@pytest.mark.parametrize("hold", [0.05, 0.6])
async def test_a_message_that_waits_is_held_and_then_answered_503(hold: float) -> None:
    async with pushing({"m-1": None}, hold) as push:
        response = await push.post()
        assert (response.status_code, response.json()["code"]) == (503, "held")
        await push.until(lambda: push.rig.forwarder.withdrawn == ["m-1"])
    assert push.rig.handler.status.in_flight == 0


async def test_a_stop_answers_503_to_what_waits() -> None:
    async with pushing({"m-1": None}) as push:
        waits = push.post()
        await push.until(lambda: push.rig.handler.status.in_flight == 1)
        push.app.stop()
        push.app.release()
        assert (await waits).json()["code"] == "held"
    assert push.rig.forwarder.withdrawn == ["m-1"]


async def test_another_message_with_the_same_id_is_another_message() -> None:
    gate = asyncio.Event()
    forged = json.dumps(event(data={"forged": True})).encode()
    async with pushing() as push:
        push.answer_after(gate)
        first = push.post()
        await push.until(lambda: push.rig.handler.status.in_flight == 1)
        others = [push.post(body=forged), push.post(body=forged)]
        await push.until(lambda: len(push.begun) == 2)
        gate.set()
        assert {(await one).status_code for one in (first, *others)} == {200}
    assert len(set(push.rig.forwarder.sent)) == len(push.rig.forwarder.sent)


async def test_an_error_is_answered_500_and_concerns_its_message_only() -> None:
    async with pushing() as push:
        observe = push.rig.facts.append

        def failing(fact: object) -> None:
            if isinstance(fact, Handled) and fact.message.message_id == "m-1":
                raise RuntimeError("a bug")
            observe(fact)  # type: ignore[arg-type]

        push.rig.handler._processing._observe = failing
        answers = [(await push.post(one)).status_code for one in ("m-1", "m-2")]
    assert answers == [500, 200]
    assert push.rig.handler.status.in_flight == 0
