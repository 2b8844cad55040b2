"""The end of a pass: counters that are behind are waited for, and what is hidden is told."""

from collections import deque
from dataclasses import replace
from typing import Any

from relay.aws.sqs import Queue
from relay.aws.sqs_values import QueueAttributes
from relay.dlq.scan import Coverage, Scan
from tests.dlq.place import Place, event, noted

COUNT = 12


class Behind:
    """The queue with counters that know of nothing for some looks."""

    def __init__(self, queue: Queue, looks: int, **stale: Any) -> None:
        self._queue = queue
        self._stale = deque([stale] * looks)
        self.fifo = queue.fifo
        self.receive = queue.receive

    async def attributes(self) -> QueueAttributes:
        counts = await self._queue.attributes()
        return replace(counts, **self._stale.popleft()) if self._stale else counts


async def passed(place: Place, looks: int, deleted: int = 0, **stale: int) -> Coverage:
    """Go through the queue, keeping what comes or, of the first, deleting it."""
    await place.send("dead", *(event(i) for i in range(COUNT)), attributes=noted("x"))
    queue = await place.queue("dead")
    taken = gone = 0
    scan = Scan(
        Behind(queue, looks, **stale),  # type: ignore[arg-type]  # all of it that a pass asks
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


async def test_counters_that_do_not_know_of_the_receives_yet_are_waited_for(place: Place) -> None:
    assert (await passed(place, 12, visible=COUNT)).complete


async def test_counters_that_do_not_know_of_the_deletes_yet_are_waited_for(place: Place) -> None:
    assert (await passed(place, 12, deleted=COUNT, in_flight=COUNT)).complete


async def test_what_stays_hidden_is_told_in_the_end(place: Place) -> None:
    coverage = await passed(place, 10_000, deleted=COUNT, in_flight=3)
    assert (coverage.complete, coverage.left) == (False, 3)
    assert "in other hands" in coverage.why


async def test_what_surely_is_not_ours_is_told_without_waiting(place: Place) -> None:
    coverage = await passed(place, 1, in_flight=COUNT + 5)
    assert (coverage.complete, coverage.left) == (False, 5)
