"""`relay status`: one screen of a running relay and its queues."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.live import Live

from relay.app.status import StatusCollector, open_collector
from relay.cli.startup import FAILED, USAGE, EnvFile, fail, load_settings
from relay.ops.status import WINDOW, StatusReport, rates
from relay.ops.status_view import render_status
from relay.process import on_stop_signal
from relay.settings.model import Settings

EXIT_CODES = "Exit codes: 0 something was seen, 1 nothing was, 2 wrong usage or settings."

_WIDTH = 140
"""Columns where there is no terminal to ask."""


def command(
    *,
    relay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Where a relay listens; RELAY_HOST and PORT if not given. Repeatable.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, as without a terminal.")] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.5, help="How long between two looks.")
    ] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Look once and print JSON.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Show what waits in the queues, what the relay does with it, and why not if it does nothing.

    On a terminal it goes on until Ctrl-C, with rates over the last seconds; elsewhere it looks
    once. `relay poll` listens only with PORT set or RELAY_METRICS=prometheus; its queue is shown
    all the same.
    """
    settings = load_settings(env_file)
    urls = [url.rstrip("/") for url in relay or [f"http://{settings.host}:{settings.port}"]]
    if not all(map(_bare, urls)):
        fail("--relay takes an address such as http://127.0.0.1:8000, and no user", code=USAGE)
    live = sys.stdout.isatty() and not (once or as_json)
    last = asyncio.run(_live(settings, urls, interval) if live else _once(settings, urls, as_json))
    raise typer.Exit(FAILED if last is None or last.empty else 0)


def _bare(url: str) -> bool:
    """Whether it is an address, and nothing that should not be shown."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in url
    except ValueError:
        return False


async def _once(settings: Settings, urls: list[str], as_json: bool) -> StatusReport:  # noqa: FBT001 - a flag of the command
    async with open_collector(settings, urls) as eyes:
        sample = await eyes.collect()
    if as_json:
        typer.echo(json.dumps(sample.as_json({}), indent=2))
    else:
        width = None if sys.stdout.isatty() else _WIDTH
        Console(file=sys.stdout, width=width, highlight=False).print(render_status(sample, {}))
    return sample


async def _live(settings: Settings, urls: list[str], interval: float) -> StatusReport | None:
    """Look until a signal; the last look stays on the screen."""
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        async with open_collector(settings, urls) as eyes:
            watching = asyncio.create_task(_watch(eyes, interval))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (watching, stopping):
                task.cancel()
            ends = await asyncio.gather(watching, stopping, return_exceptions=True)
    if isinstance(ends[0], Exception):
        raise ends[0]
    return eyes.last


async def _watch(eyes: StatusCollector, interval: float) -> None:
    samples: deque[StatusReport] = deque(maxlen=max(2, round(WINDOW / interval) + 1))
    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        while True:
            samples.append(await eyes.collect())
            live.update(render_status(samples[-1], rates(samples)), refresh=True)
            await asyncio.sleep(interval)
