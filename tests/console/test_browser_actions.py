"""Actions in a real browser: every size and colour, keyboard, no script, and live to the end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from relay.dlq.past_runs import past_runs
from relay.local.environment import Plan, local_environment
from relay.local.inngest import Function
from relay.model.origin import ATTRIBUTE, Origin
from tests.console.chromium import NEEDS_CHROMIUM, chromium, overflow, violations
from tests.console.running import Console, incident_console
from tests.console.test_browser import Watched, press_until, take_snapshot
from tests.dlq import incident
from tests.sources.poller.rig import until

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(240)]

EDIT = "{name: name, id: id, data: {items: data}}"
COUNT = 60


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    """A console that may write."""
    async with incident_console(tmp_path, write=True) as console:
        yield console


@pytest.fixture
async def chrome() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def check(page: Page) -> None:
    """The page fits every size, and breaks no rule of accessibility."""
    for width in (360, 768, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await overflow(page) == 0, (page.url, width)
        if width != 768:
            assert await violations(page) == [], (page.url, width)


async def show_plan(page: Page) -> None:
    await page.get_by_role("button", name="Show the plan").click()
    await page.get_by_role("heading", name="would be").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_action_fits_every_size_and_breaks_no_rule_of_accessibility(
    console: Console, chrome: Browser, scheme: str
) -> None:
    context = await chrome.new_context(color_scheme=scheme)  # type: ignore[arg-type]  # one of two
    tab = Watched(await context.new_page())
    page = tab.page
    await page.goto(console.address)
    await take_snapshot(page, console.url)
    await page.goto(f"{console.url}/redrive?name=shop/cart.left")
    await page.get_by_label("Edit").fill(EDIT)
    await check(page)
    await show_plan(page)
    await check(page)
    await page.goto(f"{console.url}/redrive")
    await page.get_by_label("Canary").fill("")
    await page.get_by_label("Rate").fill("20")
    await show_plan(page)
    await check(page)
    await page.get_by_role("button", name="Redrive 230 dead letters").click()
    await page.get_by_role("button", name="Stop").wait_for()
    await check(page)
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("heading", name="Result").wait_for()
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    await check(page)
    await page.goto(f"{console.url}/drop?name=(no+event)&code=not_json")
    await check(page)
    await show_plan(page)
    await check(page)
    await page.get_by_label(f"Type {incident.DEAD}").fill(incident.DEAD)
    await page.get_by_role("button", name="Drop 20 dead letters").click()
    await page.get_by_role("heading", name="Result").wait_for()
    await page.get_by_role("link", name="Restore its backup").click()
    await check(page)
    await show_plan(page)
    await check(page)
    await page.get_by_role("button", name="Put 20 messages back").click()
    await page.get_by_role("heading", name="Result").wait_for()
    await page.goto(f"{console.url}/history")
    await check(page)
    assert tab.problems == []


async def test_a_redrive_is_planned_started_and_stopped_by_keyboard_alone(
    console: Console, chrome: Browser
) -> None:
    page = await chrome.new_page()
    await page.goto(console.address)
    await take_snapshot(page, console.url)
    await press_until(page, "Redrive 235", role="link")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Redrive 325").wait_for()
    await press_until(page, "Canary", role="textbox")
    await page.keyboard.press("Delete")
    await page.keyboard.press("Tab")
    await page.keyboard.type("20")
    await press_until(page, "Show the plan", role="button")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="would be redriven").wait_for()
    await press_until(page, "Redrive 230 dead letters", role="button")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="What it was asked to do").wait_for()
    await press_until(page, "Stop", role="button")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Result").wait_for()
    [run] = past_runs(console.directory, 10)
    assert run.state == "stopped"


async def test_a_redrive_works_without_a_script(console: Console, chrome: Browser) -> None:
    context = await chrome.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(console.address)
    await take_snapshot(page, console.url)
    await page.get_by_role("link", name="Redrive 60").click()
    await page.get_by_label("Canary").fill("")
    await show_plan(page)
    await page.get_by_role("button", name="Redrive 60 dead letters").click()
    await page.get_by_role("heading", name="Result").wait_for()
    await expect(page.get_by_role("status")).to_have_text("60 redriven.")
    assert len(console.queues.stored(incident.MAIN)) == 60


async def test_a_read_only_console_says_why_its_buttons_do_nothing(
    tmp_path: Path, chrome: Browser
) -> None:
    async with incident_console(tmp_path) as console:
        page = await chrome.new_page()
        await page.goto(console.address)
        await take_snapshot(page, console.url)
        await page.goto(f"{console.url}/drop?code=not_json")
        await show_plan(page)
        button = page.get_by_role("button", name="Drop 20 dead letters")
        await expect(button).to_be_disabled()
        await expect(button).to_have_accessible_description(re.compile("--write"))
        await check(page)


async def test_a_redrive_is_watched_until_a_real_relay_has_delivered_all_of_it(
    tmp_path: Path, chrome: Browser
) -> None:
    plan = Plan(directory=tmp_path, functions=[Function(name="all", on="*")], console_port=0)
    async with local_environment(plan) as world:
        for number in range(COUNT):
            origin = Origin(
                id=f"id-{number}",
                hops=1,
                source=world.queue_url.rpartition("/")[2],
                code="fails_alone",
                reason="it failed",
            )
            await world.client.send_message(
                QueueUrl=world.dlq_url,
                MessageBody=f'{{"name":"shop/order","id":"order-{number}","data":{{}}}}',
                MessageAttributes={ATTRIBUTE: {"DataType": "String", "StringValue": origin.pack()}},
            )
        tab = Watched(await chrome.new_page())
        page = tab.page
        assert world.console_url is not None
        await page.goto(world.console_url)
        url = world.console_url.partition("/?")[0]
        await take_snapshot(page, url)
        await page.goto(f"{url}/redrive")
        await page.get_by_label("Rate").fill("20")
        await show_plan(page)
        await page.get_by_role("button", name=f"Redrive {COUNT} dead letters").click()
        status = page.get_by_role("status")
        await expect(status).to_contain_text("is running")
        await expect(page.get_by_text(f"of {COUNT}")).to_be_visible(timeout=60_000)
        await expect(status).to_have_text(f"{COUNT} redriven.", timeout=60_000)
        inngest = world.inngest
        assert inngest is not None
        await until(lambda: len({event.id for event in inngest.events}) == COUNT)
        assert len(inngest.events) == COUNT, "nothing is delivered twice"
        assert tab.problems == []
