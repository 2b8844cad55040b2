"""Relays that are broken on purpose, one defect each: the judge must catch every one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from relay.app import core
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.delivery.dead_letter_store import SqsDeadLetterStore
from relay.delivery.handler import Handler
from relay.model.message import Message
from relay.model.origin import Origin
from relay.model.outcome import Delivered, Outcome


class Hasty(Handler):
    """Acknowledges first and checks afterwards."""

    async def handle(self, message: Message) -> Outcome:
        return _later(super().handle(message))

    async def handle_exclusive(self, message: Message) -> Outcome:
        return _later(super().handle_exclusive(message))


class Forgetful(Handler):
    """Gives a dead letter an id of its own."""

    def _origin(self, *arguments: Any) -> Origin:
        return replace(super()._origin(*arguments), id=str(uuid.uuid4()))


class Trusting(SqsDeadLetterStore):
    """Takes the answer of a batch for that of each entry."""

    async def _send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        results = await super()._send(entries)
        return [Sent("assumed") if isinstance(one, Failed) else one for one in results]


def _later(work: Coroutine[Any, Any, Outcome]) -> Delivered:
    _left.add(task := asyncio.create_task(work))
    task.add_done_callback(_left.discard)
    return Delivered()


_left: set[asyncio.Task[Outcome]] = set()


def _wire(name: str, kind: type) -> Callable[[], None]:
    return lambda: setattr(core, name, kind)


MUTANTS: dict[str, Callable[[], None]] = {
    "acknowledges before the check": _wire("Handler", Hasty),
    "drops the id at dead-lettering": _wire("Handler", Forgetful),
    "ignores Failed[]": _wire("SqsDeadLetterStore", Trusting),
}
"""By name, what wires it in place of the real part."""
