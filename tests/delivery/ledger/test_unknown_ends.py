"""Attempts with an unknown end: sent again while that is safe, then rejected as ambiguous."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from relay.model.outcome import Delivered, Reject
from relay.model.traits import WHILE_IT_EXISTS
from tests.delivery.ledger.scripted import (
    DAY,
    HOUR,
    KEPT,
    MemoryTable,
    Orchestrator,
    RelayWithLedger,
    denied,
    event,
)
from tests.forwarding.virtual_time import now, run


async def _crashed(
    table: MemoryTable, orchestrator: Orchestrator, ending: str = "answer_lost"
) -> None:
    """A relay that crashes while the outcome of its only request is unknown."""
    orchestrator.script = iter([ending])
    relay = RelayWithLedger(table, orchestrator)
    task = asyncio.create_task(relay.ledger.submit(event()))
    await asyncio.sleep(0.1)
    task.cancel()
    await relay.crash()
    orchestrator.script = iter(())


def test_a_recent_unknown_end_is_sent_again() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await _crashed(table, orchestrator)
        await asyncio.sleep(22 * HOUR)
        assert await RelayWithLedger(table, orchestrator).ledger.submit(event()) == Delivered(
            "ref-e"
        )
        assert orchestrator.runs == {"e": 1}

    run(main)


def test_an_old_unknown_end_is_for_a_person_to_decide() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await _crashed(table, orchestrator)
        await asyncio.sleep(25 * HOUR)
        relay = RelayWithLedger(table, orchestrator)
        outcome = await relay.ledger.submit(event())
        assert isinstance(outcome, Reject)
        assert (outcome.code, outcome.may_have_run) == ("ambiguous", True)
        assert "1970-01-01T00:00:00" in outcome.reason
        assert relay.ledger.may_have_run("e")
        assert orchestrator.runs == {"e": 1}
        assert len(orchestrator.posts) == 1

    run(main)


def test_a_new_generation_is_another_event() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await _crashed(table, orchestrator)
        await asyncio.sleep(25 * HOUR)
        again = replace(event(), id="e.r1")
        assert await RelayWithLedger(table, orchestrator).ledger.submit(again) == Delivered(
            "ref-e.r1"
        )

    run(main)


def test_sending_again_does_not_move_the_time_of_the_first_attempt() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await _crashed(table, orchestrator, "request_lost")
        await asyncio.sleep(22 * HOUR)
        await _crashed(table, orchestrator, "request_lost")
        await asyncio.sleep(2 * HOUR)
        outcome = await RelayWithLedger(table, orchestrator).ledger.submit(event())
        assert isinstance(outcome, Reject)

    run(main)


def test_an_outage_of_days_that_refuses_connections_makes_nothing_ambiguous() -> None:
    async def main() -> None:
        table = MemoryTable()
        orchestrator = Orchestrator(script=iter(["refused"] * 20_000))
        relay = RelayWithLedger(table, orchestrator)
        tasks = [asyncio.create_task(relay.ledger.submit(event(str(i)))) for i in range(5)]
        await asyncio.sleep(1.5 * DAY)
        assert table.steps() == {}
        orchestrator.script = iter(())
        assert all(isinstance(outcome, Delivered) for outcome in await asyncio.gather(*tasks))

    run(main)


def test_a_held_event_is_not_sent_again_after_its_id_may_be_forgotten() -> None:
    async def main() -> None:
        orchestrator = Orchestrator(script=iter(["answer_lost"] + ["refused"] * 10_000))
        relay = RelayWithLedger(MemoryTable(), orchestrator)
        outcome = await relay.ledger.submit(event())
        assert isinstance(outcome, Reject)
        assert outcome.code == "ambiguous"
        assert 23 * HOUR <= now() < 24 * HOUR
        assert orchestrator.runs == {"e": 1}

    run(main)


def test_a_refused_connection_after_an_unknown_end_keeps_the_entry() -> None:
    async def main() -> None:
        table, orchestrator = (
            MemoryTable(),
            Orchestrator(script=iter(["answer_lost", *["refused"] * 99])),
        )
        relay = RelayWithLedger(table, orchestrator)
        task = asyncio.create_task(relay.ledger.submit(event()))
        await asyncio.sleep(HOUR)
        task.cancel()
        await relay.crash()
        assert len(orchestrator.posts) > 3
        assert table.steps() == {"sending": 1}

    run(main)


def test_an_event_is_sent_again_for_an_hour_less_than_its_id_is_remembered() -> None:
    async def main() -> None:
        for hours, kind in ((22.9, Delivered), (23.1, Reject)):
            table, orchestrator = MemoryTable(), Orchestrator()
            await _crashed(table, orchestrator)
            await asyncio.sleep(hours * HOUR)
            assert isinstance(
                await RelayWithLedger(table, orchestrator).ledger.submit(event()), kind
            )

    run(main)


def test_a_rejection_after_an_unknown_end_says_that_it_may_have_run() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await _crashed(table, orchestrator)
        orchestrator.answer = lambda events: [Reject("refused_by_destination", "too large")]
        outcome = await RelayWithLedger(table, orchestrator).ledger.submit(event())
        assert outcome == Reject("refused_by_destination", "too large", may_have_run=True)
        assert table.steps() == {"sending": 1}

    run(main)


def test_sending_is_recorded_only_after_a_look_up_found_none() -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        await _crashed(table, orchestrator, "request_lost")
        written = dict(table.items)
        table.failures = lambda call: denied() if call == "read" else None
        await RelayWithLedger(table, orchestrator).ledger.submit(event())
        sending = {key: item for key, item in table.items.items() if key.startswith("sending")}
        assert sending == written

    run(main)


def test_a_destination_that_remembers_ids_for_months_gets_an_old_unknown_end_again() -> None:
    async def main() -> None:
        for memory in (90 * DAY - HOUR, WHILE_IT_EXISTS):
            table, orchestrator = MemoryTable(), Orchestrator()
            await _crashed(table, orchestrator)
            await asyncio.sleep(KEPT - DAY)
            relay = RelayWithLedger(table, orchestrator, memory)
            assert await relay.ledger.submit(event()) == Delivered("ref-e")

    run(main)


def test_a_destination_that_recognises_no_ids_gets_every_unknown_end_again() -> None:
    async def main() -> None:
        table = MemoryTable()
        orchestrator = Orchestrator(script=iter(["answer_lost"] * 3))
        outcome = await RelayWithLedger(table, orchestrator, memory=0.0).ledger.submit(event())
        assert outcome == Delivered("ref-e")
        assert len(orchestrator.posts) == 4
        # An event that it is known to have accepted is not sent again.
        again = await RelayWithLedger(table, orchestrator, memory=0.0).ledger.submit(event())
        assert again == Delivered("ref-e", duplicate=True)
        assert len(orchestrator.posts) == 4

    run(main)
