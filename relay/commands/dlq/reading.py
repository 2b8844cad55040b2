"""Reading dead letters with the settings in effect, payloads in S3 included."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import typer

from relay.dlq.letter import Letter, read_letter
from relay.envelope import Rules
from relay.message import Message, Reject, Retry
from relay.payloads import NOT_ALLOWED, Payloads
from relay.settings import Settings
from relay.wiring.payloads import payloads
from relay.wiring.rules import rules
from relay.wiring.session import SharedSession

Read: TypeAlias = Callable[[Message], Awaitable[Letter]]


@contextlib.asynccontextmanager
async def reader(settings: Settings, main: str | None) -> AsyncIterator[Read]:
    """What reads a message; `main` is the name of the queue that they come from by default.

    A payload that cannot be had here leaves its letter sealed, which is told at the end.
    """
    async with contextlib.AsyncExitStack() as stack:
        reading = _Reading(payloads(settings, SharedSession(stack)), rules(settings), main)
        try:
            yield reading.read
        finally:
            reading.complain()


class _Reading:
    def __init__(self, opening: Payloads, rules: Rules, main: str | None) -> None:
        self._opening = opening
        self._rules = rules
        self._main = main
        self._unread: dict[str, str] = {}

    async def read(self, message: Message) -> Letter:
        """The letter, with its payload if it can be had."""
        if not self._opening.concern(message):
            return read_letter(message, self._rules, self._main)
        async with self._opening.opened(message) as found:
            payload = self._payload(message, found)
            return read_letter(message, self._rules, self._main, payload)

    def _payload(self, message: Message, found: Message | Reject | Retry) -> bytes | Reject | None:
        if isinstance(found, Message):
            return found.body
        # That this machine may not read the bucket says nothing about the relay.
        if isinstance(found, Reject) and found.code != NOT_ALLOWED:
            return found
        self._unread[message.message_id] = found.reason
        return None

    def complain(self) -> None:
        """Say what was not read: filters on events pass over it."""
        if self._unread:
            why = next(iter(self._unread.values()))
            typer.echo(
                f"relay: the events of {len(self._unread)} messages are in S3 and were not read, so"
                f" no filter on events finds them: {why}",
                err=True,
            )
