"""Fixtures: a running console with the dead letters of an incident, and browsers of operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.console.running import Console, incident_console


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def console(tmp_path: Path, stack: AsyncExitStack) -> Console:
    """A read-only console."""
    return await stack.enter_async_context(incident_console(tmp_path))


@pytest.fixture
async def browser(console: Console, stack: AsyncExitStack) -> httpx.AsyncClient:
    """A browser that has opened the printed address."""
    return await console.browser(stack)


@pytest.fixture
async def snapshot(console: Console, browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """The same browser, with a snapshot of the incident."""
    await console.take_snapshot(browser)
    return browser
