"""`relay demo`: an end-to-end test of the delivery guarantee on one machine, in under a minute."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from relay.cli.dev import FIFO_NEEDS, HostOption, check_host
from relay.cli.startup import FAILED, INTERRUPTED, USAGE, fail, fail_with_output, load_settings
from relay.local.demo.display import Display
from relay.local.demo.reconciliation import Reconciliation
from relay.local.demo.scenario import Scenario, ScenarioTimeout, run_scenario
from relay.local.orchestrators.apis import EMULATED, missing_dependency
from relay.local.processes import RelayFailed
from relay.output.console import open_console
from relay.output.terminal import echo
from relay.process import on_stop_signal, unless_stopped

DESTINATIONS = ("inngest", *EMULATED)

EXIT_CODES = (
    "Exit codes: 0 every event is accounted for, 1 one is not, or something failed, 2 wrong usage."
)

EXAMPLES = """\
relay demo
relay demo --messages 500 --seed 7
relay demo --destination temporal
"""


def command(
    *,
    messages: Annotated[int, typer.Option(min=100, help="Number of messages to publish.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Random seed for the generated messages.")] = 1,
    host: HostOption = "sqsd",
    fifo: Annotated[
        bool, typer.Option("--fifo", help=f"Use FIFO queues and check the order; {FIFO_NEEDS}.")
    ] = False,
    destination: Annotated[
        str,
        typer.Option(
            help=f"The orchestrator to emulate: {', '.join(DESTINATIONS)}.",
            autocompletion=lambda: list(DESTINATIONS),
        ),
    ] = "inngest",
) -> None:
    """Send messages through the relay, inject failures, and check that no event is lost.

    Everything runs on loopback: an SQS server, the worker daemon (or Lambda's event source), an
    orchestrator and the relay in its own process. The demo publishes events in every envelope,
    duplicates and every kind of poison message. The orchestrator goes down for a while, and the
    relay is killed once. At the end, three independent records are compared: what was published,
    what ran, and what is in the dead-letter queue. The last line of output is JSON.
    """
    load_settings(env_file=None)  # only to report errors in the shell's RELAY_* variables early
    chosen = check_host(host, fifo=fifo)
    if destination not in DESTINATIONS:
        fail(f"--destination must be one of {', '.join(DESTINATIONS)}", code=USAGE)
    missing = missing_dependency(destination)
    if missing is not None:
        fail(missing)
    console = open_console()
    display = Display(console, monotonic)
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as directory:
        scenario = Scenario(
            directory=Path(directory),
            messages=messages,
            seed=seed,
            host=chosen,
            fifo=fifo,
            destination=destination,
        )
        try:
            reconciliation = asyncio.run(_run(scenario, display))
        except RelayFailed as error:
            fail_with_output(error)
        except (ScenarioTimeout, OSError) as error:
            fail(str(error))
    if reconciliation is None:
        fail("interrupted; nothing is left running", code=INTERRUPTED)
    display.result(reconciliation)
    echo(reconciliation.summary(display.seconds))
    raise typer.Exit(0 if reconciliation.consistent else FAILED)


async def _run(scenario: Scenario, display: Display) -> Reconciliation | None:
    """Run the scenario; None if a signal stopped it. The relay process is always stopped."""
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        return await unless_stopped(stop, run_scenario(scenario, display))
