"""The messages that are consumed: JSON as producers write it, of a given size."""

from __future__ import annotations

import json
from collections.abc import Iterator

REFUSED = "bench/refused"
"""The name of an event that the event API refuses: poison that only the destination can see."""

_ITEM = {"sku": "A-1017", "quantity": 2, "price": 19.95, "tags": ["new", "sale"], "gift": False}


def bodies(count: int, size: int, poison: float = 0.0) -> Iterator[str]:
    """So many messages of about so many bytes.

    A share of `poison` is spread evenly over them, in turn one that is no event at all, which a
    strict consumer finds by itself, and one that only the destination refuses.
    """
    rest = _rest(size)
    every = round(1 / poison) if poison else 0
    for number in range(count):
        spoiled = every and number % every == every - 1
        if spoiled and number // every % 2:
            yield "not an event"
        else:
            name = REFUSED if spoiled else "bench/ordered"
            yield f'{{"name":"{name}","data":{{"order":"{number:012}",{rest}}}}}'


def _rest(size: int) -> str:
    """Members that fill the message up to its size."""
    item = json.dumps(_ITEM)
    left = max(0, size - 80)
    items = ",".join([item] * (left // (len(item) + 1)))
    note = "x" * (left - len(items))
    return f'"items":[{items}],"note":"{note}"'
