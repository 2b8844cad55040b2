"""`relay dlq`: inspect, redrive, drop and restore dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from relay.cli.dlq import drop, listing, pull, redrive, report, restore, show, stats

EXIT_CODES = (
    "Exit codes: 0 all done, 1 failed, 2 wrong usage or settings, 3 partly done, 4 stopped by a"
    " safeguard, such as a canary that was not delivered."
)

command = typer.Typer(
    no_args_is_help=True,
    epilog=EXIT_CODES,
    rich_markup_mode="markdown",
    help="Inspect, redrive, drop and restore dead letters.",
)
_COMMANDS = {
    "pull": pull,
    "stats": stats,
    "list": listing,
    "show": show,
    "report": report,
    "redrive": redrive,
    "drop": drop,
    "restore": restore,
}


def epilog(examples: Sequence[str]) -> str:
    """What the help of a command ends with: its exit codes and examples."""
    lines = (f"- `` {example} ``" for example in examples)
    return "\n\n".join((EXIT_CODES, "Examples:", *lines))


for name, module in _COMMANDS.items():
    command.command(name, epilog=epilog(module.EXAMPLES))(module.command)
