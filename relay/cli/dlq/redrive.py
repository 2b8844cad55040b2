"""`relay dlq redrive`: sends dead letters back to their queues."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from relay.app.redrive_options import RedriveOptions
from relay.cli.dlq import native
from relay.cli.dlq import options as o
from relay.cli.dlq.redrive_command import RedriveCommand
from relay.cli.startup import USAGE, EnvFile, fail, load_settings
from relay.dlq.edit import Edit, load_edit
from relay.dlq.execution import Pace
from relay.dlq.selection import MAX_HOPS
from relay.settings.missing import missing
from relay.settings.model import Settings

EXAMPLES = (
    "relay dlq redrive",
    "relay dlq redrive --snapshot night.jsonl.gz --canary 5 --yes",
    "relay dlq redrive --code ts_in_seconds --edit fix.py",
    'relay dlq redrive --name "shop/*" --rate 50 --yes --journal night',
)


def command(  # noqa: PLR0913 - a parameter for each option
    *,
    names: o.Names = None,
    codes: o.Codes = None,
    ids: o.Ids = None,
    sources: o.Sources = None,
    since: o.Since = None,
    until: o.Until = None,
    attributes: o.Attributes = None,
    where: o.Where = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Only messages that are in this snapshot and match the filters.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Redrive at most this many messages.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.01, help="Redrive at most this many messages a second."),
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Deliver this many first, at least one of each event and code, directly to the"
            " destination; send the rest only if all of them are delivered.",
        ),
    ] = None,
    canary_through_queue: Annotated[
        bool,
        typer.Option(
            "--canary-through-queue",
            help="Send the canary through the queue, then check the ledger (requires"
            " RELAY_LEDGER_TABLE).",
        ),
    ] = False,
    canary_deadline: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="Seconds that the canary, or each message with --direct, may take.",
        ),
    ] = 120.0,
    to: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="Send all to this queue, not to their own.")
    ] = None,
    direct: Annotated[
        bool,
        typer.Option(
            "--direct", help="Deliver to the destination from here, not through the queue."
        ),
    ] = False,
    edit: Annotated[
        str | None,
        typer.Option(
            metavar="JMESPATH|FILE.py",
            help="Change each body, or each pending event of an array. A file defines edit(value).",
        ),
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run events again that ran before: give them new ids.")
    ] = False,
    max_hops: Annotated[
        int,
        typer.Option(metavar="N", min=2, help="Skip messages that were dead-lettered this often."),
    ] = MAX_HOPS,
    include_failing: Annotated[
        bool,
        typer.Option(
            "--include-failing",
            help="Also send what would be rejected again as it is. By default it is left.",
        ),
    ] = False,
    yes: o.Yes = False,
    journal_directory: o.JournalDirectory = None,
    native_task: Annotated[
        bool,
        typer.Option(
            "--native", help="Let SQS move all messages; the command lists what is lost with it."
        ),
    ] = False,
    allow_new_ids: Annotated[
        bool,
        typer.Option("--allow-new-ids", help="With --native: move even if events get new ids."),
    ] = False,
    as_json: o.AsJson = False,
    dlq: o.Dlq = None,
    queue: o.Main = None,
    wait: o.Wait = 1.0,
    lease: o.Lease = 120.0,
    env_file: EnvFile = None,
) -> None:
    """Send dead letters back to the queue that they came from, with the ids that they had.

    Without --yes nothing is changed and the plan is shown. Each message is backed up before it is
    sent, and deleted only after SQS has accepted it. Ctrl-C finishes the batch in flight. An
    interrupted or killed run is resumed with the same options and its --journal.
    """
    settings = load_settings(env_file)
    filters = o.build_filter(names, codes, ids, sources, since, until, attributes, where)
    if direct and to is not None:
        fail("--direct and --to exclude each other: choose one", code=USAGE)
    if yes and (direct or canary is not None) and not canary_through_queue:
        _check_deliverable(settings)
    if canary_through_queue and (direct or not settings.ledger_table):
        fail("--canary-through-queue needs RELAY_LEDGER_TABLE and no --direct", code=USAGE)
    if native_task:
        excluded = (limit, canary, edit, snapshot, journal_directory)
        if not filters.empty or direct or rerun or any(value is not None for value in excluded):
            fail(
                "--native moves everything unchanged: it allows only --to, --rate, --yes,"
                " --allow-new-ids and --include-failing",
                code=USAGE,
            )
        move = native.MoveOptions(
            to=to,
            rate=rate,
            wait=wait,
            yes=yes,
            allow_new_ids=allow_new_ids,
            include_failing=include_failing,
            as_json=as_json,
        )
        native.run(settings, dlq, queue, move)
        return
    options = RedriveOptions(
        filters=filters,
        snapshot=snapshot,
        limit=limit,
        canary=canary,
        canary_through_queue=canary_through_queue,
        canary_deadline=canary_deadline,
        to=to,
        direct=direct,
        edit_text=edit,
        edit=_edit(edit),
        rerun=rerun,
        max_hops=max_hops,
        include_failing=include_failing,
        pace=Pace(wait=wait, lease=lease, rate=rate),
    )
    command = RedriveCommand(settings, options, as_json=as_json)
    asyncio.run(command.run(dlq, queue, journal_directory, yes=yes))


def _check_deliverable(settings: Settings) -> None:
    """End the command if nothing can be delivered from here: a canary would only time out."""
    problems = missing(settings)
    if problems:
        fail(*problems, code=USAGE)


def _edit(text: str | None) -> Edit | None:
    if text is None:
        return None
    try:
        return load_edit(text)
    except ValueError as error:
        fail(f"--edit: {o.one_line(error)}", code=USAGE)
