"""The batcher: each caller gets its own result, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.forwarding.batcher import MAX_PASSED, Batcher, WrongCount
from tests.forwarding.sender import Sender
from tests.forwarding.virtual_time import now, run


def test_one_item_is_sent_at_once() -> None:
    async def main() -> None:
        send = Sender(seconds=0)
        assert await Batcher(send, max_items=10).submit(1) == "r1"
        assert (send.batches, now()) == ([[1]], 0.0)

    run(main)


def test_items_submitted_together_share_a_batch() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=10)
        await asyncio.gather(*(batcher.submit(i) for i in range(5)))
        assert send.batches == [[0, 1, 2, 3, 4]]

    run(main)


def test_items_collect_while_sends_are_running() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=3, in_flight=2)
        tasks = []
        for i in range(9):
            tasks.append(asyncio.create_task(batcher.submit(i)))
            await asyncio.sleep(0.01)
        assert await asyncio.gather(*tasks) == [f"r{i}" for i in range(9)]
        assert send.batches == [[0], [1], [2, 3, 4], [5, 6, 7], [8]]
        assert send.most_running == 2

    run(main)


def test_a_batch_is_bounded_by_size_and_a_larger_item_goes_alone() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=10, max_size=10, size=lambda item: item)
        await asyncio.gather(*(batcher.submit(i) for i in (4, 6, 1, 99, 5, 5)))
        assert send.batches == [[4, 6], [1], [99], [5, 5]]

    run(main)


def test_an_item_limits_the_size_of_its_batch() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=10, batch_limit=lambda item: item)
        await asyncio.gather(*(batcher.submit(i) for i in (9, 8, 2, 2, 1, 7)))
        assert send.batches == [[9, 8], [2, 2], [1], [7]]

    run(main)


def test_a_batch_has_items_of_one_key_and_those_passed_over_keep_their_order() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=3)
        await asyncio.gather(*(batcher.submit(i, i % 2 or None) for i in range(9)))
        assert send.batches == [[0, 2, 4], [1, 3, 5], [6, 8], [7]]
        assert batcher.waiting == 0

    run(main)


def test_a_batch_does_not_look_for_items_of_its_key_without_end() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=2_000, in_flight=1)
        others = [batcher.submit(i, "other") for i in range(1, MAX_PASSED + 2)]
        await asyncio.gather(batcher.submit(0), *others, batcher.submit(-1))
        assert send.batches == [[0], list(range(1, MAX_PASSED + 2)), [-1]]

    run(main)


def test_a_cancelled_item_that_was_passed_over_is_not_sent() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=3, in_flight=1)
        first = asyncio.create_task(batcher.submit(0))
        other = asyncio.create_task(batcher.submit(1, "other"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        other.cancel()
        assert await first == "r0"
        await batcher.drain()
        assert send.batches == [[0]]

    run(main)


def test_a_batch_that_is_not_full_lingers_once() -> None:
    async def main() -> None:
        send = Sender(seconds=0)
        batcher = Batcher(send, max_items=3, linger=0.1)
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.06)
        await asyncio.gather(first, batcher.submit(2))
        assert send.batches == [[1, 2]]
        assert send.started == pytest.approx([0.1])
        await asyncio.sleep(5)
        await batcher.submit(3)
        assert send.started[-1] == pytest.approx(5.2)

    run(main)


def test_a_full_batch_does_not_linger() -> None:
    async def main() -> None:
        send = Sender(seconds=0)
        batcher = Batcher(send, max_items=3, linger=0.1)
        await asyncio.gather(*(batcher.submit(i) for i in range(7)))
        assert send.batches == [[0, 1, 2], [3, 4, 5], [6]]
        assert send.started == pytest.approx([0, 0, 0.1])

    run(main)


def test_lingering_continues_while_sends_are_running() -> None:
    async def main() -> None:
        send = Sender(seconds=1.0)
        batcher = Batcher(send, max_items=2, linger=0.5, in_flight=1)
        await asyncio.gather(*(batcher.submit(i) for i in range(3)))
        assert send.started == pytest.approx([0, 1.0])
        await batcher.aclose()

    run(main)


def test_nothing_is_sent_while_the_limit_is_zero() -> None:
    async def main() -> None:
        send, limit = Sender(), 0
        batcher = Batcher(send, max_items=lambda: limit)
        task = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(100)
        assert (send.batches, batcher.waiting) == ([], 1)
        limit = 1
        batcher.wake()
        assert await task == "r1"

    run(main)


def test_cancelling_a_caller_withdraws_its_waiting_item() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=10, in_flight=1)
        tasks = [asyncio.create_task(batcher.submit(0))]
        await asyncio.sleep(0.1)
        tasks += [asyncio.create_task(batcher.submit(i)) for i in (1, 2, 3)]
        await asyncio.sleep(0.1)
        tasks[2].cancel()
        await asyncio.wait(tasks)
        assert send.batches == [[0], [1, 3]]
        assert tasks[2].cancelled()

    run(main)


def test_cancelling_a_caller_during_the_send_does_not_affect_the_others() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=10)
        tasks = [asyncio.create_task(batcher.submit(i)) for i in range(3)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert [tasks[0].result(), tasks[2].result()] == ["r0", "r2"]

    run(main)


def test_an_error_of_the_send_reaches_every_caller() -> None:
    async def main() -> None:
        async def send(items: Sequence[int]) -> list[str]:
            await asyncio.sleep(0)
            raise ConnectionError

        batcher = Batcher(send, max_items=10)
        results = await asyncio.gather(
            *(batcher.submit(i) for i in range(3)), return_exceptions=True
        )
        assert [type(result) for result in results] == [ConnectionError] * 3

    run(main)


def test_a_wrong_count_of_results_fails_every_caller() -> None:
    async def main() -> None:
        async def send(items: Sequence[int]) -> list[str]:
            return ["only one"]

        batcher = Batcher(send, max_items=10)
        results = await asyncio.gather(
            *(batcher.submit(i) for i in range(2)), return_exceptions=True
        )
        assert [type(result) for result in results] == [WrongCount] * 2

    run(main)


caller = st.tuples(
    st.floats(0, 3),  # submits at
    st.one_of(st.none(), st.floats(0, 3)),  # gives up after
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(caller, max_size=25),
    st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=25),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_each_caller_gets_its_own_result_in_any_interleaving(
    callers: list[tuple[float, float | None]],
    script: list[tuple[float, bool]],
    max_items: int,
    in_flight: int,
    linger: float,
) -> None:
    async def main() -> None:
        answers = iter(script)
        taken: list[int] = []

        async def send(items: Sequence[int]) -> list[str]:
            assert 1 <= len(items) <= max_items
            taken.extend(items)
            seconds, fails = next(answers, (0.5, False))
            await asyncio.sleep(seconds)
            if fails:
                raise ConnectionError
            return [f"r{item}" for item in items]

        batcher = Batcher(send, max_items=max_items, in_flight=in_flight, linger=linger)

        async def call(item: int, at: float, patience: float | None) -> None:
            await asyncio.sleep(at)
            try:
                assert await asyncio.wait_for(batcher.submit(item), patience) == f"r{item}"
            except TimeoutError:
                return
            except ConnectionError:
                assert item in taken

        await asyncio.gather(*(call(i, *c) for i, c in enumerate(callers)))
        assert len(taken) == len(set(taken))
        await batcher.drain()
        assert (batcher.waiting, batcher.running) == (0, 0)

    run(main)
