"""`relay config`: show the settings in effect, and validate them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from relay.cli.startup import USAGE, EnvFile, fail
from relay.output.terminal import echo, echo_json, write
from relay.settings.loading import Loaded, load
from relay.settings.reference import reference, shown, variable

EXIT_CODES = "Exit codes: 0 the settings are valid, 2 they are not (errors on standard error)."

EXAMPLES = """\
relay config
relay config --json --env-file relay.env
"""


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
        echo(*_table(loaded))
    for warning in loaded.warnings:
        echo(f"relay: {warning}", err=True)
    if errors:
        fail(*errors, code=USAGE)


def _rows(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    for name, source in loaded.sources.items():
        yield variable(name), shown(getattr(loaded.settings, name)), source


def _table(loaded: Loaded) -> Iterator[str]:
    rows = [("variable", "value", "source"), *_rows(loaded)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        yield f"{name:<{widths[0]}}  {value or '-':<{widths[1]}}  {source}"


def _document(loaded: Loaded, errors: tuple[str, ...]) -> dict[str, object]:
    settings = {
        name: {"value": value or None, "source": source} for name, value, source in _rows(loaded)
    }
    return {"settings": settings, "errors": errors, "warnings": loaded.warnings}
