"""Sends dead letters back to queues, with everything that they carried and the same ids."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from relay.aws.publisher import Publisher
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.delivery.dead_letter_copy import (
    MAX_ATTRIBUTES,
    MAX_BYTES,
    DeadLetterCopy,
    TooLarge,
    dead_letter_copy,
)
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.selection import BLOCKED, Skipped
from relay.dlq.targets import Accepted, Result, TargetQueue, group_rounds
from relay.model.message import Message
from relay.model.origin import ATTRIBUTE, Origin


@dataclass(frozen=True, slots=True)
class AddressedMessage:
    """A message and the queue that it goes to."""

    target: TargetQueue
    message: Outgoing


class QueueTarget:
    """Sends each dead letter to the queue that `route` finds.

    On a FIFO queue a batch has one message of each group: of several, SQS may accept a later one
    and refuse an earlier one, which would change their order.

    Args:
        route: finds the queue of a dead letter, or says why there is none.
        run: id of the run.
        sleep: waits between two attempts of a send.
    """

    def __init__(
        self,
        route: Callable[[DeadLetter], Awaitable[TargetQueue | Skipped]],
        run: str,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._route = route
        self._run = run
        self._sleep = sleep
        self._publishers: dict[str, Publisher] = {}

    async def prepare(self, dead_letter: DeadLetter) -> AddressedMessage | Skipped:
        """The message and its queue."""
        target = await self._route(dead_letter)
        if isinstance(target, Skipped):
            return target
        message = redrive_message(
            dead_letter, fifo=target.queue.fifo, run=self._run, max_bytes=target.max_bytes
        )
        return message if isinstance(message, Skipped) else AddressedMessage(target, message)

    async def send(self, messages: Sequence[AddressedMessage]) -> Sequence[Result]:
        """Send all; what SQS refuses temporarily is sent again."""
        results: list[Result] = [BLOCKED] * len(messages)
        for arn in dict.fromkeys(one.target.queue.arn for one in messages):
            mine = [i for i, one in enumerate(messages) if one.target.queue.arn == arn]
            for i, result in zip(mine, await self._send([messages[i] for i in mine]), strict=True):
                results[i] = result
        return results

    async def _send(self, messages: Sequence[AddressedMessage]) -> list[Result]:
        """Send the messages of one queue, in order."""
        queue = messages[0].target.queue
        publisher = self._publisher(queue.arn, messages[0].target)
        groups = [one.message.group_id for one in messages]
        results: list[Result] = [BLOCKED] * len(messages)
        blocked: set[str | None] = set()
        for positions in group_rounds(groups) if queue.fifo else [list(range(len(messages)))]:
            free = [i for i in positions if groups[i] not in blocked]
            answers = await publisher.publish([messages[i].message for i in free])
            for i, answer in zip(free, answers, strict=True):
                results[i] = _result(answer)
                if queue.fifo and isinstance(answer, Failed):
                    blocked.add(groups[i])
            if publisher.stopped is not None:
                if not any(isinstance(result, Accepted) for result in results):
                    raise publisher.stopped
                break
        return results

    def _publisher(self, arn: str, target: TargetQueue) -> Publisher:
        publisher = self._publishers.get(arn)
        if publisher is None:
            publisher = self._publishers[arn] = Publisher(target.queue, sleep=self._sleep)
        return publisher


def redrive_message(
    dead_letter: DeadLetter, *, fifo: bool, run: str, max_bytes: int
) -> Outgoing | Skipped:
    """The message to send: the same body, attributes, message group and trace header.

    Our one attribute carries the origin, from which the ids derive. If there is no room for it, the
    message is sent without it if its ids don't need it, and skipped if they do: losing one of ten
    attributes, or an id, is for a person to decide.

    Args:
        dead_letter: what to redrive.
        fifo: whether it goes to a FIFO queue.
        run: id of the run. It is part of the deduplication id, so that SQS drops nothing but what
            this run sent before.
        max_bytes: the most that the queue accepts.
    """
    dedup_id = _dedup_id(dead_letter, run) if fifo else None
    unchanged = _unchanged(dead_letter.message, dedup_id)
    origin = dead_letter.origin
    up_to_date = not dead_letter.modified and not dead_letter.moved_by_sqs
    if origin is None or (dead_letter.has_origin and up_to_date):
        fits = max_bytes >= MAX_BYTES or unchanged.size <= max_bytes
        return unchanged if fits else _no_room(dead_letter, unchanged, max_bytes)
    copy = _copy(dead_letter.message, origin, max_bytes)
    if copy is not None:
        return _outgoing(copy, dead_letter.message, dedup_id)
    if dead_letter.modified or dead_letter.id_would_change or unchanged.size > max_bytes:
        return _no_room(dead_letter, unchanged, max_bytes)
    return unchanged


def _result(answer: Sent | Failed) -> Result:
    if isinstance(answer, Sent):
        return Accepted(answer.message_id)
    return Skipped("not_sent", answer.sentence)


def _copy(message: Message, origin: Origin, max_bytes: int) -> DeadLetterCopy | None:
    """The message with its origin; None if something would be lost to make room for it."""
    try:
        copy = dead_letter_copy(message, origin, max_bytes)
    except TooLarge:
        return None
    others = {name for name in message.attributes if name.casefold() != ATTRIBUTE}
    return copy if others <= set(copy.attributes) else None


def _outgoing(copy: DeadLetterCopy, message: Message, dedup_id: str | None) -> Outgoing:
    return Outgoing(
        body=copy.body,
        attributes=copy.attributes,
        group_id=_group_id(message, dedup_id),
        dedup_id=dedup_id,
        trace_header=message.trace_header,
    )


def _unchanged(message: Message, dedup_id: str | None) -> Outgoing:
    return Outgoing(
        body=message.body.decode("utf-8", "surrogatepass"),
        attributes=message.attributes,
        group_id=_group_id(message, dedup_id),
        dedup_id=dedup_id,
        trace_header=message.trace_header,
    )


def _group_id(message: Message, dedup_id: str | None) -> str | None:
    # Without a known group there is no known order to keep.
    return message.group_id or dedup_id


def _dedup_id(dead_letter: DeadLetter, run: str) -> str:
    key = f"{run}\n{dead_letter.message.message_id}\n{dead_letter.hops}"
    return hashlib.sha256(key.encode()).hexdigest()


def _no_room(dead_letter: DeadLetter, unchanged: Outgoing, max_bytes: int) -> Skipped:
    if unchanged.size > max_bytes:
        return Skipped("no_room", f"the queue accepts no more than {max_bytes} bytes")
    full = len(dead_letter.message.attributes) >= MAX_ATTRIBUTES
    what = "it has the ten attributes" if full else "it has the size"
    return Skipped(
        "no_room",
        f"{what} that SQS allows at most, and its ids would change without our attribute: use"
        " --direct, which needs no room",
    )
