"""Redrive, drop and restore in the console: plans, starts, confirmations, and what is refused."""

from __future__ import annotations

import asyncio
import html
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from relay.cli import application
from relay.console.access import FORM_TOKEN
from relay.console.runs import MAX_PLANS
from relay.dlq.journal import who
from relay.dlq.past_runs import past_runs
from tests.console.running import (
    SAME_ORIGIN,
    SETTINGS,
    Console,
    eventually,
    form_token,
    incident_console,
)
from tests.console.test_access import code_of
from tests.dlq import incident


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    """A console that may write."""
    async with incident_console(tmp_path, write=True) as console:
        yield console


def planning(text: str) -> bool:
    return "The plan is being made" in text


def running(text: str) -> bool:
    return "data-events" in text


async def plan(browser: httpx.AsyncClient, path: str, **fields: str) -> tuple[str, str]:
    """Fill in the form at this path; the address of the plan and its page."""
    page = await browser.get(path)
    assert page.status_code == 200, page.text
    hidden = hidden_fields(page.text)
    response = await browser.post(
        path.partition("?")[0], data={**hidden, **fields}, headers=SAME_ORIGIN
    )
    assert response.status_code == 303, response.text
    address = response.headers["location"]
    return address, await eventually(browser, address, planning, ends=True)


def hidden_fields(text: str) -> dict[str, str]:
    """The hidden fields of the last form of a page."""
    form = text.rpartition('<form method="post"')[2]
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in found}


async def start(browser: httpx.AsyncClient, address: str, **fields: str) -> httpx.Response:
    token = form_token((await browser.get("/doctor")).text)
    ident = address.rpartition("=")[2]
    data = {FORM_TOKEN: token, "id": ident, **fields}
    return await browser.post("/plan/start", data=data, headers=SAME_ORIGIN)


async def finish(browser: httpx.AsyncClient, started: httpx.Response) -> str:
    assert started.status_code == 303, started.text
    return await eventually(browser, started.headers["location"], running, ends=True)


async def redriven(browser: httpx.AsyncClient, path: str, **fields: str) -> str:
    """Plan and start a redrive; its page at the end."""
    address, _ = await plan(browser, path, **{"canary": "", **fields})
    return await finish(browser, await start(browser, address))


async def test_a_redrive_leaves_what_the_plan_knows_would_die(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    address, page = await plan(snapshot, "/redrive", canary="")
    assert "230 of 325 dead letters would be redriven" in page
    assert "Redrive 230 dead letters" in page
    page = await finish(snapshot, await start(snapshot, address))
    assert "230 redriven, 90 dead letters left" in page
    assert len(console.queues.stored(incident.MAIN)) == 230
    assert len(console.queues.stored(incident.DEAD)) == incident.FAILING


async def test_what_would_die_is_sent_only_if_that_is_ticked(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    path = "/redrive?name=shop/order.paid&code=ts_in_seconds"
    _, page = await plan(snapshot, path, canary="")
    assert "There is nothing to redrive" in page
    await redriven(snapshot, path, include_failing="1")
    assert len(console.queues.stored(incident.MAIN)) == 40


async def test_a_run_has_a_journal_a_backup_and_an_audit_line(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    page = await redriven(snapshot, "/redrive?name=shop/invoice.created&code=expiring")
    [run] = past_runs(console.directory, 10)
    assert run.result is not None
    assert (run.state, run.result["done"], run.result["via"]) == ("complete", 60, "console")
    assert run.result["by"] == who()
    assert run.backup.read_bytes().count(b"\n") == 61
    assert who() in page
    history = (await snapshot.get("/history")).text
    assert "60 redriven" in history
    assert "shop/invoice.created" in history


@pytest.mark.parametrize(
    ("path", "fields", "options"),
    [
        ("/redrive", {"canary": "5", "rate": "2.5", "limit": "7"}, "--canary 5 --rate 2.5"),
        ("/redrive?code=not_json", {"canary": "", "include_failing": "1"}, "--include-failing"),
        (
            "/redrive?name=shop/cart.left",
            {"canary": "", "edit": "{name: name, id: id, data: {items: data}}"},
            "--edit",
        ),
        ("/redrive?q=parcel-007", {"canary": ""}, "--id"),
        ("/drop?name=(no+event)&code=missing_name", {}, "--code missing_name"),
    ],
)
async def test_the_command_that_is_shown_makes_the_same_plan(
    snapshot: httpx.AsyncClient, path: str, fields: dict[str, str], options: str
) -> None:
    _, page = await plan(snapshot, path, **fields)
    line = html.unescape(re.findall(r'<code tabindex="0">(.*?)</code>', page, re.DOTALL)[0])
    assert options in line
    words = shlex.split(line)[1:]
    drop = words[1] == "drop"
    more = ["--wait", "0", *(["--confirm", "wrong"] if drop else ["--json"])]
    ended = await asyncio.to_thread(
        CliRunner().invoke,
        application(words),
        [*words, *more],
        env={**SETTINGS, "RELAY_INNGEST_URL": "http://127.0.0.1:1"},
        prog_name="relay",
    )
    if drop:
        assert "12 of 325 messages would be deleted" in ended.stderr
        assert "12 of 325 dead letters would be deleted" in page
    else:
        counted = msgspec.json.decode(ended.stdout)
        heading = f"{counted['selected']} of {counted['examined']} dead letters would be redriven"
        assert heading in page, ended.output


async def test_one_dead_letter_is_redriven_from_its_page(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    shown = (await snapshot.get("/dead-letter?id=parcel-007")).text
    [path] = re.findall(r'href="(/redrive\?[^"]*)"', shown)
    assert "1 redriven" in await redriven(snapshot, path)
    [sent] = console.queues.stored(incident.MAIN)
    assert msgspec.json.decode(sent.body)["id"] == "parcel-007"


async def test_a_group_by_hour_is_redriven_exactly(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    page = (await snapshot.get("/dead-letters?by=hour")).text
    paths = [html.unescape(one) for one in re.findall(r'href="(/redrive\?hour[^"]*)"', page)]
    assert len(paths) > 1
    _, text = await plan(snapshot, paths[0], canary="", include_failing="1")
    listed = await snapshot.get(paths[0].replace("/redrive", "/dead-letters/list"))
    [count] = re.findall(r"<h1>(\d+) dead letters</h1>", listed.text)
    selected, copies = re.findall(r"<h1>(\d+) of", text), re.findall(r"deleted</dt><dd>(\d+)", text)
    assert int(selected[0]) + sum(map(int, copies)) == int(count)


async def test_an_edit_shows_what_it_changes_and_keeps_ids_and_large_numbers(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    path = "/redrive?name=shop/parcel.packed"
    edit = "{name: name, id: id, data: {number: data.number, account: data.account, lane: 'b'}}"
    address, page = await plan(snapshot, path, canary="", edit=edit, limit="1")
    assert re.search(r'class="plus">\+ +&#34;lane&#34;', page)
    await finish(snapshot, await start(snapshot, address))
    [sent] = console.queues.stored(incident.MAIN)
    body = msgspec.json.decode(sent.body)
    assert body["data"]["account"] == 2**63 + body["data"]["number"]


async def test_an_edit_that_drops_an_id_sends_nothing(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    path = "/redrive?name=shop/parcel.packed"
    _, page = await plan(snapshot, path, canary="", edit="{name: name, data: data}")
    assert "There is nothing to redrive" in page
    assert "edit_failed" in page


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("edit", "fix.py", "edit_is_a_file"),
        ("edit", "{name", "invalid_edit"),
        ("canary", "0", "invalid_option"),
        ("canary", "1.5", "invalid_option"),
        ("rate", "nan", "invalid_option"),
        ("rate", "-1", "invalid_option"),
        ("limit", "\u0663", ""),
        ("limit", "<script>", "invalid_option"),
        ("limit", "9" * 5_000, "invalid_option"),
    ],
)
async def test_an_option_that_makes_no_sense_is_refused(
    snapshot: httpx.AsyncClient, field: str, value: str, code: str
) -> None:
    token = form_token((await snapshot.get("/redrive")).text)
    data = {FORM_TOKEN: token, field: value}
    response = await snapshot.post("/redrive", data=data, headers=SAME_ORIGIN)
    assert code_of(response) == code
    assert response.status_code == (422 if code else 303)


async def test_a_drop_needs_the_queues_name_and_is_restored_from_its_backup(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    address, page = await plan(snapshot, "/drop?name=(no+event)&code=not_json")
    assert "20 of 325 dead letters would be deleted" in page
    for wrong in ("", "shop-events", "SHOP-EVENTS-DLQ"):
        refused = await start(snapshot, address, confirm=wrong)
        assert (refused.status_code, code_of(refused)) == (422, "not_confirmed")
    assert len(console.queues.stored(incident.DEAD)) == 325
    page = await finish(snapshot, await start(snapshot, address, confirm=incident.DEAD))
    assert "20 dropped" in page
    assert len(console.queues.stored(incident.DEAD)) == 305
    [path] = re.findall(r'href="(/restore\?[^"]*)"', page)
    address, page = await plan(snapshot, path)
    assert "20 of 20 messages would be put back" in page
    assert "20 restored" in await finish(snapshot, await start(snapshot, address))
    assert len(console.queues.stored(incident.DEAD)) == 325


async def test_a_drop_of_everything_is_refused(snapshot: httpx.AsyncClient) -> None:
    page = await snapshot.get("/drop")
    assert (page.status_code, code_of(page)) == (422, "nothing_chosen")
    token = form_token((await snapshot.get("/redrive")).text)
    posted = await snapshot.post("/drop", data={FORM_TOKEN: token}, headers=SAME_ORIGIN)
    assert (posted.status_code, code_of(posted)) == (422, "nothing_chosen")


async def test_a_read_only_console_plans_and_starts_nothing(tmp_path: Path) -> None:
    async with incident_console(tmp_path) as console, AsyncExitStack() as stack:
        browser = await console.browser(stack)
        await console.take_snapshot(browser)
        address, page = await plan(browser, "/redrive", canary="")
        assert "<button disabled" in page
        assert "start the console with <code>--write</code>" in page
        refused = await start(browser, address)
        assert (refused.status_code, code_of(refused)) == (403, "read_only")
        assert console.queues.stored(incident.MAIN) == ()
        assert past_runs(tmp_path, 10) == []


@pytest.mark.parametrize("path", ["/plan/start", "/run/stop", "/run/resume"])
async def test_nothing_is_done_by_following_a_link(
    console: Console, snapshot: httpx.AsyncClient, path: str
) -> None:
    address, _ = await plan(snapshot, "/redrive", canary="")
    response = await snapshot.get(path, params={"id": address.rpartition("=")[2]})
    assert response.status_code == 405
    assert past_runs(console.directory, 10) == []


async def test_a_failed_canary_stops_the_run_before_the_rest(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    path = "/redrive?name=shop/invoice.created"
    address, page = await plan(snapshot, path, canary="2")
    assert "The canary of 2 goes first" in page
    started = await start(snapshot, address)
    await asyncio.sleep(0)  # the destination does not listen: the run stops by itself, or by hand
    data = {FORM_TOKEN: form_token(page), "name": started.headers["location"].rpartition("=")[2]}
    await snapshot.post("/run/stop", data=data, headers=SAME_ORIGIN)
    page = await finish(snapshot, started)
    assert "Stopped after 0 redriven" in page
    assert console.queues.stored(incident.MAIN) == ()
    assert len(console.queues.stored(incident.DEAD)) == 325


async def test_a_plan_without_a_snapshot_is_refused(console: Console) -> None:
    async with AsyncExitStack() as stack:
        browser = await console.browser(stack)
        page = await browser.get("/redrive")
        assert (page.status_code, code_of(page)) == (409, "no_snapshot")


async def test_only_the_latest_plans_are_kept(snapshot: httpx.AsyncClient) -> None:
    first, _ = await plan(snapshot, "/redrive?q=parcel-007", canary="")
    for _ in range(MAX_PLANS):
        await plan(snapshot, "/redrive?q=parcel-007", canary="")
    gone = await snapshot.get(first)
    assert (gone.status_code, code_of(gone)) == (404, "no_such_plan")
    refused = await start(snapshot, first)
    assert (refused.status_code, code_of(refused)) == (404, "no_such_plan")


async def test_an_outage_of_the_queue_is_told_and_changes_nothing(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    sqs = console.queues.sqs
    sqs.account.delete(sqs.queues[incident.MAIN])
    _, page = await plan(snapshot, "/redrive", canary="")
    assert "Nothing was changed." in page
    assert incident.MAIN in page
