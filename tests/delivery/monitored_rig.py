"""The handler under a monitor that reports when it is stuck."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from relay.app.forwarding import EventForwarder
from relay.app.readiness import StuckMonitor, readiness
from relay.forwarding import ForwarderState
from relay.forwarding.undelivered import Stuck
from relay.model.facts import StuckChanged
from relay.model.message import Message
from relay.model.outcome import Retry
from tests.delivery.handler_rig import HandlerRig, message, turns

AFTER = 180.0


class UnreadablePayloads:
    """The bucket denies every read while every message is a pointer into it."""

    denying = True

    def may_be_pointer(self, _message: Message) -> bool:
        return self.denying

    @contextlib.asynccontextmanager
    async def opened(self, _message: Message) -> AsyncIterator[Retry]:
        yield Retry("the payload cannot be read: AccessDenied")


class Monitored(HandlerRig):
    """The handler under a monitor, and the circuit that the test sets."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.circuit = "closed"
        self.found: Stuck | None = None
        self.monitor = StuckMonitor(
            cast("EventForwarder", self),
            self.handler,
            after=AFTER,
            setting="RELAY_MAX_IN_FLIGHT",
            observe=self.facts.append,
            clock=lambda: self.now,
        )
        self.ready = readiness(cast("EventForwarder", self), self.handler, self.monitor)

    @property
    def state(self) -> ForwarderState:
        reason = "" if self.circuit == "closed" else "refused"
        return ForwarderState(
            circuit=self.circuit,
            reason=reason,
            setting=None,
            seconds=1.0,
            in_flight=0,
            last_error=None,
        )

    def stuck(self, after: float) -> Stuck | None:
        assert after == AFTER
        return self.found

    async def start(self, body: object, message_id: str = "m-1") -> asyncio.Task[Any]:
        task = asyncio.create_task(self.handler.handle(message(body, message_id)))
        await turns()
        return task

    @property
    def changes(self) -> list[StuckChanged]:
        return [fact for fact in self.facts if isinstance(fact, StuckChanged)]
