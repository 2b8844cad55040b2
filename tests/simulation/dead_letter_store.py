"""Where a simulated relay stores dead letters: in the simulated queue, which may throttle."""

from __future__ import annotations

from collections.abc import Callable

from relay.aws.sqs import Queue
from relay.aws.sqs_values import Failed, Outgoing
from relay.delivery.dead_letter_copy import DeadLetterCopy, NotStored
from tests.forwarding.virtual_time import now


class QueueStore:
    """Sends dead letters to the simulated queue."""

    def __init__(self, queue: Queue, throttled_until: Callable[[], float]) -> None:
        self._queue = queue
        self._throttled_until = throttled_until

    async def limit(self) -> int:
        return (await self._queue.attributes()).maximum_size

    async def put(self, copy: DeadLetterCopy) -> None:
        if now() < self._throttled_until():
            raise NotStored("throttled")
        (result,) = await self._queue.send([_outgoing(copy, fifo=self._queue.fifo)])
        if isinstance(result, Failed):
            raise NotStored(result.sentence)


def _outgoing(copy: DeadLetterCopy, *, fifo: bool) -> Outgoing:
    return Outgoing(
        body=copy.body,
        attributes=copy.attributes,
        group_id=copy.group_id if fifo else None,
        dedup_id=copy.dedup_id if fifo else None,
    )
