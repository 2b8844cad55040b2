"""A least-recently-used cache of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

V = TypeVar("V")


class LruCache(Generic[V]):
    """Values by key, at most `limit` of them. The least recently used are evicted first.

    `keys` is a live view. Looking a key up in it is faster than in the cache, and does not count as
    using its value.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[str, V] = OrderedDict()
        self.keys = self._values.keys()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> V | None:
        """The value or None. Reading a value counts as using it."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: str, value: V) -> None:
        """Store the value, and evict the least recently used ones beyond the limit."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._limit:
            self._values.popitem(last=False)

    def put_all(self, keys: Iterable[str], value: V) -> None:
        """Store one value under many keys."""
        values = self._values
        for key in keys:
            values[key] = value
            values.move_to_end(key)
        while len(values) > self._limit:
            values.popitem(last=False)

    def forget(self, key: str) -> None:
        """Remove the key, if it is there."""
        self._values.pop(key, None)
