"""What opening a destination gives, whichever it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from relay.destinations.one_by_one import Starter
from relay.message import Event

Conflict: TypeAlias = Callable[[Event], None]
"""Called with an event whose id was used for another content."""


async def nothing() -> None:
    """There is no secret to look up again."""


@dataclass(frozen=True, slots=True)
class Started:
    """A starter and what looks its secrets up again."""

    starter: Starter
    refresh: Callable[[], Awaitable[None]] = nothing
