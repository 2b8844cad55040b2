"""What the publisher sends: every envelope, names that nobody, one and three listen to, poison."""

from __future__ import annotations

import random
from dataclasses import replace

from relay.local.demo import samples
from relay.local.demo.samples import SampleMessage

GROUPS = 6
HONEST = (
    samples.plain,
    samples.plain,
    samples.unnamed,
    samples.array,
    samples.notification,
    samples.bus,
    samples.cloud,
    samples.stored_object,
)
RESERVED = (
    '{"name": "inngest/reserved", "data": {}}',
    "reserved_name",
)


def traffic(chance: random.Random, count: int, first: int = 0) -> list[SampleMessage]:
    """So many messages, numbered from `first`."""
    return [_one(chance, first + number) for number in range(count)]


def mixed(number: int) -> SampleMessage:
    """An array in which one event is poison: it takes both roads, to the end and to the DLQ."""
    return replace(samples.half_bad(number), group=f"g{number % GROUPS}")


def honest(number: int, name: str = samples.LISTENED[2]) -> SampleMessage:
    """An event that its producer named."""
    return replace(samples.plain(name, number), group=f"g{number % GROUPS}")


def _one(chance: random.Random, number: int) -> SampleMessage:
    drawn = chance.random()
    if drawn < 0.05:
        made = samples.half_bad(number)
    elif drawn < 0.1:
        made = samples.poison(number)
    else:
        made = chance.choice(HONEST)(chance.choice(samples.LISTENED), number)
    return replace(made, group=f"g{chance.randrange(GROUPS)}")
