"""`relay dev`: run SQS, Inngest, the relay and its gateway on this machine for development."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from relay.cli.dev_addresses import addresses, welcome
from relay.cli.startup import USAGE, fail, fail_with_output
from relay.local.environment import (
    FIFO_HOSTS,
    GATEWAY_OUTPUT,
    HOSTS,
    OUTPUT,
    Environment,
    Host,
    Plan,
    local_environment,
)
from relay.local.inngest import Function
from relay.local.processes import RelayFailed, port_problem
from relay.output.terminal import echo, echo_json, is_terminal, write
from relay.process import on_stop_signal, unless_stopped
from relay.settings.loading import load
from relay.settings.reference import expected

EXIT_CODES = "Exit codes: 0 stopped by a signal, 1 something failed, 2 wrong usage."

EXAMPLES = """\
relay dev
relay dev --function 'resize=media/*' --function 'audit=*'
relay dev --sqs-port 0 --inngest-port 0 --relay-port 0 --json
"""

HostOption: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="|".join(HOSTS),
        help="What receives the messages: sqsd with `relay serve`, `relay poll`, or AWS Lambda.",
    ),
]
"""The `--host` option of the commands that run the relay on this machine."""

FIFO_NEEDS = f"needs --host {' or '.join(FIFO_HOSTS)}"

_MAX_PORT = 65_535
_FOLLOW_EVERY = 0.2
"""Seconds between two looks at the relay's output."""

_ADDRESSES = ("RELAY_QUEUE_URL", "RELAY_DLQ_URL", "RELAY_INNGEST_URL")
"""Not passed on: in a shell that is set up for a real relay they name production queues."""


def command(  # noqa: PLR0913 - a parameter for each option
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
    gateway_port: Annotated[
        int, typer.Option(min=0, max=_MAX_PORT, help="Port for the gateway; 0 picks a free one.")
    ] = 8289,
    console_port: Annotated[
        int, typer.Option(min=0, max=_MAX_PORT, help="Port for the console; 0 picks a free one.")
    ] = 8290,
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the addresses as one line of JSON.")
    ] = False,
) -> None:
    """Run SQS, the worker daemon, an Inngest event API, the relay and its gateway on loopback.

    Prints the addresses and runs until Ctrl-C, or until the relay or the gateway ends. Both get
    this shell's `RELAY_*` variables, except RELAY_QUEUE_URL, RELAY_DLQ_URL and RELAY_INNGEST_URL,
    which are set to the local servers, and RELAY_GATEWAY_KEYS. Nothing is stored: the queues are
    empty at each start.
    """
    chosen = check_host(host, fifo=fifo)
    settings = _settings(os.environ, terminal=is_terminal(err=True), listens=chosen != "lambda")
    _check_settings(settings)
    ports = {"--sqs-port": sqs_port, "--gateway-port": gateway_port}
    ports |= {} if chosen == "lambda" else {"--relay-port": relay_port}
    ports |= {} if inngest_url else {"--inngest-port": inngest_port}
    console = console_port if find_spec("jinja2") else None
    ports |= {} if console is None else {"--console-port": console}
    _check_ports(ports)
    with tempfile.TemporaryDirectory(prefix="relay-dev-") as directory:
        plan = Plan(
            directory=Path(directory),
            functions=[_function(text) for text in function or ["log-everything=*"]],
            fifo=fifo,
            host=chosen,
            sqs_port=sqs_port,
            inngest_port=inngest_port,
            relay_port=relay_port,
            gateway_port=gateway_port,
            console_port=console,
            inngest_url=_inngest_url(inngest_url),
            settings=settings,
        )
        try:
            asyncio.run(_run(plan, as_json=as_json))
        except OSError as error:
            fail(f"cannot start a server: {error.strerror or error}")
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
    defaults = {
        "RELAY_LOG_FORMAT": "console" if terminal else "json",
        # Where `relay status` reads its counts.
        "RELAY_METRICS": "prometheus" if listens else "none",
    }
    given = {k: v for k, v in environ.items() if k.startswith("RELAY_") and k not in _ADDRESSES}
    return defaults | given


def _check_settings(settings: Mapping[str, str]) -> None:
    """Exit if the relay could not run with these settings."""
    local = {"RELAY_INNGEST_URL": "http://127.0.0.1", "RELAY_INNGEST_EVENT_KEY": "local"}
    if problems := load({**local, **settings}).problems:
        fail(*problems, code=USAGE)


def _check_ports(ports: Mapping[str, int]) -> None:
    """Exit if one of the ports is taken, by another program or another option; 0 is any port."""
    given = {option: port for option, port in ports.items() if port}
    problems = {option: port_problem(port) for option, port in given.items()}
    counts = Counter(given.values())
    problems |= {option: "given twice" for option, port in given.items() if counts[port] > 1}
    sentences = [
        f"{option} {given[option]} cannot be used ({why}): choose another port, or 0 for a free one"
        for option, why in problems.items()
        if why
    ]
    if sentences:
        fail(*sentences)


def _function(text: str) -> Function:
    name, separator, event = text.partition("=")
    if not (name and separator and event):
        fail(f"--function {text!r} is not NAME=EVENT", code=USAGE)
    return Function(name=name, on=event)


async def _run(plan: Plan, *, as_json: bool) -> None:
    """Run everything until a signal.

    Raises:
        RelayFailed: the relay or the gateway has ended by itself.
    """
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        async with local_environment(plan) as environment:
            if as_json:
                echo_json(addresses(environment))
            else:
                write(welcome(environment, plan) + "\n")
            ended = await unless_stopped(stop, _follow(environment, plan.directory))
            if ended is not None:
                raise RelayFailed(f"the {ended} ended by itself, so everything was stopped")
            if not as_json:
                echo("Stopping.")


async def _follow(environment: Environment, directory: Path) -> str:
    """Copy the output of both processes to standard error until one ends; which one."""
    endings = {asyncio.create_task(environment.relay.ended()): "relay"}
    outputs = [OUTPUT]
    if environment.gateway is not None:
        endings[asyncio.create_task(environment.gateway.ended())] = "gateway"
        outputs.append(GATEWAY_OUTPUT)
    try:
        with contextlib.ExitStack() as stack:
            for name in outputs:
                (directory / name).touch()  # on Lambda the first invocation would create it
            logs = [
                stack.enter_context((directory / name).open(errors="replace")) for name in outputs
            ]
            ended: set[asyncio.Task[int]] = set()
            while not ended:
                ended, _ = await asyncio.wait(
                    endings, timeout=_FOLLOW_EVERY, return_when=asyncio.FIRST_COMPLETED
                )
                for line in itertools.chain.from_iterable(logs):
                    write(line, err=True)
    finally:
        for task in endings:
            task.cancel()
    return endings[ended.pop()]
