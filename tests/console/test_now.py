"""The page *Now*: what it shows, its events over a socket, and how often it looks."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from relay.console.access import Access
from relay.console.application import console_application
from relay.console.now import NowPage
from relay.console.rendering import Renderer
from relay.console.watcher import Watcher
from relay.http.server import serving
from relay.ops.status import QueueStatus, RelayStatus, StatusReport
from tests.console.test_dead_letters import text_of

URL = "http://127.0.0.1:8000"
HALTED = {
    "circuit": "halted",
    "ready": False,
    "reason": "the event key was refused",
    "setting": "RELAY_INNGEST_EVENT_KEY",
}


class Scripted:
    """Makes reports of what the test says the relay is."""

    watcher: Watcher

    def __init__(self) -> None:
        self.relay: dict[str, Any] = {"circuit": "closed", "ready": True, "in_flight": 3}
        self.at = 1_800_000_000.0
        self.count = 0
        self.watched = True
        self.queues, self.messages = ["shop"], 1_234

    async def collect(self) -> StatusReport:
        self.count += 1
        self.at += 2.0
        queue = QueueStatus(
            name=self.queues[0],
            visible=self.messages,
            in_flight=0,
            delayed=0,
            oldest_age=3_600.0,
            retention=345_600.0,
        )
        queues = tuple(replace(queue, name=name) for name in self.queues)
        if not self.watched:
            return StatusReport(at=self.at, queues=queues)
        status = RelayStatus(url=URL, counters={"Delivered": 10.0 * self.count}, **self.relay)
        return StatusReport(at=self.at, queues=queues, relays=(status,), gaps=("no ages: <b>",))


@asynccontextmanager
async def now_page(scripted: Scripted, **pauses: float) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in browser before the page, on a real socket."""
    access = Access()
    renderer = Renderer(access)
    watcher = Watcher(scripted.collect, **{"watched": 0.01, "unwatched": 60.0, **pauses})
    scripted.watcher = watcher
    app = console_application(access, renderer, [NowPage(renderer, watcher)])
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(app, grace=1.0))
        stack.push_async_callback(watcher.close)
        access.serve_at(port, f"http://127.0.0.1:{port}")
        watching = asyncio.create_task(watcher.run())
        stack.callback(watching.cancel)
        browser = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        )
        await browser.get(f"/?token={access.token}")
        yield browser


async def events(response: httpx.Response) -> AsyncIterator[str]:
    async for line in response.aiter_lines():
        if line:
            assert line.startswith("data: ")
            yield json.loads(line.removeprefix("data: "))


async def until(response: AsyncIterator[str], holds: Callable[[str], bool]) -> str:
    async for page in response:
        if holds(text_of(page)):
            return page
    raise AssertionError("the events ended")


async def test_the_page_shows_queues_and_relays_without_a_script() -> None:
    async with now_page(Scripted()) as browser:
        text = text_of((await browser.get("/")).text)
    assert "Events are delivered." in text
    shown = "shop Visible 1,234 In flight 0 Delayed 0 Oldest 1 h Retention left 4 d"
    assert shown in text.replace("3.9 d", "4 d").replace("4.0 d", "4 d")
    assert f"{URL} closed" in text
    assert "No ages: <b>." in text


async def test_a_change_reaches_the_open_page_with_the_reason_and_the_setting() -> None:
    scripted = Scripted()
    async with now_page(scripted) as browser, browser.stream("GET", "/now/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        pages = events(response)
        await until(pages, lambda text: "Events are delivered." in text)
        scripted.relay |= HALTED
        page = text_of(await until(pages, lambda text: "1 of 1 relays do not deliver." in text))
        assert "the event key was refused Check RELAY_INNGEST_EVENT_KEY" in page
        assert "1 change of state halted" in page


async def test_nobody_looks_so_queues_are_seldom_read_until_somebody_does() -> None:
    scripted = Scripted()
    async with now_page(scripted) as browser:
        await browser.get("/")
        before = scripted.count
        await browser.get("/")
        assert scripted.count == before == 1
        async with browser.stream("GET", "/now/events") as response:
            pages = events(response)
            await until(pages, lambda _: scripted.count > 5)


async def test_a_console_that_stops_ends_the_events() -> None:
    scripted = Scripted()
    async with now_page(scripted) as browser, browser.stream("GET", "/now/events") as response:
        pages = events(response)
        await until(pages, lambda _: True)
        await scripted.watcher.close()
        remaining = [page async for page in pages]
    assert all(text_of(page) for page in remaining)


async def test_a_browser_that_leaves_is_forgotten() -> None:
    scripted = Scripted()
    async with now_page(scripted) as browser:
        async with browser.stream("GET", "/now/events") as response:
            await until(events(response), lambda _: scripted.watcher.viewers == 1)
        await asyncio.wait_for(_left(scripted.watcher), 30.0)


async def _left(watcher: Watcher) -> None:
    while watcher.viewers:  # noqa: ASYNC110 - what the page holds has no event
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("relay", "sentence"),
    [
        ({"problem": "connection refused"}, "No relay answers"),
        ({"circuit": "half-open", "ready": False}, "A relay is testing"),
        ({"circuit": "stuck", "ready": False}, "1 of 1 relays do not deliver"),
        ({"circuit": "closed", "ready": True, "warnings": ("seed",)}, "with warnings"),
        ({"circuit": "closed", "ready": False}, "A relay is testing"),
    ],
)
async def test_one_sentence_says_how_it_is(relay: dict[str, Any], sentence: str) -> None:
    scripted = Scripted()
    scripted.relay = relay
    async with now_page(scripted) as browser:
        assert sentence in text_of((await browser.get("/")).text)


async def test_a_console_without_a_relay_says_so_and_leads_to_what_died() -> None:
    scripted = Scripted()
    scripted.watched, scripted.queues = False, ["shop", "shop-dlq"]
    async with now_page(scripted) as browser:
        page = (await browser.get("/")).text
    text = text_of(page)
    assert "No relay is watched: here are the queues." in text
    assert "shop-dlq has 1,234 dead letters: messages that were not delivered." in text
    assert re.search(r'<a href="/dead-letters">See what died, and why</a>', page)


async def test_an_empty_dead_letter_queue_is_no_news() -> None:
    scripted = Scripted()
    scripted.queues, scripted.messages = ["shop", "shop-dlq"], 0
    async with now_page(scripted) as browser:
        assert "See what died" not in (await browser.get("/")).text
