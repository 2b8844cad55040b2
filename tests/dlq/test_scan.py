"""The end of a scan: stale counters are waited for, and what was not received is reported."""

from collections import deque
from dataclasses import replace
from typing import Any

from relay.aws.sqs import Queue
from relay.aws.sqs_values import QueueAttributes
from relay.dlq.scan import Coverage, Scan
from tests.dlq.queues import LocalQueues, event, origin_attribute

COUNT = 12


class StaleCounters:
    """A queue whose counters are stale for some requests."""

    def __init__(self, queue: Queue, stale_requests: int, **stale: Any) -> None:
        self._queue = queue
        self._stale = deque([stale] * stale_requests)
        self.fifo = queue.fifo
        self.receive = queue.receive

    async def attributes(self) -> QueueAttributes:
        counts = await self._queue.attributes()
        return replace(counts, **self._stale.popleft()) if self._stale else counts


async def scan_queue(
    queues: LocalQueues, stale_requests: int, deleted: int = 0, **stale: int
) -> Coverage:
    """Scan the queue, deleting the first `deleted` messages and keeping the others."""
    await queues.send("dead", *(event(i) for i in range(COUNT)), attributes=origin_attribute("x"))
    queue = await queues.queue("dead")
    taken = gone = 0
    scan = Scan(
        StaleCounters(queue, stale_requests, **stale),  # type: ignore[arg-type]  # all that a scan calls
        lease=120.0,
        wait=0.0,
        held_count=lambda: taken - gone,
        stop=lambda: False,
        deleted=lambda: gone,
    )
    async for batch in scan:
        taken += len(batch)
        handles = [leased.handle for leased, _ in batch][: max(0, deleted - gone)]
        if handles:
            await queue.delete(handles)
            gone += len(handles)
    assert taken == COUNT
    return scan.coverage


async def test_counters_that_do_not_reflect_receives_yet_are_waited_for(
    queues: LocalQueues,
) -> None:
    assert (await scan_queue(queues, 12, visible=COUNT)).complete


async def test_counters_that_do_not_reflect_deletes_yet_are_waited_for(
    queues: LocalQueues,
) -> None:
    assert (await scan_queue(queues, 12, deleted=COUNT, in_flight=COUNT)).complete


async def test_what_stays_in_flight_elsewhere_is_reported_at_the_end(queues: LocalQueues) -> None:
    coverage = await scan_queue(queues, 10_000, deleted=COUNT, in_flight=3)
    assert (coverage.complete, coverage.left) == (False, 3)
    assert "received by somebody else" in coverage.why


async def test_what_certainly_is_not_ours_is_reported_without_waiting(queues: LocalQueues) -> None:
    coverage = await scan_queue(queues, 1, in_flight=COUNT + 5)
    assert (coverage.complete, coverage.left) == (False, 5)
