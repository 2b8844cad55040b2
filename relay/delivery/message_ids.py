"""MessageIds that two different messages claim, as a forged request of push mode can cause.

Whoever can post to the relay's port can name any MessageId. Everything that this process remembers
about a message is remembered by that id, and an event without an id of its own gets it. So the
second message with different content is renamed, and neither joins, acknowledges nor replaces the
other.
"""

from __future__ import annotations

import hashlib
import logging

from msgspec.structs import replace

from relay.model.lru import LruCache
from relay.model.message import Message

REMEMBERED = 50_000
"""MessageIds whose content is remembered: more than a process has in flight or dead-letters."""

_log = logging.getLogger(__name__)


def content_digest(message: Message) -> bytes:
    """A digest of what is the same at each delivery of a message: body, attributes, queue, task."""
    task = message.task
    digest = hashlib.sha256()
    for part in (
        message.body,
        message.queue,
        *((task.name, task.scheduled_at) if task else ("", "")),
        *(
            part
            for name in sorted(message.attributes)
            for part in (name, message.attributes[name].value)
        ),
    ):
        raw = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        # With its length, so that no two lists of parts look alike.
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.digest()


class MessageIds:
    """Knows the content that each MessageId stands for."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._contents: LruCache[bytes] = LruCache(limit)

    def distinct(self, message: Message, in_flight: Message | None) -> Message:
        """The message; renamed if its MessageId already stands for another one.

        The new name follows from the content, so that each delivery gets the same one. `in_flight`
        is the message with this MessageId that is handled now, if any.
        """
        digest = content_digest(message)
        known = self._contents.get(message.message_id)
        if known is None and in_flight is not None:
            known = content_digest(in_flight)
        if known is None or known == digest:
            self._contents.put(message.message_id, digest)
            return message
        name = f"{message.message_id}-{digest.hex()[:16]}"
        _log.warning(
            "two different messages were posted with one MessageId; this one is handled as %s."
            " SQS never does that: another local process posts to the relay's port",
            name,
            extra={"code": "message_id_reused", "message_id": message.message_id},
        )
        return replace(message, message_id=name)
