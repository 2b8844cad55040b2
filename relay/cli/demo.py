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

from relay.cli.startup import FAILED, INTERRUPTED, USAGE, fail, load_settings
from relay.local.demo.display import Display
from relay.local.demo.reconciliation import Reconciliation
from relay.local.demo.scenario import Scenario, ScenarioTimeout, run_scenario
from relay.local.orchestrators.apis import EMULATED, missing_dependency
from relay.local.processes import RelayFailed
from relay.process import on_stop_signal, unless_stopped

DESTINATIONS = ("inngest", *EMULATED)

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
    load_settings(env_file=None)  # the demo uses none of them, but a mistake should not wait for it
    if fifo and not pull:
        fail("--fifo needs --pull: sqsd keeps no order within a group", code=USAGE)
    if destination not in DESTINATIONS:
        fail(f"--destination must be one of {', '.join(DESTINATIONS)}", code=USAGE)
    lacks = missing_dependency(destination)
    if lacks is not None:
        fail(lacks)
    console = Console(file=sys.stdout)
    display = Display(console, monotonic)
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as directory:
        scenario = Scenario(
            directory=Path(directory),
            messages=messages,
            seed=seed,
            poll=pull,
            fifo=fifo,
            destination=destination,
        )
        try:
            reconciliation = asyncio.run(_performed(scenario, display))
        except (ScenarioTimeout, RelayFailed, OSError) as error:
            fail(str(error))
    if reconciliation is None:
        fail("interrupted; nothing is left running", code=INTERRUPTED)
    display.result(reconciliation)
    typer.echo(reconciliation.summary(display.seconds))
    raise typer.Exit(0 if reconciliation.consistent else FAILED)


async def _performed(scenario: Scenario, display: Display) -> Reconciliation | None:
    """The balance, None after a signal. The relay is a process that would outlive this one."""
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        return await unless_stopped(stop, run_scenario(scenario, display))
