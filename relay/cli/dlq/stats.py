"""`relay dlq stats`: how many dead letters, how old, when they expire, and of which kinds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from relay.cli.dlq.input import DeadLetters, open_dead_letters
from relay.cli.dlq.options import AsJson, Dlq, Main, SnapshotFile, Wait
from relay.cli.dlq.output import clean, table
from relay.cli.startup import EnvFile, load_settings
from relay.dlq.snapshot import Head
from relay.dlq.statistics import Statistics
from relay.output.terminal import echo, echo_json
from relay.output.times import format_duration, format_time

_MAX_ROWS = 20
_OLD = 60.0
"""Seconds after which the age of a snapshot is shown."""

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
    """Count the dead letters by event name and reason, source queue, hour and shape of the body.

    Also shows when SQS will delete the first of them. The hour is when the relay
    dead-lettered the message, or for a message that SQS moved, when it was first sent.
    """
    opening = open_dead_letters(load_settings(env_file), snapshot, dlq, queue, wait)
    statistics, head = asyncio.run(_count(opening, time.time() if snapshot else None))
    if as_json:
        about = {"queue": head.queue, "taken_at": head.taken_at}
        echo_json(about | statistics.as_json(), indent=2)
    else:
        echo(*_lines(statistics, head))


async def _count(
    opening: AbstractAsyncContextManager[DeadLetters], now: float | None
) -> tuple[Statistics, Head]:
    async with opening as dead_letters:
        head = dead_letters.head
        statistics = Statistics(retention=head.retention, fifo=head.fifo, now=now)
        async for dead_letter in dead_letters:
            statistics.add(dead_letter)
    return statistics, head


def _lines(statistics: Statistics, head: Head) -> Iterator[str]:
    now = time.time()
    yield f"{statistics.count} messages with {statistics.events} events in {head.queue}"
    if now - head.taken_at >= _OLD:
        age = format_duration(now - head.taken_at)
        yield f"snapshot taken {age} ago, {format_time(head.taken_at)}"
    if statistics.expired:
        yield f"SQS has deleted {statistics.expired} of them since: their retention is over"
    if statistics.oldest is not None:
        yield f"the oldest was first sent {format_duration(now - statistics.oldest)} ago"
    first = statistics.first_expiry
    if first is not None:
        earliest = "" if first.exact else " at the earliest"
        when = f"in {format_duration(first.at - now)}" if first.at > now else "at any moment"
        yield f"SQS deletes the first {when}{earliest}, {format_time(first.at)}"
    if statistics.count:
        yield ""
        yield from _groups(statistics)
        for name, title in _TITLES.items():
            yield ""
            common = statistics.counts[name].most_common(_MAX_ROWS)
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
        for (name, code), group in statistics.largest()[:_MAX_ROWS]
    ]
    yield from table(("event", "code", "messages", "oldest", "newest", "for example"), rows)
    yield ""
    for (_, code), group in statistics.largest()[:_MAX_ROWS]:
        yield f"{code}: {clean(group.reason, 200)}"
