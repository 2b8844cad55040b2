"""The messages of the benchmark: JSON events of a given size, and dead letters."""

from __future__ import annotations

import json
from collections.abc import Iterator

from relay.aws.sqs_values import Outgoing
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin

REFUSED = "bench/refused"
"""The name of an event that the event API rejects: poison that only the destination detects."""

DEAD_LETTER = 2_048
"""Bytes of a dead letter, with its attributes."""

_ITEM = {"sku": "A-1017", "quantity": 2, "price": 19.95, "tags": ["new", "sale"], "gift": False}


def bodies(count: int, size: int, poison: float = 0.0) -> Iterator[str]:
    """This many messages of about `size` bytes.

    A share of `poison` is spread evenly over them: alternately one that is not an event, which a
    strict consumer rejects by itself, and one that only the destination rejects.
    """
    rest = _rest(size)
    every = round(1 / poison) if poison else 0
    for number in range(count):
        poisoned = every and number % every == every - 1
        if poisoned and number // every % 2:
            yield "not an event"
        else:
            name = REFUSED if poisoned else "bench/ordered"
            yield f'{{"name":"{name}","data":{{"order":"{number:012}",{rest}}}}}'


def dead_letter(number: int, source: str = "main") -> Outgoing:
    """A dead letter of 2 KB in all, as the relay writes it."""
    body = json.dumps({"name": f"shop/order.{number % 5}", "data": {"n": number, "x": ""}})
    origin = Origin(id=f"id-{number}", hops=1, source=source, code="fails_alone", reason="no")
    attributes = {ATTRIBUTE: Attribute("String", origin.pack())}
    short = Outgoing(body=body, attributes=attributes)
    filled = body.replace('"x": ""', '"x": "' + "x" * (DEAD_LETTER - short.size) + '"')
    return Outgoing(body=filled, attributes=attributes)


def _rest(size: int) -> str:
    """JSON members that fill the message up to its size."""
    item = json.dumps(_ITEM)
    left = max(0, size - 80)
    items = ",".join([item] * (left // (len(item) + 1)))
    note = "x" * (left - len(items))
    return f'"items":[{items}],"note":"{note}"'
