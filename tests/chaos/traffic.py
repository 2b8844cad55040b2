"""The traffic of chaos runs: every envelope, event names with 0, 1 and 3 functions, and poison."""

from __future__ import annotations

import random
from dataclasses import replace

from relay.local.demo import samples
from relay.local.demo.samples import SampleMessage

GROUPS = 6
VALID = (
    samples.event_with_id,
    samples.event_with_id,
    samples.event_without_id,
    samples.array,
    samples.sns_notification,
    samples.eventbridge_event,
    samples.cloudevent,
    samples.s3_notification,
)
RESERVED = (
    '{"name": "inngest/reserved", "data": {}}',
    "reserved_name",
)


def traffic(chance: random.Random, count: int, first: int = 0) -> list[SampleMessage]:
    """This many messages, numbered from `first`."""
    return [_one(chance, first + number) for number in range(count)]


def partly_poison(number: int) -> SampleMessage:
    """An array with one poison event, which is dead-lettered while the others are delivered."""
    return replace(samples.array_with_poison(number), group=f"g{number % GROUPS}")


def valid_message(number: int, name: str = samples.EVENT_NAMES[2]) -> SampleMessage:
    """An event with an id."""
    return replace(samples.event_with_id(name, number), group=f"g{number % GROUPS}")


def _one(chance: random.Random, number: int) -> SampleMessage:
    drawn = chance.random()
    if drawn < 0.05:
        env = samples.array_with_poison(number)
    elif drawn < 0.1:
        env = samples.poison(number)
    else:
        env = chance.choice(VALID)(chance.choice(samples.EVENT_NAMES), number)
    return replace(env, group=f"g{chance.randrange(GROUPS)}")
