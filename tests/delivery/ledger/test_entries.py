"""Entries are read and written in batches, with limited retries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from relay.aws.errors import AwsError
from relay.delivery.ledger import EventEntries, Subject
from relay.model.facts import LedgerChanged, LedgerFailed
from tests.delivery.ledger.scripted import MemoryTable, Orchestrator, RelayWithLedger, throttled
from tests.forwarding.virtual_time import now, run


def subjects(count: int) -> list[Subject]:
    return [Subject(f"hash-{i}", "digest") for i in range(count)]


def test_a_hundred_keys_are_read_and_twenty_five_items_written_at_once() -> None:
    async def main() -> None:
        table = MemoryTable()
        entries = RelayWithLedger(table, Orchestrator()).entries
        many = subjects(100)
        assert all(await asyncio.gather(*(entries.record("sending", one) for one in many)))
        found = await asyncio.gather(*map(entries.look_up, many))
        assert [len(keys) for keys in table.writes] == [25] * 4
        assert [len(keys) for keys in table.reads] == [100] * 2
        assert all(known is not None and known.sending is not None for known in found)

    run(main)


def test_equal_keys_in_a_batch_are_read_and_written_once() -> None:
    async def main() -> None:
        table = MemoryTable()
        entries = RelayWithLedger(table, Orchestrator()).entries
        same = subjects(1) * 3
        assert all(await asyncio.gather(*(entries.record("sending", one) for one in same)))
        found = await asyncio.gather(*map(entries.look_up, same))
        assert [len(keys) for keys in (*table.writes, *table.reads)] == [1, 2]
        assert len(found) == 3

    run(main)


def test_unprocessed_keys_are_retried() -> None:
    async def main() -> None:
        table = MemoryTable()
        entries = RelayWithLedger(table, Orchestrator()).entries
        left = iter([15, 5])
        table.failures = lambda _call: next(left, 0)
        writes = (entries.record("delivered", one) for one in subjects(20))
        assert all(await asyncio.gather(*writes))
        assert [len(keys) for keys in table.writes] == [20, 15, 5]
        assert len(table.items) == 20

    run(main)


def test_keys_that_stay_unprocessed_fail_and_the_others_succeed() -> None:
    async def main() -> None:
        table = MemoryTable()
        relay = RelayWithLedger(table, Orchestrator())
        table.failures = lambda _call: 3
        writes = (relay.entries.record("delivered", one) for one in subjects(20))
        written = await asyncio.gather(*writes)
        assert (written.count(True), len(table.writes)) == (17, 4)
        (missed,) = relay.of(LedgerFailed)
        assert isinstance(missed, LedgerFailed)
        assert (missed.step, missed.count) == ("delivered", 3)
        assert relay.of(LedgerChanged) == []

    run(main)


def test_a_look_up_fails_unless_all_its_keys_were_read() -> None:
    async def main() -> None:
        table = MemoryTable()
        relay = RelayWithLedger(table, Orchestrator())
        table.failures = lambda _call: 1
        first, last = await asyncio.gather(*map(relay.entries.look_up, subjects(2)))
        assert (first, last) == (EventEntries(), None)

    run(main)


def test_a_throttled_table_is_tried_four_times_and_then_left_alone() -> None:
    async def main() -> None:
        table = MemoryTable()
        relay = RelayWithLedger(table, Orchestrator())
        table.failures = lambda _call: throttled()
        assert await relay.entries.look_up(subjects(1)[0]) is None
        assert len(table.reads) == 4
        assert now() <= 1
        assert await relay.entries.look_up(subjects(1)[0]) is None
        assert len(table.reads) == 4

    run(main)


def test_one_broken_connection_costs_one_retry_and_nothing_else() -> None:
    async def main() -> None:
        table = MemoryTable()
        relay = RelayWithLedger(table, Orchestrator())
        broken: Iterator[Exception] = iter([AwsError("ClientOSError", "connection", "reset")])
        table.failures = lambda _call: next(broken, None)
        assert await relay.entries.look_up(subjects(1)[0]) == EventEntries()
        assert relay.facts == []

    run(main)


def test_after_aclose_every_step_fails_without_an_exception() -> None:
    async def main() -> None:
        relay = RelayWithLedger(MemoryTable(), Orchestrator())
        await relay.entries.aclose()
        assert await relay.entries.look_up(subjects(1)[0]) is None
        assert not await relay.entries.record("sending", subjects(1)[0])
        assert len(relay.of(LedgerFailed)) == 2

    run(main)
