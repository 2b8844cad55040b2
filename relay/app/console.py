"""Builds `relay console`: its pages, what they read, and the server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from relay.app.destinations.traits import traits_lookup
from relay.app.dlq import DeadLetterReader, open_ledger_reader
from relay.app.status import open_collector
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.console.access import TOKEN, Access
from relay.console.application import Page, console_application
from relay.console.dead_letter import DeadLetterPage
from relay.console.dead_letters import DeadLettersPage
from relay.console.now import NowPage
from relay.console.rendering import Renderer
from relay.console.snapshots import PREFIX, Advance, SnapshotFailed, Snapshots
from relay.console.watcher import Watcher
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.prediction import LedgerState, Prediction, predict
from relay.dlq.pull import pull
from relay.dlq.queue_pair import NoQueue, open_queue_pair
from relay.dlq.snapshot import Head
from relay.http.addresses import authority
from relay.http.server import serving
from relay.ops.status import QueueStatus
from relay.output.private_files import make_private_directory
from relay.process import on_stop_signal
from relay.settings.loading import Loaded
from relay.settings.model import Settings

_log = logging.getLogger(__name__)

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


async def serve_console(
    loaded: Loaded, options: ConsoleOptions, announce: Callable[[str], None]
) -> None:
    """Serve until a signal. `announce` gets the address with the token.

    Raises:
        relay.http.server.CannotListen: the address cannot be bound.
    """
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        async with AsyncExitStack() as stack:
            access = _access(options)
            collector = await stack.enter_async_context(
                open_collector(loaded.settings, options.relays)
            )
            watcher = Watcher(collector.collect)
            renderer = Renderer(access, queue=_name(loaded.settings.queue_url))
            snapshots = _snapshots(loaded.settings, options)
            stack.push_async_callback(snapshots.close)
            pages: list[Page] = [
                NowPage(renderer, watcher),
                DeadLettersPage(
                    access, renderer, snapshots, partial(_dead_letter_queue, watcher), time.time
                ),
                DeadLetterPage(renderer, snapshots, Predictor(loaded.settings)),
            ]
            app = console_application(access, renderer, pages)
            snapshots.load_latest()
            port = await stack.enter_async_context(
                serving(app, host=options.host, port=options.port, grace=GRACE)
            )
            origins = _origins(options, port)
            access.serve_at(port, *origins)
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(watcher.run())
                announce(f"{origins[0]}{access.prefix}/?{TOKEN}={access.token}")
                await stop.wait()
                watching.cancel()
            await watcher.close()


def _snapshots(settings: Settings, options: ConsoleOptions) -> Snapshots:
    traits_of = traits_lookup(settings)
    return Snapshots(
        options.directory,
        take=partial(take_snapshot, settings, options.wait),
        open_reader=partial(_open_reader, settings),
        predict=lambda dead_letter: predict(dead_letter, None, time.time(), traits_of),
    )


@asynccontextmanager
async def _open_reader(settings: Settings, head: Head) -> AsyncIterator[DeadLetterReader]:
    async with AsyncExitStack() as stack:
        yield DeadLetterReader(settings, SharedSession(stack), head.main)


async def take_snapshot(settings: Settings, wait: float, directory: Path, advance: Advance) -> Path:
    """Write all messages of the dead-letter queue to a new file in this directory.

    Raises:
        SnapshotFailed: there is no such queue, or it cannot be read.
    """
    try:
        async with open_queue_pair(
            dlq=None,
            main=None,
            configured_dlq=settings.dlq_url,
            configured_main=settings.queue_url,
            warn=_log.warning,
        ) as queues:
            stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
            path = directory / f"{PREFIX}{queues.dead.name}-{stamp}.jsonl.gz"
            make_private_directory(directory)
            await pull(
                queues.dead,
                path,
                queues.head,
                waiting=queues.count,
                wait=wait,
                stop=asyncio.Event(),
                progress=lambda done: advance(done, queues.count),
            )
            return path
    except NoQueue as error:
        raise SnapshotFailed(str(error)) from error
    except AwsError as error:
        raise SnapshotFailed(error.sentence) from error


class Predictor:
    """Predicts what a redrive of a dead letter would do, with a look at the ledger if there is one.

    Args:
        settings: name the ledger's table and the destinations.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._traits_of = traits_lookup(settings)

    async def __call__(
        self, dead_letter: DeadLetter
    ) -> tuple[Prediction, Sequence[LedgerState | None] | None]:
        """The prediction, and what the ledger has about each event; None if it was not read."""
        states = await self._states(dead_letter)
        return predict(dead_letter, states, time.time(), self._traits_of), states

    async def _states(self, dead_letter: DeadLetter) -> Sequence[LedgerState | None] | None:
        async with open_ledger_reader(self._settings) as ledger:
            if ledger is None or not dead_letter.events:
                return None
            try:
                return await ledger.look_up(dead_letter.events)
            except AwsError as error:
                _log.warning("the ledger was not read: %s", error.sentence)
                return None


def _dead_letter_queue(watcher: Watcher) -> QueueStatus | None:
    """The last queue of the report: the settings or the redrive policy name it."""
    report = watcher.history.last
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
