"""Lookups are shared, cost as few requests as possible, and end for every caller."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.destinations.inngest.confirmations import (
    FIRST_MAX,
    Confirmations,
    ReadLag,
    above,
    milliseconds,
)
from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.local.inngest.records import ulid
from relay.model.destination import Unavailable
from tests.forwarding.virtual_time import now, run

SECOND = 1_000


def name(at: float, position: int = 0) -> str:
    """The internal id of an event that was accepted at this second."""
    return ulid(int((1_790_000_000 + at) * SECOND), position.to_bytes(10, "big"))


class Server:
    """Stores each event at the given second of the test."""

    def __init__(self, **stored_at: float) -> None:
        self.stored_at = stored_at
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.descending = True

    def _all(self) -> list[str]:
        there = [each for each, at in self.stored_at.items() if at <= now()]
        return sorted(there, reverse=self.descending)

    async def is_stored(self, internal_id: str) -> bool:
        self.calls.append("is_stored")
        await asyncio.sleep(0.01)
        return internal_id in self._all()

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        self.calls.append("page")
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        found = [each for each in self._all() if not below or each < below]
        return [Stored(each) for each in found[:limit] if milliseconds(each) / 1_000 >= after]


def test_a_batch_takes_one_page_for_fifty_one_events() -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(100)]
        server = Server(**dict.fromkeys(names, 0.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert set(await confirmations.stored(names, 100_000)) == set(names)
        assert server.calls == ["page"] * 2

    run(main)


def test_the_pages_between_distant_events_are_skipped() -> None:
    async def main() -> None:
        between = {name(1, position): 0.0 for position in range(5_000)}
        ends = [name(0), name(2)]
        server = Server(**between, **dict.fromkeys(ends, 0.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert set(await confirmations.stored(ends, 100)) == set(ends)
        assert server.calls == ["page"] * 2

    run(main)


def test_events_that_are_not_stored_yet_cost_one_page_together() -> None:
    async def main() -> None:
        old = {name(0, position): 0.0 for position in range(300)}
        names = [name(1, position) for position in range(100)]
        server = Server(**old, **dict.fromkeys(names, 3.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert set(await confirmations.stored(names, 100)) == set(names)
        assert len(server.calls) < 40
        assert 3.0 <= now() < 3.7

    run(main)


def test_concurrent_requests_share_a_lookup() -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(40)]
        server = Server(**dict.fromkeys(names, 0.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            await asyncio.gather(
                *(confirmations.stored(names[at : at + 10], 100) for at in range(0, 40, 10))
            )
        assert server.calls == ["page"]

    run(main)


@pytest.mark.parametrize("why", ["another order", "too long"])
def test_events_are_looked_up_singly_where_pages_are_unusable(why: str) -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(5)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.descending = why != "another order"
        server.error = PageTooLarge() if why == "too long" else None
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert set(await confirmations.stored(names, 100)) == set(names)
        assert server.calls == ["page", *["is_stored"] * 5]

    run(main)


def test_events_not_seen_by_the_deadline_are_given_up_and_no_longer_looked_up() -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(3)]
        server = Server(**{names[0]: 0.0, names[1]: 1.0})
        async with Confirmations(server, deadline=10, clock=now) as confirmations:
            assert set(await confirmations.stored(names, 100)) == set(names[:2])
            assert 10 <= now() < 11
            calls = len(server.calls)
            await asyncio.sleep(100)
            assert len(server.calls) <= calls + 1

    run(main)


def test_a_failure_of_the_whole_server_ends_all_waits() -> None:
    async def main() -> None:
        server = Server()
        async with Confirmations(server, deadline=600, clock=now) as confirmations:
            waits = [
                asyncio.create_task(confirmations.stored([name(0, n), name(1, n)], 100))
                for n in range(3)
            ]
            await asyncio.sleep(1)
            server.error = Unavailable("401", setting="RELAY_INNGEST_SIGNING_KEY", proven=True)
            results = await asyncio.gather(*waits, return_exceptions=True)
            assert all(isinstance(result, Unavailable) for result in results)
            assert now() < 2

    run(main)


def test_a_retry_after_is_respected() -> None:
    async def main() -> None:
        names = [name(0), name(1)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.error = Unavailable("429", after=7)
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            waiting = asyncio.create_task(confirmations.stored(names, 100))
            await asyncio.sleep(1)
            server.error = None
            assert len(await waiting) == 2
            assert 7 <= now() < 8
            assert len(server.calls) == 2

    run(main)


def test_a_bug_in_a_lookup_reaches_the_callers_and_later_lookups_work() -> None:
    async def main() -> None:
        names = [name(0), name(1)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.error = ZeroDivisionError()
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            with pytest.raises(ZeroDivisionError):
                await confirmations.stored(names, 100)
            server.error = None
            assert len(await confirmations.stored(names, 100)) == 2

    run(main)


def test_the_first_lookup_adapts_to_how_long_storing_takes() -> None:
    lag = ReadLag()
    for _ in range(50):
        age, missed = lag.next_lookup(0.0), 0.0
        while age < 1.5:
            missed, age = age, lag.next_lookup(age)
        lag.record(missed, age)
    assert 1.0 < lag.next_lookup(0.0) < 2.0
    for _ in range(50):
        lag.record(0.0, lag.next_lookup(0.0))
    assert lag.next_lookup(0.0) < 0.05
    lag.record(1_000.0, 2_000.0)
    assert lag.next_lookup(0.0) <= FIRST_MAX


def test_above_is_the_next_ulid() -> None:
    assert above("01ARZ3NDEKTSV4RRFFQ69G5FAV") == "01ARZ3NDEKTSV4RRFFQ69G5FAW"
    assert above("01ARZ3NDEKTSV4RRFFQ69G5FAZ") == "01ARZ3NDEKTSV4RRFFQ69G5FB0"
    assert milliseconds(ulid(1_790_000_000_123, bytes(10))) == 1_790_000_000_123
    assert milliseconds("no ulid") == 0
