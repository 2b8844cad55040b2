"""What every command needs at start-up: the settings, exit codes and error messages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import typer

from relay.http.proxy_variables import apply_proxy_setting, invalid_proxies
from relay.output.terminal import echo, write
from relay.settings.loading import Loaded, load
from relay.settings.model import Settings

FAILED = 1
USAGE = 2
INTERRUPTED = 130

EnvFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Also read settings from this file; environment variables override it.",
    ),
]
"""The `--env-file` option of every command that reads settings."""


def load_network(env_file: Path | None) -> Loaded:
    """The settings as they were loaded, with their choice of proxies put into effect.

    In the process's environment, because most libraries read their proxies from there.
    """
    loaded = load(env_file=env_file)
    apply_proxy_setting(loaded.settings.proxy)
    return loaded


def load_settings(env_file: Path | None) -> Settings:
    """The settings in effect. If any are invalid, print all errors and exit with `USAGE`."""
    loaded = load_network(env_file)
    for warning in loaded.warnings:
        echo(f"relay: {warning}", err=True)
    proxies = () if loaded.settings.proxy == "off" else map(str, invalid_proxies())
    if problems := (*loaded.errors, *proxies):
        fail(*problems, code=USAGE)
    return loaded.settings


def fail_with_output(error: Exception) -> NoReturn:
    """Print the error's sentence and the output of a process below it, and exit with `FAILED`."""
    write(f"relay: {error}\n", err=True)
    raise typer.Exit(FAILED)


def fail(*sentences: str, code: int = FAILED) -> NoReturn:
    """Print each sentence on its own line to standard error and exit with this code."""
    for sentence in sentences:
        echo(f"relay: {sentence}", err=True)
    raise typer.Exit(code)
