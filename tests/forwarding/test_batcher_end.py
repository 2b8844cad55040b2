"""How a batcher ends: drained, closed, or with the waiting items resolved."""

from __future__ import annotations

import asyncio

import pytest

from relay.forwarding.batcher import Batcher, BatcherClosed
from tests.forwarding.sender import Sender
from tests.forwarding.virtual_time import now, run


def test_drain_finishes_submitted_items_and_accepts_no_new_ones() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=2, linger=50, in_flight=1)
        tasks = [asyncio.create_task(batcher.submit(i)) for i in range(5)]
        await asyncio.sleep(0)
        await batcher.drain()
        assert [task.result() for task in tasks] == [f"r{i}" for i in range(5)]
        with pytest.raises(BatcherClosed):
            await batcher.submit(6)

    run(main)


def test_closing_cancels_the_callers_and_the_sends() -> None:
    async def main() -> None:
        send = Sender(seconds=1000)
        batcher = Batcher(send, max_items=2, in_flight=1)
        tasks = [asyncio.create_task(batcher.submit(i)) for i in range(5)]
        await asyncio.sleep(1)
        await batcher.aclose()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert (send.running, batcher.running, batcher.waiting) == (0, 0, 0)

    run(main)


def test_resolve_all_gives_waiting_items_the_result_and_sent_items_their_own() -> None:
    async def main() -> None:
        send = Sender()
        batcher = Batcher(send, max_items=2, in_flight=1)
        tasks = [asyncio.create_task(batcher.submit(i)) for i in range(4)]
        await asyncio.sleep(0.5)
        batcher.resolve_all("later")
        assert await asyncio.gather(*tasks) == ["r0", "r1", "later", "later"]

    run(main)


def test_resolve_all_with_sent_resolves_sent_items_at_once() -> None:
    async def main() -> None:
        batcher = Batcher(Sender(), max_items=2, in_flight=1)
        tasks = [asyncio.create_task(batcher.submit(i)) for i in range(3)]
        await asyncio.sleep(0.5)
        batcher.resolve_all("later", sent=True)
        assert await asyncio.gather(*tasks) == ["later"] * 3
        assert now() == 0.5

    run(main)
