"""Lookups are shared, cost as few requests as possible, and end for every caller."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.destinations.inngest.confirmations import RECEIVED_BEFORE, Confirmations, above
from relay.destinations.inngest.read_back import PAGE, PageTooLarge, Stored
from relay.destinations.inngest.waiting import FIRST_MAX, Lookup, ReadLag
from relay.local.inngest.records import ulid
from relay.model.destination import Unavailable
from tests.forwarding.virtual_time import now, run

SECOND = 1_000


def name(at: float, position: int = 0) -> str:
    """The internal id of an event that was accepted at this second."""
    return ulid(int((1_790_000_000 + at) * SECOND), position.to_bytes(10, "big"))


class Server:
    """Stores each event at the given second of the test. Its clock is `ahead` of ours."""

    def __init__(self, **stored_at: float) -> None:
        self.stored_at = stored_at
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.descending = True
        self.ahead = 0.0
        self.delay = 0.01

    def _all(self) -> list[str]:
        there = [each for each, at in self.stored_at.items() if at <= now()]
        return sorted(there, reverse=self.descending)

    async def is_stored(self, internal_id: str) -> bool:
        self.calls.append("is_stored")
        await asyncio.sleep(self.delay)
        return internal_id in self._all()

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        self.calls.append("page")
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        received = (each for each in self._all() if self.stored_at[each] + self.ahead >= after)
        found = [each for each in received if not below or each < below]
        return [Stored(each) for each in found[:limit]]


async def stored(confirmations: Confirmations, names: Sequence[str], size: int = 100) -> set[str]:
    """The ids that were found of events that were sent now; reading back worked."""
    lookup = await confirmations.stored(names, size, sent_at=now())
    assert lookup.trouble is None
    return set(lookup.found)


def test_a_batch_takes_one_page_for_fifty_one_events() -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(100)]
        server = Server(**dict.fromkeys(names, 0.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert await stored(confirmations, names, 100_000) == set(names)
        assert server.calls == ["page"] * 2

    run(main)


def test_the_pages_between_distant_events_are_skipped() -> None:
    async def main() -> None:
        between = {name(1, position): 0.0 for position in range(5_000)}
        ends = [name(0), name(2)]
        server = Server(**between, **dict.fromkeys(ends, 0.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert await stored(confirmations, ends, 100) == set(ends)
        assert server.calls == ["page"] * 2

    run(main)


def test_events_that_are_not_stored_yet_cost_one_page_together() -> None:
    async def main() -> None:
        old = {name(0, position): 0.0 for position in range(300)}
        names = [name(1, position) for position in range(100)]
        server = Server(**old, **dict.fromkeys(names, 3.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert await stored(confirmations, names, 100) == set(names)
        assert len(server.calls) < 40
        assert 3.0 <= now() < 3.7

    run(main)


def test_concurrent_requests_share_a_lookup() -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(40)]
        server = Server(**dict.fromkeys(names, 0.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            await asyncio.gather(
                *(stored(confirmations, names[at : at + 10]) for at in range(0, 40, 10))
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
            assert await stored(confirmations, names, 100) == set(names)
        assert server.calls == ["page", *["is_stored"] * 5]

    run(main)


def test_events_not_seen_by_the_deadline_are_given_up_and_no_longer_looked_up() -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(3)]
        server = Server(**{names[0]: 0.0, names[1]: 1.0})
        async with Confirmations(server, deadline=10, clock=now) as confirmations:
            assert await stored(confirmations, names, 100) == set(names[:2])
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
                asyncio.create_task(
                    confirmations.stored([name(0, n), name(1, n)], 100, sent_at=now())
                )
                for n in range(3)
            ]
            await asyncio.sleep(1)
            server.error = Unavailable("401", setting="RELAY_INNGEST_SIGNING_KEY", proven=True)
            assert await asyncio.gather(*waits) == [Lookup(set(), server.error)] * 3
            assert now() < 2

    run(main)


def test_a_retry_after_is_respected() -> None:
    async def main() -> None:
        names = [name(0), name(1)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.error = Unavailable("429", after=7)
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            waiting = asyncio.create_task(stored(confirmations, names))
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
                await stored(confirmations, names)
            server.error = None
            assert len(await stored(confirmations, names)) == 2

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


@pytest.mark.parametrize("years", [-25.0, 70.0])
def test_the_time_in_an_internal_id_bounds_no_page(years: float) -> None:
    async def main() -> None:
        names = [name(years * 365 * 86_400.0, position) for position in range(3)]
        server = Server(**dict.fromkeys([*names, name(0)], 0.0))
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert await stored(confirmations, names) == set(names)
        assert server.calls == ["page"]

    run(main)


@pytest.mark.parametrize("ahead", [-2 * RECEIVED_BEFORE, 2 * RECEIVED_BEFORE])
def test_a_server_whose_clock_is_far_off_is_read_one_event_at_a_time(ahead: float) -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(3)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.ahead = ahead
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            assert await stored(confirmations, names) == set(names)

    run(main)


def test_one_lookup_of_earlier_events_finds_all_that_no_page_shows() -> None:
    async def main() -> None:
        names = [name(0, position) for position in range(5)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.ahead = -2 * RECEIVED_BEFORE
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            lookup = await confirmations.stored_meanwhile(names, 100, sent_at=now())
        assert lookup == Lookup(set(names))

    run(main)


def test_a_slow_lookup_is_trouble_and_not_the_absence_of_events() -> None:
    async def main() -> None:
        names = [name(0), name(1)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.delay = 100.0
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            lookup = await confirmations.stored(names, 100, sent_at=now())
        assert lookup.found == set()
        assert lookup.trouble is not None
        assert now() < 61

    run(main)


def test_lookups_that_stop_being_answered_are_trouble_for_the_events_that_are_left() -> None:
    async def main() -> None:
        names = [name(0), name(1)]
        server = Server(**{names[0]: 0.0})
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            waiting = asyncio.create_task(confirmations.stored(names, 100, sent_at=now()))
            await asyncio.sleep(20)
            server.delay = 100.0
            lookup = await waiting
        assert lookup.found == {names[0]}
        assert lookup.trouble is not None

    run(main)


def test_events_of_an_earlier_attempt_are_looked_up_once() -> None:
    async def main() -> None:
        names = [name(0), name(1), name(2)]
        server = Server(**{names[0]: 0.0})
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            lookup = await confirmations.stored_meanwhile(names, 100, sent_at=now())
        assert lookup == Lookup({names[0]})
        # What no page shows is looked up by its id as well: absence must be certain.
        assert server.calls == ["page", "is_stored", "is_stored"]
        assert now() < 1

    run(main)


def test_a_failed_lookup_of_an_earlier_attempt_is_repeated_for_half_of_the_deadline() -> None:
    async def main() -> None:
        names = [name(0), name(1)]
        server = Server(**dict.fromkeys(names, 0.0))
        server.error = Unavailable("503")
        async with Confirmations(server, deadline=60, clock=now) as confirmations:
            lookup = await confirmations.stored_meanwhile(names, 100, sent_at=now())
        assert lookup == Lookup(set(), server.error)
        assert 30 <= now() < 31

    run(main)
