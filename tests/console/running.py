"""A console on a socket, beside a local SQS with the dead letters of an incident."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types

from relay.app.console.serve import ConsoleOptions, serve_console
from relay.aws.session import Session
from relay.console.access import FORM_TOKEN
from relay.local.clock import ManualClock
from relay.local.processes import CONSOLE_AT, RelayProcess, free_port
from relay.local.sqs import SqsServer
from relay.settings.loading import load
from tests.dlq import incident
from tests.dlq.queues import LocalQueues

SAME_ORIGIN = {"sec-fetch-site": "same-origin", "origin": "null"}
"""What a browser sends with a form of the console's own pages."""

SETTINGS = {
    "RELAY_QUEUE_URL": incident.MAIN,
    "RELAY_INNGEST_URL": "http://127.0.0.1:1",
    "RELAY_INNGEST_EVENT_KEY": "local",
}


@dataclass(frozen=True)
class Console:
    """A running console.

    `address` is what it printed, `url` the same without the token. `socket` is where it listens,
    which differs behind a proxy.
    """

    address: str
    socket: str
    queues: LocalQueues
    directory: Path

    @property
    def url(self) -> str:
        return self.address.partition("/?")[0]

    def client(self) -> httpx.AsyncClient:
        """A browser without cookies."""
        return httpx.AsyncClient(base_url=self.url, timeout=30.0, trust_env=False)

    async def take_snapshot(self, browser: httpx.AsyncClient) -> None:
        """Press the button, and wait for the page that shows the groups."""
        await self.submit(browser, "/dead-letters", "/dead-letters/snapshot")
        await eventually(browser, "/dead-letters", working, ends=True)

    async def submit(
        self, browser: httpx.AsyncClient, page: str, action: str, **fields: str
    ) -> httpx.Response:
        """Send the form on a page as a browser does."""
        token = form_token((await browser.get(page)).text)
        return await browser.post(action, data={FORM_TOKEN: token, **fields}, headers=SAME_ORIGIN)

    async def browser(self, stack: AsyncExitStack) -> httpx.AsyncClient:
        """A browser that has opened the address."""
        client = await stack.enter_async_context(self.client())
        await client.get(self.address)
        return client


def working(text: str) -> bool:
    """Whether a snapshot is being taken or read."""
    return "This page reloads by itself" in text


def form_token(text: str) -> str:
    """The token of the forms on a page."""
    found = re.search(rf'name="{FORM_TOKEN}" value="(\w+)"', text)
    assert found, text
    return found[1]


async def eventually(
    browser: httpx.AsyncClient, path: str, holds: Callable[[str], bool], *, ends: bool = False
) -> str:
    """The page once the condition holds, or with `ends` once it holds no longer."""
    while True:
        text = (await browser.get(path)).text
        if holds(text) is not ends:
            return text
        await asyncio.sleep(0.01)


@asynccontextmanager
async def local_queues() -> AsyncIterator[LocalQueues]:
    """A local SQS, which the environment of this process names meanwhile."""
    async with AsyncExitStack() as stack:
        clock = ManualClock()
        sqs = await stack.enter_async_context(SqsServer(clock=clock))
        variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ENDPOINT_URL": sqs.url,
        }
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            session = Session(AioSession(), AsyncExitStack(), "us-east-1")
            yield LocalQueues(sqs, clock, session, stack)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@asynccontextmanager
async def serving(
    queues: LocalQueues,
    directory: Path,
    settings: Mapping[str, str] = SETTINGS,
    **options: Any,
) -> AsyncIterator[Console]:
    """A console that shows these queues."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    options = {"port": free_port(), **options}
    given = ConsoleOptions(directory=directory, wait=0.0, **options)
    task = asyncio.create_task(serve_console(load(settings), given, address.set_result))
    try:
        waited: set[asyncio.Future[Any]] = {task, address}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield Console(await address, f"http://127.0.0.1:{given.port}", queues, directory)
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def incident_console(directory: Path, **options: Any) -> AsyncIterator[Console]:
    """A console that shows the incident."""
    async with local_queues() as queues:
        await incident.make_incident(queues, at=time.time() - 1_200.0)
        async with serving(queues, directory, **options) as console:
            yield console


_numbers = itertools.count()


@asynccontextmanager
async def ticking(queues: LocalQueues) -> AsyncIterator[None]:
    """The queues' clock moves on: the long polls of other processes end on it."""

    async def tick() -> None:
        while True:
            queues.clock.advance(0.05)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def console_process(
    queues: LocalQueues, directory: Path
) -> AsyncIterator[tuple[RelayProcess, Console]]:
    """A console as a process of its own, which a test can kill."""
    settings = {n: v for n, v in os.environ.items() if n.startswith("AWS_")} | SETTINGS
    words = ("console", "--write", "--port", "0", "--directory", str(directory))
    log = directory / f"console-{next(_numbers)}.log"
    async with RelayProcess(*words, settings=settings, output=log) as process:
        address = await process.printed(CONSOLE_AT)
        yield process, Console(address, address.partition("/?")[0], queues, directory)
