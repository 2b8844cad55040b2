"""Events as Lambda passes them, and a batch handler on virtual time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay.aws.sqs_values import Failed
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome
from relay.settings.clocks import LAMBDA_TIMEOUT, LAMBDA_VISIBILITY
from relay.sources.lambda_batch import Changes, LambdaBatch
from relay.sources.lambda_event import read_event

ARN = "arn:aws:sqs:us-east-2:123456789012:my-queue"
FIFO = f"{ARN}.fifo"
VISIBILITY = LAMBDA_VISIBILITY * LAMBDA_TIMEOUT


def record(
    name: str, *, arn: str = ARN, group: str | None = None, receives: int = 1
) -> dict[str, Any]:
    """A record as in the developer guide's example event."""
    attributes = {
        "ApproximateReceiveCount": str(receives),
        "SentTimestamp": "1545082649183",
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1545082649185",
    }
    if group is not None:
        attributes |= {
            "MessageGroupId": group,
            "MessageDeduplicationId": name,
            "SequenceNumber": "18849496460467696128",
        }
    body = f"body of {name}"
    return {
        "messageId": name,
        "receiptHandle": f"handle of {name}",
        "body": body,
        "attributes": attributes,
        "messageAttributes": {
            "colour": {
                "stringValue": "blue",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            }
        },
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "us-east-2",
    }


def event(*records: Mapping[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


class Handling:
    """A scripted handler of messages and what it was asked, behind a `LambdaBatch`."""

    def __init__(self, *, stop_on_reject: bool = False) -> None:
        self.outcomes: dict[str, Outcome | Exception | float | list[Outcome]] = {}
        self.handled: list[str] = []
        self.cancelled: list[str] = []
        self.changes: dict[str, float] = {}
        self.hide: Callable[[Changes], Sequence[Failed | None]] = self._hide
        self.unavailable: str | None = None
        self.longest_hide = VISIBILITY * 100
        self.batches = LambdaBatch(
            self._handle,
            self._changes,
            visibility=VISIBILITY,
            longest_hide=lambda _: self.longest_hide,
            unavailable=lambda: self.unavailable,
            stop_on_reject=stop_on_reject,
            uniform=lambda low, _high: low,
        )

    async def failed(self, *records: Mapping[str, Any], within: float = 60.0) -> list[str]:
        """The messages that the response names."""
        response = await self.batches.run(read_event(event(*records)), within)
        return [str(failure["itemIdentifier"]) for failure in response["batchItemFailures"]]

    async def _handle(self, message: Message) -> Outcome:
        name = message.message_id
        self.handled.append(name)
        outcome = self.outcomes.get(name, Delivered())
        if isinstance(outcome, list):
            outcome = outcome.pop(0)
        try:
            await asyncio.sleep(outcome if isinstance(outcome, float) else 0.01)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return Delivered() if isinstance(outcome, float) else outcome

    async def _changes(self, _arn: str, changes: Changes) -> Sequence[Failed | None]:
        return self.hide(changes)

    def _hide(self, changes: Changes) -> Sequence[Failed | None]:
        self.changes |= {handle.removeprefix("handle of "): s for handle, s in changes}
        return [None] * len(changes)
