"""`relay dlq stats`: how many dead letters, how old, when they expire, and of which kinds."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager

from rich.text import Text

from relay.cli.dlq import options as o
from relay.cli.dlq.input import DeadLetters, open_dead_letters
from relay.cli.startup import EnvFile, load_settings
from relay.dlq.filters import Filter
from relay.dlq.snapshot import Head
from relay.dlq.statistics import Group, Statistics
from relay.output.tables import Column, cut, print_table, print_text
from relay.output.terminal import echo, echo_json, escape
from relay.output.times import format_duration, format_relative, format_time

_MAX_ROWS = 20
_OLD = 60.0
"""Seconds after which the age of a snapshot is shown."""

_SOON = 4 * 86_400.0
"""Seconds before the first expiry from which it is urgent: the alarm `dlq-age` is on."""

_TITLES = {
    "name": "event name",
    "code": "reason code",
    "source": "source queue",
    "hour": "hour in which it was sent",
    "shape": "shape of the body",
}


_GROUPS = (
    Column("event", least=12),
    Column("code", least=20, style="yellow"),
    Column("messages", right=True, style="bold"),
    Column("oldest"),
    Column("newest", optional=True),
    Column("for example", optional=True),
)

EXAMPLES = (
    "relay dlq stats",
    "relay dlq stats night.jsonl.gz --since 6h",
    "relay dlq stats night.jsonl.gz --json",
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
    dlq: o.Dlq = None,
    queue: o.Main = None,
    wait: o.Wait = 1.0,
    as_json: o.AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Count the dead letters by event name and reason, source queue, hour and shape of the body.

    With filters only those that match are counted. Also shows when SQS will delete the first of
    them. The hour is when the relay dead-lettered the message, or for a message that SQS moved,
    when it was first sent.
    """
    filters = o.build_filter(names, codes, ids, sources, since, until, attributes, where)
    opening = open_dead_letters(load_settings(env_file), snapshot, dlq, queue, wait)
    counting = _count(opening, filters, time.time() if snapshot else None)
    statistics, head, filtered = asyncio.run(counting)
    if as_json:
        about = {"type": "statistics", "queue": head.queue, "taken_at": head.taken_at}
        echo_json({**about, "filtered": filtered, **statistics.as_json()}, indent=2)
        return
    print_text(_summary(statistics, head, filtered))
    if statistics.count:
        _print_groups(statistics)
        _print_counts(statistics)


async def _count(
    opening: AbstractAsyncContextManager[DeadLetters], filters: Filter, now: float | None
) -> tuple[Statistics, Head, int]:
    """The statistics of what matches, and how many the filters exclude."""
    filtered = 0
    async with opening as dead_letters:
        head = dead_letters.head
        statistics = Statistics(retention=head.retention, fifo=head.fifo, now=now)
        async for dead_letter in dead_letters:
            if filters.empty or filters.matches(dead_letter):
                statistics.add(dead_letter)
            else:
                filtered += 1
    return statistics, head, filtered


def _summary(statistics: Statistics, head: Head, filtered: int) -> Iterator[Text]:
    now = time.time()
    first, queue = statistics.first_expiry, escape(head.queue)
    yield Text(f"{statistics.count} messages with {statistics.events} events in {queue}", "bold")
    if filtered:
        yield Text(f"the filters exclude {filtered} others")
    if now - head.taken_at >= _OLD:
        age = format_duration(now - head.taken_at)
        yield Text(f"snapshot taken {age} ago, {format_time(head.taken_at)}")
    if statistics.expired:
        yield Text(
            f"SQS has deleted {statistics.expired} of them since: their retention is over", "red"
        )
    if statistics.oldest is not None:
        age = format_duration(now - statistics.oldest)
        yield Text(f"the oldest was first sent {age} ago, {format_time(statistics.oldest)}")
    if first is not None:
        earliest = "" if first.exact else " at the earliest"
        when = f"in {format_duration(first.at - now)}" if first.at > now else "at any moment"
        style = "red" if first.at - now < _SOON else ""
        yield Text(f"SQS deletes the first {when}{earliest}, {format_time(first.at)}", style)


def _print_groups(statistics: Statistics) -> None:
    now, groups = time.time(), statistics.largest()
    rows = [
        (
            name,
            code,
            group.count,
            format_relative(group.oldest, now),
            format_relative(group.newest, now),
            group.sample,
        )
        for (name, code), group in groups[:_MAX_ROWS]
    ]
    echo("")
    print_table(_GROUPS, rows)
    if len(groups) > _MAX_ROWS:
        echo(f"and {len(groups) - _MAX_ROWS} more groups: --json has all of them")
    echo("")
    print_text(_reasons(groups[:_MAX_ROWS]))


def _reasons(groups: Sequence[tuple[tuple[str, str], Group]]) -> Iterator[Text]:
    """The reason of one of each group; with the event's name where several have the code."""
    codes = Counter(code for (_, code), _ in groups)
    for (name, code), group in groups:
        label = escape(f"{code}, {name}" if codes[code] > 1 else code)
        yield Text.assemble((f"{label}: ", "bold"), cut(group.reason, 200))


def _print_counts(statistics: Statistics) -> None:
    for name, title in _TITLES.items():
        echo("")
        common = statistics.counts[name].most_common(_MAX_ROWS)
        print_table((Column(title, least=20), Column("messages", right=True)), common)
