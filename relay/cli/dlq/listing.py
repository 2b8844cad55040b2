"""`relay dlq list`: a line for each dead letter."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import typer

from relay.cli.dlq import options as o
from relay.cli.dlq.input import Letters, letters
from relay.cli.dlq.output import clean
from relay.cli.startup import EnvFile, load_settings
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter, format_time
from relay.dlq.snapshot import Head
from relay.dlq.statistics import expiry, name_of


def command(  # noqa: PLR0913 - a parameter for each option
    snapshot: o.SnapshotFile = None,
    *,
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
    """Show a line for each dead letter that passes the filters.

    It holds when the message was first sent, its MessageId, its event, its code and its reason.
    With --json each line is an object.
    """
    meant = o.chosen(names, codes, ids, sources, since, until, attributes, where)
    found = letters(load_settings(env_file), snapshot, dlq, queue, wait)
    asyncio.run(_list(found, meant, as_json=as_json))


async def _list(
    given: AbstractAsyncContextManager[Letters], meant: Filter, *, as_json: bool
) -> None:
    async with given as found:
        async for letter in found:
            if meant.matches(letter):
                typer.echo(json.dumps(fields(letter, found.head)) if as_json else _line(letter))


def fields(letter: DeadLetter, head: Head) -> dict[str, Any]:
    """What is known about a letter, without its body, as JSON values."""
    ends = expiry(letter.message, head.retention, fifo=head.fifo)
    return {
        "message_id": letter.message.message_id,
        "base_id": letter.base_id,
        "events": [{"id": event.id, "name": event.name} for event in letter.events],
        "code": letter.code,
        "reason": letter.reason,
        "source": letter.source,
        "hops": letter.hops,
        "first_sent_at": letter.first_sent_at,
        "sent_at": letter.message.sent_at,
        "expires_at": ends.at if ends else None,
        "may_have_run": bool(letter.origin and letter.origin.may_have_run),
        "group_id": letter.message.group_id,
    }


def _line(letter: DeadLetter) -> str:
    more = f" +{len(letter.events) - 1}" if len(letter.events) > 1 else ""
    columns = (
        format_time(letter.first_sent_at),
        letter.message.message_id,
        clean(name_of(letter)) + more,
        letter.code,
        clean(letter.reason, 100),
    )
    return "  ".join(columns)
