"""Runs of the console: two operators, a stop, a kill and what is resumed, and the history."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from relay.aws.sqs_values import BATCH_ENTRIES
from relay.console.access import FORM_TOKEN
from relay.dlq.journal import BACKUP, JOURNAL, Journal, who
from relay.dlq.past_runs import past_run, past_runs
from relay.dlq.records import read_record
from relay.dlq.snapshot import Head, Snapshot
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin
from tests.console.running import (
    SAME_ORIGIN,
    SETTINGS,
    Console,
    console_process,
    eventually,
    form_token,
    incident_console,
    local_queues,
    serving,
    ticking,
)
from tests.console.test_access import code_of
from tests.console.test_actions import finish, plan, running, start
from tests.console.test_hostile_text import EVIL, assert_safe
from tests.dlq import incident
from tests.sources.poller.rig import until


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    """A console that may write."""
    async with incident_console(tmp_path, write=True) as console:
        yield console


async def press(browser: httpx.AsyncClient, action: str, name: str) -> httpx.Response:
    """Press the button Stop or Resume of a run."""
    token = form_token((await browser.get("/doctor")).text)
    data = {FORM_TOKEN: token, "name": name}
    return await browser.post(f"/run/{action}", data=data, headers=SAME_ORIGIN)


def name_of(started: httpx.Response) -> str:
    return started.headers["location"].rpartition("=")[2]


async def slow_run(console: Console, browser: httpx.AsyncClient) -> httpx.Response:
    """Start a redrive that takes long, and return once it has sent something."""
    address, _ = await plan(browser, "/redrive", canary="", rate="20")
    started = await start(browser, address)
    await until(lambda: len(console.queues.stored(incident.MAIN)) >= 10)
    return started


async def test_a_second_run_is_refused_with_who_runs_the_first(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    async with AsyncExitStack() as stack:
        colleague = await console.browser(stack)
        address, _ = await plan(colleague, "/drop?name=(no+event)&code=not_json")
        started = await slow_run(console, snapshot)
        refused = await start(colleague, address, confirm=incident.DEAD)
        assert (refused.status_code, code_of(refused)) == (409, "run_under_way")
        assert f"a redrive by {who()}, 127.0.0.1" in refused.text.replace("A redrive", "a redrive")
        seen = await colleague.get(started.headers["location"])
        assert "data-events" in seen.text
        await press(colleague, "stop", name_of(started))
        page = await finish(snapshot, started)
        assert "Stopped after" in page
        again = await start(colleague, address, confirm=incident.DEAD)
        assert "20 dropped" in await finish(colleague, again)


async def test_a_plan_that_is_started_twice_is_one_run(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    address, _ = await plan(snapshot, "/redrive?name=shop/invoice.created", canary="")
    first, second = await asyncio.gather(start(snapshot, address), start(snapshot, address))
    assert first.headers["location"] == second.headers["location"]
    await finish(snapshot, first)
    third = await start(snapshot, address)
    assert third.headers["location"] == first.headers["location"]
    assert len(console.queues.stored(incident.MAIN)) == 60
    assert len(past_runs(console.directory, 10)) == 1


async def test_what_a_colleague_has_redriven_since_the_plan_is_not_sent_again(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    late, _ = await plan(snapshot, "/redrive?name=shop/invoice.created", canary="")
    early, _ = await plan(snapshot, "/redrive?name=shop/invoice.created", canary="", limit="25")
    await finish(snapshot, await start(snapshot, early))
    page = await finish(snapshot, await start(snapshot, late))
    assert "35 redriven" in page
    assert re.search(r"Not in the queue any more[^<]*</dt><dd>25<", page)
    assert len(console.queues.stored(incident.MAIN)) == 60


async def test_a_run_of_another_process_on_the_queue_is_told(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    arn = console.queues.sqs.queues[incident.DEAD].arn
    head = Head(queue=incident.DEAD, arn=arn, taken_at=1.0, retention=1.0, fifo=False)
    address, _ = await plan(snapshot, "/redrive?name=shop/invoice.created", canary="")
    journal = Journal(console.directory / "theirs", head, {"command": "redrive"})
    try:
        refused = await start(snapshot, address)
        assert (refused.status_code, code_of(refused)) == (409, "run_under_way")
        assert who() in refused.text
        assert ">running<" in (await snapshot.get("/history")).text
    finally:
        journal.close()
    assert "60 redriven" in await finish(snapshot, await start(snapshot, address))


async def test_a_stopped_run_is_resumed_where_it_ended(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    started = await slow_run(console, snapshot)
    await press(snapshot, "stop", name_of(started))
    page = await finish(snapshot, started)
    assert "Resume" in page
    sent = len(console.queues.stored(incident.MAIN))
    assert sent < 230
    resumed = await press(snapshot, "resume", name_of(started))
    page = await finish(snapshot, resumed)
    bodies = Counter(stored.body for stored in console.queues.stored(incident.MAIN))
    assert (len(bodies), max(bodies.values())) == (230, 1)
    assert f"resumed by {who()}" in page
    assert len(console.queues.stored(incident.DEAD)) == incident.FAILING


async def test_a_stopping_console_ends_its_run_after_the_batch_in_flight(tmp_path: Path) -> None:
    async with local_queues() as queues, AsyncExitStack() as stack:
        await incident.make_incident(queues)
        async with AsyncExitStack() as inner:
            first = await inner.enter_async_context(serving(queues, tmp_path, write=True))
            browser = await first.browser(inner)
            await first.take_snapshot(browser)
            await slow_run(first, browser)
        [run] = past_runs(tmp_path, 10)
        assert (run.state, run.resumable) == ("stopped", True)
        second = await stack.enter_async_context(serving(queues, tmp_path, write=True))
        browser = await second.browser(stack)
        await finish(browser, await press(browser, "resume", run.directory.name))
        bodies = Counter(stored.body for stored in queues.stored(incident.MAIN))
        assert (len(bodies), max(bodies.values())) == (230, 1)


@pytest.mark.timeout(180)
async def test_a_run_whose_console_was_killed_is_resumed_and_repeats_only_what_it_had_not_recorded(
    tmp_path: Path,
) -> None:
    async with local_queues() as queues, ticking(queues):
        await incident.make_incident(queues, at=time.time() - 600.0)
        before = Counter(stored.body for stored in queues.stored(incident.DEAD))
        async with console_process(queues, tmp_path) as (process, console), AsyncExitStack() as one:
            browser = await console.browser(one)
            await console.take_snapshot(browser)
            started = await slow_run(console, browser)
            await process.kill()
        name = name_of(started)
        run = past_run(tmp_path / name)
        assert run is not None
        assert (run.state, run.resumable) == ("unfinished", True)
        # The journal is written after SQS has accepted a batch, because what is recorded is never
        # sent again: written before, a kill between the two would lose the batch. So the batch of
        # that moment, one at most, is sent a second time, under the same ids.
        arrived = {stored.body for stored in queues.stored(incident.MAIN)}
        unrecorded = arrived - recorded(tmp_path / name)
        assert len(unrecorded) <= BATCH_ENTRIES
        queues.clock.advance(121.0)  # the lease of what the killed console had received
        async with console_process(queues, tmp_path) as (_, console), AsyncExitStack() as two:
            browser = await console.browser(two)
            page = (await browser.get(f"/run?name={name}")).text
            assert "its process was killed" in page
            page = await finish(browser, await press(browser, "resume", name))
            assert "90 dead letters left" in page
        sent = Counter(stored.body for stored in queues.stored(incident.MAIN))
        left = Counter(stored.body for stored in queues.stored(incident.DEAD))
        assert {body for body, count in sent.items() if count > 1} == unrecorded
        assert sent.total() == 230 + len(unrecorded)
        assert set(sent) | set(left) == set(before), "nothing is lost"
        assert left.total() == incident.FAILING


def recorded(directory: Path) -> set[str]:
    """The bodies of what a journal has as sent, by its backup."""
    lines = (directory / JOURNAL).read_bytes().splitlines()
    rows = [row for line in lines for row in read_record(line).get("done", ())]
    done = {message_id for message_id, *_, reference in rows if reference is not None}
    backup = Snapshot(directory / BACKUP)
    return {one.body.decode() for one in backup if one.message_id in done}


async def test_progress_is_sent_while_the_run_goes_on_and_ends_with_it(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    started = await slow_run(console, snapshot)
    name = name_of(started)
    lines = []
    async with snapshot.stream("GET", f"/run/events?name={name}") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            lines.append(line)
            if len([one for one in lines if one.startswith("data: ")]) == 2:
                await press(snapshot, "stop", name)
    assert "event: end" in lines
    texts = [line for line in lines if line.startswith("data: ")]
    assert "is running" in texts[0]
    assert "Stopped after" in texts[-2]


async def test_a_run_of_a_command_is_in_the_history_with_how_to_resume_it(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    arn = console.queues.sqs.queues[incident.DEAD].arn
    head = Head(queue=incident.DEAD, arn=arn, taken_at=1.0, retention=1.0, fifo=False)
    options = {"command": "redrive", "codes": ["expiring"], "limit": 5, "edit": None}
    Journal(console.directory / "night", head, options).close()
    page = (await snapshot.get("/run?name=night")).text
    assert "A command began it" in page
    assert "--journal" in page
    refused = await press(snapshot, "resume", "night")
    assert (refused.status_code, code_of(refused)) == (409, "not_resumable_here")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc", "/etc", "nobody", "x" * 5_000, "\x00"]
)
async def test_the_name_of_a_run_never_leaves_the_directory(
    console: Console, snapshot: httpx.AsyncClient, name: str
) -> None:
    for path, parameter in (("/run", "name"), ("/run/events", "name"), ("/restore", "run")):
        page = await snapshot.get(path, params={parameter: name})
        assert (page.status_code, code_of(page)) == (404, "no_such_run")
    refused = await press(snapshot, "resume", name)
    assert refused.status_code == 404
    assert running((await snapshot.get("/history")).text) is False


async def test_hostile_journals_are_text(console: Console, snapshot: httpx.AsyncClient) -> None:
    evil = EVIL.encode("utf-8", "replace").decode()
    head = Head(queue=evil, arn=f"arn:{evil}", taken_at=1.0, retention=1.0, fifo=False)
    options = {"command": evil, "codes": [evil], "edit": evil, evil: evil}
    journal = Journal(console.directory / "evil<script>", head, options)
    journal.record(request={"command": evil, "filters": evil})
    reasons = {"skipped": {evil: 3}, "reasons": {evil: evil}, "stopped": evil, "done": evil}
    journal.record(audit=reasons)
    journal.close()
    (console.directory / "torn").mkdir()
    (console.directory / "torn" / "journal.jsonl").write_bytes(b'{"journal":2,\xff\x00\n{}\n[]\n')
    for path in ("/history", "/run?name=evil%3Cscript%3E", "/restore?run=evil%3Cscript%3E"):
        page = await snapshot.get(path)
        assert page.status_code == 200, page.text
        assert_safe(page.text)


async def test_the_forms_and_plans_of_hostile_dead_letters_are_harmless(tmp_path: Path) -> None:
    async with local_queues() as queues, AsyncExitStack() as stack:
        queues.make("dead", MessageRetentionPeriod="1209600")
        queues.make("main", "dead")
        queues.clock.advance(time.time() - 60.0 - queues.clock.time())
        evil = EVIL.encode("utf-8", "replace").decode().replace("\x00", "")[:200]
        origin = Origin(id="base", hops=1, source="main", code=evil, reason=evil)
        attributes = {ATTRIBUTE: Attribute("String", origin.pack())}
        body = json.dumps({"name": evil, "id": "x", "data": {evil: evil}})
        await queues.send("dead", body, attributes=attributes)
        settings = SETTINGS | {"RELAY_QUEUE_URL": "main"}
        console = await stack.enter_async_context(serving(queues, tmp_path, settings, write=True))
        browser = await console.browser(stack)
        await console.take_snapshot(browser)
        listed = (await browser.get("/dead-letters")).text
        found = re.findall(r'href="(/(?:redrive|drop)\?[^"]*)"', listed)
        paths = {one.replace("&amp;", "&") for one in found}
        assert len(paths) == 2
        for path in paths:
            assert_safe((await browser.get(path)).text)
            edit = {"edit": "{name: name, id: id, data: {a: data}}"} if "redrive" in path else {}
            address, page = await plan(browser, path, **edit)
            assert_safe(page)
            assert_safe((await browser.get(address)).text)
            assert "1 of 1 dead letters" in page or "1 of 1 dead letter " in page, page
        drop, _ = await plan(browser, next(one for one in paths if "drop" in one))
        refused = await start(browser, drop, confirm=evil)
        assert refused.status_code == 422
        assert_safe(refused.text)
        gone = await eventually(browser, "/history", lambda _: True)
        assert_safe(gone)
