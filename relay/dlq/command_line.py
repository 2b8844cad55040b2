"""The `relay dlq` command that does the same as something else, to show or to copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from relay.dlq.filters import Filter

_LISTS = (("names", "--name"), ("codes", "--code"), ("ids", "--id"), ("sources", "--source"))


def command_line(
    command: str,
    filters: Filter | None = None,
    options: Mapping[str, Any] | None = None,
    arguments: Sequence[str] = (),
) -> str:
    """A command line for a POSIX shell, such as `relay dlq redrive --code not_json --canary 5`.

    Args:
        command: `redrive`, `drop` or another.
        filters: its filters.
        options: its other options by their names without dashes in front; True for a flag. Those
            that are None or False are left out.
        arguments: what comes before the options, such as the file of a restore.
    """
    words = ["relay", "dlq", *command.split(), *arguments]
    words += filter_words(filters) if filters else ()
    for name, value in (options or {}).items():
        if value is not None and value is not False:
            words += [f"--{name}"] if value is True else _option(f"--{name}", str(value))
    return shlex.join(words)


def filter_words(filters: Filter) -> Iterator[str]:
    """The options of a filter."""
    for name, option in _LISTS:
        for value in getattr(filters, name):
            yield from _option(option, value)
    for option, at in (("--since", filters.since), ("--until", filters.until)):
        if at is not None:
            yield from _option(option, datetime.fromtimestamp(at, UTC).isoformat())
    for name, pattern in filters.attributes:
        yield from _option("--attribute", f"{name}={pattern}")
    if filters.where is not None:
        yield from _option("--where", filters.where)


def _option(name: str, value: str) -> list[str]:
    """A value that begins with a dash would be taken for another option."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def group_filter(name: str | None, code: str) -> Filter:
    """A filter that matches the dead letters of one group, and maybe others with the same pattern.

    `name` is None for what has no event name: the filter then has only the code.
    """
    return Filter(names=(escape_pattern(name),) if name else (), codes=(escape_pattern(code),))


def escape_pattern(text: str) -> str:
    """A pattern that matches only this text."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
