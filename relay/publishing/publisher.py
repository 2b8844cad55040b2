"""Publishes events: packs them into messages, sends these, and returns once SQS has them all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from relay.aws.errors import AwsError
from relay.aws.sqs_values import BATCH_BYTES, Failed, Outgoing
from relay.forwarding.batcher import BatcherClosed
from relay.model.event import Event
from relay.publishing.events import TOO_LARGE, InvalidEvents
from relay.publishing.large_payloads import LargePayloads
from relay.publishing.packing import Packer
from relay.publishing.sending import BatchSender

_OF_THE_MESSAGE = frozenset(
    {
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MessageTooLong",
    }
)
"""SQS's codes for a message that it will never take. Any other failure may end."""


class NotPublished(Exception):
    """Not all events are known to be in the queue. Any of them may be there.

    A repeated call with the same ids is harmless: the orchestrator starts each function once an id.

    Attributes:
        code: SQS's code, or `stopping`, `not_open`, `no_answer` or `payload_not_stored`.
        permanent: whether a repeated call cannot succeed, because SQS refuses an event.
    """

    def __init__(self, code: str, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.permanent = permanent


class SupportsPublish(Protocol):
    """The part of a publisher that the gateway needs."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once SQS has confirmed every event. Raises `InvalidEvents`, `NotPublished`."""
        ...


class EventPublisher:
    """Publishes events that have their ids. Concurrent calls share requests to SQS.

    Args:
        sender: sends messages.
        packer: makes messages of events.
        payloads: keeps what is too large for the queue; None to refuse it.
        max_message_bytes: the queue's `MaximumMessageSize`.
        timeout: seconds for a call.
    """

    def __init__(
        self,
        sender: BatchSender,
        packer: Packer,
        *,
        payloads: LargePayloads | None = None,
        max_message_bytes: int = BATCH_BYTES,
        timeout: float = 5.0,
    ) -> None:
        self._sender = sender
        self._packer = packer
        self._payloads = payloads
        self._max_message_bytes = max_message_bytes
        self._timeout = timeout

    @property
    def problem(self) -> str | None:
        """Why the last request to SQS failed, a sentence; None after a success."""
        return self._sender.problem

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once SQS has confirmed every event.

        Raises:
            InvalidEvents: an event is too large for the queue, and there is no bucket. Nothing was
                sent.
            NotPublished: not all events are known to be in the queue.
        """
        packed = self._packer.pack(events)
        try:
            async with asyncio.timeout(self._timeout):
                messages = await self._fitting(packed)
                results = await self._sender.send(messages)
        except TimeoutError:
            raise NotPublished("no_answer", "SQS did not confirm all events in time") from None
        except BatcherClosed:
            raise NotPublished("stopping", "the publisher is stopping") from None
        for (part, _), result in zip(packed, results, strict=True):
            if isinstance(result, Failed):
                raise _failure(part, result)

    async def drain(self) -> None:
        """Return when every call has its result. Later calls raise `NotPublished`."""
        await self._sender.drain()

    async def aclose(self) -> None:
        """Cancel what is under way."""
        await self._sender.aclose()

    async def _fitting(self, packed: Sequence[tuple[Sequence[Event], Outgoing]]) -> list[Outgoing]:
        """The messages, with the bodies stored of those that are too large."""
        messages = [message for _, message in packed]
        large = [at for at, one in enumerate(messages) if one.size > self._max_message_bytes]
        if large and self._payloads is None:
            raise self._too_large(*packed[large[0]])
        for at in large:
            messages[at] = await self._stored(messages[at])
        return messages

    def _too_large(self, events: Sequence[Event], message: Outgoing) -> InvalidEvents:
        return InvalidEvents(
            TOO_LARGE,
            f"it takes {message.size} bytes in a message, more than the queue's"
            f" {self._max_message_bytes}: send less, or configure an S3 bucket for large events"
            " (RELAY_GATEWAY_BUCKET, in Python payload_bucket)",
            events[0].index + 1,
        )

    async def _stored(self, message: Outgoing) -> Outgoing:
        assert self._payloads is not None  # noqa: S101 - checked before
        try:
            return await self._payloads.put(message)
        except AwsError as error:
            raise NotPublished(
                "payload_not_stored", f"a large event could not be stored: {error.sentence}"
            ) from error


def _failure(events: Sequence[Event], failed: Failed) -> NotPublished:
    permanent = failed.permanent and failed.code in _OF_THE_MESSAGE
    which = f"event {events[0].index + 1}: " if permanent else ""
    return NotPublished(failed.code, f"{which}{failed.sentence}", permanent=permanent)
