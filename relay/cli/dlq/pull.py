"""`relay dlq pull`: writes the dead-letter queue to a snapshot file."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from relay.cli.dlq.options import AsJson, Dlq, Main, Wait
from relay.cli.dlq.output import PARTIAL, watching
from relay.cli.dlq.queues import open_queues
from relay.cli.startup import FAILED, USAGE, EnvFile, fail, load_settings
from relay.dlq.plan_source import pull_snapshot
from relay.dlq.queue_pair import QueuePair
from relay.dlq.scan import Coverage
from relay.dlq.snapshot import End
from relay.dlq.watch import Watch
from relay.output.terminal import echo, echo_json
from relay.settings.model import Settings

EXAMPLES = (
    "relay dlq pull night.jsonl.gz",
    "relay dlq pull --queue shop-events night.jsonl",
)


def command(
    snapshot: Annotated[
        Path,
        typer.Argument(metavar="SNAPSHOT", help="A new file, compressed if its name ends in .gz."),
    ],
    *,
    dlq: Dlq = None,
    queue: Main = None,
    wait: Wait = 1.0,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Write all messages of the dead-letter queue to a file, in one pass.

    Each message is received once and made visible again at the end. Inspect the file, not the
    queue: each further receive counts, and after several SQS reorders the queue and reports a wrong
    age. If messages were possibly missed, the command says so and exits with 3. From a FIFO queue,
    only the first messages of each group can be received.
    """
    settings = load_settings(env_file)
    end, coverage = asyncio.run(_pull(settings, dlq, queue, snapshot, wait))
    if as_json:
        why = None if end.complete else coverage.why
        echo_json({"type": "pulled", "snapshot": str(snapshot), **asdict(end), "why": why})
    else:
        echo(f"{end.count} messages in {snapshot}")
    if not end.complete:
        left = f" {end.left} more messages were not received:" if end.left else ""
        echo(f"relay: the snapshot is not complete:{left} {coverage.why}", err=True)
        raise typer.Exit(PARTIAL)


async def _pull(
    settings: Settings, dlq: str | None, main: str | None, path: Path, wait: float
) -> tuple[End, Coverage]:
    async with open_queues(settings, dlq, main) as queues:
        with watching() as watch:
            return await pulled(queues, path, watch, wait)


async def pulled(queues: QueuePair, path: Path, watch: Watch, wait: float) -> tuple[End, Coverage]:
    """Pull the queue into a new snapshot. A file that cannot be written ends the command."""
    try:
        return await pull_snapshot(queues, path, watch, wait=wait)
    except FileExistsError:
        fail(f"{path} exists already and is not overwritten: name another file", code=USAGE)
    except OSError as error:
        full = not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
        sentence = f"{path} cannot be written: {error.strerror}"
        fail(sentence, code=FAILED if full else USAGE)
