"""The conditions of a whole run: its queues, settings and traffic, and what an operator does."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from relay.delivery.retention import EXPIRING_SHARE
from relay.local.demo.samples import SampleMessage
from relay.local.inngest import Fault, Rule
from relay.local.sqsd import SqsdOptions
from tests.chaos import lambda_host
from tests.chaos.environment import DAEMON, LAMBDA, Disruption, Environment, Mode, QueueOptions
from tests.chaos.findings import Allowed
from tests.chaos.hostile_origins import hostile_origins
from tests.chaos.traffic import Traffic, flood, large_poison, traffic

RETENTION = 1_000.0
"""Seconds. With the slower clock its last tenth is 12 real seconds, in which a busy machine has to
dead-letter everything."""

SHORT_CLOCKS = replace(
    DAEMON,
    inactivity_timeout=70,
    visibility_timeout=190,
    error_visibility_timeout=15,
)
"""sqsd's clocks for that retention."""

SHORT_SETTINGS = {
    "RELAY_HOLD": "0",
    "RELAY_SQSD_INACTIVITY_TIMEOUT": str(SHORT_CLOCKS.inactivity_timeout),
    "RELAY_SQSD_VISIBILITY_TIMEOUT": str(SHORT_CLOCKS.visibility_timeout),
    "RELAY_SQSD_ERROR_VISIBILITY_TIMEOUT": str(SHORT_CLOCKS.error_visibility_timeout),
    "RELAY_QUEUE_RETENTION": str(int(RETENTION)),
}

EARLY = SHORT_CLOCKS.error_visibility_timeout + 10
"""Seconds before the last tenth in which a message that sqsd would hide into it is dead-lettered,
and some for the clocks of two processes."""

MOST_MOVED = 40
"""Dead letters of a flood that one relay makes until its reject guard halts: twenty, some more if
good messages come first, and no more than twice as many."""

LONG = 6
"""Runs with that retention at the same time. They mostly wait."""

Operator: TypeAlias = Callable[[Environment], Awaitable[None]]


async def nothing(_env: Environment) -> None:
    """No operator does anything."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What holds for a whole run.

    Attributes:
        name: its name in the report.
        settings: of the relay.
        queues: how the queues are made.
        options: sqsd's.
        traffic: draws the messages.
        rules: what the run allows.
        without: disruptions that are not drawn: they would change what the run allows.
        disruption: runs beside the drawn ones, in place of an outage of the orchestrator.
        operator: what a person does when all disruptions have ended.
    """

    name: str = "no condition"
    settings: Mapping[str, str] = field(default_factory=dict)
    queues: QueueOptions = field(default_factory=QueueOptions)
    options: SqsdOptions = DAEMON
    traffic: Traffic = traffic
    rules: Allowed = field(default_factory=Allowed)
    without: Sequence[str] = ()
    disruption: Disruption | None = None
    operator: Operator = nothing

    @property
    def long(self) -> bool:
        """Whether the run lasts for as long as a retention, and needs a slower clock."""
        return self.queues.retention == RETENTION


NO_CONDITION = Condition()
AGING = ("messages near expiry",)
"""They may be truncated, and are older than a short retention."""


def draw(mode: Mode, seed: int) -> Condition:
    """The condition of a run; consecutive seeds have different ones."""
    condition = _DRAWN[seed % len(_DRAWN)](random.Random(f"condition {mode} {seed}"))
    return _on_lambda(condition) if mode in LAMBDA and condition.long else condition


def _on_lambda(condition: Condition) -> Condition:
    """A message that Lambda would hide into the last tenth is dead-lettered instead."""
    after = EXPIRING_SHARE * RETENTION - lambda_host.HIDDEN - 10
    return replace(condition, rules=replace(condition.rules, expiring_after=after))


def _none(_chance: random.Random) -> Condition:
    return NO_CONDITION


def short_retention(chance: random.Random) -> Condition:
    """The orchestrator is away for most of a short retention, or beyond its end."""
    how, outage = chance.choice(OUTAGES)
    return Condition(
        name=f"a short retention, {how}",
        traffic=_half,
        settings=SHORT_SETTINGS,
        queues=QueueOptions(retention=RETENTION),
        options=SHORT_CLOCKS,
        rules=Allowed(expiring_after=EXPIRING_SHARE * RETENTION - EARLY),
        without=AGING,
        disruption=outage,
    )


def small_dead_letter_queue(chance: random.Random) -> Condition:
    """The dead-letter queue has no room for some of the poison.

    Without the reject guard: after a restart most of what still waits is poison, which it would
    hold for a good reason.
    """
    small = Condition(
        name="a small dead-letter queue",
        traffic=large_poison,
        settings={"RELAY_REJECT_GUARD": "off"},
        without=AGING,
        queues=QueueOptions(largest_dead_letter=chance.choice((1_024, 4_096, 32_768))),
    )
    return chance.choice((_with_bucket, _raised_later, _never_raised))(small)


def _with_bucket(small: Condition) -> Condition:
    return replace(
        small,
        name=f"{small.name} and a bucket",
        settings={**small.settings, "RELAY_DEAD_LETTER_BUCKET": "relay-bodies"},
        disruption=_store_unavailable,
    )


def _raised_later(small: Condition) -> Condition:
    return replace(small, name=f"{small.name}, raised later", operator=_raise_the_limit)


def _never_raised(small: Condition) -> Condition:
    return replace(
        small,
        name=f"{small.name}, never raised",
        settings={**small.settings, **SHORT_SETTINGS},
        queues=replace(small.queues, retention=RETENTION),
        options=SHORT_CLOCKS,
        rules=Allowed(expiring_after=EXPIRING_SHARE * RETENTION - EARLY, truncated=True),
        disruption=_undisturbed,
    )


def poison_flood(_chance: random.Random) -> Condition:
    """More than half of the messages are poison, so that the reject guard halts."""
    return Condition(name="a flood of poison", traffic=flood, operator=_switch_the_guard_off)


def hostile(_chance: random.Random) -> Condition:
    """Producers write the relay's own attribute."""
    return Condition(name="hostile origins", traffic=hostile_origins)


_DRAWN: Sequence[Callable[[random.Random], Condition]] = (
    short_retention,
    small_dead_letter_queue,
    _none,
    poison_flood,
    hostile,
)


def _half(chance: random.Random, count: int) -> list[SampleMessage]:
    """Fewer messages: each is received again and again."""
    return traffic(chance, count // 2)


def _away(share: tuple[float, float], rule: Rule | None) -> Disruption:
    """Away for a share of the retention: down, or with the same answer to every request."""

    async def disruption(env: Environment, chance: random.Random) -> None:
        if rule is None:
            await env.inngest.down()
        else:
            env.inngest.script.add(rule)
        await _sleep_and_kill(env, chance, chance.uniform(*share) * RETENTION)
        env.inngest.script.clear()
        await env.inngest.up()

    return disruption


async def _sleep_and_kill(env: Environment, chance: random.Random, seconds: float) -> None:
    """Sleep. In pull mode the relay may be killed early in the last tenth of the retention.

    Elsewhere what is in flight then would stay hidden until SQS deletes it (docs/settings.md).
    """
    early = (EXPIRING_SHARE + 0.005) * RETENTION
    if env.mode in ("pull", "fifo") and seconds > early and chance.random() < 0.5:
        await env.clock.sleep(early)
        await env.relay.kill_if_running()
        await env.relay.start()
        seconds -= early
    await env.clock.sleep(seconds)


def _always(**fault: object) -> Rule:
    return Rule(fault=Fault(accept=0, **fault), times=None)  # type: ignore[arg-type] # a table of keywords


_NOT_FOUND = '{"status":401,"message":"","error":"Event key not found"}'
_MOST, _BEYOND = (0.5, 0.9), (1.0, 1.3)
OUTAGES: Sequence[tuple[str, Disruption]] = (
    ("down for most of it", _away(_MOST, None)),
    ("down beyond its end", _away(_BEYOND, None)),
    (
        "told to wait a day",
        _away(_BEYOND, _always(status=429, headers={"Retry-After": "86400"})),
    ),
    ("refused beyond its end", _away(_BEYOND, _always(status=401, body=_NOT_FOUND))),
)
"""With their names."""


async def _store_unavailable(env: Environment, chance: random.Random) -> None:
    env.store.available = False
    await env.clock.sleep(chance.uniform(5, 60))
    env.store.available = True


async def _undisturbed(env: Environment, chance: random.Random) -> None:
    """No outage, which is for the run with a short retention."""


async def _raise_the_limit(env: Environment) -> None:
    await env.client.call(
        "SetQueueAttributes",
        QueueUrl=env.sqs.account.url_of(env.dead),
        Attributes={"MaximumMessageSize": "1048576"},
    )


async def _switch_the_guard_off(env: Environment) -> None:
    """Wait until all good events are delivered, then restart without the reject guard."""

    def waiting() -> set[str]:
        record = env.publisher.record
        accepted = {event.id for event in env.inngest.events}
        return {*record.runs} - accepted - {*env.allows.codes}

    try:
        await env.until(lambda: not waiting(), within=2_000)
    except TimeoutError:
        env.complaints += [f"{name} was not delivered beside the flood" for name in waiting()]
    moved = len(env.dead.messages())
    if env.relay.starts == 1 and moved > MOST_MOVED:
        env.complaints.append(f"{moved} messages of the flood were moved, and the guard is on")
    await env.relay.terminate()
    env.relay.environment = {**env.relay.environment, "RELAY_REJECT_GUARD": "off"}
    await env.relay.start()
