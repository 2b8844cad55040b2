"""Takes the pictures of docs/images/console-*.png: a real console beside real servers.

python -m tests.console.screenshots
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from playwright.async_api import Browser, Page

from relay.local.environment import Plan, local_environment
from relay.local.inngest import Function
from tests.console.chromium import chromium
from tests.console.running import incident_console

IMAGES = Path(__file__).parents[2] / "docs/images"
SIZE = {"width": 1120, "height": 700}
PHONE = {"width": 390, "height": 760}
TRAFFIC = 25.0
"""Seconds of traffic before the picture of the page Now."""


async def picture(page: Page, name: str) -> None:
    """Take one, from the top of the page."""
    await page.evaluate("window.scrollTo(0, 0)")
    await page.screenshot(path=IMAGES / f"console-{name}.png", animations="disabled")


async def now(browser: Browser, directory: Path) -> None:
    """The page Now of a relay that delivers."""
    plan = Plan(
        directory=directory,
        functions=[Function(name="all", on="*")],
        console_port=0,
        settings={"RELAY_METRICS": "prometheus", "RELAY_LOG_FORMAT": "json"},
    )
    async with local_environment(plan) as environment:
        context = await browser.new_context(viewport=SIZE)  # type: ignore[arg-type]  # a size
        page = await context.new_page()
        await page.goto(environment.console_url or "")
        end = asyncio.get_running_loop().time() + TRAFFIC
        while asyncio.get_running_loop().time() < end:
            for number in range(20):
                body = f'{{"name":"shop/order.paid","data":{{"order":{number}}}}}'
                await environment.client.send_message(
                    QueueUrl=environment.queue_url, MessageBody=body
                )
            await asyncio.sleep(0.5)
        await picture(page, "now")


async def dead_letters(browser: Browser, directory: Path) -> None:
    """The pages of an incident, some of them dark, one on a phone."""
    async with incident_console(directory) as console, AsyncExitStack() as stack:
        client: httpx.AsyncClient = await console.browser(stack)
        await console.take_snapshot(client)
        for scheme, size, names in (
            ("light", SIZE, ("groups",)),
            ("dark", SIZE, ("dead-letter", "event")),
            ("light", PHONE, ("phone",)),
        ):
            context = await browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]  # as above
            page = await context.new_page()
            await page.goto(console.address)
            for name in names:
                await page.goto(f"{console.url}{PATHS[name]}")
                await picture(page, name)


PATHS = {
    "groups": "/dead-letters",
    "phone": "/dead-letters",
    "dead-letter": "/dead-letter?id=parcel-007",
    "event": "/event?id=parcel-007",
}


async def actions(browser: Browser, directory: Path) -> None:
    """A plan with an edit, a plan of everything, a redrive under way, and the history."""
    async with incident_console(directory, write=True) as console, AsyncExitStack() as stack:
        client: httpx.AsyncClient = await console.browser(stack)
        await console.take_snapshot(client)
        page = await (await browser.new_context(viewport=SIZE)).new_page()  # type: ignore[arg-type]  # as above
        await page.goto(console.address)
        await _plan(page, f"{console.url}/redrive?name=shop/cart.left", Edit=EDIT)
        await picture(page, "edit")
        await _plan(page, f"{console.url}/redrive", Canary="", Rate="60")
        await picture(page, "plan")
        await page.get_by_role("button", name="Redrive 230 dead letters").click()
        await page.get_by_text("30 % done").wait_for()
        await picture(page, "redrive")
        await page.get_by_role("heading", name="Result").wait_for()
        await _plan(page, f"{console.url}/drop?name=(no+event)&code=not_json")
        await page.get_by_label("Type shop-events-dlq").fill("shop-events-dlq")
        await page.get_by_role("button", name="Drop 20 dead letters").click()
        await page.get_by_role("heading", name="Result").wait_for()
        await page.goto(f"{console.url}/history")
        await picture(page, "history")


EDIT = "{name: name, id: id, data: {items: data}}"


async def _plan(page: Page, address: str, **fields: str) -> None:
    """Fill in the form at this address, and wait for the plan."""
    await page.goto(address)
    for label, text in fields.items():
        await page.get_by_label(label).fill(text)
    await page.get_by_role("button", name="Show the plan").click()
    await page.get_by_role("heading", name="would be").wait_for()


async def main() -> None:
    """Take all of them."""
    with tempfile.TemporaryDirectory(prefix="relay-") as directory:
        async with chromium() as browser:
            await now(browser, Path(directory))
            await dead_letters(browser, Path(directory, "incident"))
            await actions(browser, Path(directory, "actions"))


if __name__ == "__main__":
    asyncio.run(main())
