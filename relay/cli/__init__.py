"""The command line: the list of commands, each imported only when it is run."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from relay.cli.help import Command, epilog, without_flag_types
from relay.output.terminal import LastResort, echo, escape_text

COMMANDS = {
    "serve": "Deliver messages pushed by Elastic Beanstalk's worker daemon (push mode).",
    "poll": "Receive messages from an SQS queue and deliver them (pull mode).",
    "gateway": "Accept events from Inngest's SDKs and put them into the queue.",
    "config": "Show the effective settings, the source of each, and any errors.",
    "send": "Send messages from a file to a queue.",
    "dlq": "Inspect, redrive, drop and restore dead letters.",
    "status": "Show queue depths, the state of each relay, and its throughput.",
    "pause": "Stop all relays on a queue from taking messages.",
    "resume": "Let all relays on a queue take messages again.",
    "trace": "Show everything that happened to one event.",
    "audit": "Show what became of accepted events: which ran, failed, or had no function.",
    "health": "Ask the relay on this machine whether it runs, for health checks.",
    "console": "Serve a web page that shows queues, relays, dead letters and traces.",
    "doctor": "Check settings, queues, keys, timeouts, permissions and the orchestrator.",
    "dev": "Run SQS, Inngest and the relay on this machine until stopped.",
    "demo": "Run an end-to-end test on this machine, with an outage and a crash.",
}
"""Every command and its summary in `relay --help`.

The module `relay.cli.<name>` exports `command`: either a function for typer, with its exit codes
in `EXIT_CODES` and examples in `EXAMPLES`, or a `typer.Typer` with subcommands.
"""

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted. Some commands add"
    " their own: see COMMAND --help."
)

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""Click's own class in some versions of typer, a copy of it in others."""


def main() -> None:
    """Run the command given in `sys.argv` and exit with its exit code."""
    logging.lastResort = LastResort(logging.WARNING)
    application(words_to_complete(os.environ) or sys.argv[1:])(prog_name="relay")


def words_to_complete(environ: Mapping[str, str]) -> list[str]:
    """The words after `relay` on the line that a shell wants completed; none if none does.

    The shell's script, which `relay --show-completion` prints, passes them in the environment:
    bash in `COMP_WORDS`, the others in `_TYPER_COMPLETE_ARGS`.
    """
    if not environ.get("_RELAY_COMPLETE"):
        return []
    line = environ.get("COMP_WORDS") or environ.get("_TYPER_COMPLETE_ARGS", "")
    return line.split()[1:]


def application(arguments: Sequence[str]) -> typer.Typer:
    """Build the command line for these arguments.

    Only the module of the chosen command is imported, to keep start-up fast.
    """
    app = typer.Typer(
        cls=_Group,
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
            app.command(name, help=summary)(_placeholder)
    return app


class _Group(TyperGroup):
    """Escapes what was given on the command line in the messages about wrong usage."""

    def get_params(self, ctx: Any) -> Any:
        """The options of `relay` itself."""
        return without_flag_types(super().get_params(ctx))

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments up to the command."""
        with _escaped_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Parse the rest and run the command."""
        with _escaped_errors():
            return super().invoke(ctx)


@contextlib.contextmanager
def _escaped_errors() -> Iterator[None]:
    try:
        yield
    except _USAGE_ERROR as error:
        vars(error)["message"] = escape_text(str(vars(error)["message"]))
        raise


def _add(app: typer.Typer, name: str) -> None:
    module = import_module(f"relay.cli.{name}")
    if isinstance(module.command, typer.Typer):
        app.add_typer(module.command, name=name)
    else:
        app.command(name, cls=Command, epilog=epilog(module.EXAMPLES, module.EXIT_CODES))(
            module.command
        )


def _placeholder() -> None:
    """Stand in for a command that was not chosen, so that the help lists it."""


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if requested:
        # Importing this takes half of the start-up time, and only this option needs it.
        from relay.version import version  # noqa: PLC0415 - see above

        echo(f"relay {version()}")
        raise typer.Exit


def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Deliver events from SQS to an orchestrator.

    Each event is accepted under exactly one id, or becomes a dead letter with a reason.
    """
