"""`relay demo`: see the promise kept, on one machine, in under a minute."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console

from relay.cli.startup import FAILED, INTERRUPTED, USAGE, configured, fail
from relay.local.demo.progress import Show
from relay.local.demo.reconciliation import Balance
from relay.local.demo.scenario import Programme, TookTooLong, perform
from relay.local.orchestrators.apis import NAMES, lacking
from relay.local.processes import RelayFailed
from relay.process import on_stop_signal, unless

DESTINATIONS = ("inngest", *NAMES)

EXIT_CODES = "Exit codes: 0 the books balance, 1 they do not or something failed, 2 wrong usage."


def command(
    *,
    messages: Annotated[int, typer.Option(min=100, help="How many messages to publish.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Chooses the traffic; the same seed, the same.")] = 1,
    pull: Annotated[
        bool, typer.Option("--pull", help="Use `relay poll` instead of sqsd and `relay serve`.")
    ] = False,
    fifo: Annotated[
        bool, typer.Option("--fifo", help="Use FIFO queues and check the order; with --pull.")
    ] = False,
    destination: Annotated[
        str,
        typer.Option(help=f"The orchestrator: {', '.join(DESTINATIONS)}."),
    ] = "inngest",
) -> None:
    """Send real messages through the relay, break things on the way, and balance the books.

    Everything runs on loopback: an SQS server, the worker daemon, an Inngest event API and the
    relay as a process of its own. Events of every envelope, duplicates and every kind of poison
    are published; the orchestrator goes down for a while; the relay is killed once. Then three
    independent records are compared. The last line is JSON.
    """
    configured(env_file=None)  # the demo uses none of them, but a mistake should not wait for it
    if fifo and not pull:
        fail("--fifo needs --pull: sqsd keeps no order within a group", code=USAGE)
    if destination not in DESTINATIONS:
        fail(f"--destination must be one of {', '.join(DESTINATIONS)}", code=USAGE)
    lacks = lacking(destination)
    if lacks is not None:
        fail(lacks)
    console = Console(file=sys.stdout)
    show = Show(console, monotonic)
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as directory:
        programme = Programme(
            directory=Path(directory),
            messages=messages,
            seed=seed,
            poll=pull,
            fifo=fifo,
            destination=destination,
        )
        try:
            balance = asyncio.run(_performed(programme, show))
        except (TookTooLong, RelayFailed, OSError) as error:
            fail(str(error))
    if balance is None:
        fail("interrupted; nothing is left running", code=INTERRUPTED)
    show.books(balance)
    typer.echo(balance.summary(show.seconds))
    raise typer.Exit(0 if balance.balanced else FAILED)


async def _performed(programme: Programme, show: Show) -> Balance | None:
    """The balance, None after a signal. The relay is a process that would outlive this one."""
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        return await unless(stop, perform(programme, show))
