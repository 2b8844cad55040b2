"""Redrive, drop and restore in the console: plans, starts, confirmations, and what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from relay.dlq.past_runs import past_runs
from tests.console.running import (
    FORM_TOKEN,
    SAME_ORIGIN,
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
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', _form(page.text)))
    response = await browser.post(
        path.partition("?")[0], data={**hidden, **fields}, headers=SAME_ORIGIN
    )
    assert response.status_code == 303, response.text
    address = response.headers["location"]
    return address, await eventually(browser, address, planning, ends=True)


def _form(text: str) -> str:
    return text.partition("<main")[2].rpartition('<form method="post"')[2]


async def start(browser: httpx.AsyncClient, address: str, **fields: str) -> httpx.Response:
    token = form_token((await browser.get("/dead-letters")).text)
    ident = address.rpartition("=")[2]
    data = {FORM_TOKEN: token, "id": ident, **fields}
    return await browser.post("/plan/start", data=data, headers=SAME_ORIGIN)


async def finish(browser: httpx.AsyncClient, started: httpx.Response) -> str:
    assert started.status_code == 303, started.text
    return await eventually(browser, started.headers["location"], running, ends=True)


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


async def test_a_run_has_a_journal_a_backup_an_audit_line_and_the_command_that_does_the_same(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    address, page = await plan(
        snapshot, "/redrive?name=shop/invoice.created&code=expiring", canary=""
    )
    assert "relay dlq redrive --name shop/invoice.created --code expiring --snapshot" in page
    page = await finish(snapshot, await start(snapshot, address))
    [run] = past_runs(console.directory, 10)
    assert run.result is not None
    assert (run.state, run.result["done"], run.result["via"]) == ("complete", 60, "console")
    assert run.backup.read_bytes().count(b"\n") == 61
    assert f"--yes --journal {run.directory}" in page
