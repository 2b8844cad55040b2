"""The page *Audit* in a real browser: sizes, colours, accessibility, without a script."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import expect

from relay.local.inngest import InngestServer
from tests.console.chromium import NEEDS_CHROMIUM, chromium, overflow, violations
from tests.console.test_audit import console_of, inngest  # noqa: F401 - a fixture
from tests.console.test_browser import Watched

pytestmark = [NEEDS_CHROMIUM, pytest.mark.timeout(300)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_form_and_the_result_fit_every_size_and_work_without_a_script(
    inngest: InngestServer,  # noqa: F811 - the fixture
    tmp_path: Path,
    stack: AsyncExitStack,
    scheme: str,
) -> None:
    console = await console_of(inngest, tmp_path, stack)
    chrome = await stack.enter_async_context(chromium())
    context = await chrome.new_context(color_scheme=scheme)  # type: ignore[arg-type]  # one of two
    plain = await chrome.new_context(java_script_enabled=False)
    page = await plain.new_page()
    await page.goto(console.address)
    await page.goto(f"{console.url}/audit")
    await page.get_by_label("Accepted since").fill("2h")
    await page.get_by_role("button", name="Audit").click()
    await expect(page.get_by_role("heading", name="Events by name")).to_be_visible(timeout=60_000)
    await expect(page.get_by_role("link", name="b <i>")).to_be_visible(timeout=60_000)
    tab = Watched(await context.new_page())
    await tab.page.goto(console.address)
    for address in (f"{console.url}/audit", page.url):
        await tab.page.goto(address)
        for width in (360, 1440):
            await tab.page.set_viewport_size({"width": width, "height": 900})
            assert await overflow(tab.page) == 0, (address, width)
            assert await violations(tab.page) == [], (address, width)
    assert tab.problems == []
    await tab.page.get_by_role("link", name="b <i>").click()
    await expect(tab.page.get_by_role("heading", name="Event b <i>")).to_be_visible(timeout=60_000)
