"""`relay dev`: run SQS, Inngest and the relay on this machine for development."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from relay.cli.startup import USAGE, fail, fail_with_output
from relay.local.environment import (
    FIFO_HOSTS,
    HOSTS,
    REGION,
    Environment,
    Host,
    Plan,
    local_environment,
)
from relay.local.inngest import Function
from relay.local.processes import RelayFailed
from relay.output.terminal import echo, is_terminal, write
from relay.process import on_stop_signal
from relay.settings.loading import load
from relay.settings.reference import expected

EXIT_CODES = "Exit codes: 0 stopped by a signal, 1 something failed, 2 wrong usage."

HostOption: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="|".join(HOSTS),
        help="What receives the messages: sqsd with `relay serve`, `relay poll`, or AWS Lambda.",
    ),
]
"""The `--host` option of the commands that run the relay on this machine."""

FIFO_NEEDS = f"needs --host {' or '.join(FIFO_HOSTS)}"

_LISTENS_NOWHERE = {"poller": "`relay poll`", "lambda": "AWS Lambda"}
_MAX_PORT = 65_535
_ADDRESSES = ("RELAY_QUEUE_URL", "RELAY_DLQ_URL", "RELAY_INNGEST_URL")
"""Not passed on: in a shell that is set up for a real relay they name production queues."""


def command(
    *,
    sqs_port: Annotated[
        int, typer.Option(min=0, max=_MAX_PORT, help="Port for SQS; 0 picks a free one.")
    ] = 9324,
    inngest_port: Annotated[
        int, typer.Option(min=0, max=_MAX_PORT, help="Port for Inngest; 0 picks a free one.")
    ] = 8288,
    relay_port: Annotated[
        int, typer.Option(min=0, max=_MAX_PORT, help="Port for the relay; 0 picks a free one.")
    ] = 8000,
    inngest_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Use this Inngest server instead of the built-in one."),
    ] = None,
    function: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=EVENT",
            help="A function and its trigger, an event name or a prefix ending in `*`. Repeatable.",
        ),
    ] = None,
    host: HostOption = "sqsd",
    fifo: Annotated[bool, typer.Option("--fifo", help=f"Use FIFO queues; {FIFO_NEEDS}.")] = False,
) -> None:
    """Run SQS, the worker daemon, an Inngest event API and the relay on loopback.

    Prints the addresses and runs until Ctrl-C. The relay gets this shell's `RELAY_*` variables,
    except RELAY_QUEUE_URL, RELAY_DLQ_URL and RELAY_INNGEST_URL, which are set to the local
    servers. Nothing is stored: the queues are empty at each start.
    """
    chosen = check_host(host, fifo=fifo)
    with tempfile.TemporaryDirectory(prefix="relay-dev-") as directory:
        plan = Plan(
            directory=Path(directory),
            functions=[_function(text) for text in function or ["log-everything=*"]],
            fifo=fifo,
            host=chosen,
            sqs_port=sqs_port,
            inngest_port=inngest_port,
            relay_port=relay_port,
            inngest_url=_inngest_url(inngest_url),
            settings=_settings(
                os.environ, terminal=is_terminal(err=True), listens=chosen == "sqsd"
            ),
        )
        try:
            asyncio.run(_run(plan))
        except OSError as error:
            fail(f"cannot start a server ({error.strerror or error}): choose other ports")
        except RelayFailed as error:
            fail_with_output(error)


def check_host(host: str, *, fifo: bool) -> Host:
    """The host. Ends the command if there is none of this name, or it keeps no order."""
    found = next((one for one in HOSTS if one == host), None)
    if found is None:
        fail(f"--host must be one of {', '.join(HOSTS)}", code=USAGE)
    if fifo and found not in FIFO_HOSTS:
        fail(f"--fifo {FIFO_NEEDS}: sqsd does not preserve message group order", code=USAGE)
    return found


def _inngest_url(url: str | None) -> str | None:
    if url is not None and load({"RELAY_INNGEST_URL": url}).settings.inngest_url != url.rstrip("/"):
        fail(f"--inngest-url must be {expected('inngest_url')}", code=USAGE)
    return url


def _settings(environ: Mapping[str, str], *, terminal: bool, listens: bool) -> dict[str, str]:
    """The relay's settings apart from addresses: our defaults, overridden by the shell's."""
    defaults = {"RELAY_LOG_FORMAT": "console" if terminal else "json"}
    if listens:
        defaults["RELAY_METRICS"] = "prometheus"  # where `relay status` reads its counts
    given = {k: v for k, v in environ.items() if k.startswith("RELAY_") and k not in _ADDRESSES}
    return defaults | given


def _function(text: str) -> Function:
    name, separator, event = text.partition("=")
    if not (name and separator and event):
        fail(f"--function {text!r} is not NAME=EVENT", code=USAGE)
    return Function(name=name, on=event)


async def _run(plan: Plan) -> None:
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        async with local_environment(plan) as environment, _relay_output(environment, plan):
            write(_welcome(environment, plan) + "\n")
            await stop.wait()
            echo("Stopping.")


def _welcome(environment: Environment, plan: Plan) -> str:
    listening = environment.relay_url or _LISTENS_NOWHERE[plan.host]
    runs = f"\n  Runs          {environment.inngest.url}/_runs" if environment.inngest else ""
    return f"""\
Everything is running. Ctrl-C stops it.

  SQS           {environment.sqs.url}
  Queue         {environment.queue_url}
  Dead letters  {environment.dlq_url}
  Relay         {listening}
  Event API     {environment.inngest_url}{runs}

Publish an event:

  export AWS_ENDPOINT_URL={environment.sqs.url} AWS_DEFAULT_REGION={REGION}
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  echo '{{"name": "media/uploaded", "data": {{"key": "a.wav"}}}}' |
    relay send --queue {environment.queue_url} -

See it arrive:

  curl {environment.inngest_url}/v1/events
"""


@contextlib.asynccontextmanager
async def _relay_output(environment: Environment, plan: Plan) -> AsyncIterator[None]:
    """Copy the relay's output to standard error, and report it if the relay exits."""
    following = asyncio.create_task(_follow(environment, plan.directory / "relay.log"))
    try:
        yield
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def _follow(environment: Environment, log: Path) -> None:
    with log.open(errors="replace") as lines:
        while environment.relay.running:
            for line in lines:
                write(line, err=True)
            await asyncio.sleep(0.2)
    write(f"The relay exited unexpectedly:\n{environment.relay.output()}\n", err=True)
