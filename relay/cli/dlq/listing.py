"""`relay dlq list`: one line for each dead letter."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from relay.cli.dlq import options as o
from relay.cli.dlq.input import DeadLetters, open_dead_letters
from relay.cli.dlq.queues import warn
from relay.cli.startup import EnvFile, load_settings
from relay.dlq.claims import claimed_id, claimed_name
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import Filter
from relay.dlq.snapshot import Head
from relay.dlq.statistics import expiry, id_of, name_of
from relay.output.tables import AT_ONCE, Column, print_table
from relay.output.terminal import echo_json
from relay.output.times import format_relative

_Row: TypeAlias = tuple[str, ...]

_COLUMNS = (
    Column("first sent"),
    Column("event", least=8),
    Column("code", least=20, style="yellow"),
    Column("id", least=36, style="bold"),
    Column("reason", below=True, style="dim"),
)

EXAMPLES = (
    "relay dlq list night.jsonl.gz --code ts_in_seconds",
    'relay dlq list --name "shop/*" --since 2026-05-04T10:00',
    "relay dlq list --where 'data.total > `100`' --json",
)


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

    The line says when it was first sent, and has the event, the code, the id that the relay's log
    has too, and the reason. With --json each line is an object.
    """
    filters = o.build_filter(names, codes, ids, sources, since, until, attributes, where)
    opening = open_dead_letters(load_settings(env_file), snapshot, dlq, queue, wait)
    asyncio.run(_list(opening, filters, as_json=as_json))


async def _list(
    opening: AbstractAsyncContextManager[DeadLetters], filters: Filter, *, as_json: bool
) -> None:
    async with opening as dead_letters:
        if as_json:
            async for dead_letter in dead_letters:
                if filters.matches(dead_letter):
                    echo_json({"type": "dead_letter", **fields(dead_letter, dead_letters.head)})
            return
        now, count, rows = time.time(), 0, list[_Row]()
        async for dead_letter in dead_letters:
            if filters.matches(dead_letter):
                rows.append(_row(dead_letter, now))
                count += 1
            if len(rows) == AT_ONCE:
                print_table(_COLUMNS, rows, header=count == AT_ONCE)
                rows.clear()
        if rows:
            print_table(_COLUMNS, rows, header=count < AT_ONCE)
    if not count:
        warn("no dead letter matches")


def fields(dead_letter: DeadLetter, head: Head) -> dict[str, Any]:
    """What is known about a dead letter, without its body, as JSON values."""
    expires = expiry(dead_letter.message, head.retention, fifo=head.fifo)
    return {
        "id": id_of(dead_letter),
        "name": dead_letter.name,
        "message_id": dead_letter.message.message_id,
        "base_id": dead_letter.base_id,
        "events": _events(dead_letter),
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


def _events(dead_letter: DeadLetter) -> list[dict[str, Any]]:
    """Its pending events, and what the relay would reject again as far as it can be read."""
    claims = [
        {"id": claimed_id(claim), "name": claimed_name(claim), "rejected": True}
        for claim in dead_letter.claims
    ]
    return [{"id": event.id, "name": event.name} for event in dead_letter.events] + claims


def _row(dead_letter: DeadLetter, now: float) -> _Row:
    more = f" +{len(dead_letter.events) - 1}" if len(dead_letter.events) > 1 else ""
    return (
        format_relative(dead_letter.first_sent_at, now),
        name_of(dead_letter) + more,
        dead_letter.code,
        id_of(dead_letter),
        dead_letter.reason,
    )
