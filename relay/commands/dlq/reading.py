"""Reading dead letters with the settings in effect, payloads in S3 included."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from relay.dlq.letter import Letter, read_letter
from relay.message import Message, Retry
from relay.payloads import pointer_of
from relay.settings import Settings
from relay.wiring.payloads import payloads
from relay.wiring.rules import rules
from relay.wiring.session import SharedSession

Read: TypeAlias = Callable[[Message], Awaitable[Letter]]


@contextlib.asynccontextmanager
async def reader(settings: Settings, main: str | None) -> AsyncIterator[Read]:
    """What reads a message; `main` is the name of the queue that they come from by default.

    A payload that cannot be had now leaves its letter sealed.
    """
    async with contextlib.AsyncExitStack() as stack:
        opening = payloads(settings, SharedSession(stack))
        reading = rules(settings)

        async def read(message: Message) -> Letter:
            if pointer_of(message.body) is None:
                return read_letter(message, reading, main)
            async with opening.opened(message) as found:
                if isinstance(found, Retry):
                    return read_letter(message, reading, main)
                payload = found.body if isinstance(found, Message) else found
                return read_letter(message, reading, main, payload)

        yield read
