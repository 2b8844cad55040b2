"""The command line: which commands there are, and nothing of what they do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

COMMANDS = {
    "serve": "Take messages from Elastic Beanstalk's worker daemon and deliver their events.",
    "poll": "Receive messages from the queue itself and deliver their events.",
    "config": "Show the settings in effect, where each comes from, and what is wrong with them.",
    "send": "Send messages from a file to a queue.",
    "dlq": "Inspect, redrive, drop and restore dead letters.",
    "status": "Show what waits, what the relay does with it, and how fast.",
    "trace": "Tell everything that happened to one event.",
    "doctor": "Check queues, keys, clocks and permissions before they hurt.",
    "dev": "Run the whole road on this machine until it is stopped.",
    "demo": "See the promise kept: traffic, an outage, a crash, and balanced books.",
}
"""Every command and its one line in `relay --help`.

The module `relay.cli.<name>` holds it as `command`: a function for typer, with its exit codes
in `EXIT_CODES`, or a `typer.Typer` with commands of its own.
"""

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted. A command's help"
    " says more."
)


def main() -> None:
    """Run the command that the process was started with, and exit with its code."""
    application(sys.argv[1:])(prog_name="relay")


def application(arguments: Sequence[str]) -> typer.Typer:
    """The command line for these arguments.

    Only the command that they name is imported, so that starting one costs no other's libraries.
    """
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(no_args_is_help=True, epilog=EXIT_CODES)(_root)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        if name == chosen:
            _add(app, name)
        else:
            app.command(name, help=summary)(_listed)
    return app


def _add(app: typer.Typer, name: str) -> None:
    module = import_module(f"relay.cli.{name}")
    if isinstance(module.command, typer.Typer):
        app.add_typer(module.command, name=name)
    else:
        app.command(name, epilog=module.EXIT_CODES)(module.command)


def _listed() -> None:
    """A command that is named in the help and not run, for another one was chosen."""


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if wanted:
        # Half of the time that starting takes, for one option.
        from relay.version import version  # noqa: PLC0415 - as said

        typer.echo(f"relay {version()}")
        raise typer.Exit


def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Carry events from SQS to an event orchestrator, each accepted once or explained."""
