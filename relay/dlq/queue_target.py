"""Readdressing: a letter as the message that brings it back, everything it carried preserved."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from relay.aws.publisher import Publisher
from relay.aws.sqs_values import Failed, Outgoing, Sent
from relay.delivery.dead_letter_queue import MAX_BYTES, DeadLetterCopy, TooLarge, dead_letter_copy
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.selection import BLOCKED, Skipped
from relay.dlq.targets import Accepted, Result, TargetQueue, group_rounds
from relay.model.message import Message
from relay.model.origin import ATTRIBUTE, Origin


def readdress(letter: DeadLetter, *, fifo: bool, run: str, max_bytes: int) -> Outgoing | Skipped:
    """The message to send: body, attributes, group and trace header as they were.

    What the letter's ids hang on goes along in our one attribute. Where that finds no place, the
    letter goes without it if its ids do not need it, and stays if they do: losing one of ten
    attributes, or an id, is for a person to decide.

    Args:
        letter: what to bring back.
        fifo: whether the queue that it goes to is a FIFO queue.
        run: id of the run. With it in the deduplication id SQS swallows nothing but what this very
            run sent before.
        max_bytes: the most that the queue takes.
    """
    dedup_id = _dedup(letter, run) if fifo else None
    as_it_is = _as_it_is(letter.message, dedup_id)
    origin = letter.origin
    if origin is None or (letter.noted and not letter.altered and not letter.moved_by_sqs):
        fits = max_bytes >= MAX_BYTES or as_it_is.size <= max_bytes
        return as_it_is if fits else _no_room(letter, as_it_is, max_bytes)
    copy = _copy(letter.message, origin, max_bytes)
    if copy is not None:
        return _outgoing(copy, letter.message, dedup_id)
    if letter.altered or letter.rootless or as_it_is.size > max_bytes:
        return _no_room(letter, as_it_is, max_bytes)
    return as_it_is


def _copy(message: Message, origin: Origin, max_bytes: int) -> DeadLetterCopy | None:
    """The message with its past noted; None where something would be lost for it."""
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
        group_id=_group(message, dedup_id),
        dedup_id=dedup_id,
        trace_header=message.trace_header,
    )


def _as_it_is(message: Message, dedup_id: str | None) -> Outgoing:
    return Outgoing(
        body=message.body.decode("utf-8", "surrogatepass"),
        attributes=message.attributes,
        group_id=_group(message, dedup_id),
        dedup_id=dedup_id,
        trace_header=message.trace_header,
    )


def _group(message: Message, dedup_id: str | None) -> str | None:
    # Where no group is known, no order is known that could be kept.
    return message.group_id or dedup_id


def _dedup(letter: DeadLetter, run: str) -> str:
    key = f"{run}\n{letter.message.message_id}\n{letter.hops}"
    return hashlib.sha256(key.encode()).hexdigest()


def _no_room(letter: DeadLetter, as_it_is: Outgoing, max_bytes: int) -> Skipped:
    if as_it_is.size > max_bytes:
        return Skipped("no_room", f"the queue takes no more than {max_bytes} bytes")
    what = "its attributes are ten" if len(letter.message.attributes) >= 10 else "it is as large"  # noqa: PLR2004 - SQS's quota
    return Skipped(
        "no_room",
        f"{what} as SQS allows, and its ids would change without our attribute: bring it back"
        " with --direct, which needs no room",
    )


@dataclass(frozen=True, slots=True)
class AddressedMessage:
    """A message and the queue that it goes to."""

    target: TargetQueue
    message: Outgoing


class QueueTarget:
    """Sends each letter to the queue that `route` tells; `run` is the id of the run.

    Of a FIFO queue a batch holds one message of a group: of several SQS may take a later one and
    refuse an earlier one, and then their order is lost.
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

    async def ready(self, letter: DeadLetter) -> AddressedMessage | Skipped:
        """The message that would be sent."""
        target = await self._route(letter)
        if isinstance(target, Skipped):
            return target
        message = readdress(
            letter, fifo=target.queue.fifo, run=self._run, max_bytes=target.max_bytes
        )
        return message if isinstance(message, Skipped) else AddressedMessage(target, message)

    async def carry(self, loads: Sequence[AddressedMessage]) -> Sequence[Result]:
        """Send all, again what SQS refuses for now."""
        results: list[Result] = [BLOCKED] * len(loads)
        for arn in dict.fromkeys(load.target.queue.arn for load in loads):
            mine = [i for i, load in enumerate(loads) if load.target.queue.arn == arn]
            for i, result in zip(mine, await self._send([loads[i] for i in mine]), strict=True):
                results[i] = result
        return results

    async def _send(self, loads: Sequence[AddressedMessage]) -> list[Result]:
        """Loads of one queue, in order."""
        queue = loads[0].target.queue
        publisher = self._publishers.get(queue.arn)
        if publisher is None:
            publisher = self._publishers[queue.arn] = Publisher(queue, sleep=self._sleep)
        results: list[Result] = [BLOCKED] * len(loads)
        every = list(range(len(loads)))
        blocked: set[str | None] = set()
        for wave in (
            group_rounds([load.message.group_id for load in loads]) if queue.fifo else [every]
        ):
            free = [i for i in wave if loads[i].message.group_id not in blocked]
            answers = await publisher.publish([loads[i].message for i in free])
            for i, answer in zip(free, answers, strict=True):
                results[i] = _result(answer)
                if queue.fifo and isinstance(answer, Failed):
                    blocked.add(loads[i].message.group_id)
            if publisher.stopped is not None:
                if not any(isinstance(result, Accepted) for result in results):
                    raise publisher.stopped
                break
        return results


def _result(answer: Sent | Failed) -> Result:
    if isinstance(answer, Sent):
        return Accepted(answer.message_id)
    return Skipped("not_sent", answer.sentence)
