"""The settings of a command that runs only with good ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import typer

from relay.settings.loading import load
from relay.settings.model import Settings

EnvFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Read settings from this file too; the environment wins over it.",
    ),
]
"""The option of every command that reads settings."""


def load_settings(env_file: Path | None) -> Settings:
    """The settings in effect; with a mistake among them, all are named and the command ends."""
    loaded = load(env_file=env_file)
    for warning in loaded.warnings:
        typer.echo(f"relay: {warning}", err=True)
    if loaded.mistakes:
        fail(*loaded.mistakes, code=USAGE)
    return loaded.settings


FAILED = 1
USAGE = 2
INTERRUPTED = 130


def fail(*sentences: str, code: int = FAILED) -> NoReturn:
    """Say why, a line for each sentence on standard error, and exit."""
    for sentence in sentences:
        typer.echo(f"relay: {sentence}", err=True)
    raise typer.Exit(code)
