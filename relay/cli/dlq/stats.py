"""`relay dlq stats`: how many, how old, until when, and of which kinds."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import typer

from relay.cli.dlq.input import Letters, letters
from relay.cli.dlq.options import AsJson, Dlq, Main, SnapshotFile, Wait
from relay.cli.dlq.output import clean, table
from relay.cli.startup import EnvFile, load_settings
from relay.dlq.filters import format_duration, format_time
from relay.dlq.snapshot import Head
from relay.dlq.statistics import Statistics

_MOST = 20
_OLD = 60.0
"""Seconds after which it matters that a snapshot is not the queue itself."""

_TITLES = {
    "name": "event name",
    "code": "reason code",
    "source": "source queue",
    "hour": "hour in which it was sent",
    "shape": "shape of the body",
}


def command(
    snapshot: SnapshotFile = None,
    *,
    dlq: Dlq = None,
    queue: Main = None,
    wait: Wait = 1.0,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Count the dead letters, by event name and reason and by what else they have in common.

    Says when the queue will delete the first of them. The hour is that of SQS's own sent time: of
    the relay's copies when they were dead-lettered, of what SQS moved when it was first sent.
    """
    found = letters(load_settings(env_file), snapshot, dlq, queue, wait)
    statistics, head = asyncio.run(_counted(found, time.time() if snapshot else None))
    if as_json:
        about = {"queue": head.queue, "taken_at": head.taken_at}
        typer.echo(json.dumps(about | statistics.as_json(), indent=2))
    else:
        typer.echo("\n".join(_told(statistics, head)))


async def _counted(
    given: AbstractAsyncContextManager[Letters], now: float | None
) -> tuple[Statistics, Head]:
    async with given as found:
        head = found.head
        statistics = Statistics(retention=head.retention, fifo=head.fifo, now=now)
        async for letter in found:
            statistics.add(letter)
    return statistics, head


def _told(statistics: Statistics, head: Head) -> Iterator[str]:
    now = time.time()
    yield f"{statistics.count} messages with {statistics.events} events in {head.queue}"
    if now - head.taken_at >= _OLD:
        yield f"seen {format_duration(now - head.taken_at)} ago, {format_time(head.taken_at)}"
    if statistics.gone:
        yield f"SQS has deleted {statistics.gone} of them since, as older than the queue keeps them"
    if statistics.oldest is not None:
        yield f"the oldest was first sent {format_duration(now - statistics.oldest)} ago"
    first = statistics.first_expiry
    if first is not None:
        surely = "" if first.exact else " at the earliest"
        when = f"in {format_duration(first.at - now)}" if first.at > now else "any moment"
        yield f"the first will be deleted by SQS {when}{surely}, {format_time(first.at)}"
    if statistics.count:
        yield ""
        yield from _groups(statistics)
        for name, title in _TITLES.items():
            yield ""
            common = statistics.counts[name].most_common(_MOST)
            yield from table((title, "messages"), common)


def _groups(statistics: Statistics) -> Iterator[str]:
    rows = [
        (
            name,
            code,
            group.count,
            format_time(group.oldest),
            format_time(group.newest),
            group.sample,
        )
        for (name, code), group in statistics.largest()[:_MOST]
    ]
    yield from table(("event", "code", "messages", "oldest", "newest", "for example"), rows)
    yield ""
    for (_, code), group in statistics.largest()[:_MOST]:
        yield f"{code}: {clean(group.reason, 200)}"
