"""The console in a real browser: sizes, colours, keyboard, screen readers, no script, live."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.console.chromium import NEEDS_CHROMIUM, chromium, overflow, violations
from tests.console.running import SETTINGS, Console, local_queues, serving
from tests.console.test_hostile_text import write_snapshot

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(180)]

VIEWS = (
    "/",
    "/dead-letters",
    "/dead-letters?by=shape",
    "/dead-letters/list",
    "/dead-letters/list?q=nothing+like+it",
    "/dead-letter?id=parcel-007",
    "/dead-letter?id=nobody",
    "/event",
    "/event?id=parcel-007",
    "/doctor",
)


@pytest.fixture
async def chrome(stack: AsyncExitStack) -> Browser:
    return await stack.enter_async_context(chromium())


class Watched:
    """A tab, and everything in it that went wrong."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", lambda one: self._note(one.type, one.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "404 (Not Found)" not in text:
            self.problems.append(text)


async def take_snapshot(page: Page, url: str) -> None:
    await page.goto(f"{url}/dead-letters")
    await page.get_by_role("button", name="Take a new snapshot").click()
    await page.get_by_role("heading", name="Groups").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_fits_every_size_and_breaks_no_rule_of_accessibility(
    console: Console, chrome: Browser, scheme: str
) -> None:
    context = await chrome.new_context(color_scheme=scheme)  # type: ignore[arg-type]  # one of two
    tab = Watched(await context.new_page())
    page = tab.page
    await page.goto(console.address)
    await take_snapshot(page, console.url)
    for path in VIEWS:
        await page.goto(f"{console.url}{path}")
        if path == "/doctor":
            await page.get_by_role("button", name="Run the checks").click()
            await page.get_by_role("heading", name="without a finding").wait_for()
        for width in (360, 768, 1440):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await overflow(page) == 0, (path, width)
            if width != 768:
                assert await violations(page) == [], (path, width)
    assert tab.problems == []


async def test_a_snapshot_is_taken_and_read_by_keyboard_alone(
    console: Console, chrome: Browser
) -> None:
    page = await chrome.new_page()
    await page.goto(console.address)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await press_until(page, "Dead letters", role="link")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/dead-letters")
    await press_until(page, "Take a new snapshot of 325 messages", role="button")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Groups").wait_for()
    await press_until(page, "shop/parcel.packed", role="link")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="120 dead letters").wait_for()
    await page.get_by_role("searchbox").focus()
    await page.keyboard.type("parcel-007")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="1 dead letter").wait_for()


async def press_until(page: Page, name: str, *, role: str) -> None:
    """Press Tab until the element has the focus; it has to be visible there."""
    wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]  # as the caller has it
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("element => element === document.activeElement"):
            await expect(wanted).to_be_in_viewport()
            return
    raise AssertionError(f"{name} is not reached by Tab")


async def test_everything_can_be_read_without_a_script(console: Console, chrome: Browser) -> None:
    context: BrowserContext = await chrome.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(console.address)
    await expect(page.get_by_role("cell", name="325")).to_be_visible()
    assert (
        await page.locator("noscript meta").count()
        or await page.locator("head meta[http-equiv=refresh]").count()
    )
    await take_snapshot(page, console.url)
    await expect(page.get_by_role("rowheader", name="shop/parcel.packed")).to_be_visible()
    await page.get_by_role("link", name="shop/order.paid").click()
    await page.get_by_role("link", name="shop/order.paid").first.click()
    await expect(page.get_by_text("it must be in milliseconds").first).to_be_visible()


async def test_the_counts_on_an_open_page_change_by_themselves(
    console: Console, chrome: Browser
) -> None:
    page = await chrome.new_page()
    await page.goto(console.address)
    await expect(page.get_by_role("cell", name="325")).to_be_visible()
    await console.queues.send("shop-events-dlq", "{}")
    await expect(page.get_by_role("cell", name="326")).to_be_visible(timeout=60_000)


async def test_a_hostile_snapshot_runs_no_script(chrome: Browser, tmp_path: Path) -> None:
    async with local_queues() as queues:
        queues.make("dead")
        queues.make("main", "dead")
        await asyncio.to_thread(write_snapshot, tmp_path / "relay-dlq-snapshot-x.jsonl")
        settings = SETTINGS | {"RELAY_QUEUE_URL": "main"}
        async with serving(queues, tmp_path, settings) as console:
            tab = Watched(await chrome.new_page())
            await tab.page.goto(console.address)
            await tab.page.goto(f"{console.url}/dead-letters")
            await tab.page.get_by_role("heading", name="Groups").wait_for()
            await tab.page.goto(f"{console.url}/dead-letters/list")
            links = await tab.page.get_by_role("rowheader").get_by_role("link").all()
            addresses = [await link.get_attribute("href") for link in links]
            assert len(addresses) == 10
            for address in ("/dead-letters", "/dead-letters/list", *addresses):
                await tab.page.goto(f"{console.url}{address}")
                for width in (360, 1440):
                    await tab.page.set_viewport_size({"width": width, "height": 900})
                    assert await overflow(tab.page) == 0, (address, width)
            assert tab.problems == []
