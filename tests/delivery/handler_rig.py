"""A handler with a scripted forwarder, an in-memory dead-letter queue and a manual clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from relay.delivery.dead_letter_copy import MAX_BYTES, DeadLetterCopy, NotStored
from relay.delivery.dead_letter_room import BodyStore
from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.handler import Handler
from relay.delivery.opening import SIZE, Opening
from relay.delivery.payloads import Payloads
from relay.delivery.reject_guard import RejectGuard
from relay.delivery.retention import Retention
from relay.envelope import Rules, decode
from relay.model.destination import Attempt, Listener
from relay.model.event import Event
from relay.model.facts import Fact
from relay.model.message import Message
from relay.model.origin import ATTRIBUTE, Origin, unpack
from relay.model.outcome import Delivered, Outcome

NOW = 1_767_225_600.0
DAY = 86_400.0

Answer: TypeAlias = Outcome | Callable[[Event], Outcome] | None


class ScriptedForwarder:
    """A forwarder that answers by event id; None keeps the event waiting forever."""

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.sent: list[str] = []
        self.withdrawn: list[str] = []
        self.ambiguous: set[str] = set()
        self.down_for = 0.0
        self.down = False
        self.silent = False

    def begin(self, event: Event, listener: Listener) -> Attempt:
        return ScriptedAttempt(self.submit(event), listener)

    async def submit(self, event: Event) -> Outcome:
        self.sent.append(event.id)
        answer = self.answers.get(event.id, None if self.silent else Delivered(f"ref-{event.id}"))
        if answer is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.withdrawn.append(event.id)
                raise
        assert answer is not None
        return answer(event) if callable(answer) else answer

    def may_have_run(self, event_id: str) -> bool:
        return event_id in self.ambiguous


class ScriptedAttempt:
    """The attempt of an event that was begun: its submit, in a task."""

    def __init__(self, submit: Coroutine[Any, Any, Outcome], listener: Listener) -> None:
        self._listener = listener
        self._detached = False
        self._task = asyncio.create_task(submit)
        self._task.add_done_callback(self._ended)

    def detach(self) -> bool:
        before, self._detached = self._detached, True
        return not before

    def withdraw(self) -> None:
        self._task.cancel()

    async def outcome(self) -> Outcome:
        return await self._task

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        if not self.detach():
            return
        if not task.cancelled() and isinstance(result := task.result(), Delivered):
            self._listener.delivered(result)
        else:
            self._listener.undelivered()


class MemoryStore:
    """A dead-letter queue in memory that fails on request."""

    def __init__(self) -> None:
        self.copies: list[DeadLetterCopy] = []
        self.failure: NotStored | None = None
        self.started = asyncio.Event()
        self.unanswered: asyncio.Event | None = None
        self.waiting = 0

    async def limit(self) -> int:
        return MAX_BYTES

    async def put(self, copy: DeadLetterCopy) -> None:
        self.started.set()
        await asyncio.sleep(0)
        if self.unanswered is not None:
            self.waiting += 1
            await self.unanswered.wait()
        if self.failure is not None:
            raise self.failure
        self.copies.append(copy)


class HandlerRig:
    """The handler under test and all its parts."""

    def __init__(
        self,
        answers: dict[str, Answer] | None = None,
        *,
        guard: bool = True,
        payloads: Payloads | None = None,
        size: int = SIZE,
        store: MemoryStore | None = None,
        bodies: BodyStore | None = None,
    ) -> None:
        self.now = NOW
        self.facts: list[Fact] = []
        self.forwarder = ScriptedForwarder(answers)
        self.store = store or MemoryStore()
        self.woken = asyncio.Event()
        self.dead_letters = DeadLettering(
            self.store,
            bodies=bodies,
            observe=self.facts.append,
            clock=lambda: self.now,
            sleep=self._sleep,
        )
        self.opening = Opening(lambda message: decode(message, Rules()), payloads, size=size)
        self.handler = Handler(
            self.opening,
            self.forwarder,
            self.dead_letters,
            guard=RejectGuard(enabled=guard, observe=self.facts.append, clock=lambda: self.now),
            retention=Retention(10 * DAY, clock=lambda: self.now),
            observe=self.facts.append,
            clock=lambda: self.now,
        )

    async def _sleep(self, _seconds: float) -> None:
        await self.woken.wait()
        self.woken.clear()


def message(body: object, message_id: str = "m-1", **more: object) -> Message:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(body=text, message_id=message_id, queue="main", **more)  # type: ignore[arg-type]


def event(**more: object) -> dict[str, object]:
    return {"name": "a/b", "data": {}, **more}


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def origin(copy: DeadLetterCopy) -> Origin:
    return unpack(copy.attributes[ATTRIBUTE].value)
