"""How a command ends that cannot do its work."""

from __future__ import annotations

from typing import NoReturn

import typer

FAILED = 1
USAGE = 2
INTERRUPTED = 130


def fail(*sentences: str, code: int = FAILED) -> NoReturn:
    """Say why, a line for each sentence on standard error, and exit."""
    for sentence in sentences:
        typer.echo(f"relay: {sentence}", err=True)
    raise typer.Exit(code)
