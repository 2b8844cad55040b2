"""`relay status`: show queue depths and the state of running relays."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.live import Live

from relay.app.status import StatusCollector, open_collector
from relay.cli.startup import FAILED, USAGE, EnvFile, fail, load_settings
from relay.http.server import local_url
from relay.ops.status import WINDOW, StatusReport, rates
from relay.ops.status_view import render_status
from relay.output.console import PIPE_WIDTH, open_console
from relay.output.terminal import echo_json, is_terminal
from relay.process import on_stop_signal
from relay.settings.model import Settings

EXIT_CODES = (
    "Exit codes: 0 a queue or a relay was read, 1 nothing could be read, 2 wrong usage or settings."
)

EXAMPLES = """\
relay status
relay status --relay http://10.0.1.17:8000 --relay http://10.0.2.4:8000
relay status --json | jq '.queues[].visible'
"""


def command(
    *,
    relay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A relay's address; default from RELAY_HOST and PORT. Repeatable.",
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Print the status once, also on a terminal.")
    ] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.5, help="Time between two updates.")
    ] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print once, as JSON.")] = False,
    env_file: EnvFile = None,
) -> None:
    """Show the queue depths, the state and throughput of each relay, and why it does not deliver.

    On a terminal the display is updated until Ctrl-C, with rates over the last 15 seconds. Without
    a terminal the status is printed once. `relay poll` has an address only if PORT is set or
    RELAY_METRICS=prometheus; without one, only the queues are shown.
    """
    settings = load_settings(env_file)
    urls = [url.rstrip("/") for url in relay or [local_url(settings.host, settings.port)]]
    if not all(map(is_address, urls)):
        fail("--relay takes an address such as http://127.0.0.1:8000, without a user", code=USAGE)
    live = is_terminal() and not (once or as_json)
    last = asyncio.run(_live(settings, urls, interval) if live else _once(settings, urls, as_json))
    raise typer.Exit(FAILED if last is None or last.empty else 0)


def is_address(url: str) -> bool:
    """Whether this is an HTTP address without credentials, which the output would show."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in url
    except ValueError:
        return False


async def _once(settings: Settings, urls: list[str], as_json: bool) -> StatusReport:  # noqa: FBT001 - a flag of the command
    async with open_collector(settings, urls) as collector:
        report = await collector.collect()
    if as_json:
        echo_json(report.as_json({}), indent=2)
    else:
        open_console(pipe_width=PIPE_WIDTH).print(render_status(report, {}))
    return report


async def _live(settings: Settings, urls: list[str], interval: float) -> StatusReport | None:
    """Update the display until a signal; the last report stays on the screen."""
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        async with open_collector(settings, urls) as collector:
            watching = asyncio.create_task(_watch(collector, interval))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (watching, stopping):
                task.cancel()
            ends = await asyncio.gather(watching, stopping, return_exceptions=True)
    if isinstance(ends[0], Exception):
        raise ends[0]
    return collector.last


async def _watch(collector: StatusCollector, interval: float) -> None:
    reports: deque[StatusReport] = deque(maxlen=max(2, round(WINDOW / interval) + 1))
    with Live(console=open_console(), auto_refresh=False) as live:
        while True:
            reports.append(await collector.collect())
            live.update(render_status(reports[-1], rates(reports)), refresh=True)
            await asyncio.sleep(interval)
