"""Builds `relay console`: its pages, what they read, and the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from relay.app.console.audit import ConsoleAuditor
from relay.app.console.dead_letters import Predictor, open_snapshots
from relay.app.console.event import link_to, trace
from relay.app.console.operator import DlqOperator
from relay.app.doctor import run_checks
from relay.app.status import open_collector
from relay.console.access import TOKEN, Access, Guard
from relay.console.actions import ActionPages
from relay.console.application import Page, console_application
from relay.console.audit import AuditPage
from relay.console.audit_runs import Audits
from relay.console.dead_letter import DeadLetterPage
from relay.console.dead_letters import DeadLettersPage
from relay.console.doctor import DoctorPage
from relay.console.event import EventPage
from relay.console.history import HistoryPages
from relay.console.now import NowPage
from relay.console.rendering import Renderer
from relay.console.runs import Runs
from relay.console.watcher import Watcher
from relay.dlq.past_runs import last_change
from relay.http.addresses import authority
from relay.http.server import serving
from relay.ops.status import QueueStatus
from relay.process import on_stop_signal
from relay.settings.loading import Loaded

GRACE = 2.0
"""Seconds that open responses may take after a stop."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """How the console is served, and what it shows.

    Attributes:
        host: the address to listen on.
        port: 0 for any free one.
        base_url: the address by which a proxy makes the console reachable, such as
            `https://ops.example/relay`.
        write: whether actions that change queues are allowed.
        relays: the addresses of the relays to watch.
        directory: where snapshots, journals and backups are.
        wait: seconds that each receive for a snapshot waits, so that SQS queries all its servers.
    """

    host: str = "127.0.0.1"
    port: int = 0
    base_url: str | None = None
    write: bool = False
    relays: Sequence[str] = ()
    directory: Path = Path()
    wait: float = 1.0


@dataclass(frozen=True, slots=True)
class Console:
    """A console that is not served yet. `app` answers nothing before `access` knows its address."""

    app: Guard
    access: Access
    watcher: Watcher
    runs: Runs
    audits: Audits

    async def close(self) -> None:
        """End the responses that go on, and the run and the audit that are under way."""
        await self.watcher.close()
        await asyncio.gather(self.runs.close(), self.audits.close())


async def serve_console(
    loaded: Loaded, options: ConsoleOptions, announce: Callable[[str], None]
) -> None:
    """Serve until a signal. `announce` gets the address with the token.

    Raises:
        relay.http.listening.CannotListen: the address cannot be bound.
    """
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        async with AsyncExitStack() as stack:
            console = await open_console(stack, loaded, options)
            port = await stack.enter_async_context(
                serving(console.app, host=options.host, port=options.port, grace=GRACE)
            )
            # Before the server waits for its responses: those of the page Now never end.
            stack.push_async_callback(console.close)
            origins = _origins(options, port)
            console.access.serve_at(port, *origins)
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(console.watcher.run())
                announce(f"{origins[0]}{console.access.prefix}/?{TOKEN}={console.access.token}")
                await stop.wait()
                watching.cancel()


async def open_console(stack: AsyncExitStack, loaded: Loaded, options: ConsoleOptions) -> Console:
    """The console, which is closed with the stack."""
    settings, access = loaded.settings, _access(options)
    collector = await stack.enter_async_context(open_collector(settings, options.relays))
    watcher = Watcher(collector.collect)
    renderer = Renderer(access, queue=_name(settings.queue_url))
    snapshots = open_snapshots(settings, options.directory, options.wait)
    stack.push_async_callback(snapshots.close)
    snapshots.load_latest()
    runs = Runs(DlqOperator(settings, options.wait), options.directory)
    auditor = ConsoleAuditor(settings)
    audits = Audits(auditor)
    dead_letter_queue = partial(_dead_letter_queue, watcher)
    pages: list[Page] = [
        NowPage(renderer, watcher),
        DeadLettersPage(
            access,
            renderer,
            snapshots,
            dead_letter_queue,
            lambda head: last_change(options.directory, head.queue, head.taken_at),
            time.time,
        ),
        DeadLetterPage(renderer, snapshots, Predictor(settings)),
        ActionPages(access, renderer, snapshots, runs, time.time),
        HistoryPages(access, renderer, runs),
        EventPage(renderer, partial(trace, settings, snapshots), partial(link_to, settings)),
        AuditPage(access, renderer, auditor, audits),
        DoctorPage(access, renderer, lambda pull: run_checks(loaded, pull=pull)),
    ]
    return Console(console_application(access, renderer, pages), access, watcher, runs, audits)


async def _dead_letter_queue(watcher: Watcher) -> QueueStatus | None:
    """The last queue of the report: the settings or the redrive policy name it."""
    report = await watcher.first()
    return report.queues[-1] if report and report.queues else None


def _access(options: ConsoleOptions) -> Access:
    base = urlsplit(options.base_url or "")
    return Access(write=options.write, prefix=base.path.rstrip("/"), secure=base.scheme == "https")


def _origins(options: ConsoleOptions, port: int) -> list[str]:
    """The origins that the console answers to; the first one is announced."""
    found = []
    if options.base_url is not None:
        base = urlsplit(options.base_url)
        found.append(f"{base.scheme}://{base.netloc.lower()}")
    hosts = (options.host, *(LOOPBACK if options.host in LOOPBACK else ()))
    if options.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        found += [f"http://{authority(host, port)}" for host in hosts]
    return list(dict.fromkeys(found))


def _name(queue: str | None) -> str | None:
    return None if queue is None else queue.rpartition("/")[2].rpartition(":")[2]
