"""A real browser: Debian's Chromium, or the one that CHROMIUM names, by Playwright's driver."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import (  # type: ignore[import-untyped]  # ships no types
    Axe,
)
from playwright.async_api import Browser, Page, async_playwright

EXECUTABLE = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

NEEDS_CHROMIUM = pytest.mark.skipif(
    EXECUTABLE is None, reason="there is no Chromium: install it, or name one with CHROMIUM"
)

_OVERFLOW = """
() => new Promise((measured) => {
  const measure = () => {
    const root = document.documentElement;
    measured(root.scrollWidth - root.clientWidth);
  };
  if (document.readyState === "complete") measure();
  else addEventListener("load", measure);
})
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


async def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window, once it has its style sheet.

    A click returns when the next document begins: nothing has a width there yet that anybody sees.
    """
    return int(await page.evaluate(_OVERFLOW))


async def violations(page: Page) -> list[str]:
    """What breaks axe's rules for accessible pages: each rule with the elements."""
    found = (await Axe().run(page)).response["violations"]
    return [f"{one['id']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found]
