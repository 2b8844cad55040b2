"""Handles a batch of SQS messages in one invocation of AWS Lambda, and reports those that failed.

The batch utility of aws-lambda-powertools has the types of the response, and no more is used: its
asynchronous entry runs a new event loop for each invocation (`asyncio.run`), which would close
every connection; its FIFO processor handles all groups one after the other, and none of it knows
the invocation's deadline.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from relay.aws.errors import AwsError
from relay.aws.sqs_values import Failed
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.settings.clocks import FIRST_BACKOFF, LAST_REPORT
from relay.sources.lambda_event import Batch, InvocationFailed, Record

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse

CANCEL_WAIT = 1.0
"""Seconds that cancelled messages may take to end."""

HIDE_WAIT = 2.0
"""Seconds that a change of visibility may take. It only brings a retry forward."""

LAST_WRITES = 1.0
"""Seconds for the open writes of dead letters and ledger entries, before the process is frozen."""

LAST_STEPS = CANCEL_WAIT + HIDE_WAIT + LAST_WRITES + LAST_REPORT
"""Seconds before the invocation's deadline at which what is not settled has failed."""

MAX_DOUBLINGS = 16

Changes = Sequence[tuple[str, float]]
"""Receipt handles, and for how many seconds to hide each message from now on."""

_log = logging.getLogger(__name__)


def hide_for(
    receive_count: int, visibility: float, uniform: Callable[[float, float], float]
) -> float:
    """Seconds for which a message that failed is hidden: twice as long after each receive.

    At most `visibility`, the queue's own visibility timeout. See `relay.settings.clocks`.
    """
    doublings = min(max(receive_count - 1, 0), MAX_DOUBLINGS)
    return min(visibility, FIRST_BACKOFF * 2.0**doublings * uniform(1.0, 1.5))


class LambdaBatch:
    """Handles batches one after the other, in one event loop.

    A message that is not reported as failed was delivered or dead-lettered, and Lambda deletes it.
    Everything else stays in the queue: what failed, what was cancelled at the deadline and what was
    never started. Of a FIFO group nothing is sent after its first failure.

    Args:
        handle: returns a message's outcome. It must not wait for an outage to end.
        hide: changes the visibility of messages of the queue with this ARN.
        visibility: seconds; the queue's visibility timeout.
        longest_hide: the most seconds for which a message may be hidden, for its retention.
        unavailable: why nothing can be delivered at present, or None. A batch of which no message
            was settled then fails as a whole: only after errors does Lambda receive less.
        stop_on_reject: whether a dead-lettered message also ends its FIFO group.
        uniform: jitter.
    """

    def __init__(
        self,
        handle: Callable[[Message], Awaitable[Outcome]],
        hide: Callable[[str, Changes], Awaitable[Sequence[Failed | None]]],
        *,
        visibility: float,
        longest_hide: Callable[[Message], float],
        unavailable: Callable[[], str | None],
        stop_on_reject: bool = False,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._handle = handle
        self._hide = hide
        self._visibility = visibility
        self._longest_hide = longest_hide
        self._unavailable = unavailable
        self._stop_on_reject = stop_on_reject
        self._uniform = uniform
        self._hiding_failed = False

    async def run(self, batch: Batch, within: float) -> PartialItemFailureResponse:
        """Handle the batch in at most `within` seconds. The response has the messages that failed.

        Raises:
            InvocationFailed: nothing of the batch was settled, and nothing can be at present.
        """
        groups = _groups(batch)
        outcomes: dict[int, Outcome] = {}
        await self._handle_groups(groups, outcomes, within - LAST_STEPS)
        settled = {n for n, one in outcomes.items() if not isinstance(one, Retry)}
        failed = [record for n, record in enumerate(batch.records) if n not in settled]
        await self._hide_failed(batch, self._changes(batch, groups, outcomes))
        if not settled and (reason := self._unavailable()) is not None:
            raise InvocationFailed("unavailable", reason)
        return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in failed]}

    async def _handle_groups(
        self, groups: Iterable[_Group], outcomes: dict[int, Outcome], within: float
    ) -> None:
        """Handle the groups concurrently, and cancel what is not done in time."""
        tasks = [asyncio.create_task(self._handle_group(group, outcomes)) for group in groups]
        if not tasks:
            return
        try:
            _, late = await asyncio.wait(tasks, timeout=max(0.0, within))
        finally:
            for task in tasks:
                task.cancel()
        if late:
            _log.warning(
                "the invocation's time is over: %d messages or groups are not finished and stay in"
                " the queue",
                len(late),
            )
            await asyncio.wait(late, timeout=CANCEL_WAIT)

    async def _handle_group(self, group: _Group, outcomes: dict[int, Outcome]) -> None:
        for number, message in group:
            try:
                outcome = await self._handle(message)
            except Exception:  # noqa: BLE001 - a bug: the message and its group stay in the queue
                _log.exception("handling message %s failed", message.message_id)
                return
            outcomes[number] = outcome
            ends = Retry | Reject if self._stop_on_reject else Retry
            if isinstance(outcome, ends):
                return

    def _changes(
        self, batch: Batch, groups: Iterable[_Group], outcomes: dict[int, Outcome]
    ) -> Changes:
        """For how long to hide each message that failed; those of a group as long as its first."""
        changes: list[tuple[str, float]] = []
        for group in groups:
            first = next((n for n, _ in group if isinstance(outcomes.get(n), Retry)), None)
            if first is None:
                continue
            seconds = self._delay(dict(group)[first], outcomes[first])
            for number, _ in group:
                received = batch.records[number].received
                if received is not None and not isinstance(
                    outcomes.get(number), Delivered | Reject
                ):
                    changes.append((received.handle, seconds))
        return [change for change in changes if change[1] < self._visibility]

    def _delay(self, message: Message, outcome: Outcome) -> float:
        asked = outcome.after if isinstance(outcome, Retry) else None
        if asked is None:
            asked = hide_for(message.receive_count, self._visibility, self._uniform)
        return min(asked, self._longest_hide(message))

    async def _hide_failed(self, batch: Batch, changes: Changes) -> None:
        """Bring retries forward. If that fails, the queue's own visibility timeout counts."""
        if not changes:
            return
        try:
            async with asyncio.timeout(HIDE_WAIT):
                results = await self._hide(batch.queue_arn, changes)
            problem = next((one.sentence for one in results if one is not None), None)
        except AwsError as error:
            problem = error.sentence
        except TimeoutError:
            problem = f"SQS did not answer in {HIDE_WAIT:g} s"
        if problem is not None and not self._hiding_failed:
            _log.warning(
                "messages that failed come back after the queue's visibility timeout only: %s",
                problem,
            )
        self._hiding_failed = problem is not None


_Group = Sequence[tuple[int, Message]]
"""Messages to handle in this order, each with its index in the batch."""


def _groups(batch: Batch) -> list[_Group]:
    """On a FIFO queue the messages of each group, else each message for itself.

    A record that cannot be read fails, and so do the later ones of its batch on a FIFO queue: its
    group is unknown.
    """
    groups: dict[str, list[tuple[int, Message]]] = {}
    for number, record in enumerate(batch.records):
        if record.received is not None:
            groups.setdefault(_group(batch, number, record), []).append(
                (number, record.received.message)
            )
        elif batch.fifo:
            break
    return list(groups.values())


def _group(batch: Batch, number: int, record: Record) -> str:
    message = record.received.message if record.received else None
    if not batch.fifo or message is None or message.group_id is None:
        return str(number)
    return f"group {message.group_id}"
