"""`relay dlq pull`: the dead-letter queue as a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from relay.cli.dlq.options import Dlq, Main, Wait
from relay.cli.dlq.output import PARTIAL, Progress, stoppable
from relay.cli.dlq.queues import QueuePair, opened
from relay.cli.startup import FAILED, USAGE, EnvFile, fail, load_settings
from relay.dlq.pull import pull
from relay.dlq.scan import Reach
from relay.dlq.snapshot import End
from relay.settings.model import Settings


def command(
    snapshot: Annotated[
        Path, typer.Argument(metavar="SNAPSHOT", help="A new file; .gz compresses it.")
    ],
    *,
    dlq: Dlq = None,
    queue: Main = None,
    wait: Wait = 1.0,
    env_file: EnvFile = None,
) -> None:
    """Write everything in the dead-letter queue to a file, in one pass.

    Each message is received once and made visible again at the end. All looking is done on the
    file: another receive would hide the queue's age and reorder it. The file is complete when the
    queue surely had nothing else; of a FIFO queue SQS shows only the first messages of each group.
    """
    settings = load_settings(env_file)
    end, reach = asyncio.run(_pull(settings, dlq, queue, snapshot, wait))
    typer.echo(f"{end.count} messages in {snapshot}")
    if not end.complete:
        left = f" {end.left} more were not to be had:" if end.left else ""
        typer.echo(f"relay: the snapshot is not complete:{left} {reach.why}", err=True)
        raise typer.Exit(PARTIAL)


async def _pull(
    settings: Settings, dlq: str | None, main: str | None, path: Path, wait: float
) -> tuple[End, Reach]:
    async with opened(settings, dlq, main) as desk:
        with stoppable() as stop:
            return await pulled(desk, path, wait, stop)


async def pulled(
    desk: QueuePair, path: Path, wait: float, stop: asyncio.Event
) -> tuple[End, Reach]:
    """A new snapshot at this path. A stop ends the pass early and releases everything."""
    with Progress("pulled", total=desk.count) as progress:
        try:
            return await pull(
                desk.queue,
                path,
                desk.head,
                waiting=desk.count,
                wait=wait,
                stop=stop,
                progress=progress.at,
            )
        except FileExistsError:
            fail(f"{path} exists already, and nothing is overwritten: name another", code=USAGE)
        except OSError as error:
            full = not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
            sentence = f"{path} cannot be written: {error.strerror}"
            fail(sentence, code=FAILED if full else USAGE)
