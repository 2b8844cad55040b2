"""Audits agree with the judge's records after any run, and the comparison detects ones that do not.

A run here has a kill, answers that are lost after the events were accepted, and poison.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from relay.destinations.inngest.queries import InngestQueries
from relay.dlq.safeguards import RateLimit
from relay.local.inngest import Fault, Rule, StoredEvent
from relay.ops.audit.accepted import EventList, Scope
from relay.ops.audit.audit import Audit
from relay.ops.audit.report import AuditReport
from relay.ops.audit.requests import BoundedRequests
from relay.ops.audit.state import AuditState
from relay.ops.inngest_api import InngestApi
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.audits import (
    KILL_MAY_LOSE,
    Audited,
    Source,
    audit_run,
    disagreements,
    last_accepted_before,
    read_state,
    records_of,
)
from tests.chaos.environment import MODES, Environment, Mode, environment
from tests.chaos.processes import ForkServer
from tests.chaos.run import LEDGER, conclude, run
from tests.chaos.traffic import partly_poison, valid_message

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = 30
SOURCES: tuple[Source, ...] = ("list", "log", "ledger")


@asynccontextmanager
async def finished(
    mode: Mode, parent: tuple[ForkServer, AcceleratedClock], directory: Path
) -> AsyncIterator[Environment]:
    """A run with a ledger in which nothing disturbs the ledger, and at whose end all is settled."""
    async with environment(mode, *parent, directory, settings=LEDGER) as env:
        env.inngest.script.add(Rule(fault=Fault(end="reset"), times=2))
        half = [partly_poison(n) if n % 5 == 0 else valid_message(n) for n in range(COUNT)]
        await env.publish(*half[: COUNT // 2])
        await env.until(lambda: env.inngest.events, within=3_000)
        await env.relay.kill()
        await env.publish(*half[COUNT // 2 :])
        findings = await conclude(env)
        assert findings.clean, [*findings.violations(), env.relay.log()]
        assert findings.ran > COUNT
        assert findings.dead
        await accept_again(env)
        yield env


async def accept_again(env: Environment) -> None:
    """Have the orchestrator accept a second copy of an event, as after a lost answer."""
    first, before = env.inngest.events[0], len(env.inngest.events)
    copy = {"id": first.id, "name": first.name, "data": {}}
    url = f"{env.inngest.url}/e/chaos"
    async with aiohttp.ClientSession() as http, http.post(url, json=copy) as answer:
        answer.raise_for_status()
    await env.until(lambda: len(env.inngest.events) > before, within=1_000)
    await env.inngest.settled()


@pytest.mark.parametrize("mode", MODES)
async def test_the_command_agrees_with_the_records_event_by_event(
    mode: Mode,
    slow_parent: tuple[ForkServer, AcceleratedClock],
    auditors: ForkServer,
    tmp_path: Path,
) -> None:
    async with finished(mode, slow_parent, tmp_path) as env:
        records = records_of(env)
        assert any(len(event.references) > 1 for event in records.accepted.values())
        for source in SOURCES:
            audited = await audit_run(env, tmp_path, source, auditors)
            assert list(disagreements(audited, records)) == [], source
            assert audited.report["states"]["completed"] > COUNT // 2
            assert audited.report["source"] == source


async def test_the_library_agrees_with_the_records_event_by_event(
    slow_parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async with finished("pull", slow_parent, tmp_path) as env:
        state = tmp_path / "audit.state"
        report = await audited_here(env, state)
        found = Audited("list", 0, report.as_json(), read_state(state), "")
        assert list(disagreements(found, records_of(env))) == []


async def audited_here(env: Environment, path: Path) -> AuditReport:
    scope = Scope(since=env.clock.origin - 1, until=env.clock.time() + 1)
    async with InngestQueries(env.inngest.url) as queries:
        requests = BoundedRequests(queries, RateLimit(None))
        with AuditState(path, {}, {}) as state:
            audit = Audit(
                requests, EventList(InngestApi(requests)), scope, state, stop=asyncio.Event()
            )
            return await audit.run(lambda _done, _total: None)


async def test_a_seed_of_chaos_ends_with_audits_that_agree(
    slow_parent: tuple[ForkServer, AcceleratedClock], auditors: ForkServer, tmp_path: Path
) -> None:
    result = await run("pull", 2, *slow_parent, tmp_path, messages=45, auditors=auditors)
    assert result.findings.clean, [*result.findings.violations(), result.log]
    assert result.audits == len(SOURCES)


async def test_the_comparison_detects_an_audit_that_is_wrong(
    slow_parent: tuple[ForkServer, AcceleratedClock], auditors: ForkServer, tmp_path: Path
) -> None:
    async with finished("pull", slow_parent, tmp_path) as env:
        records = records_of(env)

        async def found(source: Source, mutant: str | None) -> list[str]:
            audited = await audit_run(env, tmp_path, source, auditors, mutant)
            return list(disagreements(audited, records))

        assert await found("list", "drops the last page")
        assert any("its events must" in s for s in await found("list", "counts a duplicate twice"))
        assert await found("list", None) == []


async def test_the_comparison_detects_an_event_that_was_never_accepted(
    slow_parent: tuple[ForkServer, AcceleratedClock], auditors: ForkServer, tmp_path: Path
) -> None:
    async with finished("pull", slow_parent, tmp_path) as env:
        audited = await audit_run(env, tmp_path, "list", auditors)
        records = records_of(env)
        dead = next(iter(records.dead))
        key = next(iter(audited.events))
        events = {("demo/one", dead): audited.events[key], **audited.events}
        wrong = Audited("list", 0, audited.report, events, "")
        sentences = list(disagreements(wrong, records))
        assert any(f"{dead}') was not accepted (a dead letter)" in one for one in sentences)


async def test_only_what_was_accepted_just_before_a_kill_may_be_missing_in_the_log(
    slow_parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    async with finished("pull", slow_parent, tmp_path) as env:
        stored = env.inngest.events
        first, last = (edge(event.received_at for event in stored) for edge in (min, max))
        assert last_accepted_before([first - 1, last + KILL_MAY_LOSE + 1], stored) == frozenset()
        unlogged = last_accepted_before([last], stored)
        assert unlogged == {
            (event.name, event.id)
            for event in stored
            if last - KILL_MAY_LOSE <= max(received_at(stored, event)) <= last
        }
        records = replace(records_of(env), unlogged=unlogged)
        key = next(iter(unlogged - {one for one in unlogged if one[1] in records.dead}))
        assert not records.must_list("log", key)
        assert records.must_list("list", key)
        for other in records.accepted.keys() - unlogged:
            assert records.must_list("log", other) == (other[1] not in records.dead)


def received_at(stored: Sequence[StoredEvent], event: StoredEvent) -> list[float]:
    """When each copy of the event was stored."""
    return [one.received_at for one in stored if (one.name, one.id) == (event.name, event.id)]
