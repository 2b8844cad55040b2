"""The ledger deduplicates what the orchestrator has forgotten, and delays no delivery for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from relay.delivery.ledger.table import Subject
from relay.model.event import Event
from relay.model.facts import Handled, IdReused, LedgerChanged, LedgerFailed
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.delivery.ledger.scripted import (
    DAY,
    KEPT,
    MemoryTable,
    Orchestrator,
    RelayWithLedger,
    denied,
    event,
)
from tests.forwarding.virtual_time import now, run


def test_an_event_is_recorded_before_its_request_and_after_its_success() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        seen: list[dict[str, int]] = []

        def answer(_events: Sequence[Event]) -> Sequence[Outcome]:
            seen.append(dict(table.steps()))
            return [Delivered("ref")]

        orchestrator.answer = answer
        outcome = await RelayWithLedger(table, orchestrator).ledger.submit(event())
        assert outcome == Delivered("ref")
        assert seen == [{"sending": 1}]
        assert table.steps() == {"sending": 1, "delivered": 1}

    run(main)


def test_what_was_delivered_weeks_ago_is_a_duplicate_without_a_request() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await RelayWithLedger(table, orchestrator).ledger.submit(event())
        await asyncio.sleep(20 * DAY)
        outcome = await RelayWithLedger(table, orchestrator).ledger.submit(event())
        assert outcome == Delivered("ref-e", duplicate=True)
        assert len(orchestrator.posts) == 1

    run(main)


def test_an_expired_entry_is_ignored_although_it_is_still_there() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await RelayWithLedger(table, orchestrator).ledger.submit(event())
        await asyncio.sleep(KEPT + 1)
        assert table.steps() == {"sending": 1, "delivered": 1}
        assert await RelayWithLedger(table, orchestrator).ledger.submit(event()) == Delivered(
            "ref-e"
        )

    run(main)


def test_a_rejected_event_can_be_redriven_at_any_later_time() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        orchestrator.answer = lambda events: [Reject("refused_by_destination", "too large")]
        outcome = await RelayWithLedger(table, orchestrator).ledger.submit(event())
        assert outcome == Reject("refused_by_destination", "too large")
        assert table.steps() == {}
        orchestrator.answer = None
        orchestrator.seen.clear()
        await asyncio.sleep(5 * DAY)
        assert await RelayWithLedger(table, orchestrator).ledger.submit(event()) == Delivered(
            "ref-e"
        )

    run(main)


def test_an_event_that_must_wait_keeps_its_entry() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        orchestrator.answer = lambda events: [Retry("not read back")]
        assert await RelayWithLedger(table, orchestrator).ledger.submit(event()) == Retry(
            "not read back"
        )
        assert table.steps() == {"sending": 1}

    run(main)


def test_an_id_with_different_content_is_reported_and_handled_as_the_same_event() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await RelayWithLedger(table, orchestrator).ledger.submit(event())
        relay = RelayWithLedger(table, orchestrator)
        other = event(data=b'{"n":2}')
        assert await relay.ledger.submit(other) == Delivered("ref-e", duplicate=True)
        assert relay.of(IdReused) == [IdReused(other)]

    run(main)


def test_a_new_time_is_the_same_content_but_a_new_name_is_another_event() -> None:
    one = event()
    scope = ("inngest https://inn.gs", "")
    assert Subject.of(replace(one, ts=1), *scope) == Subject.of(replace(one, ts=2), *scope)
    assert Subject.of(one, *scope).hash != Subject.of(replace(one, name="b"), *scope).hash
    assert Subject.of(one, *scope).hash != Subject.of(one, scope[0], "branch").hash
    own = replace(one, env="branch")
    assert Subject.of(own, *scope) == Subject.of(one, scope[0], "branch")
    moved = replace(one, data=None, user=b"{}"), replace(one, data=b"{}", user=None)
    assert len({Subject.of(each, *scope).digest for each in moved}) == 2


def test_items_contain_nothing_of_an_events_content() -> None:
    async def main() -> None:
        table = MemoryTable()
        secret = Event(id="private-id", name="private/name", data=b'{"private":1}', user=b"{}")
        await RelayWithLedger(table, Orchestrator()).ledger.submit(replace(secret, id="private-id"))
        items = [item for item in table.items.values() if "detail" not in item]
        assert items
        assert "private" not in str(items)

    run(main)


def test_an_unavailable_table_delays_one_event_by_a_second_and_the_next_by_nothing() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        table.failures = lambda _call: TimeoutError()
        relay = RelayWithLedger(table, orchestrator)
        assert await relay.ledger.submit(event("a")) == Delivered("ref-a")
        first, start = now(), now()
        assert await relay.ledger.submit(event("b")) == Delivered("ref-b")
        assert first < 2.1
        assert now() - start < 0.1
        steps = [fact.step for fact in relay.facts if isinstance(fact, LedgerFailed)]
        assert steps == ["look-up", "delivered"] * 2
        assert len(relay.of(LedgerChanged)) == 1

    run(main)


def test_a_table_that_recovers_is_used_again_and_start_and_end_are_reported_once() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        table.failures = lambda _call: denied()
        relay = RelayWithLedger(table, orchestrator)
        for name in "abcdefgh":
            await relay.ledger.submit(event(name))
            await asyncio.sleep(10)
        table.failures = lambda _call: None
        for name in "ijklmn":
            await relay.ledger.submit(event(name))
            await asyncio.sleep(10)
        states = [fact.unavailable for fact in relay.facts if isinstance(fact, LedgerChanged)]
        assert states == [True, False]
        assert table.steps()["delivered"] >= 3

    run(main)


def test_a_dead_letter_is_recorded_with_its_code() -> None:
    async def main() -> None:
        table = MemoryTable()
        relay = RelayWithLedger(table, Orchestrator())
        message = Message(body=b"", message_id="m", queue="q")
        results: tuple[tuple[Event, Outcome], ...] = (
            (event("a"), Delivered("ref")),
            (event("b"), Reject("fails_alone", "it fails")),
        )
        relay.ledger.observe(
            Handled(message=message, outcome=results[1][1], at=0, seconds=0, results=results)
        )
        await relay.ledger.drain()
        (item,) = table.items.values()
        assert (item["detail"], str(item["key"]).partition("#")[0]) == (
            "fails_alone",
            "dead-lettered",
        )

    run(main)


def test_a_message_that_could_not_be_dead_lettered_is_not_recorded() -> None:
    async def main() -> None:
        table = MemoryTable()
        relay = RelayWithLedger(table, Orchestrator())
        message = Message(body=b"", message_id="m", queue="q")
        results = ((event("b"), Reject("fails_alone", "it fails")),)
        relay.ledger.observe(
            Handled(message=message, outcome=Retry("later"), at=0, seconds=0, results=results)
        )
        await relay.ledger.drain()
        assert table.items == {}

    run(main)


def test_a_success_is_recorded_although_its_caller_has_left() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        relay = RelayWithLedger(table, orchestrator)
        task = asyncio.create_task(relay.ledger.submit(event()))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.sleep(1)
        assert table.steps() == {"sending": 1, "delivered": 1}
        assert relay.ledger.may_have_run("e")

    run(main)
