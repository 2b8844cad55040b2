"""The messages of the benchmark: JSON events of a given size."""

from __future__ import annotations

import json
from collections.abc import Iterator

REFUSED = "bench/refused"
"""The name of an event that the event API rejects: poison that only the destination detects."""

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


def _rest(size: int) -> str:
    """JSON members that fill the message up to its size."""
    item = json.dumps(_ITEM)
    left = max(0, size - 80)
    items = ",".join([item] * (left // (len(item) + 1)))
    note = "x" * (left - len(items))
    return f'"items":[{items}],"note":"{note}"'
