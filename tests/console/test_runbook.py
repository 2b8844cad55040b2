"""docs/runbook.md in a real browser: from the alarm to redriven, by the buttons that it names."""

from __future__ import annotations

import os
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page

from relay.dlq.past_runs import past_runs
from relay.local.inngest import InngestServer
from tests.console.chromium import NEEDS_CHROMIUM, chromium
from tests.console.running import SETTINGS, local_queues, serving
from tests.console.test_browser import Watched
from tests.dlq import incident
from tests.dlq.test_runbook import bodies, ids, polling
from tests.sources.poller.rig import until

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(180)]

TEXT = (Path(__file__).parents[2] / "docs/runbook.md").read_text()
STEPS = TEXT.partition("<!-- test: console -->")[2].partition("\n## ")[0]
WORDS = re.findall(r"\*\*(.+?)\*\*|`(.+?)`", STEPS)
"""What is pressed, and what is typed, in order."""

FILES = {"fix.py"}


class Operator:
    """Does what the runbook says, word for word."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def follow(self) -> None:
        for pressed, typed in WORDS:
            if pressed:
                await self._press(pressed)
            elif typed not in FILES:
                await self._type(typed)

    async def _press(self, name: str) -> None:
        main, page = self._page.get_by_role("main"), self._page
        places = (main.get_by_role("button", name=name), main.get_by_role("link", name=name))
        found = places[0].or_(places[1]).or_(page.get_by_role("link", name=name, exact=True))
        # A click alone returns while the page that is left still answers.
        async with page.expect_navigation():
            await found.first.click()
        if name == "Take a new snapshot":
            await page.get_by_role("button", name=name).wait_for()
        if name.startswith(("Redrive", "Drop")) and name.endswith("dead letters"):
            await page.get_by_role("heading", name="Result").wait_for()

    async def _type(self, text: str) -> None:
        await self._page.locator("input[name=confirm], textarea[name=edit]").fill(text)


async def test_the_incident_is_solved_in_the_console_as_the_runbook_says(tmp_path: Path) -> None:
    async with local_queues() as queues, InngestServer(0) as inngest, AsyncExitStack() as stack:
        await incident.make_incident(queues)
        settings = SETTINGS | {"RELAY_INNGEST_URL": inngest.url, "RELAY_CONFIRM": "off"}
        log = tmp_path / "relay.log"
        await stack.enter_async_context(polling(queues, {**os.environ, **settings}, inngest, log))
        directory = tmp_path / "night"
        console = await stack.enter_async_context(serving(queues, directory, settings, write=True))
        tab = Watched(await (await stack.enter_async_context(chromium())).new_page())
        await tab.page.goto(console.address)
        await Operator(tab.page).follow()
        await tab.page.get_by_role("heading", name="History").wait_for()
        await until(lambda: not queues.stored(incident.MAIN))
        sent = [body for kind in incident.KINDS if not kind.fails for body in bodies(kind)]
        repaired = [body for kind in (incident.ORDERS, incident.CARTS) for body in bodies(kind)]
        delivered = {event.id for event in inngest.events}
        assert delivered == ids(sent) | ids(repaired)
        assert len(delivered) == 230 + 55
        lines = log.read_text().splitlines()
        assert [line for line in lines if "halted" in line or "rejected" in line] == []
        assert queues.stored(incident.DEAD) == ()
        states = [run.state for run in past_runs(directory, 10)]
        assert sorted(states) == ["complete"] * 5 + ["partial"]
        assert tab.problems == []
