"""Counts the SQS requests that messages, an idle relay and an outage take, by host and setting.

Everything here is counted by the local SQS, nothing is timed; prices are those of
`relay_cdk.prices`. Each 64 KB of a payload counts as one request, which the table leaves out: its
messages are small.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.payload import bodies
from bench.progress import say
from bench.server_process import BenchmarkFailed
from relay.local.environment import Environment, Host, Plan, local_environment
from relay.local.processes import RelayFailed
from relay.local.sqs.parameters import Draft
from relay.local.sqs.queue import Queue
from relay.local.sqs.validation import accept
from relay_cdk.prices import MILLION, MONTH, SQS_FIFO_REQUEST, SQS_REQUEST

SIZE = 300
WITHIN = 120.0
"""Seconds in which messages must be delivered."""

AT_A_TIME = 2
"""Cases by setting that run at a time."""

OUTAGE = 20.0
"""Seconds of an outage for which requests are counted."""

UNCHANGED = 2.0
"""Seconds without a receive after which a relay counts as full."""

IDLE = 45.0
"""Seconds for which idle hosts are counted: two long polls, and a part of the third."""

NOWHERE = "http://127.0.0.1:1"
"""An event API that refuses every connection."""

_VISIBILITY = ("ChangeMessageVisibility", "ChangeMessageVisibilityBatch")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to run the relay. `groups` is of message groups, on a FIFO queue.

    With `one_at_a_time`, each message arrives after the one before has been deleted.
    """

    name: str
    host: Host = "poller"
    groups: int = 0
    one_at_a_time: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    visibility: int = 60


CASES = (
    Case(name="relay poll, as shipped, with a backlog"),
    Case(name="relay poll, RELAY_RECEIVERS=1", settings={"RELAY_RECEIVERS": "1"}),
    Case(name="relay poll, RELAY_MAX_IN_FLIGHT=10", settings={"RELAY_MAX_IN_FLIGHT": "10"}),
    Case(name="relay poll, RELAY_CONFIRM=on", settings={"RELAY_CONFIRM": "on"}),
    Case(name="relay poll, FIFO queue with 100 message groups", groups=100),
    Case(name="relay poll, FIFO queue with one message group", groups=1),
    Case(name="relay poll, one message at a time", one_at_a_time=True),
    Case(name="relay serve, behind sqsd, with a backlog", host="sqsd"),
    Case(name="relay serve, behind sqsd, one message at a time", host="sqsd", one_at_a_time=True),
    Case(name="Lambda, with a backlog", host="lambda"),
    Case(name="Lambda, one message at a time", host="lambda", one_at_a_time=True),
)

HOSTS = (
    Case(name="relay poll"),
    Case(name="relay serve, behind sqsd", host="sqsd"),
    Case(name="Lambda", host="lambda"),
)

OUTAGES = (
    Case(name="relay poll, 500 messages in flight", settings={"RELAY_INNGEST_URL": NOWHERE}),
    Case(
        name="relay poll, the same with a visibility timeout of 12 s",
        settings={"RELAY_INNGEST_URL": NOWHERE},
        visibility=12,
    ),
    Case(
        name="relay serve, behind sqsd",
        host="sqsd",
        settings={"RELAY_INNGEST_URL": NOWHERE},
    ),
)


async def sqs_requests(
    messages: int, *, few: int = 40, quick: bool = False
) -> list[dict[str, Any]]:
    """Three tables: by setting, of an idle month, and of an outage.

    Args:
        messages: counted with a backlog.
        few: counted one at a time.
        quick: only the first row of each table that takes little time.
    """
    say("SQS requests by setting, when idle and in an outage")
    gate = asyncio.Semaphore(AT_A_TIME)

    async def by_setting(case: Case) -> list[str]:
        async with gate:
            return await row_by_setting(case, few if case.one_at_a_time else messages)

    cases = CASES[:1] if quick else CASES
    settings = await _rows(by_setting, cases)
    tables = [
        {
            "title": "a million small messages",
            "columns": ["", "receives", "deletes", "visibility", "a million messages", "$"],
            "rows": settings,
        }
    ]
    if quick:
        return tables
    idle = await _rows(_idle, HOSTS)
    outages = await _rows(partial(_outage, messages), OUTAGES)
    return [
        *tables,
        {
            "title": "an idle month",
            "columns": ["", "receives", "$"],
            "rows": idle,
        },
        {
            "title": "an hour in which the event API refuses connections, with a backlog",
            "columns": ["", "receives", "visibility", "$"],
            "rows": outages,
        },
    ]


async def _rows(
    counted: Callable[[Case], Awaitable[list[str]]], cases: Sequence[Case]
) -> list[list[str]]:
    """A row for each case; one that fails says why. Counts do not depend on what runs beside."""

    async def row(case: Case) -> list[str]:
        try:
            return await counted(case)
        except (BenchmarkFailed, RelayFailed) as error:
            say(f"{case.name} is left out: {error}")
            return []

    found = await asyncio.gather(*map(row, cases))
    return [one for one in found if one]


async def row_by_setting(case: Case, count: int) -> list[str]:
    """Receives, deletes and visibility requests a message, and a million's requests and dollars."""
    say(case.name)
    async with _running(case) as env:
        queue = _queue(env)
        await _deliver(queue, case, 1)  # from here on it is warm
        before = Counter(env.sqs.requests)
        if case.one_at_a_time:
            for _ in range(count):
                await _deliver(queue, case, 1)
        else:
            await _deliver(queue, case, count)
        used = env.sqs.requests - before
    shares = [_share(used, action, count) for action in (_RECEIVE, _DELETE, _VISIBILITY)]
    price = SQS_FIFO_REQUEST if case.groups else SQS_REQUEST
    total = sum(shares) * MILLION
    return [
        case.name,
        *(f"{one:.3f}" for one in shares),
        f"{total:,.0f}",
        f"{total * price:.3f}",
    ]


_RECEIVE = ("ReceiveMessage",)
_DELETE = ("DeleteMessage", "DeleteMessageBatch")


def _share(used: Counter[str], actions: Sequence[str], count: float) -> float:
    return sum(used[action] for action in actions) / count


async def _idle(case: Case) -> list[str]:
    async with _running(case) as env:
        await _deliver(_queue(env), case, 1)
        before, start = Counter(env.sqs.requests), time.monotonic()
        await asyncio.sleep(IDLE)
        used = env.sqs.requests - before
        rate = _share(used, _RECEIVE, time.monotonic() - start)
    # A long poll takes 20 s, so that a few of them are counted: the number at a time is exact.
    return [case.name, f"{rate * MONTH:,.0f}", f"{rate * MONTH * SQS_REQUEST:.2f}"]


async def _outage(messages: int, case: Case) -> list[str]:
    """What an hour would take, from the requests of some seconds once no more is received."""
    say(case.name)
    async with _running(case) as env:
        _fill(_queue(env), case, messages)
        await _settled(env)
        before, start = Counter(env.sqs.requests), time.monotonic()
        await asyncio.sleep(OUTAGE)
        used, hours = env.sqs.requests - before, (time.monotonic() - start) / 3_600
    receives, changes = (_share(used, one, hours) for one in (_RECEIVE, _VISIBILITY))
    cost = (receives + changes) * SQS_REQUEST
    return [case.name, f"{receives:,.0f}", f"{changes:,.0f}", f"{cost:.3f}"]


async def _settled(env: Environment) -> None:
    """Wait until no message has been received for a while."""
    seen, since = -1, time.monotonic()
    async with asyncio.timeout(WITHIN):
        while time.monotonic() - since < UNCHANGED:
            in_flight = _queue(env).counts()[1]
            if in_flight != seen or not in_flight:
                seen, since = in_flight, time.monotonic()
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _running(case: Case) -> AsyncIterator[Environment]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"RELAY_CONFIRM": "off"} | case.settings
        plan = Plan(
            directory=directory,
            host=case.host,
            fifo=bool(case.groups),
            visibility=case.visibility,
            settings=settings,
        )
        yield await stack.enter_async_context(local_environment(plan))


def _queue(env: Environment) -> Queue:
    return env.sqs.account.by_url(env.queue_url)


async def _deliver(queue: Queue, case: Case, count: int) -> None:
    _fill(queue, case, count)
    deadline = time.monotonic() + WITHIN
    while sum(queue.counts()):
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{case.name} left messages after {WITHIN:.0f} s")
        await asyncio.sleep(0.005)


def _fill(queue: Queue, case: Case, count: int) -> None:
    now = time.time()
    for number, body in enumerate(bodies(count, SIZE)):
        draft = Draft(message_body=body)
        if case.groups:
            draft.message_group_id = f"group-{number % case.groups}"
            draft.message_deduplication_id = f"{now}-{number}"
        queue.add(accept(draft, queue.attributes, now))
