"""`relay dlq report`: a report of the dead letters as one HTML file."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

import typer

from relay.app.destinations.traits import traits_lookup
from relay.app.redaction import create_redactor
from relay.cli.dlq import options as o
from relay.cli.dlq.input import DeadLetters, open_dead_letters
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.dlq.failing import FailureCheck
from relay.dlq.filters import Filter
from relay.dlq.report import Report
from relay.output.private_files import create_private
from relay.output.terminal import echo, echo_json
from relay.settings.model import Settings

EXAMPLES = (
    "relay dlq report night.jsonl.gz --html night.html",
    "relay dlq report --code fails_alone --html parcels.html",
)


def command(  # noqa: PLR0913 - a parameter for each option
    snapshot: o.SnapshotFile = None,
    *,
    html: Annotated[
        Path, typer.Option("--html", metavar="FILE", help="The new file that is written.")
    ],
    names: o.Names = None,
    codes: o.Codes = None,
    ids: o.Ids = None,
    sources: o.Sources = None,
    since: o.Since = None,
    until: o.Until = None,
    attributes: o.Attributes = None,
    where: o.Where = None,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    wait: o.Wait = 1.0,
    env_file: EnvFile = None,
) -> None:
    """Write a report to hand to a colleague: one HTML file that loads nothing from elsewhere.

    It has the groups, their times and reasons, some dead letters of each with their bodies, and
    commands to copy. Secrets are redacted as in the log, but bodies are whatever producers sent:
    look at the file before you pass it on. Only its owner can read it.
    """
    settings = load_settings(env_file)
    filters = o.build_filter(names, codes, ids, sources, since, until, attributes, where)
    if html.exists():
        fail(f"{html} exists already and is not overwritten: name another file", code=USAGE)
    opening = open_dead_letters(settings, snapshot, dlq, queue, wait)
    report = asyncio.run(_collect(settings, opening, filters))
    _write(html, report.html())
    count = report.statistics.count
    if as_json:
        echo_json({"type": "report", "file": str(html), "count": count})
    else:
        echo(f"{count} messages in {html}")


async def _collect(
    settings: Settings, opening: AbstractAsyncContextManager[DeadLetters], filters: Filter
) -> Report:
    async with opening as dead_letters:
        failing = FailureCheck(traits_lookup(settings), None)
        report = Report(dead_letters.head, failing, create_redactor(settings), time.time())
        async for dead_letter in dead_letters:
            if filters.empty or filters.matches(dead_letter):
                await report.add(dead_letter)
    return report


def _write(path: Path, text: str) -> None:
    try:
        with create_private(path) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", code=USAGE)
