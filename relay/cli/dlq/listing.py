"""`relay dlq list`: one line for each dead letter."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from relay.cli.dlq import options as o
from relay.cli.dlq.input import DeadLetters, open_dead_letters
from relay.cli.dlq.output import clean
from relay.cli.startup import EnvFile, load_settings
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter
from relay.dlq.snapshot import Head
from relay.dlq.statistics import expiry, name_of
from relay.output.terminal import echo, echo_json
from relay.output.times import format_time


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
    """Show one line for each dead letter that matches the filters.

    The line has the time when it was first sent, the MessageId, the event, the code and the reason.
    With --json each line is an object.
    """
    filters = o.build_filter(names, codes, ids, sources, since, until, attributes, where)
    opening = open_dead_letters(load_settings(env_file), snapshot, dlq, queue, wait)
    asyncio.run(_list(opening, filters, as_json=as_json))


async def _list(
    opening: AbstractAsyncContextManager[DeadLetters], filters: Filter, *, as_json: bool
) -> None:
    async with opening as dead_letters:
        async for dead_letter in dead_letters:
            if filters.matches(dead_letter):
                if as_json:
                    echo_json(fields(dead_letter, dead_letters.head))
                else:
                    echo(_line(dead_letter))


def fields(dead_letter: DeadLetter, head: Head) -> dict[str, Any]:
    """What is known about a dead letter, without its body, as JSON values."""
    expires = expiry(dead_letter.message, head.retention, fifo=head.fifo)
    return {
        "message_id": dead_letter.message.message_id,
        "base_id": dead_letter.base_id,
        "events": [{"id": event.id, "name": event.name} for event in dead_letter.events],
        "code": dead_letter.code,
        "reason": dead_letter.reason,
        "source": dead_letter.source,
        "hops": dead_letter.hops,
        "first_sent_at": dead_letter.first_sent_at,
        "sent_at": dead_letter.message.sent_at,
        "expires_at": expires.at if expires else None,
        "may_have_run": bool(dead_letter.origin and dead_letter.origin.may_have_run),
        "group_id": dead_letter.message.group_id,
    }


def _line(dead_letter: DeadLetter) -> str:
    more = f" +{len(dead_letter.events) - 1}" if len(dead_letter.events) > 1 else ""
    columns = (
        format_time(dead_letter.first_sent_at),
        dead_letter.message.message_id,
        clean(name_of(dead_letter)) + more,
        clean(dead_letter.code),
        clean(dead_letter.reason, 100),
    )
    return "  ".join(columns)
