"""What the demonstration publishes: a body, and which of its events must run or die."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Naming = Callable[[str], str]
"""Gives an event's id from the MessageId that SQS gave its message."""


def own(event_id: str) -> Naming:
    """An id that the body itself names, whatever message it travels in."""
    return lambda _message_id: event_id


def by_message(suffix: str = "") -> Naming:
    """An id that follows from the message."""
    return lambda message_id: message_id + suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One message to publish. Every event of it is in `runs` or in `dies`, by its naming.

    `code` is the expected reason of the dead letter. `kind` is for the table that people read.
    """

    kind: str
    body: str
    runs: tuple[Naming, ...] = ()
    dies: tuple[Naming, ...] = ()
    code: str | None = None
    group: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
