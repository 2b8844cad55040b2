"""Relays with one deliberate defect each: the reconciliation must detect every one."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

from relay.app import aws_lambda, core
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.delivery import dead_letter_room, dead_lettering
from relay.delivery.dead_letter_copy import DeadLetterCopy, truncated_copy
from relay.delivery.dead_letter_store import SqsDeadLetterStore
from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.fast_path import Caller, Rest
from relay.delivery.handler import Handler
from relay.delivery.retention import Retention
from relay.model.event import Event
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin, unpack
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.publishing import ids, opening
from relay.publishing.ids import Seed
from relay.publishing.publisher import EventPublisher
from relay.publishing.sending import BatchSender
from relay.sources.lambda_batch import LambdaBatch, _Group


class EarlyAcknowledging(Handler):
    """Acknowledges a message before it is delivered."""

    async def handle(self, message: Message, *others: Any, **more: Any) -> Outcome:
        return _in_background(super().handle(message, *others, **more))

    async def handle_exclusive(self, message: Message, *others: Any, **more: Any) -> Outcome:
        return _in_background(super().handle_exclusive(message, *others, **more))

    def begin(self, message: Message, _caller: Caller) -> Rest:
        return partial(self.handle, message)

    def begin_exclusive(self, message: Message, _caller: Caller) -> Rest:
        return partial(self.handle_exclusive, message)


class LosingIds(DeadLettering):
    """Gives dead letters a new id."""

    async def put(self, message: Message, origin: Origin, *others: Any) -> Reject | Retry:
        return await super().put(message, replace(origin, id=str(uuid.uuid4())), *others)


class IgnoringFailures(SqsDeadLetterStore):
    """Treats the success of a batch as the success of each entry."""

    async def _send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        results = await super()._send(entries)
        return [Sent("assumed") if isinstance(one, Failed) else one for one in results]


class HidingBeyondRetention(Retention):
    """Hides a message for as long as its retry asks for, whatever its age is."""

    def longest_hide(self, message: Message) -> float:
        return math.inf


class Truncating(dead_letter_room.Room):
    """Truncates a dead letter that does not fit, at once."""

    async def copy_of(
        self, message: Message, origin: Origin, limit: int, _last_chance: Callable[[], bool]
    ) -> DeadLetterCopy:
        return await super().copy_of(message, origin, limit, lambda: True)


def _unmarked(message: Message, origin: Origin, limit: int) -> DeadLetterCopy:
    """The beginning of a body, as if it were the whole."""
    copy = truncated_copy(message, origin, limit)
    whole = replace(unpack(copy.attributes[ATTRIBUTE].value), encoding=None, lost=("shop",))
    return replace(copy, attributes={ATTRIBUTE: Attribute("String", whole.pack())})


def _truncate_unmarked() -> None:
    setattr(dead_lettering, "Room", Truncating)  # noqa: B010 - mypy forbids assigning to a type
    setattr(dead_letter_room, "truncated_copy", _unmarked)  # noqa: B010 - as above


class EarlyConfirming(EventPublisher):
    """The gateway answers before SQS has confirmed the events."""

    async def publish(self, events: Sequence[Event]) -> None:
        _background.add(task := asyncio.create_task(super().publish(events)))
        task.add_done_callback(_background.discard)


class AssumingSent(BatchSender):
    """The gateway treats the success of a request to SQS as the success of each message."""

    async def _try(
        self,
        batch: Sequence[Outgoing],
        waiting: Sequence[int],
        results: list[Sent | Failed],
        deadline: float,
    ) -> bool:
        hopeless = await super()._try(batch, waiting, results, deadline)
        results[:] = [Sent("assumed") if isinstance(one, Failed) else one for one in results]
        return hopeless


class NewIds(Seed, frozen=True):
    """The gateway makes new ids for each try of a request."""

    def id(self, position: int) -> str:
        return f"{uuid.uuid4()}-{position}"


class ReportingLateAsDone(LambdaBatch):
    """Reports what was not finished before the deadline as done."""

    async def _handle_groups(
        self, groups: Iterable[_Group], outcomes: dict[int, Outcome], within: float
    ) -> None:
        groups = list(groups)
        await super()._handle_groups(groups, outcomes, within)
        for number in (number for group in groups for number, _ in group):
            outcomes.setdefault(number, Delivered())


def _in_background(work: Coroutine[Any, Any, Outcome]) -> Delivered:
    _background.add(task := asyncio.create_task(work))
    task.add_done_callback(_background.discard)
    return Delivered()


_background: set[asyncio.Task[Any]] = set()


def _replace(name: str, kind: type) -> Callable[[], None]:
    return lambda: setattr(core, name, kind)


def _replace_in(module: ModuleType, name: str, kind: type) -> Callable[[], None]:
    return lambda: setattr(module, name, kind)


MUTANTS: dict[str, Callable[[], None]] = {
    "acknowledges before the delivery": _replace("Handler", EarlyAcknowledging),
    "changes the id of a dead letter": _replace("DeadLettering", LosingIds),
    "ignores Failed[]": _replace("SqsDeadLetterStore", IgnoringFailures),
    "hides beyond the retention": _replace("Retention", HidingBeyondRetention),
    "reports what is late as done": lambda: setattr(aws_lambda, "LambdaBatch", ReportingLateAsDone),
    "takes a truncated dead letter for a whole one": _truncate_unmarked,
    "answers before SQS confirms": _replace_in(opening, "EventPublisher", EarlyConfirming),
    "assumes that each message was sent": _replace_in(opening, "BatchSender", AssumingSent),
    "makes new ids for each try": _replace_in(ids, "Seed", NewIds),
}
"""By name, a function that replaces the real part."""
