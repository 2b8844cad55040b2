"""The event source and SQS: batches, partial failures, visibility, throttles and groups.

On virtual time, with the local SQS's own queues. Each test is a rule of the Lambda Developer Guide;
`EventSource` names the sections.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.local.lambda_events import (
    Answer,
    EventSource,
    EventSourceOptions,
    FunctionError,
    Throttled,
)
from relay.local.lambda_events.scaling import FEWEST, START
from tests.forwarding.virtual_time import now, run
from tests.simulation.lambda_function import VirtualQueue
from tests.simulation.world import World

VISIBILITY = 60.0
Respond = Callable[[list[str]], Any]


class Invocations:
    """A function that records its batches; `respond` gets the ids of the events and answers."""

    def __init__(self, world: World, seconds: float = 0.1) -> None:
        self.world = world
        self.batches: list[tuple[float, list[str]]] = []
        self.respond: Respond = lambda _: None
        self.running = self.most_running = 0
        self._seconds = seconds

    async def __call__(self, event: bytes) -> Answer | FunctionError:
        records = json.loads(event)["Records"]
        names = {record["messageId"]: json.loads(record["body"])["id"] for record in records}
        self.batches.append((now(), list(names.values())))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.running -= 1
        found = self.respond(list(names.values()))
        if isinstance(found, Exception):
            raise found
        if isinstance(found, FunctionError | bytes):
            return Answer(found) if isinstance(found, bytes) else found
        failed = [{"itemIdentifier": key} for key, name in names.items() if name in (found or ())]
        return Answer(json.dumps({"batchItemFailures": failed}).encode())

    def times(self, name: str) -> list[float]:
        """When a message was in a batch."""
        return [at for at, names in self.batches if name in names]


@asynccontextmanager
async def polling(
    function: Invocations, options: EventSourceOptions | None = None
) -> AsyncIterator[EventSource]:
    world = function.world
    source = EventSource(VirtualQueue(world.sqs, world.main), function, options, clock=world.clock)
    async with source:
        yield source


def world(*, groups: int = 0, max_receive_count: int = 1_000) -> World:
    return World(visibility=VISIBILITY, groups=groups, max_receive_count=max_receive_count)


def test_a_success_deletes_the_whole_batch() -> None:
    async def main() -> None:
        function = Invocations(world())
        await function.world.publish(25)
        async with polling(function) as source:
            await function.world.empty(within=30)
            assert source.counters.deleted == source.counters.received == 25
        assert max(len(names) for _, names in function.batches) == 10

    run(main)


def test_only_reported_messages_come_back_and_after_the_visibility_timeout() -> None:
    async def main() -> None:
        function = Invocations(world())
        function.respond = lambda _: ["order-3"]
        await function.world.publish(10)
        async with polling(function):
            await asyncio.sleep(VISIBILITY - 1)
            assert function.world.left == 1
            function.respond = lambda _: None
            await function.world.empty(within=10)
        assert all(len(function.times(f"order-{n}")) == 1 for n in range(10) if n != 3)
        first, second = function.times("order-3")
        assert second - first == pytest.approx(VISIBILITY, abs=0.5)

    run(main)


@pytest.mark.parametrize(
    "answer",
    [FunctionError("ValueError"), b'{"batchItemFailures": [{"itemIdentifier": "unknown"}]}'],
    ids=["an error", "an unknown id"],
)
def test_after_a_failure_the_whole_batch_comes_back(answer: Any) -> None:
    async def main() -> None:
        function = Invocations(world())
        function.respond = lambda _: answer
        await function.world.publish(10)
        async with polling(function) as source:
            await asyncio.sleep(VISIBILITY - 1)
            assert function.world.left == 10
            assert source.counters.deleted == 0
            function.respond = lambda _: None
            await function.world.empty(within=10)

    run(main)


def test_without_partial_responses_every_answer_deletes() -> None:
    async def main() -> None:
        function = Invocations(world())
        function.respond = lambda names: names
        await function.world.publish(10)
        async with polling(function, EventSourceOptions(report_batch_item_failures=False)):
            await function.world.empty(within=10)

    run(main)


def test_a_message_that_fails_too_often_is_moved_by_sqs() -> None:
    async def main() -> None:
        function = Invocations(world(max_receive_count=3))
        function.respond = lambda names: names
        await function.world.publish(1)
        async with polling(function):
            await asyncio.sleep(4 * VISIBILITY)
        assert len(function.times("order-0")) == 3
        assert len(function.world.dead.messages()) == 1

    run(main)


def test_a_batch_above_ten_is_gathered_within_its_window() -> None:
    async def main() -> None:
        function = Invocations(world())
        options = EventSourceOptions(batch_size=100, batching_window=5, maximum_concurrency=2)
        async with polling(function, options):
            await function.world.publish(60)
            await function.world.empty(within=60)
        assert max(len(names) for _, names in function.batches) > 20
        assert all(len(names) <= 100 for _, names in function.batches)

    run(main)


def test_a_lone_message_waits_for_the_window_to_end() -> None:
    async def main() -> None:
        function = Invocations(world())
        options = EventSourceOptions(batch_size=100, batching_window=5)
        async with polling(function, options):
            await asyncio.sleep(1)
            sent = now()
            await function.world.publish(1)
            await function.world.empty(within=60)
        ((at, _),) = function.batches
        assert 4.0 <= at - sent <= 6.0

    run(main)


def test_the_concurrency_starts_at_five_and_grows_up_to_its_maximum() -> None:
    async def main() -> None:
        function = Invocations(world(), seconds=2.0)
        await function.world.publish(2_000)
        async with polling(function, EventSourceOptions(batch_size=1, maximum_concurrency=40)):
            await asyncio.sleep(1)
            assert START <= function.most_running <= START + 5
            await asyncio.sleep(30)
            assert function.most_running == 40

    run(main)


def test_errors_reduce_the_concurrency_and_successes_restore_it() -> None:
    async def main() -> None:
        function = Invocations(world(), seconds=0.5)
        function.respond = lambda _: FunctionError("down")
        await function.world.publish(400)
        async with polling(function, EventSourceOptions(batch_size=1)) as source:
            await asyncio.sleep(30)
            assert source.polling <= FEWEST + 2
            function.respond = lambda _: None
            await function.world.empty(within=10 * VISIBILITY)
            assert source.polling >= START

    run(main)


def test_a_throttled_batch_is_tried_again_and_dropped_when_its_messages_are_visible() -> None:
    async def main() -> None:
        function = Invocations(world())
        function.respond = lambda _: Throttled()
        await function.world.publish(5)
        async with polling(function, EventSourceOptions(maximum_concurrency=2)) as source:
            await asyncio.sleep(10)
            assert source.counters.throttled > 1
            assert source.counters.dropped == 0
            await asyncio.sleep(2 * VISIBILITY)
            assert source.counters.dropped >= 5
            assert function.world.left == 5
            function.respond = lambda _: None
            await function.world.empty(within=3 * VISIBILITY)

    run(main)


def test_a_group_has_one_batch_at_a_time_and_waits_for_its_failed_message() -> None:
    async def main() -> None:
        function = Invocations(world(groups=2))
        blocked = True
        function.respond = lambda names: [n for n in names if n in STUCK] if blocked else None
        await function.world.publish(40)
        async with polling(function):
            await asyncio.sleep(VISIBILITY / 2)
            # The even messages are one group: behind its failed ones nothing was received.
            assert {name for _, names in function.batches for name in names if even(name)} == STUCK
            assert {name for _, names in function.batches for name in names if not even(name)} == {
                f"order-{n}" for n in range(1, 40, 2)
            }
            blocked = False
            await function.world.empty(within=10 * VISIBILITY)
        order = [name for _, names in function.batches for name in names if even(name)]
        assert list(dict.fromkeys(order)) == [f"order-{n}" for n in range(0, 40, 2)]

    run(main)


STUCK = {f"order-{n}" for n in range(0, 20, 2)}
"""The first ten messages of the first of two groups: one batch."""


def even(name: str) -> bool:
    return int(name.rpartition("-")[2]) % 2 == 0


def test_an_event_source_that_stops_leaves_everything_in_the_queue() -> None:
    async def main() -> None:
        function = Invocations(world(), seconds=30.0)
        await function.world.publish(10)
        async with polling(function):
            await asyncio.sleep(1)
            assert function.running
        assert function.running == 0
        assert function.world.left == 10

    run(main)


def test_an_event_source_that_aws_would_refuse_cannot_be_created() -> None:
    async def main() -> None:
        function = Invocations(world(groups=1))
        with pytest.raises(ValueError, match="no batching window"):
            async with polling(function, EventSourceOptions(batching_window=1)):
                pass

    run(main)
