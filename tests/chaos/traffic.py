"""The traffic of chaos runs: every envelope, event names with 0, 1 and 3 functions, and poison."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from relay.local.demo import samples
from relay.local.demo.samples import SampleMessage

Traffic: TypeAlias = Callable[[random.Random, int], list[SampleMessage]]
"""Draws this many messages."""

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
FLOOD = (
    ('{"name": "inngest/reserved", "data": {}}', "reserved_name"),
    ('{"data": {}}', "missing_name"),
)
"""The poison of a flood: bodies with their codes."""
FLOODED = 0.65
"""The share of poison in a flood: far above that from which the reject guard halts."""


def traffic(chance: random.Random, count: int, first: int = 0) -> list[SampleMessage]:
    """This many messages, numbered from `first`."""
    return [_one(chance, first + number) for number in range(count)]


def partly_poison(number: int) -> SampleMessage:
    """An array with one poison event, which is dead-lettered while the others are delivered."""
    return replace(samples.array_with_poison(number), group=f"g{number % GROUPS}")


def valid_message(number: int, name: str = samples.EVENT_NAMES[2]) -> SampleMessage:
    """An event with an id."""
    return replace(samples.event_with_id(name, number), group=f"g{number % GROUPS}")


def flood(chance: random.Random, count: int) -> list[SampleMessage]:
    """Traffic that is poison for the most part.

    The poison has message groups of its own: on a FIFO queue a held message stops its group.
    """
    return [
        _flooding(chance, number) if chance.random() < FLOODED else _good(chance, number)
        for number in range(count)
    ]


def large_poison(chance: random.Random, count: int) -> list[SampleMessage]:
    """Traffic with poison that does not fit into a small dead-letter queue, even compressed."""
    return [
        _large(chance, number) if chance.random() < 0.2 else _one(chance, number)
        for number in range(count)
    ]


def _flooding(chance: random.Random, number: int) -> SampleMessage:
    body, code = chance.choice(FLOOD)
    return SampleMessage(
        kind="flood",
        body=body,
        rejected=(samples.message_id_plus(),),
        code=code,
        group=f"flood{number % GROUPS}",
    )


def _large(chance: random.Random, number: int) -> SampleMessage:
    """Poison as a whole, or an array with one poison event; with an attribute of the producer's."""
    noise = base64.b64encode(chance.randbytes(chance.randint(30_000, 60_000))).decode()
    message = SampleMessage(
        kind="large poison", body=noise, rejected=(samples.message_id_plus(),), code="not_json"
    )
    if chance.random() < 0.5:
        array = partly_poison(number)
        events = [*json.loads(array.body)]
        events[1]["data"] = {"noise": noise}
        message = replace(array, body=json.dumps(events))
    return replace(message, group=f"g{number % GROUPS}", attributes={"shop": "x" * 400})


def _one(chance: random.Random, number: int) -> SampleMessage:
    drawn = chance.random()
    if drawn < 0.05:
        message = samples.array_with_poison(number)
    elif drawn < 0.1:
        message = samples.poison(number)
    else:
        return _good(chance, number)
    return replace(message, group=f"g{chance.randrange(GROUPS)}")


def _good(chance: random.Random, number: int) -> SampleMessage:
    message = chance.choice(VALID)(chance.choice(samples.EVENT_NAMES), number)
    return replace(message, group=f"g{chance.randrange(GROUPS)}")
