"""A snapshot older than the last change of its queue says so, with a button for a new one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from relay.dlq.journal import JOURNAL, Journal
from relay.dlq.past_runs import last_change
from relay.dlq.snapshot import Head
from tests.console.running import Console, incident_console
from tests.console.test_actions import finish, plan, redriven, start
from tests.console.test_dead_letters import links, text_of
from tests.dlq import incident

OLD = "This snapshot is older than the last change of the queue"
PAGES = ("/dead-letters", "/dead-letters/list", "/dead-letters?name=shop/order.paid")


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    """A console that may write."""
    async with incident_console(tmp_path, write=True) as console:
        yield console


async def pages(browser: httpx.AsyncClient) -> list[str]:
    return [(await browser.get(path)).text for path in PAGES]


async def test_a_run_makes_the_snapshot_old_until_a_new_one_is_taken(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    assert all(OLD not in page for page in await pages(snapshot))
    await plan(snapshot, "/redrive?name=shop/invoice.created", canary="")
    assert all(OLD not in page for page in await pages(snapshot)), "a plan changes nothing"
    await redriven(snapshot, "/redrive?name=shop/invoice.created", canary="")
    for page in await pages(snapshot):
        assert f"{OLD}: redrive by" in text_of(page)
        assert "60 redriven. Take a new one" in text_of(page)
        assert page.count("Take a new snapshot") == 1
        assert len(links(page, "/run?name=")) == 1
    await console.take_snapshot(snapshot)
    assert all(OLD not in page for page in await pages(snapshot))
    address, _ = await plan(snapshot, "/drop?name=(no+event)&code=not_json")
    started = await start(snapshot, address, confirm=incident.DEAD)
    await finish(snapshot, started)
    assert all("20 dropped. Take a new one" in text_of(page) for page in await pages(snapshot))
    await console.take_snapshot(snapshot)
    name = started.headers["location"].rpartition("=")[2]
    address, _ = await plan(snapshot, f"/restore?run={name}")
    await finish(snapshot, await start(snapshot, address))
    assert all("20 restored. Take a new one" in text_of(page) for page in await pages(snapshot))


def run(parent: Path, name: str, at: float, queue: str = "dead", **audit: object) -> None:
    """A run whose journal was written last at a time; without an audit line it was killed."""
    head = Head(queue=queue, arn=f"a:{queue}", taken_at=0.0, retention=1e6, fifo=False)
    journal = Journal(parent / name, head, {"command": "redrive"})
    if audit:
        journal.record(audit=audit)
    journal.close()
    os.utime(parent / name / JOURNAL, (at, at))


def test_the_last_change_is_of_the_same_queue_later_and_did_something(tmp_path: Path) -> None:
    run(tmp_path, "before", 10.0, done=5)
    run(tmp_path, "first", 20.0, done=5)
    assert last_change(tmp_path, "dead", 20.0) is None
    found = last_change(tmp_path, "dead", 15.0)
    assert found is not None
    assert found.directory.name == "first"
    run(tmp_path, "other", 30.0, queue="another", done=5)
    run(tmp_path, "nothing", 40.0, done=0, deleted=0)
    assert last_change(tmp_path, "dead", 15.0) == found
    run(tmp_path, "killed", 50.0)
    found = last_change(tmp_path, "dead", 15.0)
    assert found is not None
    assert found.directory.name == "killed"
