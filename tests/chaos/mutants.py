"""Relays with one deliberate defect each: the reconciliation must detect every one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from relay.app import core
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.delivery.dead_letter_store import SqsDeadLetterStore
from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.handler import Handler
from relay.model.message import Message
from relay.model.origin import Origin
from relay.model.outcome import Delivered, Outcome, Reject, Retry


class EarlyAcknowledging(Handler):
    """Acknowledges a message before it is delivered."""

    async def handle(self, message: Message) -> Outcome:
        return _in_background(super().handle(message))

    async def handle_exclusive(self, message: Message) -> Outcome:
        return _in_background(super().handle_exclusive(message))


class LosingIds(DeadLettering):
    """Gives dead letters a new id."""

    async def put(self, message: Message, origin: Origin, *others: Any) -> Reject | Retry:
        return await super().put(message, replace(origin, id=str(uuid.uuid4())), *others)


class IgnoringFailures(SqsDeadLetterStore):
    """Treats the success of a batch as the success of each entry."""

    async def _send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        results = await super()._send(entries)
        return [Sent("assumed") if isinstance(one, Failed) else one for one in results]


def _in_background(work: Coroutine[Any, Any, Outcome]) -> Delivered:
    _background.add(task := asyncio.create_task(work))
    task.add_done_callback(_background.discard)
    return Delivered()


_background: set[asyncio.Task[Outcome]] = set()


def _replace(name: str, kind: type) -> Callable[[], None]:
    return lambda: setattr(core, name, kind)


MUTANTS: dict[str, Callable[[], None]] = {
    "acknowledges before the delivery": _replace("Handler", EarlyAcknowledging),
    "changes the id of a dead letter": _replace("DeadLettering", LosingIds),
    "ignores Failed[]": _replace("SqsDeadLetterStore", IgnoringFailures),
}
"""By name, a function that replaces the real part."""
