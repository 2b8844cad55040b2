"""Runs the event API until SIGTERM or SIGINT: `python -m relay.local.inngest`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from relay.local.inngest.records import Function, Lags
from relay.local.inngest.server import DEFAULT_PORT, InngestServer
from relay.output.terminal import echo


def main() -> None:
    """Parse the command line and serve."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO if arguments.access_log else logging.WARNING,
        format="%(asctime)s %(message)s",
    )
    asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with _server(arguments) as server:
        echo(f"listening on {server.url}")
        await stop.wait()


def _server(arguments: argparse.Namespace) -> InngestServer:
    return InngestServer(
        arguments.port,
        [*arguments.function, *map(_batched, arguments.batched_function)],
        host=arguments.host,
        mode=arguments.mode,
        persistence=arguments.persistence,
        event_keys=arguments.event_key,
        signing_key=arguments.signing_key,
        lags=Lags(
            insert=arguments.insert_lag,
            schedule=arguments.schedule_lag,
            run=arguments.run_lag,
        ),
        boot_window=arguments.boot_window,
        state=arguments.state,
    )


def _function(text: str) -> Function:
    name, equals, event = text.partition("=")
    if not (name and equals and event):
        raise argparse.ArgumentTypeError(f"{text!r} does not have the form NAME=EVENT")
    return Function(name=name, on=event)


def _batched(function: Function) -> Function:
    return Function(name=function.name, on=function.on, batched=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m relay.local.inngest",
        description="A local Inngest event API that behaves like a self-hosted server.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=DEFAULT_PORT, help="0 for any free port (default: %(default)s)")
    add("--function", metavar="NAME=EVENT", type=_function, action="append", default=[])
    add("--batched-function", metavar="NAME=EVENT", type=_function, action="append", default=[])
    add("--mode", choices=("dev", "start"), default="dev", help="start requires keys")
    add("--event-key", action="append", default=[], help="an event key for start; repeatable")
    add("--signing-key", default="", help="the bearer token that start requires for reads")
    add("--persistence", choices=("none", "memory", "durable"), default="memory")
    add("--state", metavar="FILE", type=Path, help="where to store what survives the process")
    lags = Lags()
    for step in ("insert", "schedule", "run"):
        add(f"--{step}-lag", metavar="SECONDS", type=float, default=getattr(lags, step))
    add("--boot-window", metavar="SECONDS", type=float, default=0.0)
    add("--access-log", action="store_true", help="log each request, without the event key")
    return parser


if __name__ == "__main__":
    main()
