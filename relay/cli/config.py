"""`relay config`: show the settings in effect, and validate them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from relay.cli.startup import USAGE, EnvFile, fail
from relay.output.terminal import echo, echo_json, is_terminal, write
from relay.settings.loading import INVALID, Loaded, load
from relay.settings.reference import reference, shown, variable

EXIT_CODES = "Exit codes: 0 the settings are valid, 2 they are not (errors on standard error)."

EXAMPLES = """\
relay config
relay config --json --env-file relay.env
"""

_STYLES = {"default": "dim", "invalid": "bold red", "source": "bold"}


def command(
    *,
    env_file: EnvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the settings reference as Markdown.")
    ] = False,
) -> None:
    """Show the settings in effect, where each comes from, and any errors.

    Secrets are masked. The AWS region, profile, credentials and endpoints are not listed: they
    come from AWS's own variables and files.
    """
    if markdown:
        write(f"{reference()}\n")
        return
    loaded = load(env_file=env_file)
    errors = loaded.problems
    if as_json:
        echo_json(_document(loaded, errors), indent=2)
    else:
        _print(_table(loaded))
    for warning in loaded.warnings:
        echo(f"relay: {warning}", err=True)
    if errors:
        fail(*errors, code=USAGE)


def _rows(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    for name, source in loaded.sources.items():
        yield variable(name), shown(getattr(loaded.settings, name)), source


def _table(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Lines with their styles. The value is last: a long one is wrapped and moves no column."""
    rows = [
        (name, "invalid" if source == INVALID else source, value or "-")
        for name, value, source in _rows(loaded)
    ]
    table = [("variable", "source", "value"), *rows]
    first, second = (max(len(row[column]) for row in table) for column in (0, 1))
    for name, source, value in table:
        yield f"{name:<{first}}  {source:<{second}}  {value}", _STYLES.get(source, "")


def _print(lines: Iterable[tuple[str, str]]) -> None:
    if not is_terminal():
        echo(*(line for line, _ in lines))
        return
    # Only a terminal needs the library, which is slow to import.
    from relay.output.console import safe_text  # noqa: PLC0415 - see above
    from relay.output.tables import print_lines  # noqa: PLC0415 - see above

    print_lines(safe_text(line, style) for line, style in lines)


def _document(loaded: Loaded, errors: tuple[str, ...]) -> dict[str, object]:
    settings = {
        name: {"value": value or None, "source": source} for name, value, source in _rows(loaded)
    }
    return {
        "type": "settings",
        "settings": settings,
        "errors": errors,
        "warnings": loaded.warnings,
    }
