"""The dead letters of the console: snapshots, and what a redrive would do with each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from relay.app.destinations.traits import traits_lookup
from relay.app.dlq import DeadLetterReader, open_ledger_reader
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.console.snapshots import PREFIX, Advance, SnapshotFailed, Snapshots
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.prediction import LedgerState, Prediction, predict
from relay.dlq.pull import pull
from relay.dlq.queue_pair import NoQueue, open_queue_pair
from relay.dlq.snapshot import Head
from relay.output.private_files import make_private_directory
from relay.settings.model import Settings

_log = logging.getLogger(__name__)


def open_snapshots(settings: Settings, directory: Path, wait: float) -> Snapshots:
    """The snapshots of the configured dead-letter queue, in this directory.

    `wait` is the seconds that each receive waits, so that SQS queries all of its servers.
    """
    traits_of = traits_lookup(settings)
    return Snapshots(
        directory,
        take=partial(take_snapshot, settings, wait),
        open_reader=partial(_open_reader, settings),
        predict=lambda dead_letter: predict(dead_letter, None, time.time(), traits_of),
    )


@asynccontextmanager
async def _open_reader(settings: Settings, head: Head) -> AsyncIterator[DeadLetterReader]:
    async with AsyncExitStack() as stack:
        yield DeadLetterReader(settings, SharedSession(stack), head.main)


async def take_snapshot(
    settings: Settings, wait: float, directory: Path, advance: Advance, stop: asyncio.Event
) -> Path:
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
                stop=stop,
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
