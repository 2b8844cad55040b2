"""Which functions exist and what they listen to, as far as the server tells."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from glob import escape
from typing import Any
from urllib.parse import quote

from relay.ops.inngest_api import InngestApi, objects

PAGE = 100
PAGES = 100
"""Apps, and functions of one app: a page has at most 100, and at most this many are read."""

LIKENESS = 0.6
"""Ratio of `difflib` from which on a name is near enough to be a misspelling of the other."""


class Listeners:
    """What the functions listen to.

    Args:
        triggers: names of functions by the event name in their trigger, which may end in `*`.
        signals: patterns for the names of events that start nothing: they cancel runs, or steps
            wait for them.
    """

    def __init__(self, triggers: Mapping[str, Iterable[str]], signals: Sequence[str] = ()) -> None:
        self._signals = tuple(signals)
        self._exact: dict[str, frozenset[str]] = {}
        self._prefixes: dict[str, frozenset[str]] = {}
        for trigger, functions in triggers.items():
            group = self._prefixes if trigger.endswith("*") else self._exact
            group[trigger.removesuffix("*")] = frozenset(functions)

    def of(self, name: str) -> frozenset[str]:
        """The functions that an event of this name starts, conditions aside. Case counts."""
        prefixes = (f for prefix, f in self._prefixes.items() if name.startswith(prefix))
        return self._exact.get(name, frozenset()).union(*prefixes)

    def is_signal(self, name: str) -> bool:
        """Whether an event of this name has a receiver although it starts no function."""
        waited_for = any(fnmatchcase(name, pattern) for pattern in self._signals)
        return waited_for and not self.of(name)

    def nearest(self, name: str) -> str | None:
        """The name or pattern most like this one that a function listens to, or None."""
        folded: dict[str, str] = {}
        for trigger in (*self._exact, *(f"{prefix}*" for prefix in self._prefixes)):
            folded.setdefault(trigger.casefold(), trigger)
        found = difflib.get_close_matches(name.casefold(), folded, 1, LIKENESS)
        return folded[found[0]] if found else None


async def read_listeners(
    api: InngestApi, path: str, signals: Sequence[str] = ()
) -> Listeners | None:
    """What the registered functions listen to; None if the server does not tell.

    It tells which events cancel runs, and not which ones steps wait for.

    Args:
        api: of the server.
        path: of version 2 of its API.
        signals: patterns for the names of events that steps wait for.

    Raises:
        Unavailable: the server does not answer.
        UnusableAnswer: it refuses the key.
    """
    apps = await _all(api, f"{path}/apps")
    if apps is None:
        return None
    triggers, cancelling = defaultdict[str, set[str]](set), set[str]()
    for app in apps:
        name = quote(str(app.get("id")), safe="", errors="replace")
        functions = await _all(api, f"{path}/apps/{name}/functions")
        if functions is None:
            return None
        for trigger, function in _triggers(functions):
            triggers[trigger].add(function)
        cancelling |= _cancelling(functions)
    return Listeners(triggers, (*signals, *cancelling))


async def _all(api: InngestApi, path: str) -> Sequence[Mapping[str, Any]] | None:
    found, cursor = list[Mapping[str, Any]](), ""
    for _ in range(PAGES):
        query = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        page = await api.page_of_api_v2(path, query)
        if page is None:
            return None
        some, cursor = page
        found += some
        if not cursor:
            return found
    return None  # an incomplete list would call names unheard that are not


def _cancelling(functions: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names of the events that cancel runs of the functions, as patterns."""
    options = (function.get("configuration") for function in functions)
    found = (
        one.get("event")
        for option in options
        if isinstance(option, dict)
        for one in objects(option.get("cancellations"))
    )
    return {escape(name) for name in found if isinstance(name, str)}


def _triggers(functions: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The event names in the triggers of the functions, each with the function's id."""
    for function in functions:
        for trigger in objects(function.get("triggers")):
            name = trigger.get("value")
            if trigger.get("type") == "EVENT" and isinstance(name, str):
                yield name, str(function.get("id"))
