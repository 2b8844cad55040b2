"""Dead letters, read with the settings in effect, payloads in S3 included."""

from __future__ import annotations

from relay.dlq.letter import Letter, read_letter
from relay.message import Message, Reject, Retry
from relay.payloads import NOT_ALLOWED
from relay.settings import Settings
from relay.wiring.payloads import payloads
from relay.wiring.rules import rules
from relay.wiring.session import SharedSession


class Reading:
    """Reads the letters of one queue. A payload that cannot be had here leaves its letter sealed.

    Args:
        settings: how messages are read, and which buckets may be.
        session: of AWS, opened when the first payload is read.
        main: name of the queue that the letters come from, where they do not tell.

    Attributes:
        unread: why the payload of a letter was not read, by MessageId.
    """

    def __init__(self, settings: Settings, session: SharedSession, main: str | None) -> None:
        self.unread: dict[str, str] = {}
        self._opening = payloads(settings, session)
        self._rules = rules(settings)
        self._main = main

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
        self.unread[message.message_id] = found.reason
        return None
