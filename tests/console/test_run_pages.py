"""The page of a run in each of its states, with the longest names and the largest numbers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route

from relay.console.access import TOKEN, Access
from relay.console.actions import ActionPages
from relay.console.application import console_application
from relay.console.history import HistoryPages
from relay.console.rendering import Renderer
from relay.console.run_request import RunRequest
from relay.console.runs import Planned, Runs
from relay.console.snapshots import Snapshots
from relay.dlq.edit import Change
from relay.dlq.filters import Filter
from relay.dlq.journal import Journal
from relay.dlq.plan import GroupPlan, Plan
from relay.dlq.plan_source import EXAMINED
from relay.dlq.selection import Counts
from relay.dlq.snapshot import Head
from relay.dlq.watch import Watch
from relay.http.server import serving
from tests.console.chromium import NEEDS_CHROMIUM, chromium, overflow, violations
from tests.sources.poller.rig import until

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(120)]

WORD = "W" * 200
"""A word with no place to break it, of the widest letter."""

QUEUE = "W" * 80
"""As long as SQS allows."""

NAME = "W" * 230
"""Of a directory, near the limit of a file system."""

HUGE = 10**17
HEAD = Head(
    queue=QUEUE, arn=f"arn:aws:sqs:us-east-1:1:{QUEUE}", taken_at=0.0, retention=1e6, fifo=False
)
REQUEST = RunRequest(
    command="redrive",
    snapshot=Path(f"/{WORD}/{WORD}"),
    filters=Filter(names=(WORD,), codes=(WORD,), ids=(WORD, WORD)),
    canary=5,
    rate=0.01,
    edit=WORD,
    include_failing=True,
)
RESULT: dict[str, Any] = {
    "received": HUGE,
    "done": HUGE,
    "duplicates": HUGE,
    "deleted": HUGE,
    "not_deleted": HUGE,
    "missing": HUGE,
    "not_received": HUGE,
    "skipped": {WORD: HUGE, "would_fail": HUGE},
    "reasons": {WORD: WORD, "would_fail": WORD},
}
"""An audit line's counts."""

PAST: dict[str, dict[str, Any] | None] = {
    "unfinished": None,
    "stopped": {**RESULT, "interrupted": True},
    "stopped by itself": {**RESULT, "stopped": WORD},
    "failed": {**RESULT, "failed": WORD},
    "partial": RESULT,
    "complete": {**RESULT, "reasons": {}, "not_deleted": 0, "missing": 0, "not_received": 0},
}


@dataclass(frozen=True)
class Stage:
    """The pages of runs alone, of runs that a test makes."""

    url: str
    address: str
    runs: Runs
    operator: ScriptedOperator

    async def run(self) -> str:
        """Plan and start a run; its name."""
        self.operator.planned.set()
        entry = self.runs.begin_plan(REQUEST)
        await until(lambda: entry.planned is not None)
        return self.runs.start(entry, WORD)


class ScriptedOperator:
    """Reports phases, and ends them as the test says."""

    def __init__(self) -> None:
        self.planned, self.examined = asyncio.Event(), asyncio.Event()
        self.end = asyncio.Event()
        self.problem: Exception | None = None

    async def plan(self, _request: RunRequest, watch: Watch) -> Planned:
        with watch.progress(EXAMINED, total=HUGE) as phase:
            phase.at(HUGE // 4)
            await self.planned.wait()
        group = GroupPlan(selected=HUGE, duplicates=HUGE, skipped=Counter({WORD: HUGE}))
        group.predictions["runs"] = group.targets[WORD] = HUGE
        plan = Plan(examined=HUGE, selected=HUGE, groups={(WORD, WORD): group})
        plan.reasons[WORD] = WORD
        plan.changes.append(Change(WORD, WORD, (f"-{WORD}", f"+{WORD}")))
        return Planned(plan=plan, queue=QUEUE)

    async def execute(
        self, _request: RunRequest, _journal: Path, _began_at: float, watch: Watch
    ) -> Counts:
        watch.warn(WORD)
        with watch.progress(EXAMINED, total=HUGE) as phase:
            phase.at(HUGE // 5)
            await self.examined.wait()
        with watch.progress("done", total=HUGE) as phase:
            phase.at(HUGE // 3, received=HUGE, deleted=HUGE, queue=HUGE)
            await self.end.wait()
        if self.problem is not None:
            raise self.problem
        return Counts()


def no_snapshot(*_: Any) -> Any:
    raise AssertionError("nothing here reads a snapshot")


@asynccontextmanager
async def staged(directory: Path) -> AsyncIterator[Stage]:
    operator = ScriptedOperator()
    runs, access = Runs(operator, directory), Access(write=True)
    renderer = Renderer(access, queue=QUEUE)
    snapshots = Snapshots(directory, no_snapshot, no_snapshot, no_snapshot)
    pages: list[Any] = [
        HistoryPages(access, renderer, runs),
        ActionPages(access, renderer, snapshots, runs, time.time),
    ]
    app = console_application(access, renderer, pages)
    async with serving(app, grace=0.0) as port:
        url = f"http://127.0.0.1:{port}"
        access.serve_at(port, url)
        try:
            yield Stage(url, f"{url}/?{TOKEN}={access.token}", runs, operator)
        finally:
            operator.examined.set()
            operator.end.set()
            await runs.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as stage:
        yield stage


@pytest.fixture(params=["light", "dark"])
async def page(request: pytest.FixtureRequest, stage: Stage) -> AsyncIterator[Page]:
    """A tab that has opened the printed address."""
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium())
        tab = await (await browser.new_context(color_scheme=request.param)).new_page()
        await tab.goto(stage.address)
        yield tab


async def check(page: Page, what: str = "") -> None:
    """It fits every size, and breaks no rule of accessibility."""
    for width in (1440, 768, 360):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await overflow(page) == 0, (what, width)
    assert await violations(page) == [], what


def journal(directory: Path, result: dict[str, Any] | None) -> Journal:
    """The journal of a run of the console with this result; open, as while it goes on."""
    made = Journal(directory, HEAD, {"command": "redrive", "names": [WORD], "edit": WORD})
    made.record(request=REQUEST.as_json())
    made.record(resumed_by=WORD)
    if result is not None:
        made.record(audit={**result, "by": WORD})
    made.flush()
    return made


async def test_a_run_of_the_past_fits_in_each_state(
    stage: Stage, page: Page, tmp_path: Path
) -> None:
    for state, result in PAST.items():
        name = f"{state.replace(' ', '-')}-{NAME}"
        journal(tmp_path / name, result).close()
        await page.goto(f"{stage.url}/run?name={name}")
        await page.get_by_role("heading", name="What it was asked to do").wait_for()
        await check(page, state)
    await page.goto(f"{stage.url}/history")
    for state in PAST:
        await page.get_by_role("cell", name=state.partition(" ")[0]).first.wait_for()
    await check(page, "history")


async def test_a_run_of_another_process_fits(stage: Stage, page: Page, tmp_path: Path) -> None:
    theirs = journal(tmp_path / NAME, None)
    try:
        await page.goto(f"{stage.url}/run?name={NAME}")
        await page.get_by_role("status").filter(has_text="is running").wait_for()
        await check(page)
    finally:
        theirs.close()


async def without_reload(route: Route) -> None:
    """Serve a page that waits without its reload, which would end what is measured on it."""
    response = await route.fetch()
    body, reload = await response.text(), '<meta http-equiv="refresh" content="1">'
    await route.fulfill(response=response, body=body.replace(reload, ""))


async def test_a_plan_says_how_far_it_is_and_fits(stage: Stage, page: Page) -> None:
    entry = stage.runs.begin_plan(REQUEST)
    await page.route("**/plan?*", without_reload)
    await page.goto(f"{stage.url}/plan?id={entry.id}")
    await page.get_by_text(f"{HUGE // 4:,} of {HUGE:,} dead letters examined").wait_for()
    await page.get_by_role("img", name="25 % examined").wait_for()
    await check(page)
    stage.operator.planned.set()
    await until(lambda: entry.planned is not None)
    await page.reload()
    await page.get_by_role("heading", name="would be redriven").wait_for()
    await check(page)


async def test_a_run_that_goes_on_stops_or_fails_fits(stage: Stage, page: Page) -> None:
    name = await stage.run()
    await page.goto(f"{stage.url}/run?name={name}")
    await page.get_by_role("status").filter(has_text="20 % examined").wait_for()
    await check(page)
    stage.operator.examined.set()
    await page.get_by_role("status").filter(has_text="30 % done").wait_for()
    await check(page)
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("status").filter(has_text="Stopping").wait_for()
    await check(page)
    stage.operator.problem = RuntimeError("as the test says")
    stage.operator.end.set()
    await page.get_by_role("status").filter(has_text="Failed").wait_for()
    await check(page)
